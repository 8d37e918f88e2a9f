//! What a slot's host costs: how much of a terminal's throughput reaches somebody who is attached, what it adds to the
//! way from a key to its echo, eight who look at once, memory, and the end of a hook. A terminal read directly, in the
//! same run, is what it is compared with.
//!
//! `cargo bench --bench host` prints the rows; `-- --quick` runs a fifth of the rounds.

use ccp::adapters::files::{PRIVATE_FILE, pause, write_new};
use ccp::adapters::procs::children::{Signal, signal_child, wait_readable};
use ccp::adapters::pty::{Child as Agent, Program, Pty, Read as Has};
use ccp::contract::proto::host::{Frames, FromHost, LAUNCH_FILE, Launch, Look, Size, ToHost};
use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const CCPD: &str = env!("CARGO_BIN_EXE_ccpd");
const ROUNDS: usize = 5;
const KEYS: usize = 1_000;
const HOOKS: usize = 50;
const HOSTS: usize = 10;
const FLOOD: usize = 48 * 1024 * 1024;
const BOUND: Duration = Duration::from_secs(60);
const OVER: &[u8] = b"over and out";
const TYPIST: &str = "stty raw -echo; printf 'over and out'; exec cat";

fn main() {
    let is_quick = std::env::args().any(|word| word == "--quick");
    let part = if is_quick { 5 } else { 1 };
    let dir = tempfile::Builder::new()
        .prefix("ccp")
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in("/tmp")
        .expect("a directory");
    let bench = Bench {
        dir: dir.path().to_owned(),
    };
    for (name, line) in [
        (
            "plain text",
            "the quick brown fox jumps over the lazy dog, and so on to the end of it",
        ),
        (
            "coloured text",
            "\x1b[1;32mthe quick\x1b[0m brown \x1b[38;5;208mfox\x1b[m jumps over the lazy dog",
        ),
    ] {
        bench.throughput(name, line, (ROUNDS / part).max(1));
    }
    bench.echo(KEYS / part);
    bench.hooks(HOOKS / part);
    bench.memory();
}

struct Bench {
    dir: PathBuf,
}

impl Bench {
    fn throughput(&self, name: &str, line: &str, rounds: usize) {
        let file = self.dir.join("flood");
        let text = format!("{line}\n").repeat(FLOOD / (line.len() + 1) + 1);
        let _ = fs::remove_file(&file);
        write_new(&file, text.as_bytes(), PRIVATE_FILE, false).expect("writes");
        let script = format!(
            "stty -echo; read x; cat {}; printf 'over and out'; read x",
            file.display()
        );
        let megabytes = text.len() as f64 / 1e6;
        let (mut bare, mut one, mut eight, mut behind) = (vec![], vec![], vec![], vec![]);
        for _ in 0..rounds {
            bare.push(megabytes / self.bare_flood(&script));
            let (seconds, caught_up) = self.flood(&script, 1);
            one.push(megabytes / seconds);
            behind.push(caught_up * 1e3);
            eight.push(megabytes / self.flood(&script, 8).0);
        }
        let (bare, one) = (median(bare), median(one));
        row(&format!("{name}: terminal read directly"), bare, "MB/s");
        row(&format!("{name}: one attached"), one, "MB/s");
        row(
            &format!("{name}: part of the direct read"),
            one / bare * 100.0,
            "%",
        );
        row(
            &format!("{name}: eight attached, each"),
            median(eight),
            "MB/s",
        );
        row(
            &format!("{name}: picture complete after the last byte"),
            median(behind),
            "ms",
        );
    }

    fn bare(&self, script: &str) -> (Pty, Agent) {
        let launch = self.launch(script, "none");
        let (pty, slave) = Pty::open(80, 24).expect("opens");
        let program = Program {
            argv: launch.argv,
            env: launch.env,
            cwd: launch.cwd,
            umask: None,
        };
        let agent = Agent::start(&program, slave).expect("starts");
        (pty, agent)
    }

    fn bare_flood(&self, script: &str) -> f64 {
        let (pty, mut agent) = self.bare(script);
        let began = Instant::now();
        pty.write(b"\n").expect("types");
        read_bare(&pty);
        let took = began.elapsed();
        drop(pty);
        agent.reap();
        took.as_secs_f64()
    }

    /// Seconds until everybody has everything, and from there until the picture has.
    fn flood(&self, script: &str, readers: usize) -> (f64, f64) {
        let mut slot = self.slot(script);
        let mut daemon = slot.daemon();
        let path = self.dir.join("a.sock");
        let mut streams: Vec<UnixStream> = (0..readers).map(|_| daemon.attach(&path)).collect();
        for stream in &mut streams {
            // The repaint: everybody is there.
            let _ = stream.read(&mut vec![0; 64 * 1024]).expect("is painted");
        }
        let began = Instant::now();
        daemon.say(&ToHost::Input {
            bytes: b"\n".to_vec(),
        });
        std::thread::scope(|scope| {
            for stream in &mut streams {
                scope.spawn(move || {
                    // Who falls too far behind is spared the rest, which would look like speed.
                    if read_until_over(stream) < FLOOD {
                        eprintln!("a reader of {readers} fell behind");
                    }
                });
            }
        });
        let took = began.elapsed().as_secs_f64();
        let began = Instant::now();
        daemon.screen();
        let caught_up = began.elapsed().as_secs_f64();
        slot.end();
        (took, caught_up)
    }

