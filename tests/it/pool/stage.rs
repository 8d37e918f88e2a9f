//! A pool of real claudes in a throw-away home, clients on its socket, and its events.

use crate::real::stage::{BOUND, Ended, PLAIN, Stage, finish};
use crate::support::CCP;
use ccp::adapters::files::pause;
use ccp::adapters::pool_store::PoolStore;
use ccp_standin::service::{Endpoint, Recorded};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// Between two looks at what no event tells of.
const LOOK: Duration = Duration::from_millis(50);
/// The pool's name.
const NAME: &str = "p";
/// Without a mode the client may use another one, by what the service says.
pub const FLAGS: &str = "--permission-mode default";

/// A pool, initialized; gone when dropped, with every process of it.
pub struct PoolStage {
    pub stage: Stage,
}

impl PoolStage {
    /// A pool of so many slots, of which none is kept fresh. None where the real client is left out.
    pub fn open(size: u32) -> Option<Self> {
        Self::with(size, 0, FLAGS)
    }

    pub fn with(size: u32, keep_fresh: u32, flags: &str) -> Option<Self> {
        let pool = Self::before_init()?;
        pool.init(size, keep_fresh, flags);
        Some(pool)
    }

    /// A home in which a pool may be made.
    pub fn before_init() -> Option<Self> {
        Some(Self {
            stage: Stage::open()?,
        })
    }

    /// Makes the pool.
    #[track_caller]
    pub fn init(&self, size: u32, keep_fresh: u32, flags: &str) {
        let (size, keep_fresh) = (size.to_string(), keep_fresh.to_string());
        let arguments = ["init", "--size", &size, "--keep-fresh", &keep_fresh];
        let dir = self.stage.home.work_dir();
        let dir = dir.to_str().expect("is text");
        self.cli(&[&arguments[..], &["--flags", flags, "--dir", dir]].concat())
            .good();
    }

    /// Presses keys in a session's terminal.
    #[track_caller]
    pub fn press(&self, session: &str, keys: &str) {
        let request = json!({"type": "input", "sessionId": session, "data": keys});
        assert_eq!(self.good(request)["type"], "ok");
    }

    /// Waits for the terminal of a session to show this.
    #[track_caller]
    pub fn until_shown(&self, session: &str, text: &str) {
        let deadline = Instant::now() + BOUND;
        let request =
            json!({"type": "capture", "sessionId": session, "source": "buffer", "turns": 0});
        loop {
            let shown = self.good(request.clone())["content"].to_string();
            if shown.contains(text) {
                return;
            }
            assert!(Instant::now() < deadline, "no {text:?} in {shown}");
            pause(LOOK);
        }
    }

    /// Waits for this to stand in a session's box.
    #[track_caller]
    pub fn until_pending(&self, session: &str, text: &str) {
        let filter = json!({"sessions": [session], "fields": ["pendingInput"]});
        let mut watch = self.watch(filter);
        if self.info(session)["pendingInput"] != text {
            watch.next(text, |event| event["changes"]["pendingInput"] == text);
        }
    }

    /// The directory of the pool.
    pub fn dir(&self) -> PathBuf {
        self.home().join(NAME)
    }

    /// The directory of all pools.
    pub fn home(&self) -> PathBuf {
        self.stage.home.path().join("pools")
    }

