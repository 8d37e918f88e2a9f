//! The rows of the daemon alone: one slot, and everything around it large.

use super::stage::{Client, Daemon, Stage, kilobytes, write_private};
use super::{Times, times_row, value_row};
use ccp::adapters::files::{create_private_dir, pause};
use ccp::adapters::pool_store::PoolStore;
use ccp::adapters::transcripts::path_of;
use ccp::core::pool::id::{ClaudeUuid, SessionId};
use ccp::core::pool::record::{Change, Rest, SessionRecord};
use ccp::core::time::Timestamp;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const PINGS: usize = 200_000;
const CLIENTS: usize = 1_000;
/// The session whose transcript is long, as claude calls it.
const LONG: &str = "00000000-0000-4000-8000-000000000001";

pub fn run(stage: &Stage, is_quick: bool) {
    let part = if is_quick { 4 } else { 1 };
    many_sessions(stage, 0);
    many_sessions(stage, 1_000);
    let (daemon, pool) = many_sessions_held(stage, 10_000);
    pings(stage, &pool, PINGS / part);
    clients(stage, &pool, daemon.0.id());
    transcripts(stage, &pool, daemon.0.id(), is_quick);
    end(stage, &pool, daemon);
}

fn record(stage: &Stage, number: u64) -> SessionRecord {
    let work = fs::canonicalize(stage.home.work_dir()).expect("is there");
    let at = Timestamp::from_unix_ms(1_700_000_000_000 + i64::try_from(number).unwrap_or(0));
    SessionRecord {
        id: SessionId::from_bits(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
        uuid: Some(ClaudeUuid::new(&format!(
            "00000000-0000-4000-8000-{number:012}"
        ))),
        has_transcript: true,
        rest: Rest::Offloaded,
        seat: None,
        order: None,
        priority: 0,
        pinned_until: None,
        parent: String::new(),
        cwd: work.clone(),
        spawn_cwd: work,
        created_at: at,
        last_used_at: at,
        metadata: [("name".to_owned(), format!("\"session {number}\""))].into(),
        account: None,
        model: None,
        saved_input: None,
        was_live: false,
    }
}

fn many_sessions(stage: &Stage, count: usize) {
    let (daemon, pool) = many_sessions_held(stage, count);
    end(stage, &pool, daemon);
}

/// A daemon that holds so many sessions, with the rows about that.
fn many_sessions_held(stage: &Stage, count: usize) -> (Daemon, String) {
    let pool = format!("holds-{count}");
    let dir = stage.pool_dir(&pool);
    create_private_dir(dir.parent().expect("has one")).expect("makes");
    create_private_dir(&dir).expect("makes");
    let config = json!({"size": 1, "keepFresh": 1, "dir": stage.home.work_dir()});
    write_private(&dir.join("config.json"), config.to_string().as_bytes());
    let mut store = PoolStore::open(&dir.join("pool.db")).expect("opens");
    let rows = (1..=count as u64).map(|n| Change::Session(Box::new(record(stage, n))));
    let rows: Vec<Change> = rows.collect();
    store.write(&rows, |_, _| 0).expect("writes");
    drop(store);
    let began = Instant::now();
    let daemon = stage.daemon(&pool);
    let mut client = stage.client(&pool);
    client.ask(&json!({"type": "ping"}));
    let what = |what: &str| format!("{count} sessions: {what}");
    let started = began.elapsed().as_secs_f64() * 1e3;
    value_row(&what("daemon answers after"), started, "ms", "");
    let begun = client.ask(&json!({"type": "init", "noRestore": true}));
    assert_eq!(begun["type"], "health", "{begun}");
    client.wait_for_fresh(1);
    if count > 0 {
        for (name, request) in [
            ("ls", json!({"type": "ls", "all": true})),
            (
                "ls, full",
                json!({"type": "ls", "all": true, "verbosity": "full"}),
            ),
            (
                "ls, tree",
                json!({"type": "ls", "all": true, "tree": true, "verbosity": "nested"}),
            ),
        ] {
            let mut bytes = 0;
            let times = repeated(50, || {
                client.send(&request);
                bytes = client.line().len();
            });
            assert!(bytes > count * 40, "{bytes}");
            let aim = if name == "ls" && count == 1_000 {
                "(aim 2 ms)"
            } else {
                ""
            };
            times_row(&what(name), &times, None, aim);
        }
        let id = record(stage, count as u64 / 2 + 1).id.to_string();
        let info = json!({"type": "info", "sessionId": id});
        let times = repeated(500, || {
            assert_eq!(client.ask(&info)["type"], "session");
        });
        times_row(&what("info"), &times, None, "");
    }
    let times = repeated(50, || {
        let started = client.ask(&json!({"type": "start"}));
        assert_eq!(started["type"], "started", "{started}");
        let id = started["sessionId"].clone();
        client.ask(&json!({"type": "stop", "sessionId": id}));
    });
    times_row(&what("a start and a stop, on disk"), &times, None, "");
    let resident = kilobytes(daemon.0.id(), "VmRSS") / 1e3;
    value_row(&what("daemon, resident"), resident, "MB", "");
    (daemon, pool)
}

fn end(stage: &Stage, pool: &str, mut daemon: Daemon) {
    stage
        .client(pool)
        .ask(&json!({"type": "destroy", "confirm": true}));
    daemon.0.wait().expect("ends");
}

fn repeated(rounds: usize, mut once: impl FnMut()) -> Times {
    let mut times = Times::default();
    for _ in 0..rounds {
        let began = Instant::now();
        once();
        times.add(began.elapsed());
    }
    times
}

fn pings(stage: &Stage, pool: &str, count: usize) {
    let mut client = stage.client(pool);
    let times = repeated(2_000, || {
        client.ask(&json!({"type": "ping"}));
    });
    times_row("ping, one after the other", &times, None, "");
    let mut rates = Vec::new();
    for _ in 0..3 {
        let mut client = stage.client(pool);
        let mut writing = client.0.get_ref().try_clone().expect("another handle");
        let began = Instant::now();
        std::thread::spawn(move || {
            let batch = "{\"type\":\"ping\"}\n".repeat(1_000);
            for _ in 0..count / 1_000 {
                writing.write_all(batch.as_bytes()).expect("the pool reads");
            }
        });
        let mut read = 0;
        while read < count {
            assert!(client.line().contains("pong"));
            read += 1;
        }
        rates.push(count as f64 / began.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    value_row(
        "ping, pipelined on one connection",
        rates[rates.len() / 2],
        "/s",
        "(aim 150000)",
    );
}

fn clients(stage: &Stage, pool: &str, daemon: u32) {
    let before = kilobytes(daemon, "VmRSS");
    let began = Instant::now();
    let mut all: Vec<Client> = (0..CLIENTS).map(|_| stage.client(pool)).collect();
    for client in &mut all {
        client.send(&json!({"type": "subscribe", "ack": true}));
    }
    for client in &mut all {
        assert_eq!(client.hear()["type"], "subscribed");
    }
    let what = |what: &str| format!("{CLIENTS} clients: {what}");
    let took = began.elapsed().as_secs_f64() * 1e3;
    value_row(&what("connected and subscribed after"), took, "ms", "");
    let more = kilobytes(daemon, "VmRSS") - before;
    value_row(&what("memory of each"), more / CLIENTS as f64, "kB", "");
    let mut asking = stage.client(pool);
    let times = repeated(500, || {
        asking.ask(&json!({"type": "ping"}));
    });
    times_row(&what("ping of one more"), &times, None, "");
    let times = repeated(20, || {
        let started = asking.ask(&json!({"type": "start"}));
        let id = started["sessionId"].clone();
        for client in &mut all {
            let event = client.hear();
            assert_eq!(event["type"], "event", "{event}");
        }
        asking.ask(&json!({"type": "stop", "sessionId": id}));
        pause(Duration::from_millis(50));
        // What else was told of this session.
        for client in &mut all {
            let stream = client.0.get_ref();
            stream.set_nonblocking(true).expect("is set");
            let mut text = String::new();
            while std::io::BufRead::read_line(&mut client.0, &mut text).is_ok_and(|n| n > 0) {}
            client.0.get_ref().set_nonblocking(false).expect("is set");
        }
    });
    let all = times.median() - 50.0;
    value_row(&what("a start, told to all, and a stop"), all, "ms", "");
}

fn transcripts(stage: &Stage, pool: &str, daemon: u32, is_quick: bool) {
    let work = fs::canonicalize(stage.home.work_dir()).expect("is there");
    let path = path_of(&stage.config_dir(), &work, LONG);
    fs::create_dir_all(path.parent().expect("has one")).expect("makes");
    let session = record(stage, 1).id.to_string();
    let mut client = stage.client(pool);
    let sizes: &[usize] = if is_quick {
        &[1, 100]
    } else {
        &[1, 100, 1_000]
    };
    for megabytes in sizes {
        write_transcript(&path, *megabytes);
        let before = kilobytes(daemon, "VmHWM");
        for (turns, name) in [(1, "last turn"), (1_000, "last 1,000 turns")] {
            let request = json!({"type": "capture", "sessionId": session, "turns": turns});
            let mut bytes = 0;
            let rounds = if turns == 1 { 50 } else { 5 };
            let times = repeated(rounds, || {
                client.send(&request);
                bytes = client.line().len();
            });
            let what = format!("transcript of {megabytes} MB: {name}, {} kB", bytes / 1000);
            let aim = if turns == 1 { "(aim 10 ms)" } else { "" };
            times_row(&what, &times, None, aim);
        }
        let more = (kilobytes(daemon, "VmHWM") - before) / 1e3;
        value_row("  the daemon's peak grew by", more, "MB", "");
    }
    let _ = fs::remove_file(&path);
}

fn write_transcript(path: &PathBuf, megabytes: usize) {
    let turn = |n: usize| -> [Value; 2] {
        let text = format!("{n} {}", "words that say something ".repeat(40));
        [
            json!({"type": "user", "message": {"role": "user", "content": format!("prompt {n}")}}),
            json!({"type": "assistant", "message": {"role": "assistant", "content": [{"type": "text", "text": text}]}}),
        ]
    };
    let block: String = (0..800)
        .flat_map(turn)
        .map(|line| format!("{line}\n"))
        .collect();
    let mut file = File::create(path).expect("creates");
    let mut written = 0;
    while written < megabytes * 1_000_000 {
        file.write_all(block.as_bytes()).expect("writes");
        written += block.len();
    }
}