    fn echo(&self, keys: usize) {
        let (pty, mut agent) = self.bare(TYPIST);
        read_bare(&pty);
        let mut buffer = [0; 4096];
        let bare = (0..keys).map(|_| {
            let began = Instant::now();
            pty.write(b"x").expect("types");
            while !matches!(pty.read(&mut buffer), Ok(Has::Bytes(_))) {
                wait_readable(pty.as_fd(), BOUND).expect("waits");
            }
            began.elapsed().as_secs_f64() * 1e3
        });
        let bare = median(bare.collect());
        drop(pty);
        agent.reap();

        let mut slot = self.slot(TYPIST);
        let mut daemon = slot.daemon();
        let mut stream = daemon.attach(&self.dir.join("a.sock"));
        read_until_over(&mut stream);
        let hosted = (0..keys).map(|_| {
            let began = Instant::now();
            stream.write_all(b"x").expect("types");
            let _ = stream.read(&mut buffer).expect("is echoed");
            began.elapsed().as_secs_f64() * 1e3
        });
        let hosted: Vec<f64> = hosted.collect();
        slot.end();
        row("key to echo, directly, p50", bare, "ms");
        row("key to echo, attached, p50", median(hosted.clone()), "ms");
        row("what the host adds, p50", median(hosted) - bare, "ms");
    }

    fn hooks(&self, rounds: usize) {
        let mut slot = self.slot(TYPIST);
        let once = || {
            let began = Instant::now();
            let mut child = Command::new(CCPD)
                .arg("hook")
                .env("CCP_HOOK_SOCKET", slot.socket())
                .env("CCP_HOOK_TOKEN", "bench")
                .stdin(Stdio::piped())
                .spawn()
                .expect("starts");
            let mut input = child.stdin.take().expect("is a pipe");
            input.write_all(&[b' '; 2_000]).expect("reads");
            drop(input);
            child.wait().expect("ends");
            began.elapsed().as_secs_f64() * 1e3
        };
        let took = median((0..rounds).map(|_| once()).collect());
        slot.end();
        row("a hook, from start to end, p50", took, "ms");
    }

    fn memory(&self) {
        let mut slots: Vec<Slot> = (0..HOSTS)
            .map(|_| self.slot("echo 'over and out'; cat"))
            .collect();
        let mean = |slots: &[Slot], name: &str| {
            let all: f64 = slots
                .iter()
                .map(|slot| kilobytes(slot.host.id(), name))
                .sum();
            all / slots.len() as f64 / 1e3
        };
        pause(Duration::from_millis(300));
        row("a host, idle: resident", mean(&slots, "Rss"), "MB");
        row("a host, idle: its share (PSS)", mean(&slots, "Pss"), "MB");
        row(
            "a host, idle: its own (private)",
            mean(&slots, "Private_Dirty"),
            "MB",
        );
        for slot in &mut slots {
            slot.end();
        }
        let script = "seq -f 'line %.0f of many lines, each of them about as long as this' 1 3000; read x; seq 1 2000000; read x";
        let mut slots: Vec<Slot> = (0..HOSTS / 3).map(|_| self.slot(script)).collect();
        let mut daemons: Vec<Daemon> = slots.iter().map(Slot::daemon).collect();
        daemons
            .iter_mut()
            .for_each(|daemon| daemon.wait_for("line 3000 "));
        row(
            "a host, 2,000 lines above its screen: resident",
            mean(&slots, "Rss"),
            "MB",
        );
        for daemon in &mut daemons {
            daemon.say(&ToHost::Input {
                bytes: b"\n".to_vec(),
            });
            daemon.wait_for("\n2000000");
        }
        row("a host, after a flood: resident", mean(&slots, "Rss"), "MB");
        slots.iter_mut().for_each(Slot::end);
    }

    fn launch(&self, script: &str, name: &str) -> Launch {
        let env = [
            ("PATH", "/usr/bin:/bin"),
            ("HOME", "/nonexistent"),
            ("LANG", "C.UTF-8"),
        ];
        Launch {
            argv: ["/bin/sh", "-c", script].map(Into::into).to_vec(),
            env: env
                .map(|(name, value)| (name.into(), value.into()))
                .to_vec(),
            cwd: self.dir.clone(),
            config_dir: None,
            size: Size { cols: 80, rows: 24 },
            token: format!("bench-{}-{name}", std::process::id()),
            socket: self.dir.join(name).join("host.sock"),
            session: None,
            umask: None,
        }
    }