    /// `ccp pool` in the sealed environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_for(NAME, arguments)
    }

    /// The same for the pool that `pools.json` has under another name.
    pub fn command_for(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = self.stage.command(CCP);
        command
            .env("CLAUDE_POOL_HOME", self.home())
            .env("CLAUDE_POOL_TEST_OWNER_PID", std::process::id().to_string())
            .args(["pool", "--pool", name])
            .args(arguments);
        command
    }

    /// Runs `ccp pool` to its end.
    pub fn cli(&self, arguments: &[&str]) -> Ended {
        finish(self.command(arguments))
    }

    /// A shell line that attaches to a session.
    pub fn attach_line(&self, session: &str) -> String {
        let home = self.home();
        let home = home.display();
        format!("CLAUDE_POOL_HOME='{home}' '{CCP}' pool --pool {NAME} attach {session}")
    }

    /// A connection to the pool.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(&self.dir().join("api.sock")).expect("the pool listens")
    }

    /// Asks on a connection of its own.
    #[track_caller]
    pub fn ask(&self, request: Value) -> Value {
        self.client().ask(request)
    }

    /// Asks, and is not refused.
    #[track_caller]
    pub fn good(&self, request: Value) -> Value {
        let reply = self.ask(request.clone());
        assert_ne!(reply["type"], "error", "{request}: {reply}");
        reply
    }

    /// Asks, is refused, and returns the code.
    #[track_caller]
    pub fn refused(&self, request: Value) -> String {
        let reply = self.ask(request.clone());
        assert_eq!(reply["type"], "error", "{request}: {reply}");
        reply["code"].as_str().expect("a code").to_owned()
    }

    /// Starts a session, and returns its id.
    #[track_caller]
    pub fn start(&self, prompt: &str) -> String {
        id_of(&self.good(json!({"type": "start", "prompt": prompt})))
    }

    #[track_caller]
    pub fn followup(&self, session: &str, prompt: &str) {
        let request = json!({"type": "followup", "sessionId": session, "prompt": prompt});
        assert_eq!(id_of(&self.good(request)), session);
    }

    /// What a session said last, when it has finished.
    #[track_caller]
    pub fn wait(&self, session: &str) -> String {
        let request =
            json!({"type": "wait", "sessionId": session, "timeout": BOUND.as_millis() as u64});
        let reply = self.good(request);
        assert_eq!(reply["sessionId"], session);
        said(reply["content"].as_str().expect("text"))
    }

    /// Gives a session a prompt, and returns what it says.
    #[track_caller]
    pub fn turn(&self, session: &str, prompt: &str) -> String {
        self.followup(session, prompt);
        self.wait(session)
    }

    /// The same, once nothing goes on in its terminal any more: a person's commands keep the client busy for moments.
    #[track_caller]
    pub fn turn_when_idle(&self, session: &str, prompt: &str) -> String {
        let filter = json!({"sessions": [session], "events": ["status"], "statuses": ["idle"]});
        let mut watch = self.watch(filter);
        let request = json!({"type": "followup", "sessionId": session, "prompt": prompt});
        while self.ask(request.clone())["code"] == "session_busy" {
            watch.next("idle", |_| true);
        }
        self.wait(session)
    }

    #[track_caller]
    pub fn info(&self, session: &str) -> Value {
        let reply = self.good(json!({"type": "info", "sessionId": session}));
        reply["session"].clone()
    }

    /// What is kept of a line that somebody half typed.
    pub fn saved_input(&self, session: &str) -> Option<String> {
        let store = PoolStore::open(&self.dir().join("pool.db")).expect("opens");
        let sessions = store.load().expect("reads").sessions.into_iter();
        let mut found = sessions.filter(|s| s.id.to_string() == session);
        found.next().and_then(|session| session.saved_input)
    }

    /// The pid of a session's claude.
    #[track_caller]
    pub fn pid(&self, session: &str) -> u32 {
        let pid = self.info(session)["pid"].as_u64();
        u32::try_from(pid.expect("it is loaded")).expect("a pid")
    }

    #[track_caller]
    pub fn health(&self) -> Value {
        self.good(json!({"type": "health"}))["health"].clone()
    }

    /// Waits for the session to have this status.
    #[track_caller]
    pub fn until(&self, session: &str, status: &str) {
        let mut watch = self.watch(json!({"sessions": [session], "events": ["status"]}));
        if self.info(session)["status"] != status {
            watch.next(status, |event| event["status"] == status);
        }
    }

    /// Waits for what no event tells of.
    #[track_caller]
    pub fn until_health(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + BOUND;
        loop {
            let health = self.health();
            if wanted(&health) {
                return health;
            }
            assert!(Instant::now() < deadline, "no {what} in {health:#}");
            pause(LOOK);
        }
    }

    /// Waits until so many slots are fresh.
    #[track_caller]
    pub fn until_fresh(&self, count: u32) {
        self.until_health("fresh slots", |h| h["slots"]["fresh"] == count);
    }

    /// The pool's events from now on, filtered.
    #[track_caller]
    pub fn watch(&self, filter: Value) -> Watch {
        let mut request = filter;
        request["type"] = json!("subscribe");
        request["ack"] = json!(true);
        let mut client = self.client();
        assert_eq!(client.ask(request)["type"], "subscribed");
        Watch {
            client,
            seen: Vec::new(),
        }
    }

    /// What the model was asked with this very prompt.
    pub fn asked(&self, prompt: &str) -> Vec<Recorded> {
        let mut records = self.stage.prompts(prompt);
        records.retain(|record| record.max_tokens != Some(1));
        records
    }

    /// That the model was asked this once, after these prompts.
    #[track_caller]
    pub fn asked_once(&self, prompt: &str, before: &[&str]) {
        let turns: Vec<Vec<String>> = self.asked(prompt).into_iter().map(|r| r.turns).collect();
        let wanted: Vec<String> = before.iter().chain([&prompt]).map(|t| cut(t)).collect();
        assert_eq!(turns, [wanted], "{prompt:?}");
    }

    /// Waits until the model is asked this.
    #[track_caller]
    pub fn until_asked(&self, prompt: &str) -> Recorded {
        let service = &self.stage.standin.service;
        let wanted =
            |r: &Recorded| r.endpoint == Endpoint::Messages && r.prompt.as_deref() == Some(prompt);
        let found = service.wait_for(wanted, BOUND);
        let found = found.unwrap_or_else(|| panic!("nobody asked {prompt:?}"));
        assert_eq!(found.account.as_deref(), Some(PLAIN));
        found
    }

    /// The pids of processes of this home with this word on their command line.
    pub fn pids(&self, word: &str) -> Vec<u32> {
        let all = self.stage.processes().into_iter();
        all.filter(|(_, line)| line.split(' ').any(|w| w == word))
            .map(|(pid, _)| pid)
            .collect()
    }

    /// The daemon.
    #[track_caller]
    pub fn daemon(&self) -> u32 {
        let pids = self.pids("pool-daemon");
        assert_eq!(pids.len(), 1, "daemons: {pids:?}");
        pids[0]
    }

    /// Ends the daemon by force; slots live on.
    #[track_caller]
    pub fn kill_daemon(&self) {
        let daemon = self.daemon();
        kill(daemon);
        until_gone(daemon);
    }

    /// Starts a daemon for the pool that was, and returns the health.
    #[track_caller]
    pub fn init_again(&self) -> Value {
        let said = self.cli(&["--json", "init"]).good().stdout;
        serde_json::from_str(&said).expect("JSON")
    }

    /// Waits until claude itself says that it is idle.
    #[track_caller]
    pub fn until_idle_file(&self, pid: u32) {
        let file = self.stage.base().join(format!("sessions/{pid}.json"));
        let deadline = Instant::now() + BOUND;
        let idle = || {
            let text = fs::read(&file).ok()?;
            let value: Value = serde_json::from_slice(&text).ok()?;
            Some(value["status"] == "idle")
        };
        // One that is half written is looked at again.
        while idle() != Some(true) {
            assert!(Instant::now() < deadline, "{pid} is not idle");
            pause(LOOK);
        }
    }

    /// Waits until the daemon has logged this.
    #[track_caller]
    pub fn until_logged(&self, text: &str) {
        let deadline = Instant::now() + BOUND;
        while !self.log().contains(text) {
            assert!(Instant::now() < deadline, "{text:?} is not logged");
            pause(LOOK);
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir().join("daemon.log")).unwrap_or_default()
    }
}

