//! Answers and prompts of any length, and what they cost the daemon.

use super::ground::{Client, Daemon, Ground, wait};
use ccp::adapters::files::pause;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufWriter, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

/// So long is the conversation.
const LONG: usize = 100_000_000;
/// The daemon may take this much more for any number of its readers, in kilobytes.
const MOST_KB: u64 = 60_000;

/// An idle session with a transcript of a hundred megabytes, and what the whole of it is.
fn long_session(ground: &Ground, client: &mut Client) -> (String, String) {
    let session = client.start("hello");
    wait("idle", || client.status(&session) == "idle");
    let info = client.ask(&json!({"type": "info", "sessionId": session}));
    let uuid = info["session"]["claudeUUID"].as_str().expect("known");
    let file = transcript(ground, uuid);
    let mut text = fs::read_to_string(&file).expect("reads");
    let mut n = 0;
    while text.len() < LONG {
        n += 1;
        let said = format!("{n} \"quoted\" \u{e4} ").repeat(400);
        let block = json!({"type": "tool_result", "tool_use_id": "t", "content": said});
        let record = json!({"type": "user", "message": {"role": "user", "content": [block]}});
        text.push_str(&format!("{record}\n"));
    }
    let new = fs::File::create(&file).expect("creates");
    BufWriter::new(new)
        .write_all(text.as_bytes())
        .expect("writes");
    (session, text.trim_end().to_owned())
}

fn transcript(ground: &Ground, uuid: &str) -> PathBuf {
    let projects = fs::read_dir(ground.home().join(".claude/projects")).expect("is there");
    let name = format!("{uuid}.jsonl");
    let mut files = projects.flatten().map(|p| p.path().join(&name));
    files.find(|path| path.is_file()).expect("a transcript")
}

fn all_of(session: &str, detail: &str) -> Value {
    json!({"type": "capture", "sessionId": session, "turns": 0, "detail": detail})
}

fn grown(daemon: &Daemon<'_>, before: Option<u64>) {
    if let (Some(before), Some(peak)) = (before, daemon.memory_peak_kb()) {
        println!("{before} kB, at most {peak} kB");
        assert!(peak < before + MOST_KB, "{before} kB became {peak} kB");
    }
}

#[test]
fn a_hundred_megabytes_reach_the_command_and_readers_that_are_slow() {
    let ground = Ground::new();
    let daemon = ground.daemon();
    let mut client = daemon.begin(1);
    let (session, whole) = long_session(&ground, &mut client);
    let before = daemon.memory_kb();
    // These ask and do not read.
    let mut slow: Vec<Client> = (0..5).map(|_| daemon.client()).collect();
    for reader in &mut slow {
        reader.say(&all_of(&session, "raw"));
        reader.say(&json!({"type": "ping"}));
    }
    // One hears of events meanwhile, but not in the middle of its answer.
    let mut follower = daemon.client();
    follower.say(&json!({"type": "subscribe", "events": ["updated"]}));
    follower.say(&all_of(&session, "tools"));
    for n in 0..3 {
        let set = json!({"type": "set", "sessionId": session, "metadata": {"n": n}});
        assert_eq!(client.ask(&set)["type"], "ok");
    }
    let mut command = ground.command();
    command.env("CLAUDE_POOL_HOME", ground.home());
    command.args(["pool", "--pool", "pool", "capture", &session]);
    command.args(["--turns", "0", "--detail", "raw"]);
    let output = command.output().expect("runs");
    assert!(output.status.success());
    assert!(
        output.stdout == format!("{whole}\n").as_bytes(),
        "{} bytes of {}",
        output.stdout.len(),
        whole.len()
    );
    grown(&daemon, before);
    // Everybody else is served as ever.
    assert_eq!(client.ask(&json!({"type": "ping"}))["type"], "pong");

    let mut heard = Vec::new();
    while heard.len() < 4 {
        heard.push(follower.next().expect("a line"));
    }
    let answers: Vec<&Value> = heard.iter().filter(|h| h["type"] == "result").collect();
    let content = answers[0]["content"].as_str().expect("text");
    assert_eq!(content.lines().count(), whole.lines().count());
    // In small bites, with pauses; the rest are gone in the middle of it.
    let mut reader = slow.remove(0);
    let mut bite = vec![0; 300_000];
    for _ in 0..10 {
        let count = reader.stream.read(&mut bite).expect("reads");
        assert!(count > 0);
        pause(Duration::from_millis(20));
    }
    drop(reader);
    let mut patient = slow.remove(0);
    let answer = patient.next().expect("the answer");
    assert!(answer["content"] == whole.as_str());
    assert_eq!(patient.next().expect("another")["type"], "pong");
    drop(slow);
    let threads = || {
        let tasks = fs::read_dir(format!("/proc/{}/task", daemon.pid()));
        let names = tasks.into_iter().flatten().flatten();
        let names = names.map(|task| fs::read_to_string(task.path().join("comm")));
        names
            .flatten()
            .filter(|name| name.trim() == "reader")
            .count()
    };
    wait("the end of what is read for nobody", || threads() == 0);
    grown(&daemon, before);
}

#[test]
fn a_prompt_that_no_context_holds_is_refused_at_once() {
    let ground = Ground::new();
    let daemon = ground.daemon();
    let mut client = daemon.begin(1);
    let before = daemon.memory_kb();
    for bytes in [ccp::core::prompt::MAX_BYTES + 1, 16_700_000] {
        let prompt = "x".repeat(bytes);
        let reply = client.ask(&json!({"type": "start", "prompt": prompt}));
        assert_eq!(reply["code"], "bad_request", "{reply}");
        let said = reply["error"].as_str().expect("text");
        assert!(
            said.contains("at most 4194304 bytes") && said.contains(&format!("not {bytes}")),
            "{said}"
        );
    }
    let listed = client.ask(&json!({"type": "ls", "all": true}));
    assert_eq!(listed["sessions"], json!([]));
    if let (Some(before), Some(after)) = (before, daemon.memory_kb()) {
        assert!(
            after < before + MOST_KB * 2,
            "{before} kB became {after} kB"
        );
    }
}
