//! A slot with a program in the place of claude, and a daemon's end of the conversation with its host.

use crate::support::CCPD;
use ccp::adapters::files::{PRIVATE_FILE, create_private_dir, pause, write_new};
use ccp::adapters::procs::children::{Signal, signal_child};
use ccp::adapters::procs::start_time;
use ccp::contract::proto::host::{
    Frames, FromHost, HostRecord, LAUNCH_FILE, Launch, Look, RECORD_FILE, Script, Size, State,
    Step, ToHost,
};
use std::collections::VecDeque;
use std::fs::Permissions;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const BOUND: Duration = Duration::from_secs(30);
/// Between two looks at what has no event.
const LOOK: Duration = Duration::from_millis(2);

/// A pool's directory with one slot in it; the host is ended when dropped.
pub struct Slot {
    dir: TempDir,
    pub token: String,
    pub host: Option<Child>,
}

impl Slot {
    /// A directory without a host.
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mut builder = tempfile::Builder::new();
        builder
            .prefix("ccp")
            .permissions(Permissions::from_mode(0o700));
        let dir = builder.tempdir_in("/tmp").expect("a directory");
        create_private_dir(&dir.path().join("slot")).expect("makes the slot");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self {
            token: format!("token-{}-{number}", std::process::id()),
            dir,
            host: None,
        }
    }

    /// A slot whose host runs this shell script in the place of claude.
    pub fn running(script: &str) -> Self {
        let mut slot = Self::new();
        slot.start(&slot.launch(script));
        slot
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn slot_dir(&self) -> PathBuf {
        self.path("slot")
    }

    pub fn launch(&self, script: &str) -> Launch {
        let mut env = vec![
            ("PATH".into(), "/usr/bin:/bin".into()),
            ("LANG".into(), "C.UTF-8".into()),
        ];
        for (name, value) in [("HOME", self.path("")), ("CCP_HOOK_PROGRAM", CCPD.into())] {
            env.push((name.into(), value.into()));
        }
        Launch {
            argv: ["/bin/sh", "-c", script].map(Into::into).to_vec(),
            env,
            cwd: self.path(""),
            config_dir: Some(self.path("config")),
            size: Size { cols: 80, rows: 24 },
            token: self.token.clone(),
            socket: self.slot_dir().join("host.sock"),
            session: None,
            umask: Some(0o022),
        }
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(CCPD);
        command
            .args(["host", "--slot-dir"])
            .arg(self.slot_dir())
            .env("CLAUDE_POOL_TEST_OWNER_PID", std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    pub fn write_launch(&self, launch: &Launch) {
        let file = self.slot_dir().join(LAUNCH_FILE);
        write_new(&file, &launch.text(), PRIVATE_FILE, false).expect("writes the launch");
    }

    /// Starts the host and waits until claude's place is taken.
    pub fn start(&mut self, launch: &Launch) {
        self.write_launch(launch);
        self.host = Some(self.command().spawn().expect("starts the host"));
        wait("the agent", || {
            self.record().is_some_and(|record| record.agent.is_some())
        });
    }

    pub fn record(&self) -> Option<HostRecord> {
        let text = std::fs::read(self.slot_dir().join(RECORD_FILE)).ok()?;
        HostRecord::parse(&text).ok()
    }

    pub fn agent(&self) -> u32 {
        self.record()
            .and_then(|r| r.agent)
            .expect("an agent runs")
            .pid
    }

    pub fn host_pid(&self) -> u32 {
        self.host.as_ref().expect("a host was started").id()
    }

    /// A daemon that says hello.
    pub fn daemon(&self) -> Daemon {
        Daemon::connect(&self.slot_dir().join("host.sock"))
    }

    /// Waits until the host has ended: its exit code.
    pub fn ended(&mut self) -> Option<i32> {
        let mut host = self.host.take().expect("a host was started");
        wait("end of the host", || {
            host.try_wait().expect("is ours").is_some()
        });
        host.wait().expect("is ours").code()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(mut host) = self.host.take() else {
            return;
        };
        signal_child(host.id(), Signal::Terminate);
        let deadline = Instant::now() + BOUND;
        while !matches!(host.try_wait(), Ok(Some(_))) {
            if Instant::now() > deadline {
                let _ = host.kill();
                let _ = host.wait();
                assert!(std::thread::panicking(), "the host does not end");
                return;
            }
            pause(LOOK);
        }
    }
}

/// The daemon's end of a connection.
pub struct Daemon {
    stream: UnixStream,
    frames: Frames,
    pub state: Box<State>,
    /// What was said and not asked for yet.
    heard: VecDeque<FromHost>,
}

impl Daemon {
    fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).expect("the host listens");
        stream.set_read_timeout(Some(BOUND)).expect("is set");
        let mut daemon = Self {
            stream,
            frames: Frames::default(),
            state: Box::default(),
            heard: VecDeque::new(),
        };
        daemon.say(&ToHost::Hello { version: 1 });
        daemon.state = daemon.hear("hello", |message| match message {
            FromHost::Hello(state) => Some(state.clone()),
            _ => None,
        });
        daemon
    }

    pub fn say(&mut self, message: &ToHost) {
        self.stream
            .write_all(&message.encode())
            .expect("the host reads");
    }

    /// The next message that fits; others are kept for later.
    #[track_caller]
    pub fn hear<T>(&mut self, what: &str, fits: impl Fn(&FromHost) -> Option<T>) -> T {
        if let Some(at) = self
            .heard
            .iter()
            .position(|message| fits(message).is_some())
        {
            let message = self.heard.remove(at).expect("is there");
            return fits(&message).expect("fits");
        }
        let deadline = Instant::now() + BOUND;
        loop {
            let message = self.next();
            let message =
                message.unwrap_or_else(|| panic!("no {what} before the end; {:?}", self.heard));
            if let Some(found) = fits(&message) {
                return found;
            }
            self.heard.push_back(message);
            assert!(Instant::now() < deadline, "no {what} but {:?}", self.heard);
        }
    }

    /// The next message; none when the connection has ended.
    pub fn next(&mut self) -> Option<FromHost> {
        loop {
            if let Some(frame) = self.frames.next_frame().expect("adds up") {
                return Some(FromHost::decode(frame).expect("is known"));
            }
            let mut buffer = [0; 64 * 1024];
            let count = self.stream.read(&mut buffer).expect("is said in time");
            if count == 0 {
                return None;
            }
            self.frames.push(&buffer[..count]);
        }
    }

    pub fn type_script(&mut self, number: u64, hold_input: bool, steps: &[Step]) {
        self.say(&ToHost::Type(Script {
            number,
            steps: steps.to_vec(),
            hold_input,
        }));
    }

    #[track_caller]
    pub fn typed(&mut self, wanted: u64) -> bool {
        self.hear("end of the script", |message| match message {
            FromHost::Typed { number, whole } if *number == wanted => Some(*whole),
            _ => None,
        })
    }

    /// What is on the screen and above it.
    pub fn screen(&mut self, what: Look) -> Vec<u8> {
        static TICKET: AtomicU32 = AtomicU32::new(1);
        let wanted = u64::from(TICKET.fetch_add(1, Ordering::Relaxed));
        self.say(&ToHost::Screen {
            ticket: wanted,
            what,
        });
        self.hear("screen", |message| match message {
            FromHost::ScreenIs { ticket, bytes } if *ticket == wanted => Some(bytes.clone()),
            _ => None,
        })
    }

    /// Waits until the screen shows this.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + BOUND;
        loop {
            let screen = String::from_utf8(self.screen(Look::Text)).expect("is text");
            if screen.contains(text) {
                return screen;
            }
            assert!(Instant::now() < deadline, "no {text:?} in:\n{screen}");
            pause(LOOK);
        }
    }

    /// Opens a socket for people and connects to it.
    pub fn attach(&mut self, path: &Path) -> UnixStream {
        self.say(&ToHost::OpenAttach {
            path: path.to_owned(),
        });
        self.hear("socket", |message| match message {
            FromHost::AttachOpen { path: open } if open == path => Some(()),
            FromHost::Refused { what, why } => panic!("{what}: {why}"),
            _ => None,
        });
        let stream = UnixStream::connect(path).expect("it listens");
        stream.set_read_timeout(Some(BOUND)).expect("is set");
        stream
    }
}