    fn slot(&self, script: &str) -> Slot {
        let slots = tempfile::Builder::new()
            .prefix("s")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(&self.dir)
            .expect("a slot");
        let name = slots
            .path()
            .file_name()
            .and_then(|n| n.to_str())
            .expect("is text")
            .to_owned();
        let launch = self.launch(script, &name);
        let file = slots.path().join(LAUNCH_FILE);
        write_new(&file, &launch.text(), PRIVATE_FILE, false).expect("writes");
        let host = Command::new(CCPD)
            .args(["host", "--slot-dir"])
            .arg(slots.path())
            .env("CLAUDE_POOL_TEST_OWNER_PID", std::process::id().to_string())
            .stdin(Stdio::null())
            .spawn()
            .expect("starts");
        let slot = Slot { dir: slots, host };
        let deadline = Instant::now() + BOUND;
        while UnixStream::connect(slot.socket()).is_err() {
            assert!(Instant::now() < deadline, "the host listens");
            pause(Duration::from_millis(2));
        }
        slot
    }
}

struct Slot {
    dir: tempfile::TempDir,
    host: Child,
}

impl Slot {
    fn socket(&self) -> PathBuf {
        self.dir.path().join("host.sock")
    }

    fn daemon(&self) -> Daemon {
        let stream = UnixStream::connect(self.socket()).expect("listens");
        stream.set_read_timeout(Some(BOUND)).expect("is set");
        let mut daemon = Daemon {
            stream,
            frames: Frames::default(),
        };
        daemon.say(&ToHost::Hello { version: 1 });
        daemon.hear(|message| matches!(message, FromHost::Hello(_)).then_some(()));
        daemon
    }

    fn end(&mut self) {
        signal_child(self.host.id(), Signal::Terminate);
        self.host.wait().expect("ends");
    }
}

struct Daemon {
    stream: UnixStream,
    frames: Frames,
}

impl Daemon {
    fn say(&mut self, message: &ToHost) {
        self.stream
            .write_all(&message.encode())
            .expect("the host reads");
    }

    fn hear<T>(&mut self, fits: impl Fn(FromHost) -> Option<T>) -> T {
        loop {
            while let Some(frame) = self.frames.next_frame().expect("adds up") {
                if let Some(found) = fits(FromHost::decode(frame).expect("is known")) {
                    return found;
                }
            }
            let mut buffer = [0; 64 * 1024];
            let count = self.stream.read(&mut buffer).expect("is said in time");
            assert!(count > 0, "the host is there");
            self.frames.push(&buffer[..count]);
        }
    }

    fn screen(&mut self) -> String {
        let (ticket, what) = (1, Look::Text);
        self.say(&ToHost::Screen { ticket, what });
        let bytes = self.hear(|message| match message {
            FromHost::ScreenIs { bytes, .. } => Some(bytes),
            _ => None,
        });
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + BOUND;
        while !self.screen().contains(text) {
            assert!(Instant::now() < deadline, "{text} is shown");
            pause(Duration::from_millis(20));
        }
    }

    fn attach(&mut self, path: &Path) -> UnixStream {
        self.say(&ToHost::OpenAttach {
            path: path.to_owned(),
        });
        self.hear(|message| matches!(message, FromHost::AttachOpen { .. }).then_some(()));
        let stream = UnixStream::connect(path).expect("listens");
        stream.set_read_timeout(Some(BOUND)).expect("is set");
        stream
    }
}

/// Reads a terminal until its program says that it is over.
fn read_bare(pty: &Pty) {
    let mut buffer = vec![0; 64 * 1024];
    let mut end = Vec::new();
    while !end.ends_with(OVER) {
        match pty.read(&mut buffer).expect("reads") {
            Has::Bytes(count) => keep_end(&mut end, &buffer[..count]),
            Has::Nothing => assert!(
                wait_readable(pty.as_fd(), BOUND).expect("waits"),
                "it goes on"
            ),
            Has::Ended => panic!("it ends too early"),
        }
    }
}

/// Reads an attachment until its program says that it is over: how many bytes that took.
fn read_until_over(stream: &mut UnixStream) -> usize {
    let mut total = 0;
    let mut buffer = vec![0; 256 * 1024];
    let mut end = Vec::new();
    // A repaint has it in the middle.
    while !end.windows(OVER.len()).any(|part| part == OVER) {
        let count = stream.read(&mut buffer).expect("is written in time");
        assert!(count > 0, "it ends too early");
        total += count;
        keep_end(&mut end, &buffer[..count]);
    }
    total
}

fn keep_end(end: &mut Vec<u8>, bytes: &[u8]) {
    const KEPT: usize = 1024;
    end.extend_from_slice(&bytes[bytes.len().saturating_sub(KEPT)..]);
    end.drain(..end.len().saturating_sub(KEPT));
}

/// A row of `/proc/PID/smaps_rollup`.
fn kilobytes(pid: u32, name: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let row = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = row.and_then(|row| row.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or(f64::NAN)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn row(what: &str, value: f64, unit: &str) {
    println!("{what:<56} {value:>10.3} {unit}");
}
