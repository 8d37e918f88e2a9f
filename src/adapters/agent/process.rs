//! Child processes of this room: the environment they get, what they say read with bounds, and an end that never hits
//! a claude in the middle of renewing a login.

use crate::adapters::files::{is_younger, pause};
use crate::adapters::procs::children::{
    Signal, has_ended, signal_child, signal_group, wait_readable,
};
use crate::adapters::procs::limits;
use crate::adapters::procs::pipes::survive_broken_pipes;
use crate::contract::paths::CLAUDE_REFRESH_LOCK;
use crate::contract::vars;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A line longer than this is no answer of claude's: its largest seen is 3 kB.
pub(super) const MAX_LINE_BYTES: usize = 1024 * 1024;
/// What a child may say in all before it is taken for broken.
pub(super) const MAX_OUTPUT_BYTES: usize = 8 * 1024 * 1024;

/// After a polite request to end; claude takes 0.1 to 0.6 s.
const GRACE: Duration = Duration::from_secs(3);
/// How long a claude that holds its refresh lock is left alone after it was asked to end: the renewal it is in the
/// middle of has time-outs of its own, and a lock that is not touched for this long is stale.
const REFRESH_PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a child that was asked to end, at first and at most.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(50);

/// The environment of a claude that ccp runs for an account.
#[derive(Clone, Debug)]
pub struct Environment(Vec<(OsString, OsString)>);

impl Environment {
    /// `inherited` without what would make claude ignore the account's login or take itself for a child of another
    /// claude, and with the account's directory.
    #[must_use]
    pub fn for_account(
        inherited: impl IntoIterator<Item = (OsString, OsString)>,
        account_dir: &Path,
    ) -> Self {
        let is_removed = |name: &OsStr| {
            let mut names = vars::OVERRIDES.iter().chain(vars::ANCESTRY);
            name == vars::CLAUDE_CONFIG_DIR || names.any(|removed| name == *removed)
        };
        let mut pairs: Vec<_> = inherited
            .into_iter()
            .filter(|(name, _)| !is_removed(name))
            .collect();
        pairs.push((
            vars::CLAUDE_CONFIG_DIR.into(),
            account_dir.as_os_str().to_owned(),
        ));
        Self(pairs)
    }

    /// These variables and no others.
    pub(super) fn exactly(pairs: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self(pairs.into_iter().collect())
    }

    /// The same with this variable.
    #[must_use]
    pub fn with(self, name: &str, value: impl AsRef<OsStr>) -> Self {
        let mut environment = self.without(name);
        environment.0.push((name.into(), value.as_ref().into()));
        environment
    }

    /// The same without this variable.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|(other, _)| other != name);
        self
    }

    /// Its variables, none of them twice.
    pub(super) fn into_pairs(self) -> Vec<(OsString, OsString)> {
        self.0
    }

    /// A command with exactly these variables.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(self.0.iter().map(|(name, value)| (name, value)));
        limits::restore_in(&mut command);
        command
    }
}

/// A claude that leads a process group of its own and is ended, politely, when the value is dropped.
#[derive(Debug)]
pub(super) struct Agent {
    child: Child,
    account_dir: PathBuf,
    own_group: bool,
    reaped: bool,
}

