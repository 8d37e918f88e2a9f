//! A pool in a home of its own, with a shell script in the place of claude, and a client that says whatever bytes.

use crate::support::{CCPD, put, put_executable};
use ccp::adapters::files::pause;
use ccp::adapters::procs::children::{Signal, signal_child};
use ccp::adapters::procs::environment::{having, of_process};
use ccp::adapters::procs::start_time;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const BOUND: Duration = Duration::from_secs(40);
/// Between two looks at what has no event.
const LOOK: Duration = Duration::from_millis(5);
/// In the environment of everything that a test starts: by it what was left behind is found.
const MARK: &str = "CCP_FAULTS_MARK";

/// A home with a pool's directory in it. Whatever was started for it is gone when it is dropped, or the test fails.
pub struct Ground {
    home: TempDir,
    pub dir: PathBuf,
    mark: String,
}

impl Ground {
    /// A pool below a home, with a pretend claude.
    pub fn new() -> Self {
        Self::at("pool")
    }

    /// A pool at this path below the home.
    pub fn at(path: impl AsRef<Path>) -> Self {
        let mut builder = tempfile::Builder::new();
        builder
            .prefix("ccpf")
            .permissions(Permissions::from_mode(0o700));
        let home = builder.tempdir_in("/tmp").expect("a directory");
        let dir = home.path().join(path);
        let mark = home.path().display().to_string();
        let ground = Self { home, dir, mark };
        ground.write_claude(include_bytes!("../../data/slot_claude.sh"));
        ground.trust(true);
        fs::create_dir_all(ground.home.path().join(".claude")).expect("makes");
        ground
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn claude(&self) -> PathBuf {
        self.home().join("claude")
    }

    pub fn write_claude(&self, text: &[u8]) {
        // As an installation does it: the one that runs keeps its file.
        let new = self.home().join("claude.new");
        put_executable(&new, text);
        fs::rename(new, self.claude()).expect("renames");
    }

    pub fn trust(&self, is_trusted: bool) {
        let home = fs::canonicalize(self.home()).expect("is there");
        let projects = json!({"projects": {home.to_str().expect("text"): {"hasTrustDialogAccepted": is_trusted}}});
        put(
            &self.home().join(".claude.json"),
            projects.to_string().as_bytes(),
        );
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(CCPD);
        command
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", "/usr/bin:/bin")
            .env("CCP_CLAUDE", self.claude())
            .env("CLAUDE_POOL_HOME", self.home().join("pools"))
            .env("CCP_AUTOSTART", "0")
            .env(MARK, &self.mark)
            .env("CLAUDE_POOL_TEST_OWNER_PID", std::process::id().to_string())
            .current_dir(self.home())
            .stdin(Stdio::null());
        command
    }

    /// The pool daemon's command.
    pub fn daemon_command(&self) -> Command {
        let mut command = self.command();
        command.arg("pool-daemon").arg("--pool-dir").arg(&self.dir);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// A daemon that listens.
    pub fn daemon(&self) -> Daemon<'_> {
        self.daemon_by(self.daemon_command())
    }

    pub fn daemon_by(&self, mut command: Command) -> Daemon<'_> {
        let child = command.spawn().expect("starts");
        let mut daemon = Daemon {
            ground: self,
            child,
        };
        let deadline = Instant::now() + BOUND;
        while UnixStream::connect(self.socket()).is_err() {
            if let Some(status) = daemon.child.try_wait().expect("is ours") {
                panic!("the daemon ended: {status}: {}", daemon.said());
            }
            assert!(Instant::now() < deadline, "the daemon listens");
            pause(LOOK);
        }
        daemon
    }

    /// A daemon that must not begin: its status and what it says.
    pub fn refused(&self) -> Output {
        let child = self.daemon_command().spawn().expect("starts");
        let output = child.wait_with_output().expect("ends");
        assert!(!output.status.success(), "it is refused");
        output
    }

    pub fn refusal(&self) -> String {
        String::from_utf8_lossy(&self.refused().stderr).into_owned()
    }

    /// The path by which the socket can be reached.
    pub fn socket(&self) -> PathBuf {
        let path = self.dir.join("api.sock");
        ccp::adapters::short_path::usable(&path).expect("a path")
    }

    pub fn config(&self, config: &Value) {
        self.make_dir();
        put(&self.dir.join("config.json"), config.to_string().as_bytes());
    }

    /// The pool's directory, private.
    pub fn make_dir(&self) {
        fs::create_dir_all(&self.dir).expect("makes");
        fs::set_permissions(&self.dir, Permissions::from_mode(0o700)).expect("is ours");
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("daemon.log")).unwrap_or_default()
    }

    /// Everything that runs for this test, this process left out.
    pub fn running(&self) -> BTreeSet<u32> {
        let all = having(MARK).expect("looks");
        all.into_iter()
            .filter(|r| r.value.as_ref().is_some_and(|v| v == self.mark.as_str()))
            .map(|r| r.pid)
            .collect()
    }

    /// The claudes among them.
    pub fn claudes(&self) -> BTreeSet<u32> {
        let is_claude = |pid: &u32| {
            let token = of_process(*pid, ["CCP_HOOK_TOKEN"]);
            let session = fs::read_dir(self.home().join(".claude/sessions"));
            let mut names = session.into_iter().flatten().flatten();
            token.is_ok_and(|t| t.is_some_and(|[t]| t.is_some()))
                && names.any(|e| e.file_name() == format!("{pid}.json").as_str())
        };
        self.running().into_iter().filter(is_claude).collect()
    }

    #[track_caller]
    pub fn nothing_runs(&self) {
        wait("the end of everything", || self.running().is_empty());
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let left = self.running();
            if left.is_empty() {
                return;
            }
            if Instant::now() > deadline {
                for pid in &left {
                    signal_child(*pid, Signal::Kill);
                }
                assert!(std::thread::panicking(), "left behind: {left:?}");
                return;
            }
            pause(LOOK);
        }
    }
}

