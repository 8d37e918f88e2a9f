//! The process table of Linux, `/proc`.

use std::fs::{self, File};
use std::io::Read;

/// Field 22 of `/proc/PID/stat`: clock ticks since boot (proc_pid_stat(5)). A zombie does not run.
pub(super) fn start_time(pid: u32) -> Option<u64> {
    let mut buffer = [0_u8; 1024];
    let mut file = File::open(format!("/proc/{pid}/stat")).ok()?;
    let length = file.read(&mut buffer).ok()?;
    parse_start(&buffer[..length])
}

fn parse_start(stat: &[u8]) -> Option<u64> {
    // The second field is the name in parentheses, and the name may hold blanks and parentheses itself.
    let after_name = stat.iter().rposition(|b| *b == b')')? + 1;
    let mut fields = std::str::from_utf8(stat.get(after_name..)?)
        .ok()?
        .split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    // The state was field 3; field 22 is the 18th after it.
    fields.nth(18)?.parse().ok()
}

pub(super) fn machine_text() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!(
        "{} {} {}",
        boot.trim(),
        namespace.display(),
        super::host_name()
    )
}

#[cfg(test)]
mod tests {
    use super::parse_start;

    #[test]
    fn the_start_time_is_found_behind_any_name() {
        let rest = "S 1 2 3 0 -1 4 5 6 7 8 9 10 11 12 20 0 1 0 987654 1 2";
        for name in ["cat", "a b", ") S 1", "(((", ""] {
            assert_eq!(
                parse_start(format!("12 ({name}) {rest}").as_bytes()),
                Some(987_654),
                "{name}"
            );
        }
        let zombie = rest.replacen('S', "Z", 1);
        for bad in ["", "12", "12 (x", "12 (x) S 1", &format!("12 (x) {zombie}")] {
            assert_eq!(parse_start(bad.as_bytes()), None, "{bad}");
        }
    }
}
