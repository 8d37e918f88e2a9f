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

/// Bytes of an environment that are read: the kernel allows more, but nobody has it.
#[cfg(feature = "full")]
const MAX_ENVIRONMENT: u64 = 4 << 20;

/// The variable `name` in `/proc/PID/environ` of every process of this user. It shows the environment at exec.
#[cfg(feature = "full")]
pub(super) fn environments(name: &str) -> std::io::Result<Vec<super::environment::Seen>> {
    use super::environment::{Seen, value_in};
    use std::os::unix::fs::MetadataExt;
    // SAFETY: takes and touches nothing.
    let user = unsafe { libc::geteuid() };
    let mut seen = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        let own = entry.metadata().is_ok_and(|m| m.uid() == user);
        let Some(parent) = own.then(|| parent(pid)).flatten() else {
            continue;
        };
        let mut bytes = Vec::new();
        let read = File::open(entry.path().join("environ"))
            .and_then(|file| file.take(MAX_ENVIRONMENT).read_to_end(&mut bytes));
        // One that ended meanwhile is no session; one that hides (not dumpable) is no claude.
        let value = read.ok().and_then(|_| value_in(&bytes, name));
        seen.push(Seen { pid, parent, value });
    }
    Ok(seen)
}

/// The environment at exec of a process of this user; none for one that is gone or another user's.
#[cfg(feature = "full")]
pub(super) fn environment(pid: u32) -> std::io::Result<Option<Vec<u8>>> {
    use std::io::ErrorKind;
    use std::os::unix::fs::MetadataExt;
    /// `ESRCH`: it ended between the open and the read.
    const NO_SUCH_PROCESS: i32 = 3;
    let dir = std::path::PathBuf::from(format!("/proc/{pid}"));
    // SAFETY: takes and touches nothing.
    let user = unsafe { libc::geteuid() };
    let mut bytes = Vec::new();
    let read = fs::metadata(&dir).and_then(|metadata| {
        if metadata.uid() != user {
            return Ok(false);
        }
        let file = File::open(dir.join("environ"))?;
        file.take(MAX_ENVIRONMENT).read_to_end(&mut bytes)?;
        Ok(true)
    });
    match read {
        // A zombie has none.
        Ok(is_own) => Ok((is_own && !bytes.is_empty()).then_some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(NO_SUCH_PROCESS) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The numbers of this user's processes.
#[cfg(feature = "full")]
pub(super) fn pids_of_user() -> std::io::Result<Vec<u32>> {
    use std::os::unix::fs::MetadataExt;
    // SAFETY: takes and touches nothing.
    let user = unsafe { libc::geteuid() };
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let pid = entry.file_name().to_str().and_then(|n| n.parse().ok());
        if let Some(pid) = pid
            && entry.metadata().is_ok_and(|m| m.uid() == user)
        {
            pids.push(pid);
        }
    }
    Ok(pids)
}

/// The arguments, each with a NUL behind it; none for a process that is gone.
#[cfg(feature = "full")]
pub(super) fn arguments(pid: u32) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(format!("/proc/{pid}/cmdline")).ok()?;
    file.take(MAX_ENVIRONMENT).read_to_end(&mut bytes).ok()?;
    (!bytes.is_empty()).then_some(bytes)
}

/// Field 4 of `/proc/PID/stat`; none for a process that is gone or a zombie.
#[cfg(feature = "full")]
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.iter().rposition(|b| *b == b')')? + 1;
    let mut fields = std::str::from_utf8(stat.get(after_name..)?)
        .ok()?
        .split_ascii_whitespace();
    let state = fields.next()?;
    (!matches!(state, "Z" | "X")).then(|| fields.next()?.parse().ok())?
}

/// Whether the kernel's name of a process (at most 15 bytes of it) or its first argument is `program`.
#[cfg(feature = "full")]
pub(super) fn is_called(pid: u32, program: &str) -> bool {
    let comm = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    if comm.trim_ascii_end() == program.as_bytes() {
        return true;
    }
    let mut buffer = [0_u8; 4096];
    let length = File::open(format!("/proc/{pid}/cmdline")).and_then(|mut f| f.read(&mut buffer));
    let first = buffer[..length.unwrap_or(0)].split(|b| *b == 0).next();
    super::environment::names(first.unwrap_or_default(), program)
}

/// `pid:[NUMBER]`.
#[cfg(feature = "full")]
pub(super) fn pid_namespace() -> Option<String> {
    let link = fs::read_link("/proc/self/ns/pid").ok()?;
    link.into_os_string().into_string().ok()
}

/// The id of the installation (machine-id(5)).
#[cfg(feature = "full")]
pub(super) fn machine_id() -> Option<String> {
    let text = fs::read_to_string("/etc/machine-id").ok()?;
    let id = text.trim();
    (!id.is_empty()).then(|| id.to_owned())
}

/// Boot id and pid namespace; what cannot be found out is left empty.
pub(super) fn boot() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{} {}", boot.trim(), namespace.display())
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