/// A daemon, which ends its pool when dropped.
pub struct Daemon<'a> {
    pub ground: &'a Ground,
    pub child: Child,
}

impl Daemon<'_> {
    pub fn client(&self) -> Client {
        Client::new(&self.ground.socket())
    }

    /// A pool with so many slots, all of them fresh.
    pub fn begin(&self, size: u32) -> Client {
        let mut client = self.client();
        // Sessions stay where they are.
        let config = client.ask(&json!({"type": "config", "set": {"keepFresh": 0}}));
        assert_eq!(config["type"], "config", "{config}");
        let health = client.ask(&json!({"type": "init", "size": size}));
        assert_eq!(health["type"], "health", "{health}");
        wait("fresh slots", || {
            client.ask(&json!({"type": "health"}))["health"]["slots"]["fresh"] == size
        });
        client
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn terminate(&self) {
        signal_child(self.pid(), Signal::Terminate);
    }

    /// Its status, once it ended.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + BOUND;
        loop {
            if let Some(status) = self.child.try_wait().expect("is ours") {
                return status;
            }
            assert!(Instant::now() < deadline, "the daemon ends");
            pause(LOOK);
        }
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("is ours");
        self.child.wait().expect("is ours");
    }

    fn said(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut pipe) = self.child.stderr.take() {
            let _ = std::io::Read::read_to_string(&mut pipe, &mut text);
        }
        text
    }

    /// Resident memory in kilobytes; none where that cannot be told.
    pub fn memory_kb(&self) -> Option<u64> {
        self.of_status("VmRSS:")
    }

    /// The most that it ever was.
    pub fn memory_peak_kb(&self) -> Option<u64> {
        self.of_status("VmHWM:")
    }

    fn of_status(&self, key: &str) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = text.lines().find(|line| line.starts_with(key))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return self.end_hosts();
        }
        if let Ok(stream) = UnixStream::connect(self.ground.socket()) {
            let mut client = Client::of(stream);
            client.say(&json!({"type": "destroy", "confirm": true}));
            // One that never began has nothing to destroy.
            if client.next().is_none_or(|answer| answer["type"] != "ok") {
                self.terminate();
            }
        }
        let deadline = Instant::now() + BOUND;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                assert!(std::thread::panicking(), "the daemon ends");
            }
            pause(LOOK);
        }
        self.end_hosts();
    }
}

impl Daemon<'_> {
    /// Slots outlive a daemon that was killed.
    fn end_hosts(&self) {
        if std::thread::panicking() {
            for pid in self.ground.running() {
                signal_child(pid, Signal::Terminate);
            }
        }
    }
}

/// A connection.
pub struct Client {
    pub stream: UnixStream,
    reader: BufReader<UnixStream>,
}

impl Client {
    #[track_caller]
    pub fn new(socket: &Path) -> Self {
        Self::of(UnixStream::connect(socket).expect("the daemon listens"))
    }

    pub fn of(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(BOUND)).expect("is set");
        stream.set_write_timeout(Some(BOUND)).expect("is set");
        let reader = BufReader::new(stream.try_clone().expect("a second end"));
        Self { stream, reader }
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the daemon reads");
    }

    pub fn say(&mut self, request: &Value) {
        self.bytes(format!("{request}\n").as_bytes());
    }

    /// The next line; none at the end of the connection.
    pub fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(serde_json::from_str(&line).expect("a line is JSON")),
        }
    }

    #[track_caller]
    pub fn ask(&mut self, request: &Value) -> Value {
        self.say(request);
        self.next().expect("an answer")
    }

    /// Asks for a new session: its id.
    #[track_caller]
    pub fn start(&mut self, prompt: &str) -> String {
        let reply = self.ask(&json!({"type": "start", "prompt": prompt}));
        let id = reply["sessionId"].as_str();
        id.unwrap_or_else(|| panic!("{reply}")).to_owned()
    }

    #[track_caller]
    pub fn status(&mut self, session: &str) -> String {
        let reply = self.ask(&json!({"type": "info", "sessionId": session}));
        let status = reply["session"]["status"].as_str();
        status.unwrap_or_else(|| panic!("{reply}")).to_owned()
    }
}

/// Waits until it is so.
#[track_caller]
pub fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !is_so() {
        assert!(Instant::now() < deadline, "no {what} within {BOUND:?}");
        pause(LOOK);
    }
}

/// Whether a process of this number runs.
pub fn runs(pid: u32) -> bool {
    start_time(pid).is_some()
}
