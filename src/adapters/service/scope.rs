//! Starting what is to outlive a service: in a control group of its own, a transient scope of the systemd user instance,
//! where this process is in a service's. Everywhere else a plain start does.

use std::io;
use std::process::{Child, Command};

/// Starts the command, outside the control group of the service that this process belongs to, where it belongs to one.
/// `make` gives the command that runs these words; it is called again when the supervisor does not do it in time.
pub fn spawn_apart(
    words: &[std::ffi::OsString],
    make: impl Fn(&[std::ffi::OsString]) -> io::Result<Command>,
) -> io::Result<Child> {
    #[cfg(target_os = "linux")]
    if let Some(child) = linux::in_scope(words, &make)? {
        return Ok(child);
    }
    make(words)?.spawn()
}

#[cfg(target_os = "linux")]
mod linux {
    use crate::adapters::files::pause;
    use crate::adapters::procs::children::has_ended;
    use crate::contract::vars;
    use std::ffi::{OsStr, OsString};
    use std::fs;
    use std::io;
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command};
    use std::time::{Duration, Instant};

    /// The supervisor's program that makes the scope and then becomes the command.
    const PROGRAM: &str = "systemd-run";
    /// How long it may take for that.
    const BOUND: Duration = Duration::from_secs(5);
    /// Between two looks.
    const LOOK: Duration = Duration::from_millis(5);

    /// The command in a scope; none where there is no need or no way.
    pub fn in_scope(
        words: &[OsString],
        make: impl Fn(&[OsString]) -> io::Result<Command>,
    ) -> io::Result<Option<Child>> {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        if !is_in_service(&groups) || !has_instance() {
            return Ok(None);
        }
        let Some(program) = on_path(PROGRAM) else {
            return Ok(None);
        };
        let mut all: Vec<OsString> = vec![program.clone().into()];
        all.extend(["--user", "--scope", "--quiet", "--collect", "--"].map(OsString::from));
        all.extend_from_slice(words);
        let mut child = make(&all)?.spawn()?;
        let deadline = Instant::now() + BOUND;
        let exe = PathBuf::from(format!("/proc/{}/exe", child.id()));
        let own = fs::canonicalize(&program).unwrap_or(program);
        while !has_ended(child.id()) && Instant::now() < deadline {
            if fs::read_link(&exe).is_ok_and(|exe| exe != own) {
                return Ok(Some(child));
            }
            pause(LOOK);
        }
        // It refuses, or hangs.
        let _ = child.kill();
        let _ = child.wait();
        Ok(None)
    }

    /// Whether these control groups are a service's, which may end everything in it together.
    pub(super) fn is_in_service(groups: &str) -> bool {
        let paths = groups.lines().filter_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            matches!(controllers, "" | "name=systemd").then_some(path)
        });
        let mut last = paths.filter_map(|path| path.rsplit('/').next());
        last.any(|name| Path::new(name).extension() == Some(OsStr::new("service")))
    }

    fn has_instance() -> bool {
        let dir = std::env::var_os(vars::XDG_RUNTIME_DIR).map(PathBuf::from);
        dir.is_some_and(|dir| dir.join("systemd/private").exists() || dir.join("bus").exists())
    }

    fn on_path(name: &str) -> Option<PathBuf> {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path)
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join(name))
            .find(|program| program.is_file())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn a_service_is_told_by_the_end_of_its_group() {
        let rows = [
            (
                "0::/user.slice/user-1.slice/user@1.service/app.slice/ccp.service\n",
                true,
            ),
            (
                "0::/user.slice/user-1.slice/user@1.service/app.slice/run-1.scope\n",
                false,
            ),
            ("0::/user.slice/user-1.slice/session-3.scope\n", false),
            (
                "12:pids:/a.service\n1:name=systemd:/user.slice/session-3.scope\n",
                false,
            ),
            ("12:pids:/a\n1:name=systemd:/x/ccp.service\n0::/\n", true),
            ("0::/\n", false),
            ("", false),
        ];
        for (groups, expected) in rows {
            assert_eq!(super::linux::is_in_service(groups), expected, "{groups}");
        }
    }
}