impl Drop for PoolStage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = fs::read_to_string(self.dir().join("daemon.err")).unwrap_or_default();
            eprintln!("daemon.log:\n{}\ndaemon.err:\n{said}", self.log());
            for record in self.stage.standin.service.requests() {
                if record.endpoint == Endpoint::Messages {
                    eprintln!("asked: {} {:?}", record.status, record.turns);
                }
            }
        }
        let Ok(mut client) = Client::connect(&self.dir().join("api.sock")) else {
            return;
        };
        for slot in 1..=4 {
            if !std::thread::panicking() {
                break;
            }
            client.send(&json!({"type": "debug-capture", "slot": slot, "raw": false}));
            let screen = client.line(Duration::from_secs(10)).unwrap_or_default();
            if let Some(screen) = screen["content"].as_str() {
                eprintln!("slot {slot}:\n{screen}");
            }
        }
        let request = json!({"type": "destroy", "confirm": true});
        client.send(&request);
        let reply = client.line(BOUND);
        let ok = reply.as_ref().is_some_and(|reply| reply["type"] == "ok");
        assert!(ok || std::thread::panicking(), "destroy: {reply:?}");
    }
}

/// Ends a process by force.
pub fn kill(pid: u32) {
    signal(pid, "KILL");
}

/// The same for one that may have ended.
pub fn kill_if_there(pid: u32) {
    let _ = Command::new("kill")
        .args(["-s", "KILL", &pid.to_string()])
        .output();
}

pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .status();
    assert!(status.expect("runs kill").success(), "{name} to {pid}");
}

/// Waits until a process is no more.
#[track_caller]
pub fn until_gone(pid: u32) {
    let deadline = Instant::now() + BOUND;
    let stat = format!("/proc/{pid}/stat");
    // One that nobody has waited for yet is gone too.
    while fs::read_to_string(&stat).is_ok_and(|s| !s.contains(") Z ")) {
        assert!(Instant::now() < deadline, "{pid} lives");
        pause(LOOK);
    }
}

fn cut(text: &str) -> String {
    text.chars().take(200).collect()
}

#[track_caller]
pub fn id_of(started: &Value) -> String {
    assert_eq!(started["type"], "started", "{started}");
    started["sessionId"].as_str().expect("an id").to_owned()
}

/// The last text of the assistant in captured content.
pub fn said(content: &str) -> String {
    let mut texts = content.lines().filter_map(|line| {
        let entry: Value = serde_json::from_str(line).expect("JSON lines");
        let blocks = entry["message"]["content"].as_array()?.clone();
        let texts: String = blocks.iter().filter_map(|b| b["text"].as_str()).collect();
        (entry["type"] == "assistant" && !texts.is_empty()).then_some(texts)
    });
    texts.next_back().unwrap_or_default()
}

/// A connection of a client that was written for this protocol: lines of JSON, and nothing else.
pub struct Client {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
    partial: Vec<u8>,
}

impl Client {
    pub fn connect(socket: &std::path::Path) -> std::io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        let lines = BufReader::new(stream.try_clone()?);
        Ok(Self {
            stream,
            lines,
            partial: Vec::new(),
        })
    }

    pub fn send(&mut self, request: &Value) {
        let line = format!("{request}\n");
        self.stream.write_all(line.as_bytes()).expect("sends");
    }

    /// The next line; none when there is none within the bound, or the connection is over.
    pub fn line(&mut self, bound: Duration) -> Option<Value> {
        let deadline = Instant::now() + bound;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = left.max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left)).expect("sets");
            match self.lines.read_until(b'\n', &mut self.partial) {
                Ok(0) => return None,
                Ok(_) if self.partial.ends_with(b"\n") => {
                    let line = std::mem::take(&mut self.partial);
                    return Some(serde_json::from_slice(&line).expect("JSON"));
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }

    #[track_caller]
    pub fn ask(&mut self, request: Value) -> Value {
        self.send(&request);
        let reply = self.line(BOUND + Duration::from_secs(10));
        reply.unwrap_or_else(|| panic!("no reply to {request}"))
    }
}

/// A client that subscribed.
pub struct Watch {
    client: Client,
    seen: Vec<Value>,
}

impl Watch {
    /// The next event that is wanted; those before it are passed over.
    #[track_caller]
    pub fn next(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + BOUND;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = self.client.line(left);
            let event = event.unwrap_or_else(|| panic!("no {what} in {:#?}", self.seen));
            self.seen.push(event.clone());
            if wanted(&event) {
                return event;
            }
        }
    }

    /// Whether a wanted event comes within this time.
    pub fn within(&mut self, time: Duration, wanted: impl Fn(&Value) -> bool) -> bool {
        let deadline = Instant::now() + time;
        while let Some(event) = self
            .client
            .line(deadline.saturating_duration_since(Instant::now()))
        {
            self.seen.push(event.clone());
            if wanted(&event) {
                return true;
            }
        }
        false
    }

    /// All events so far.
    pub fn seen(&self) -> &[Value] {
        &self.seen
    }
}
