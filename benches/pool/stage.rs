//! A person's home with the real client against the simulated service, and pools in it. Gone when dropped.

use ccp::adapters::files::pause;
use ccp_standin::service::{AccountSpec, Recorded};
use ccp_standin::{Home, Running, Standin, require_real_claude};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take at all.
pub const BOUND: Duration = Duration::from_secs(120);
/// Between two looks at what is waited for.
const LOOK: Duration = Duration::from_millis(2);

/// The program under test: another build of it where `CCP_BENCH_CCPD` names one, to compare two.
pub fn ccpd() -> PathBuf {
    let named = std::env::var_os("CCP_BENCH_CCPD");
    named.map_or_else(|| env!("CARGO_BIN_EXE_ccpd").into(), PathBuf::from)
}

/// The whole scene.
pub struct Stage {
    pub claude: PathBuf,
    pub standin: Standin,
    pub home: Home,
}

impl Stage {
    /// None where the real client is not installed.
    pub fn open() -> Option<Self> {
        let claude = require_real_claude()?;
        let home = Home::new().expect("makes a home");
        let standin = Standin::start(&home.ca_file()).expect("starts");
        let stage = Self {
            claude,
            standin,
            home,
        };
        stage.sign_in();
        Some(stage)
    }

    /// Plain claude's own login, in a directory that it trusts.
    fn sign_in(&self) {
        let service = &self.standin.service;
        let tokens = service.add_account(AccountSpec::new("plain"));
        let spec = service.spec("plain");
        let written = self.home.write_account_dir("plain", &spec, &tokens);
        let written = written.expect("writes");
        fs::create_dir(self.config_dir()).expect("makes");
        let login = ".credentials.json";
        fs::rename(written.join(login), self.config_dir().join(login)).expect("moves");
        let text = fs::read(written.join(".claude.json")).expect("reads");
        let mut state: Value = serde_json::from_slice(&text).expect("JSON");
        let work = self.home.work_dir();
        state["projects"][work.to_string_lossy().as_ref()] =
            json!({"hasTrustDialogAccepted": true, "projectOnboardingSeenCount": 4});
        write_private(
            &self.home.path().join(".claude.json"),
            state.to_string().as_bytes(),
        );
    }

    /// `~/.claude`.
    pub fn config_dir(&self) -> PathBuf {
        self.home.path().join(".claude")
    }

