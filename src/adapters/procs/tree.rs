//! Everything that a process started, wherever it went since: by parents, by the session of its terminal, and by a mark
//! in the environment, which what left the session and lost its parents still has.

use super::children::{Signal, signal_child};
#[cfg(target_os = "linux")]
use super::linux as platform;
#[cfg(target_os = "macos")]
use super::macos as platform;
use super::start_time;
use std::collections::HashSet;
use std::io;

/// A process, told from a later one of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// Its number.
    pub pid: u32,
    /// Its start time, in the platform's own unit.
    pub start: u64,
}

impl Member {
    /// Whether it still runs.
    #[must_use]
    pub fn runs(self) -> bool {
        start_time(self.pid) == Some(self.start)
    }

    /// Signals it, if it is still that one.
    pub fn signal(self, signal: Signal) {
        if self.runs() {
            signal_child(self.pid, signal);
        }
    }
}

/// The processes of this user that descend from `root`, are in the session it leads, or have `value` for the variable
/// `name` in their environment, with all that these started; `root` itself and this process left out. Without a root (0)
/// only the variable counts: the system's first process has the parent 0, and everything descends from it.
pub fn tree(root: u32, name: &str, value: &str) -> io::Result<Vec<Member>> {
    let seen = platform::environments(name)?;
    let own = std::process::id();
    let session = libc::pid_t::try_from(root).ok().filter(|root| *root > 1);
    let mut inside: HashSet<u32> = session.iter().map(|_| root).collect();
    // Parents may be listed after their children: until nothing is added.
    loop {
        let before = inside.len();
        for process in &seen {
            let belongs = inside.contains(&process.parent)
                || process.value.as_deref() == Some(value.as_bytes())
                || (session.is_some() && session_of(process.pid) == session);
            if belongs && process.pid != own {
                inside.insert(process.pid);
            }
        }
        if inside.len() == before {
            break;
        }
    }
    inside.remove(&root);
    let member = |pid: u32| start_time(pid).map(|start| Member { pid, start });
    Ok(inside.into_iter().filter_map(member).collect())
}

fn session_of(pid: u32) -> Option<libc::pid_t> {
    let pid = libc::pid_t::try_from(pid).ok()?;
    // SAFETY: takes and touches no memory.
    let session = unsafe { libc::getsid(pid) };
    (session > 0).then_some(session)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    #[test]
    fn without_a_root_nobody_belongs_by_descent() {
        for root in [0, 1] {
            let members = tree(root, "CCP_TREE_MARK", "nobody has this").expect("looks");
            assert_eq!(members, [], "{root}");
        }
    }

    // macOS has no `setsid`.
    #[test]
    fn a_child_of_a_child_is_found_also_when_it_left_or_forgot() {
        let mark = format!("tree-{}", std::process::id());
        // One that stays, one that forgot the mark, one that left the session and whose parent is gone.
        let script = "sleep 600 & echo $!; env -i sleep 600 & echo $!; setsid sleep 600 & echo $!; echo end; wait";
        let mut child = Command::new("/bin/sh")
            .args(["-c", script])
            .env("CCP_TREE_MARK", &mark)
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let lines = BufReader::new(child.stdout.take().expect("is a pipe")).lines();
        let pids: Vec<u32> = lines
            .map(|line| line.expect("reads"))
            .take_while(|line| line != "end")
            .map(|line| line.parse().expect("a pid"))
            .collect();
        let members = tree(child.id(), "CCP_TREE_MARK", &mark).expect("looks");
        let found: HashSet<u32> = members.iter().map(|m| m.pid).collect();
        assert!(
            pids.iter().all(|pid| found.contains(pid)),
            "{pids:?} in {found:?}"
        );
        signal_child(child.id(), Signal::Kill);
        child.wait().expect("is reaped");
        // Without its root, by the mark alone.
        let marked = tree(child.id(), "CCP_TREE_MARK", &mark).expect("looks");
        assert!(marked.iter().any(|m| m.pid == pids[2]), "{marked:?}");
        members
            .iter()
            .for_each(|member| member.signal(Signal::Kill));
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while members.iter().any(|member| member.runs()) {
            assert!(std::time::Instant::now() < deadline, "they ended");
            crate::adapters::files::pause(std::time::Duration::from_millis(1));
        }
    }
}
