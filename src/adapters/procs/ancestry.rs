//! Who started a process, and who started that one.

/// Deeper than any shell in a hook in a session.
const MAX_DEPTH: usize = 16;

/// The ancestors of a process, nearest first, without the first process of the machine.
#[must_use]
pub fn ancestors(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut next = parent(pid);
    while let Some(pid) = next.filter(|pid| *pid > 1 && found.len() < MAX_DEPTH) {
        found.push(pid);
        next = parent(pid);
    }
    found
}

/// Field 4 of `/proc/PID/stat` (proc_pid_stat(5)), behind the name in parentheses.
#[cfg(target_os = "linux")]
fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let fields = std::str::from_utf8(&stat[after_name..]).ok()?;
    fields.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// `pbi_ppid` of `proc_pidinfo(PROC_PIDTBSDINFO)` (libproc.h).
#[cfg(target_os = "macos")]
fn parent(pid: u32) -> Option<u32> {
    let pid = libc::c_int::try_from(pid).ok()?;
    let mut info = std::mem::MaybeUninit::<libc::proc_bsdinfo>::zeroed();
    let size = libc::c_int::try_from(size_of::<libc::proc_bsdinfo>()).ok()?;
    let buffer = info.as_mut_ptr().cast();
    // SAFETY: the buffer is a proc_bsdinfo and its size is passed along.
    let written = unsafe { libc::proc_pidinfo(pid, libc::PROC_PIDTBSDINFO, 0, buffer, size) };
    // SAFETY: it was zeroed, and every bit pattern of these integers is valid.
    (written == size).then(|| unsafe { info.assume_init() }.pbi_ppid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_ancestor_is_the_parent() {
        let found = ancestors(std::process::id());
        // A test that the first process of a container runs has none that counts.
        let parent = std::os::unix::process::parent_id();
        assert_eq!(found.first().copied(), (parent > 1).then_some(parent));
    }
}
