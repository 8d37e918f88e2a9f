//! What the daemon costs, and how fast it answers: memory with ten accounts, from nothing to the first answer, the
//! round trip of a selection, requests in a second, processor time while nothing happens.
//!
//! `cargo bench --bench daemon` prints the rows; `-- --quick` runs a tenth of the rounds; `-- --long` watches an idle
//! daemon for five minutes instead of 40 s; `-- --check` fails when a budget is missed. A budget is several times what a
//! small machine needs; the aim is what is asked of a quiet one.

#![expect(
    clippy::disallowed_methods,
    reason = "a bench writes what people and other programs would"
)]

use ccp::adapters::files::pause;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ACCOUNTS: usize = 10;
const STARTS: usize = 20;
const SELECTIONS: usize = 300;
const REQUESTS: usize = 20_000;
/// How long one daemon may take to answer at all.
const BOUND: Duration = Duration::from_secs(20);
/// Budgets: an auto-started daemon is to be ready in 2 s; the rest is several times what a small machine needs.
const FIRST_ANSWER_MS: f64 = 500.0;
const SELECT_MS: f64 = 25.0;
const RESIDENT_KB: f64 = 60_000.0;
const REQUESTS_A_SECOND: f64 = 2_000.0;
const IDLE_PERCENT: f64 = 2.0;

const HEALTH: &[u8] = b"{\"proto\":1,\"op\":\"health\"}\n";

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let has = |word: &str| words.iter().any(|w| w == word);
    let part = if has("--quick") { 10 } else { 1 };
    let home = Home::new();
    let mut missed = Vec::new();
    let mut row = |what: &str, value: f64, unit: &str, aim: f64, budget: f64, is_kept: bool| {
        println!("{what:<44} {value:>10.3} {unit:<4} (aim {aim}, budget {budget})");
        if !is_kept {
            missed.push(what.to_owned());
        }
    };

    let starts = (0..STARTS / part).map(|_| home.start().1).collect();
    let first = median(starts);
    row(
        "start to first answer, p50",
        first,
        "ms",
        30.0,
        FIRST_ANSWER_MS,
        first <= FIRST_ANSWER_MS,
    );

    let (mut daemon, _) = home.start();
    home.wait_until_ready();
    let mut client = home.client();
    let select = b"{\"proto\":1,\"op\":\"select\",\"cwd\":\"/\"}\n";
    let trips = (0..SELECTIONS / part).map(|_| {
        let (answer, ms) = client.ask(select);
        assert!(answer.contains("\"ok\":true"), "{answer}");
        // Given back, so that every round sees the same picture.
        let lease = answer
            .split("\"lease\":\"")
            .nth(1)
            .and_then(|r| r.split('"').next());
        let lease = lease.expect("a reservation");
        client
            .ask(format!("{{\"proto\":1,\"op\":\"checkin\",\"lease\":\"{lease}\"}}\n").as_bytes());
        ms
    });
    let mut trips: Vec<f64> = trips.collect();
    trips.sort_by(f64::total_cmp);
    let (trip, slow) = (trips[trips.len() / 2], trips[trips.len() * 95 / 100]);
    row(
        "select, round trip, p50",
        trip,
        "ms",
        0.15,
        SELECT_MS,
        trip <= SELECT_MS,
    );
    row(
        "select, round trip, p95",
        slow,
        "ms",
        1.0,
        SELECT_MS,
        slow <= SELECT_MS,
    );
    let healths = (0..SELECTIONS / part).map(|_| client.ask(HEALTH).1);
    let health = median(healths.collect());
    row(
        "health, round trip, p50 (the socket alone)",
        health,
        "ms",
        0.05,
        SELECT_MS,
        health <= SELECT_MS,
    );

    let rounds = REQUESTS / part;
    let began = Instant::now();
    for _ in 0..rounds {
        let (answer, _) = client.ask(HEALTH);
        assert!(answer.ends_with('\n'), "it went away");
    }
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let rate = rounds as f64 / began.elapsed().as_secs_f64();
    row(
        "requests on one connection",
        rate,
        "/s",
        20_000.0,
        REQUESTS_A_SECOND,
        rate >= REQUESTS_A_SECOND,
    );

    if let Some(kilobytes) = resident(daemon.0.id()) {
        row(
            "resident, ten accounts",
            kilobytes,
            "kB",
            12_000.0,
            RESIDENT_KB,
            kilobytes <= RESIDENT_KB,
        );
    }
    let watched = Duration::from_secs(if has("--long") { 300 } else { 40 });
    drop(client);
    // What the start and the requests above left to do is done.
    pause(Duration::from_secs(2));
    if let Some(share) = processor_share(daemon.0.id(), watched) {
        row(
            "processor, nothing happens",
            share,
            "%",
            0.1,
            IDLE_PERCENT,
            share <= IDLE_PERCENT,
        );
    }
    daemon.end();
    if missed.is_empty() {
        println!("every budget is kept");
    } else if has("--check") {
        panic!("budgets missed: {}", missed.join("; "));
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Percent of one processor that a process uses while it is watched, where the system tells.
fn processor_share(pid: u32, watched: Duration) -> Option<f64> {
    let before = processor_time(pid)?;
    pause(watched);
    let used = processor_time(pid)? - before;
    Some(used / watched.as_secs_f64() * 100.0)
}

/// Seconds of processor time that the threads of a process have used: the first field of their `schedstat`.
fn processor_time(pid: u32) -> Option<f64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let of_task = |task: fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_ascii_whitespace().next()?.parse::<f64>().ok()
    };
    Some(tasks.flatten().filter_map(of_task).sum::<f64>() / 1e9)
}

