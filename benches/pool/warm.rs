//! The rows with the real client.

use super::stage::{BOUND, Client, Stage, kilobytes, processor_time};
use super::{Times, times_row, value_row};
use ccp::adapters::files::pause;
use ccp::adapters::procs::children::wait_readable;
use ccp::adapters::pty::{Child, Program, Pty, Read};
use ccp::adapters::registry::Registry;
use ccp::core::registry::{Readiness, SessionFile};
use serde_json::json;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const POOL: &str = "bench";
/// What a delivery leaves between a prompt and Enter.
const BEFORE_ENTER: Duration = Duration::from_millis(100);

pub fn run(stage: &Stage, rounds: usize, is_quick: bool) {
    let cold = cold_start(stage, (rounds / 3).max(3));
    times_row("one cold claude, until it takes input", &cold, None, "");
    sizes(stage, &cold, is_quick);
    let bare = Bare::of(stage, rounds);
    stage.begin("prompts", 3, 1);
    prompts(stage, rounds, &bare);
    stage.end("prompts");
    idle(stage, is_quick);
}

fn claude(stage: &Stage) -> (Pty, Child) {
    let (pty, terminal) = Pty::open(120, 40).expect("opens");
    let program = Program {
        argv: vec![stage.claude.clone().into_os_string()],
        env: stage.home.command_env(&stage.standin),
        cwd: stage.home.work_dir(),
        umask: None,
    };
    let child = Child::start(&program, terminal).expect("starts");
    (pty, child)
}

/// claude in a terminal of its own, until its own file says that it is idle.
fn cold_start(stage: &Stage, rounds: usize) -> Times {
    let mut times = Times::default();
    for _ in 0..rounds {
        let began = Instant::now();
        let (pty, mut child) = claude(stage);
        let registry = Registry::of(&stage.config_dir());
        let mut buffer = vec![0; 64 * 1024];
        loop {
            while matches!(pty.read(&mut buffer), Ok(Read::Bytes(_))) {}
            let file = registry.load(child.pid()).ok().flatten();
            if file.is_some_and(|file| file.readiness == Readiness::Idle) {
                break;
            }
            assert!(began.elapsed() < BOUND, "claude is idle");
            let _ = wait_readable(pty.as_fd(), Duration::from_millis(2));
        }
        times.add(began.elapsed());
        drop(pty);
        child.reap();
    }
    times
}

/// A warm claude in a terminal, typed into by hand: what is left of a prompt's time when there is no pool.
#[derive(Default)]
struct Bare {
    asked: Times,
    idle: Times,
    whole: Times,
}

impl Bare {
    fn of(stage: &Stage, rounds: usize) -> Self {
        let (pty, mut child) = claude(stage);
        let is_over = AtomicBool::new(false);
        let mut bare = Self::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut buffer = vec![0; 64 * 1024];
                while !is_over.load(Ordering::Relaxed) {
                    while matches!(pty.read(&mut buffer), Ok(Read::Bytes(_))) {}
                    let _ = wait_readable(pty.as_fd(), Duration::from_millis(20));
                }
            });
            let registry = Registry::of(&stage.config_dir());
            let wait_for_idle = |after: Option<u64>| loop {
                let file = registry.load(child.pid()).ok().flatten();
                let at = |f: &SessionFile| f.status_at.map_or(0, |at| at.unix_ms().unsigned_abs());
                let is_it =
                    |f: &SessionFile| f.readiness == Readiness::Idle && at(f) > after.unwrap_or(0);
                if file.is_some_and(|f| is_it(&f)) {
                    return Instant::now();
                }
                pause(Duration::from_millis(1));
            };
            wait_for_idle(None);
            for round in 0..rounds {
                pause(Duration::from_millis(300));
                let prompt = format!("say bare {round}");
                let before = ccp::adapters::clock::now().unix_ms().unsigned_abs();
                let began = Instant::now();
                pty.write(format!("\x1b[200~{prompt}\x1b[201~").as_bytes())
                    .expect("types");
                pause(BEFORE_ENTER);
                pty.write(b"\r").expect("types");
                let asked = stage.answered(&prompt);
                let sent_at = asked.sent_at.expect("it was answered");
                let idle_at = wait_for_idle(Some(before));
                bare.asked.add(asked.received_at - began);
                bare.idle.add(idle_at.saturating_duration_since(sent_at));
                bare.whole.add(idle_at - began);
            }
            is_over.store(true, Ordering::Relaxed);
        });
        drop(pty);
        child.reap();
        bare
    }
}

