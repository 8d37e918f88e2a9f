//! `ccp daemon` as a running thing: what it answers, what it survives, what it leaves behind.
#![expect(
    clippy::disallowed_methods,
    reason = "tests write what people and other programs would, and wait for processes"
)]

mod autostart;
mod hostile;
mod keeping;
mod life;
mod polling;
mod sessions;

use crate::life::world::{BOUND, World};
use ccp::adapters::{files, procs};
use ccp_standin::Running;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long anything may take that is not a probe.
pub const SOON: Duration = Duration::from_secs(20);

/// A home with accounts that are signed in, and daemons in it.
pub struct Stage {
    pub world: World,
}

/// One daemon, killed with the value.
pub struct Daemon {
    pub running: Running,
}

impl Stage {
    /// A home with so many accounts, found by `ccp init`.
    pub fn new(accounts: u16) -> Self {
        let mut world = World::new();
        world.set("CCP_TEST_OWNER_PID", std::process::id().to_string());
        for number in 1..=accounts {
            let spec = ccp_standin::service::AccountSpec::new(&format!("a{number}@example.test"));
            world.leave_account(number, &spec);
        }
        world.ok(&["init", "--no-service"]);
        Self { world }
    }

    pub fn home(&self) -> ccp::contract::paths::Home {
        self.world.ccp_home()
    }

    /// Starts a daemon; it may not listen yet.
    pub fn start(&self, arguments: &[&str]) -> Daemon {
        let mut words = vec!["daemon"];
        words.extend(arguments);
        let command = self.world.command(self.world.bin("ccpd"), &words);
        Daemon {
            running: Running::start(command).expect("starts"),
        }
    }

    /// Starts a daemon, and waits until it does its work.
    pub fn start_ready(&self, arguments: &[&str]) -> Daemon {
        let daemon = self.start(arguments);
        self.until(|| self.health_of(daemon.running.pid())["phase"] == "ready");
        daemon
    }

    pub fn socket(&self) -> PathBuf {
        self.home().daemon_socket()
    }

    pub fn connect(&self) -> Option<Client> {
        let stream = UnixStream::connect(self.socket()).ok()?;
        stream.set_read_timeout(Some(BOUND)).expect("sets");
        stream.set_write_timeout(Some(BOUND)).expect("sets");
        Some(Client::new(stream))
    }

    /// The answer to a line; null where nobody answers.
    pub fn ask(&self, line: &str) -> Value {
        self.connect().map_or(Value::Null, |mut c| c.ask(line))
    }

    pub fn health(&self) -> Value {
        self.ask(r#"{"proto":1,"op":"health"}"#)
    }

    /// The health of this very process; null while another one, or nobody, answers.
    pub fn health_of(&self, pid: u32) -> Value {
        let health = self.health();
        if health["pid"] == pid {
            health
        } else {
            Value::Null
        }
    }

    /// Waits until something is so.
    #[track_caller]
    pub fn until(&self, is_so: impl FnMut() -> bool) {
        assert!(
            holds_within(SOON, is_so),
            "it did not come to that; log:\n{}",
            self.log()
        );
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home().daemon_log()).unwrap_or_default()
    }
}

impl Daemon {
    /// Waits for its end; the exit code and what it said on stderr.
    #[track_caller]
    pub fn end(&mut self) -> (i32, String) {
        let output = self.running.output(BOUND).expect("it ends");
        (output.code, output.stderr)
    }
}

/// A client that can say anything.
pub struct Client {
    pub stream: UnixStream,
    reader: BufReader<UnixStream>,
}

impl Client {
    fn new(stream: UnixStream) -> Self {
        let reader = BufReader::new(stream.try_clone().expect("clones"));
        Self { stream, reader }
    }

    pub fn say(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next line; null at the end.
    pub fn hear(&mut self) -> Value {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(count) if count > 0 => serde_json::from_str(&line).expect("an answer is JSON"),
            _ => Value::Null,
        }
    }

    pub fn ask(&mut self, line: &str) -> Value {
        match self.say(format!("{line}\n").as_bytes()) {
            Ok(()) => self.hear(),
            Err(_) => Value::Null,
        }
    }
}

/// Whether something comes true in time.
pub fn holds_within(bound: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + bound;
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        files::pause(Duration::from_millis(1));
    }
}

/// Whether a process runs.
pub fn runs(pid: u32) -> bool {
    procs::start_time(pid).is_some()
}

/// Rounds of a proof: all of them, or what CI has time for.
pub fn rounds(long: usize, short: usize) -> usize {
    if crate::proof::is_long() { long } else { short }
}