/// Resident memory in kilobytes, where the system tells.
fn resident(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// A home with accounts that nobody can sample: there is no claude.
struct Home {
    dir: tempfile::TempDir,
}

/// A daemon, ended with the value.
struct Daemon(Child);

impl Daemon {
    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("ccp")
            .tempdir()
            .expect("a directory");
        fs::create_dir(dir.path().join(".claude")).expect("creates");
        for number in 1..=ACCOUNTS {
            let account = dir
                .path()
                .join(format!(".cc-pool/accounts/acct-{number:02}"));
            fs::create_dir_all(&account).expect("creates");
            let text = format!(
                "{{\"oauthAccount\":{{\"accountUuid\":\"u{number}\",\"emailAddress\":\"a{number}@example.test\"}}}}"
            );
            fs::write(account.join(".claude.json"), text).expect("writes");
        }
        let home = Self { dir };
        let made = home
            .command(&["init", "--no-service"])
            .status()
            .expect("runs");
        assert!(made.success());
        home
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_ccpd")));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.dir.path())
            .env("PATH", "/nonexistent")
            .env("CCP_TEST_OWNER_PID", std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join(".cc-pool/daemon.sock")
    }

    /// Starts a daemon; how many milliseconds until it answered.
    fn start(&self) -> (Daemon, f64) {
        let began = Instant::now();
        let mut daemon = Daemon(self.command(&["daemon"]).spawn().expect("starts"));
        let own = format!("\"pid\":{},", daemon.0.id());
        loop {
            if let Some(mut client) = Client::connect(&self.socket())
                && client.ask(HEALTH).0.contains(&own)
            {
                return (daemon, began.elapsed().as_secs_f64() * 1e3);
            }
            if began.elapsed() > BOUND {
                daemon.end();
                panic!("it does not answer");
            }
            pause(Duration::from_micros(200));
        }
    }

    fn client(&self) -> Client {
        Client::connect(&self.socket()).expect("connects")
    }

    fn wait_until_ready(&self) {
        let began = Instant::now();
        let mut client = self.client();
        while !client.ask(HEALTH).0.contains("\"phase\":\"ready\"") {
            assert!(began.elapsed() < BOUND, "it is not ready");
            pause(Duration::from_millis(1));
        }
    }
}

struct Client(BufReader<UnixStream>);

impl Client {
    fn connect(socket: &Path) -> Option<Self> {
        let stream = UnixStream::connect(socket).ok()?;
        stream.set_read_timeout(Some(BOUND)).ok()?;
        Some(Self(BufReader::new(stream)))
    }

    /// The answer, empty when there is none, and how many milliseconds it took.
    fn ask(&mut self, line: &[u8]) -> (String, f64) {
        let began = Instant::now();
        let mut answer = String::new();
        if self.0.get_mut().write_all(line).is_ok() {
            let _ = self.0.read_line(&mut answer);
        }
        (answer, began.elapsed().as_secs_f64() * 1e3)
    }
}
