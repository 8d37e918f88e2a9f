//! Which processes run under an account, whoever started them: found by the `CLAUDE_CONFIG_DIR` in their environment.
//!
//! A process that merely inherited the variable (a shell command of a session, an MCP server) has a parent with the same
//! value and is not counted. Only processes of this user can be looked at, and only those could be sessions.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

#[cfg(target_os = "linux")]
use super::linux as platform;
#[cfg(target_os = "macos")]
use super::macos as platform;

/// One process of this user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) pid: u32,
    pub(super) parent: u32,
    /// The value of the variable; none when it is not set, or when the process ended while it was looked at.
    pub(super) value: Option<Vec<u8>>,
}

/// The pids of the processes whose variable `name` is exactly `dir`, those that inherited it left out. An error means
/// that it cannot be told, which is to be taken for "some".
pub fn running_under(name: &str, dir: &Path) -> io::Result<Vec<u32>> {
    let own = std::process::id();
    let mut seen = platform::environments(name)?;
    seen.retain(|process| process.pid != own);
    Ok(not_inherited(&seen, dir.as_os_str().as_bytes()))
}

/// A process that runs a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its number.
    pub pid: u32,
    /// Its parent's.
    pub parent: u32,
    /// The value of the variable that was asked for.
    pub value: Option<OsString>,
}

/// The processes of this user that are called `program`, with their variable `name`, by pid; one whose parent is
/// called so too is left out, since it belongs to that one. By the name that the kernel keeps or the first argument:
/// either is changed by some ways to start a program.
pub fn running_program(program: &str, name: &str) -> io::Result<Vec<Running>> {
    let seen = platform::environments(name)?;
    let own = std::process::id();
    let is_called = |pid: &u32| *pid != own && platform::is_called(*pid, program);
    let called: HashSet<u32> = seen.iter().map(|s| s.pid).filter(is_called).collect();
    let mut running: Vec<Running> = seen
        .into_iter()
        .filter(|s| called.contains(&s.pid) && !called.contains(&s.parent))
        .map(|s| Running {
            pid: s.pid,
            parent: s.parent,
            value: s.value.map(OsString::from_vec),
        })
        .collect();
    running.sort_unstable_by_key(|r| r.pid);
    Ok(running)
}

/// The processes of this user whose variable `name` is set, by pid; this one left out.
pub fn having(name: &str) -> io::Result<Vec<Running>> {
    let own = std::process::id();
    let seen = platform::environments(name)?.into_iter();
    let running = |s: Seen| Running {
        pid: s.pid,
        parent: s.parent,
        value: s.value.map(OsString::from_vec),
    };
    let mut having: Vec<Running> = seen
        .filter(|s| s.pid != own && s.value.is_some())
        .map(running)
        .collect();
    having.sort_unstable_by_key(|r| r.pid);
    Ok(having)
}

/// The values of `names` in the environment that a process of this user was started with. None when there is no such
/// process, or it is another user's; an error when it is there and cannot be looked at.
pub fn of_process<const N: usize>(
    pid: u32,
    names: [&str; N],
) -> io::Result<Option<[Option<OsString>; N]>> {
    let environment = platform::environment(pid)?;
    Ok(environment.map(|bytes| names.map(|name| value_in(&bytes, name).map(OsString::from_vec))))
}

/// The processes of this user that are called `program`, by the name that the kernel keeps or the first argument.
pub fn called(program: &str) -> io::Result<Vec<u32>> {
    let own = std::process::id();
    let mut pids = platform::pids_of_user()?;
    pids.retain(|pid| *pid != own && platform::is_called(*pid, program));
    Ok(pids)
}

/// The first argument behind the program's name; none when there is none, or the process is gone.
#[must_use]
pub fn first_argument(pid: u32) -> Option<OsString> {
    let arguments = platform::arguments(pid)?;
    let first = arguments.split(|byte| *byte == 0).nth(1)?;
    (!first.is_empty()).then(|| OsString::from_vec(first.to_vec()))
}

/// Whether a first argument names the program, with or without directories.
pub(super) fn names(argument: &[u8], program: &str) -> bool {
    argument.rsplit(|b| *b == b'/').next() == Some(program.as_bytes())
}