/// From nothing to fresh slots, by their number.
fn sizes(stage: &Stage, cold: &Times, is_quick: bool) {
    let cores = std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
    let base = cold.median();
    let all: &[u32] = if is_quick { &[1, 3] } else { &[1, 2, 4, 8] };
    for size in all {
        let (mut first, mut last) = (Times::default(), Times::default());
        for _ in 0..if is_quick { 1 } else { 3 } {
            let (one, whole) = stage.begin(POOL, *size, 1);
            first.add(one);
            last.add(whole);
            stage.end(POOL);
        }
        let aim = (1.5 * f64::from(*size) / cores).max(1.5);
        let what = format!("init of {size}: first slot fresh");
        times_row(&what, &first, Some(base), "(aim 1.2 x a cold start)");
        let what = format!("init of {size}: all slots fresh");
        let aim = format!("(aim {aim:.1} x a cold start)");
        times_row(&what, &last, Some(base), &aim);
    }
}

/// When the events of a pool arrived.
struct Events(Receiver<(Instant, serde_json::Value)>);

impl Events {
    fn of(stage: &Stage) -> Self {
        let mut client = stage.client("prompts");
        let subscribed =
            client.ask(&json!({"type": "subscribe", "events": ["status"], "ack": true}));
        assert_eq!(subscribed["type"], "subscribed");
        let (send, receive) = channel();
        std::thread::spawn(move || {
            loop {
                let line = client.line();
                let at = Instant::now();
                let Ok(event) = serde_json::from_str(&line) else {
                    return;
                };
                if send.send((at, event)).is_err() {
                    return;
                }
            }
        });
        Self(receive)
    }

    /// When a session was said to be idle, counted from `since`.
    fn idle(&self, session: &str, since: Instant) -> Instant {
        loop {
            let (at, event) = self.0.recv_timeout(BOUND).expect("an event");
            let idle = event["sessionId"] == session && event["status"] == "idle";
            if idle && at >= since {
                return at;
            }
        }
    }
}

/// What a prompt takes beyond the service's own time.
fn beyond(stage: &Stage, prompt: &str, took: Duration) -> Duration {
    let asked = stage.answered(prompt);
    let service = asked.sent_at.map(|at| at - asked.received_at);
    took.saturating_sub(service.unwrap_or_default())
}

#[derive(Default)]
struct Kind {
    cold: Times,
    start: Times,
    accepted: Times,
    asked: Times,
    told: Times,
    handed_over: Times,
    followup: Times,
    evicting: Times,
    resuming: Times,
}

pub fn session_of(text: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(text).expect("JSON");
    value["sessionId"].as_str().expect("a session").to_owned()
}

fn prompts(stage: &Stage, rounds: usize, bare: &Bare) {
    let mut client = stage.client("prompts");
    let events = Events::of(stage);
    let mut kinds = Kind::default();
    let mut sessions = Vec::new();
    for round in 0..rounds {
        let prompt = format!("say cold {round}");
        let (_, took) = stage.timed(&stage.claude, &["-p", &prompt]);
        kinds.cold.add(beyond(stage, &prompt, took));

        client.wait_for_fresh(1);
        let prompt = format!("say start {round}");
        let began = Instant::now();
        let (text, took) = stage.ccp("prompts", &["start", "--prompt", &prompt, "--block"]);
        kinds.start.add(beyond(stage, &prompt, took));
        let session = session_of(&text);
        let asked = stage.answered(&prompt);
        kinds.asked.add(asked.received_at - began);
        let sent_at = asked.sent_at.expect("it was answered");
        let idle_at = events.idle(&session, began);
        kinds.told.add(idle_at - sent_at);
        kinds
            .handed_over
            .add((began + took).saturating_duration_since(idle_at));

        client.wait_for_fresh(1);
        let prompt = format!("say followup {round}");
        let began = Instant::now();
        let (_, took) = stage.ccp(
            "prompts",
            &[
                "followup",
                "--session",
                &session,
                "--prompt",
                &prompt,
                "--block",
            ],
        );
        kinds.followup.add(beyond(stage, &prompt, took));
        let sent_at = stage.answered(&prompt).sent_at.expect("it was answered");
        kinds.told.add(events.idle(&session, began) - sent_at);
        sessions.push(session);
    }
    client.ask(&json!({"type": "config", "set": {"keepFresh": 0}}));
    for round in 0..rounds {
        fill(&mut client, &events, &mut sessions);
        let prompt = format!("say evicting {round}");
        let (text, took) = stage.ccp("prompts", &["start", "--prompt", &prompt, "--block"]);
        kinds.evicting.add(beyond(stage, &prompt, took));
        sessions.push(session_of(&text));

        let session = offloaded(&mut client);
        let prompt = format!("say resuming {round}");
        let (_, took) = stage.ccp(
            "prompts",
            &[
                "followup",
                "--session",
                &session,
                "--prompt",
                &prompt,
                "--block",
            ],
        );
        kinds.resuming.add(beyond(stage, &prompt, took));
    }
    for round in 0..rounds * 5 {
        let began = Instant::now();
        let started = client.ask(&json!({"type": "start", "metadata": {"n": round}}));
        kinds.accepted.add(began.elapsed());
        assert_eq!(started["type"], "started", "{started}");
        let session = started["sessionId"].as_str().unwrap_or_default();
        client.ask(&json!({"type": "archive", "sessionId": session}));
    }
    show(&kinds, bare);
}