impl Agent {
    /// Starts a claude to talk to: its input and output are pipes, its error output goes nowhere, since it is text for
    /// people that may quote what the service said.
    pub fn start_piped(
        mut command: Command,
        account_dir: &Path,
    ) -> io::Result<(Self, ChildStdin, Output)> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        // It may hang up before it has heard what we say.
        survive_broken_pipes();
        let mut child = command.spawn()?;
        let stdin = child.stdin.take().expect("standard input is a pipe");
        let stdout = child.stdout.take().expect("standard output is a pipe");
        let agent = Self {
            child,
            account_dir: account_dir.to_owned(),
            own_group: true,
            reaped: false,
        };
        Ok((agent, stdin, Output::new(stdout)))
    }

    /// Starts a claude in our own terminal and group, as a shell without job control would.
    pub fn start_inherited(mut command: Command, account_dir: &Path) -> io::Result<Self> {
        let child = command.spawn()?;
        Ok(Self {
            child,
            account_dir: account_dir.to_owned(),
            own_group: false,
            reaped: false,
        })
    }

    /// Waits until it has ended; none when it still runs at the deadline.
    pub fn wait(&mut self, deadline: Instant) -> Option<ExitStatus> {
        let mut look = FIRST_LOOK;
        while !has_ended(self.child.id()) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            pause(look.min(left));
            look = (look * 2).min(LAST_LOOK);
        }
        if self.own_group {
            // What it started and left behind ends with it, while the group's number is still its own.
            signal_group(self.child.id(), Signal::Terminate);
        }
        self.reaped = true;
        self.child.wait().ok()
    }

    /// Ends it: first a request, then patience, then force, but no force while it renews its login.
    pub fn end(&mut self) {
        if self.reaped {
            return;
        }
        self.signal(Signal::Terminate);
        let asked = Instant::now();
        if self.wait(asked + GRACE).is_some() {
            return;
        }
        while is_refreshing(&self.account_dir) && asked.elapsed() < REFRESH_PATIENCE {
            if self.wait(Instant::now() + LAST_LOOK * 5).is_some() {
                return;
            }
        }
        if is_refreshing(&self.account_dir) {
            // Rather a process that lingers than a login that is lost. It was told to end.
            return;
        }
        self.signal(Signal::Kill);
        self.wait(Instant::now() + GRACE);
    }

    fn signal(&self, signal: Signal) {
        if self.own_group {
            signal_group(self.child.id(), signal);
        } else {
            signal_child(self.child.id(), signal);
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether a claude is in the middle of renewing the login of this directory: its lock is a directory whose time it
/// keeps fresh. Once it is this old, nobody holds it.
fn is_refreshing(account_dir: &Path) -> bool {
    is_younger(&account_dir.join(CLAUDE_REFRESH_LOCK), REFRESH_PATIENCE)
}

/// Writes a request. It is far smaller than a pipe's buffer, so it does not wait for the reader.
pub(super) fn send_line(stdin: &mut ChildStdin, line: &str) -> io::Result<()> {
    stdin.write_all(line.as_bytes())?;
    stdin.write_all(b"\n")
}

/// Why a child's output cannot be read any further.
#[derive(Debug)]
pub(super) enum Unread {
    /// The time is over.
    Late,
    /// More than the limits allow.
    TooMuch,
    /// The pipe failed.
    Failed,
}

/// What a child says, line by line.
#[derive(Debug)]
pub(super) struct Output {
    stdout: ChildStdout,
    buffer: Vec<u8>,
    /// Bytes of the buffer that were handed out already.
    taken: usize,
    total: usize,
    ended: bool,
}

impl Output {
    fn new(stdout: ChildStdout) -> Self {
        Self {
            stdout,
            buffer: Vec::new(),
            taken: 0,
            total: 0,
            ended: false,
        }
    }

    /// The next line without its end; none when the output has ended.
    pub fn next_line(&mut self, deadline: Instant) -> Result<Option<&[u8]>, Unread> {
        let mut searched = self.taken;
        loop {
            let rest = &self.buffer[searched..];
            if let Some(index) = rest.iter().position(|byte| *byte == b'\n') {
                let line = self.taken..searched + index;
                self.taken = line.end + 1;
                return Ok(Some(&self.buffer[line]));
            }
            if self.ended {
                let line = self.taken..self.buffer.len();
                self.taken = line.end;
                return Ok((!line.is_empty()).then(|| &self.buffer[line]));
            }
            self.buffer.drain(..self.taken);
            self.taken = 0;
            searched = self.buffer.len();
            if searched > MAX_LINE_BYTES {
                return Err(Unread::TooMuch);
            }
            self.fill(deadline)?;
        }
    }

    /// Everything up to the end.
    pub fn rest(&mut self, deadline: Instant) -> Result<&[u8], Unread> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        while !self.ended {
            if self.buffer.len() > MAX_LINE_BYTES {
                return Err(Unread::TooMuch);
            }
            self.fill(deadline)?;
        }
        Ok(&self.buffer)
    }

    fn fill(&mut self, deadline: Instant) -> Result<(), Unread> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Unread::Late);
        }
        if !wait_readable(self.stdout.as_fd(), left).map_err(|_| Unread::Failed)? {
            return Ok(());
        }
        let mut chunk = [0_u8; 16 * 1024];
        let count = self.stdout.read(&mut chunk).map_err(|_| Unread::Failed)?;
        self.ended = count == 0;
        self.total += count;
        if self.total > MAX_OUTPUT_BYTES {
            return Err(Unread::TooMuch);
        }
        self.buffer.extend_from_slice(&chunk[..count]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(dir: &Path, script: &str) -> (Agent, ChildStdin, Output) {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        Agent::start_piped(command, dir).expect("starts")
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn an_account_sees_its_own_directory_and_no_other_login() {
        let pair = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
        let inherited = [
            pair("PATH", "/bin"),
            pair("CLAUDE_CONFIG_DIR", "/other"),
            pair("ANTHROPIC_API_KEY", "k"),
            pair("CLAUDECODE", "1"),
            pair("CLAUDE_CODE_SESSION_ID", "s"),
            pair("CLAUDE_CODE_CLIENT_CERT", "/c"),
        ];
        let environment = Environment::for_account(inherited, Path::new("/a"))
            .with("X", "1")
            .with("X", "2")
            .without("PATH");
        let mut names: Vec<String> = environment
            .0
            .iter()
            .map(|(n, v)| format!("{}={}", n.display(), v.display()))
            .collect();
        names.sort();
        assert_eq!(
            names,
            ["CLAUDE_CODE_CLIENT_CERT=/c", "CLAUDE_CONFIG_DIR=/a", "X=2"]
        );
    }

    #[test]
    fn lines_come_one_by_one_and_the_last_needs_no_end() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut agent, stdin, mut output) = start(dir.path(), "cat; printf 'b\\n\\nc'");
        drop(stdin);
        let mut lines = Vec::new();
        while let Some(line) = output.next_line(soon()).expect("reads") {
            lines.push(String::from_utf8_lossy(line).into_owned());
        }
        assert_eq!(lines, ["b", "", "c"]);
        assert!(agent.wait(soon()).expect("ends").success());
    }

    #[test]
    fn endless_output_and_silence_are_bounded() {
        let dir = tempfile::tempdir().expect("a directory");
        let (_agent, _stdin, mut output) = start(dir.path(), "tr '\\0' x < /dev/zero");
        assert!(matches!(output.next_line(soon()), Err(Unread::TooMuch)));
        let (_agent, _stdin, mut output) = start(dir.path(), "yes");
        let error = loop {
            match output.next_line(soon()) {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it does not end"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Unread::TooMuch));
        let (_agent, _stdin, mut output) = start(dir.path(), "sleep 600");
        let deadline = Instant::now() + Duration::from_millis(30);
        assert!(matches!(output.next_line(deadline), Err(Unread::Late)));
    }

    #[test]
    fn a_dropped_agent_takes_its_children_along() {
        let dir = tempfile::tempdir().expect("a directory");
        let (agent, _stdin, mut output) = start(dir.path(), "sleep 600 & echo $!; wait");
        let line = output.next_line(soon()).expect("reads").expect("a line");
        let pid: u32 = String::from_utf8_lossy(line).parse().expect("a pid");
        drop(agent);
        let deadline = soon();
        while crate::adapters::procs::start_time(pid).is_some() {
            assert!(Instant::now() < deadline, "{pid} still runs");
            pause(FIRST_LOOK);
        }
    }

    #[test]
    fn a_stubborn_agent_is_killed_but_not_while_it_renews() {
        let dir = tempfile::tempdir().expect("a directory");
        let lock = dir.path().join(".oauth_refresh.lock");
        // Ignores the request, renews for a while, and writes down that it finished.
        let script = format!(
            "trap '' TERM; mkdir {0}; echo up; i=0; while [ $i -lt 70 ]; do sleep 0.05; i=$((i+1)); done; \
             echo done > {1}/renewed; rmdir {0}; while :; do sleep 0.05; done",
            lock.display(),
            dir.path().display()
        );
        let (agent, _stdin, mut output) = start(dir.path(), &script);
        output.next_line(soon()).expect("reads").expect("is up");
        let pid = agent.child.id();
        drop(agent);
        assert!(dir.path().join("renewed").exists(), "it could finish");
        assert!(crate::adapters::procs::start_time(pid).is_none());
    }
}