fn not_inherited(seen: &[Seen], wanted: &[u8]) -> Vec<u32> {
    let by_pid: HashMap<u32, &Seen> = seen.iter().map(|s| (s.pid, s)).collect();
    let has = |process: &Seen| process.value.as_deref() == Some(wanted);
    let inherited = |process: &&Seen| by_pid.get(&process.parent).is_some_and(|p| has(p));
    let mut pids: Vec<u32> = seen
        .iter()
        .filter(|process| has(process))
        .filter(|process| !inherited(process))
        .map(|process| process.pid)
        .collect();
    pids.sort_unstable();
    pids
}

/// The value of `name` among entries that end with NUL.
pub(super) fn value_in(entries: &[u8], name: &str) -> Option<Vec<u8>> {
    entries.split(|byte| *byte == 0).find_map(|entry| {
        let value = entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(value.to_vec())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    #[test]
    fn who_inherited_the_variable_is_not_counted() {
        let seen = |pid, parent, value: &str| Seen {
            pid,
            parent,
            value: (!value.is_empty()).then(|| value.as_bytes().to_vec()),
        };
        let processes = [
            seen(10, 1, ""),
            seen(20, 10, "/a"),
            seen(21, 20, "/a"),
            seen(22, 21, "/a"),
            seen(23, 20, "/b"),
            seen(30, 10, "/a"),
            seen(40, 99, "/a"),
        ];
        assert_eq!(not_inherited(&processes, b"/a"), [20, 30, 40]);
        assert_eq!(not_inherited(&processes, b"/b"), [23]);
        assert!(not_inherited(&processes, b"/").is_empty());
    }

    #[test]
    fn a_value_is_found_whole() {
        let entries = b"A=1\0XNAME=2\0NAME=a=b\0NAME=late\0\0junk";
        assert_eq!(value_in(entries, "NAME"), Some(b"a=b".to_vec()));
        assert_eq!(value_in(entries, "A"), Some(b"1".to_vec()));
        assert_eq!(value_in(b"", "A"), None);
    }

    #[test]
    fn a_running_program_is_found_by_its_name() {
        use std::os::unix::process::CommandExt;
        let name = "ccp-test-name";
        let mut child = Command::new("/bin/sh")
            .arg0(format!("/x/{name}"))
            .args(["-c", "read line"])
            .env("CLAUDE_CONFIG_DIR", "/of/its/own")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("starts");
        let find = || running_program(name, "CLAUDE_CONFIG_DIR").expect("scans");
        let deadline = Instant::now() + Duration::from_secs(20);
        while find().is_empty() {
            assert!(Instant::now() < deadline, "it was not found");
            crate::adapters::files::pause(Duration::from_millis(1));
        }
        let expected = Running {
            pid: child.id(),
            parent: std::process::id(),
            value: Some("/of/its/own".into()),
        };
        assert_eq!(find(), [expected]);
        drop(child.stdin.take());
        child.wait().expect("ends");
        assert!(find().is_empty());
    }

    #[test]
    fn one_process_is_looked_at_without_the_others() {
        use std::os::unix::process::CommandExt;
        let name = "ccp-test-one";
        let mut child = Command::new("/bin/sh")
            .arg0(name)
            .args(["-c", "read line"])
            .env_clear()
            .env("A", "1")
            .stdin(Stdio::piped())
            .spawn()
            .expect("starts");
        let pid = child.id();
        let look = || of_process(pid, ["A", "B"]).expect("looks");
        let deadline = Instant::now() + Duration::from_secs(20);
        while look() != Some([Some("1".into()), None]) || called(name).expect("lists") != [pid] {
            assert!(Instant::now() < deadline, "{:?}", look());
            crate::adapters::files::pause(Duration::from_millis(1));
        }
        assert_eq!(first_argument(pid), Some("-c".into()));
        drop(child.stdin.take());
        child.wait().expect("ends");
        assert_eq!((look(), first_argument(pid)), (None, None));
    }

    #[test]
    fn a_running_process_is_found_by_its_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        let count = || running_under("CLAUDE_CONFIG_DIR", dir.path()).expect("scans");
        assert!(count().is_empty());
        let mut child = Command::new("/bin/sh")
            .args(["-c", "/bin/cat; :"])
            .env("CLAUDE_CONFIG_DIR", dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("starts");
        let deadline = Instant::now() + Duration::from_secs(20);
        // Between fork and exec the child still shows our own environment.
        while count().is_empty() {
            assert!(Instant::now() < deadline, "it was not found");
            crate::adapters::files::pause(Duration::from_millis(1));
        }
        assert_eq!(count(), [child.id()], "and its own child is not counted");
        drop(child.stdin.take());
        child.wait().expect("ends");
        assert!(count().is_empty());
    }
}