/// Waits until something is so.
#[track_caller]
pub fn wait(what: &str, is_so: impl FnMut() -> bool) {
    let mut is_so = is_so;
    let deadline = Instant::now() + BOUND;
    while !is_so() {
        assert!(Instant::now() < deadline, "no {what}");
        pause(LOOK);
    }
}

/// Waits until a process has ended.
#[track_caller]
pub fn wait_gone(pid: u32) {
    wait("end of the process", || start_time(pid).is_none());
}

/// Reads from an attachment until this was seen; all that was read.
#[track_caller]
pub fn read_until(stream: &mut UnixStream, wanted: &str) -> String {
    let mut read = Vec::new();
    let mut buffer = vec![0; 256 * 1024];
    while !String::from_utf8_lossy(&read).contains(wanted) {
        let count = stream.read(&mut buffer).expect("is written in time");
        assert!(
            count > 0,
            "ended before {wanted:?}: {}",
            String::from_utf8_lossy(&read)
        );
        read.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&read).into_owned()
}

/// The number that stands in a file, once it does.
#[track_caller]
pub fn pid_in(file: &Path) -> u32 {
    let mut pid = None;
    wait("pid", || {
        pid = std::fs::read_to_string(file)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        pid.is_some()
    });
    pid.expect("was waited for")
}