    pub fn pool_dir(&self, name: &str) -> PathBuf {
        self.home.path().join(".claude-pool").join(name)
    }

    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.home.command(program, &self.standin);
        command
            .env("CCP_CLAUDE", &self.claude)
            .env("CLAUDE_POOL_TEST_OWNER_PID", std::process::id().to_string());
        command
    }

    /// Runs a command to its end: its output, and how long it took.
    pub fn timed(&self, program: &Path, arguments: &[&str]) -> (String, Duration) {
        let mut command = self.command(program);
        command.args(arguments);
        let began = Instant::now();
        let mut running = Running::start(command).expect("starts");
        running.close_stdin();
        let output = running.output(BOUND).expect("ends");
        let took = began.elapsed();
        assert_eq!(output.code, 0, "{arguments:?}: {output:#?}");
        (output.stdout, took)
    }

    /// `ccp pool --pool NAME …`.
    pub fn ccp(&self, pool: &str, arguments: &[&str]) -> (String, Duration) {
        let all = [&["pool", "--pool", pool, "--json"], arguments].concat();
        self.timed(&ccpd(), &all)
    }

    /// The request of this prompt, once it was answered.
    pub fn answered(&self, prompt: &str) -> Recorded {
        let is_it = |r: &Recorded| r.prompt.as_deref() == Some(prompt) && r.sent_at.is_some();
        let found = self.standin.service.wait_for(is_it, BOUND);
        found.unwrap_or_else(|| panic!("{prompt:?} was answered"))
    }

    /// Begins a pool of this size; when the first slot was fresh, and when all were.
    pub fn begin(&self, pool: &str, size: u32, keep_fresh: u32) -> (Duration, Duration) {
        let work = self.home.work_dir();
        let (size_text, keep) = (size.to_string(), keep_fresh.to_string());
        let began = Instant::now();
        self.ccp(
            pool,
            &[
                "init",
                "--size",
                &size_text,
                "--dir",
                &work.to_string_lossy(),
                "--keep-fresh",
                &keep,
            ],
        );
        let mut client = self.client(pool);
        let mut first = None;
        loop {
            let fresh = client.slots("fresh");
            if fresh >= 1 {
                first.get_or_insert(began.elapsed());
            }
            if fresh >= u64::from(size) {
                return (first.unwrap_or_default(), began.elapsed());
            }
            assert!(
                began.elapsed() < BOUND,
                "{}",
                client.ask(&json!({"type": "health"}))
            );
            pause(LOOK);
        }
    }

    pub fn client(&self, pool: &str) -> Client {
        Client::connect(&self.pool_dir(pool).join("api.sock"))
    }

    /// Ends a pool, slots and all.
    pub fn end(&self, pool: &str) {
        let pids = self.pids(pool);
        self.ccp(pool, &["destroy", "--confirm"]);
        let since = Instant::now();
        while pids.iter().any(|pid| is_running(*pid)) {
            assert!(since.elapsed() < BOUND, "everything ends");
            pause(LOOK);
        }
    }

    /// The daemon, then the hosts.
    pub fn pids(&self, pool: &str) -> Vec<u32> {
        let lock = fs::read_to_string(self.pool_dir(pool).join("daemon.lock")).expect("reads");
        let daemon = lock.trim().parse().expect("a number");
        let slots = self.client(pool).ask(&json!({"type": "debug-slots"}));
        let hosts = slots["slots"].as_array().into_iter().flatten();
        let hosts = hosts.filter_map(|slot| u32::try_from(slot["hostPid"].as_u64()?).ok());
        std::iter::once(daemon).chain(hosts).collect()
    }

    /// A daemon alone, started by hand on a directory that is there.
    pub fn daemon(&self, pool: &str) -> Daemon {
        let mut command = self.command(ccpd());
        command
            .arg("pool-daemon")
            .arg("--pool-dir")
            .arg(self.pool_dir(pool))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().expect("starts");
        let socket = self.pool_dir(pool).join("api.sock");
        let since = Instant::now();
        while UnixStream::connect(&socket).is_err() {
            assert!(since.elapsed() < BOUND, "it listens");
            pause(LOOK);
        }
        Daemon(child)
    }
}

/// A daemon of a pool without slots, ended with the value.
pub struct Daemon(pub Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A connection that speaks lines.
pub struct Client(pub BufReader<UnixStream>);

impl Client {
    pub fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).expect("connects");
        stream.set_read_timeout(Some(BOUND)).expect("is set");
        Self(BufReader::with_capacity(256 * 1024, stream))
    }

    pub fn send(&mut self, request: &Value) {
        let line = format!("{request}\n");
        let written = self.0.get_mut().write_all(line.as_bytes());
        written.expect("the pool reads");
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("is said in time");
        line
    }

    pub fn hear(&mut self) -> Value {
        serde_json::from_str(&self.line()).expect("JSON")
    }

    pub fn ask(&mut self, request: &Value) -> Value {
        self.send(request);
        self.hear()
    }

    /// How many slots are in a state.
    pub fn slots(&mut self, state: &str) -> u64 {
        let health = self.ask(&json!({"type": "health"}));
        health["health"]["slots"][state].as_u64().unwrap_or(0)
    }

    /// Waits until at least so many slots are fresh, and nothing else goes on.
    pub fn wait_for_fresh(&mut self, count: u64) {
        let since = Instant::now();
        while self.slots("fresh") < count || self.slots("clearing") + self.slots("resuming") > 0 {
            assert!(since.elapsed() < BOUND, "a slot is fresh");
            pause(LOOK);
        }
    }
}

fn is_running(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    state.is_some_and(|rest| !rest.starts_with('Z'))
}

pub fn write_private(file: &Path, bytes: &[u8]) {
    fs::write(file, bytes).expect("writes");
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("is set");
}

/// A number of `/proc/PID/status`, in kilobytes.
pub fn kilobytes(pid: u32, name: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next());
    number.and_then(|n| n.parse().ok()).unwrap_or(f64::NAN)
}

/// Seconds of processor time that the threads of a process have used.
pub fn processor_time(pid: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    let of_task = |task: fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_ascii_whitespace().next()?.parse::<f64>().ok()
    };
    tasks.flatten().filter_map(of_task).sum::<f64>() / 1e9
}