fn show(kinds: &Kind, bare: &Bare) {
    let base = Some(kinds.cold.median());
    times_row("claude -p, cold", &kinds.cold, None, "");
    times_row(
        "a warm claude alone: from paste to answer",
        &bare.whole,
        base,
        "",
    );
    times_row("  until the service was asked", &bare.asked, base, "");
    times_row("  idle after the last byte", &bare.idle, None, "");
    let aim = "(aim 350 ms, 0.33 x a cold claude -p)";
    times_row("start --block, fresh slot", &kinds.start, base, aim);
    times_row("  until the service was asked", &kinds.asked, base, "");
    times_row("followup --block, idle session", &kinds.followup, base, aim);
    times_row(
        "  from idle to the end of the command",
        &kinds.handed_over,
        base,
        "",
    );
    let aim = "(aim 100 ms)";
    times_row("idle event after the last byte", &kinds.told, None, aim);
    let aim = "(aim 1500 ms)";
    times_row("start --block, evicting", &kinds.evicting, base, aim);
    let aim = "(aim 2000 ms)";
    times_row("followup --block, offloaded", &kinds.resuming, base, aim);
    times_row(
        "a request that has to be on disk",
        &kinds.accepted,
        None,
        "",
    );
}

/// Sees to it that no slot is free.
fn fill(client: &mut Client, events: &Events, sessions: &mut Vec<String>) {
    client.wait_for_fresh(0);
    while client.slots("fresh") > 0 {
        let began = Instant::now();
        let started = client.ask(&json!({"type": "start", "prompt": "fill"}));
        let session = started["sessionId"].as_str().expect("a session").to_owned();
        events.idle(&session, began);
        sessions.push(session);
        client.wait_for_fresh(0);
    }
    // Nobody is evicted whose end of a turn has not settled.
    pause(Duration::from_millis(300));
}

/// A session that is offloaded.
fn offloaded(client: &mut Client) -> String {
    let since = Instant::now();
    loop {
        let found = client.ask(&json!({"type": "ls", "all": true, "statuses": ["offloaded"]}));
        if let Some(session) = found["sessions"][0]["sessionId"].as_str() {
            pause(Duration::from_millis(300));
            return session.to_owned();
        }
        assert!(since.elapsed() < BOUND, "one is offloaded");
        pause(Duration::from_millis(5));
    }
}

/// What a pool of eight costs while nothing happens.
fn idle(stage: &Stage, is_quick: bool) {
    let size = if is_quick { 2 } else { 8 };
    stage.begin("idle", size, 1);
    let pids = stage.pids("idle");
    let (daemon, hosts) = pids.split_first().expect("a daemon");
    pause(Duration::from_secs(3));
    let watched = Duration::from_secs(if is_quick { 5 } else { 30 });
    let before: Vec<f64> = pids.iter().map(|pid| processor_time(*pid)).collect();
    pause(watched);
    let used: Vec<f64> = pids
        .iter()
        .zip(before)
        .map(|(pid, t)| processor_time(*pid) - t)
        .collect();
    let percent = |seconds: f64| seconds / watched.as_secs_f64() * 100.0;
    let count = hosts.len().max(1) as f64;
    let what = |what: &str| format!("{size} idle slots: {what}");
    value_row(
        &what("daemon, processor"),
        percent(used[0]),
        "%",
        "(aim 0.2)",
    );
    let each = percent(used[1..].iter().sum::<f64>() / count);
    value_row(&what("each host, processor"), each, "%", "");
    let rss = kilobytes(*daemon, "VmRSS") / 1e3;
    value_row(&what("daemon, resident"), rss, "MB", "(aim 15)");
    let rss = hosts
        .iter()
        .map(|pid| kilobytes(*pid, "VmRSS"))
        .sum::<f64>()
        / count
        / 1e3;
    value_row(&what("each host, resident"), rss, "MB", "(aim 4)");
    let own = hosts
        .iter()
        .map(|pid| kilobytes(*pid, "RssAnon"))
        .sum::<f64>()
        / count
        / 1e3;
    value_row(&what("each host, its own memory"), own, "MB", "");
    stage.end("idle");
}
