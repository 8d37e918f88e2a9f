//! Processes whose other half is gone: every one of them ends, and the pool goes on.

use super::ground::{Client, Ground, runs, wait};
use crate::support::put;
use ccp::adapters::procs::children::{Signal, signal_child};
use serde_json::json;
use std::fs;
use std::process::{Command, Stdio};

fn host_of(client: &mut Client) -> u32 {
    let slots = client.ask(&json!({"type": "debug-slots"}));
    let pid = slots["slots"][0]["hostPid"].as_u64();
    u32::try_from(pid.unwrap_or_else(|| panic!("{slots}"))).expect("a pid")
}

#[test]
fn a_claude_ends_with_its_host_and_the_slot_comes_back() {
    let ground = Ground::new();
    let daemon = ground.daemon();
    let mut client = daemon.begin(1);
    let session = client.start("hello");
    wait("idle", || client.status(&session) == "idle");
    let before = ground.claudes();
    signal_child(host_of(&mut client), Signal::Kill);
    wait("its end", || before.iter().all(|pid| !runs(*pid)));
    wait("offloaded", || client.status(&session) == "offloaded");
    let followup = json!({"type": "followup", "sessionId": session, "prompt": "again"});
    assert_eq!(client.ask(&followup)["type"], "started");
    let waited = client.ask(&json!({"type": "wait", "sessionId": session, "timeout": 30_000}));
    assert!(
        waited["content"]
            .as_str()
            .is_some_and(|text| text.contains("said: again")),
        "{waited}"
    );
    drop(daemon);
    ground.nothing_runs();
}

#[test]
fn hosts_end_when_their_pool_vanishes() {
    let ground = Ground::new();
    let mut daemon = ground.daemon();
    daemon.begin(2);
    daemon.kill();
    assert_eq!(ground.claudes().len(), 2, "slots outlive a daemon");
    fs::remove_dir_all(&ground.dir).expect("goes");
    ground.nothing_runs();
}

#[test]
fn what_runs_for_a_slot_that_nothing_tells_of_ends_at_the_next_start() {
    let ground = Ground::new();
    let mut daemon = ground.daemon();
    daemon.begin(1);
    daemon.kill();
    let kept = ground.claudes();
    let stray = |dir: &std::path::Path, token: &str| {
        let mut command = Command::new("/bin/sh");
        // It has left every terminal and parent that it could be found by, and started another.
        command
            .args(["-c", "trap '' HUP; sleep 600 & wait"])
            .env("CLAUDE_POOL_DIR", dir)
            .env("CCP_HOOK_TOKEN", token)
            .env("CCP_HOOK_SOCKET", dir.join("slots/7/7/host.sock"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.spawn().expect("starts")
    };
    let mark = ground.home().display();
    let mut lost = stray(&ground.dir, &format!("lost of {mark}"));
    let other_pool = ground.home().join("other");
    let mut other = stray(&other_pool, &format!("other of {mark}"));
    // Not a slot's: somebody only set the variable.
    let mut own = Command::new("sleep")
        .arg("600")
        .env("CLAUDE_POOL_DIR", &ground.dir)
        .spawn()
        .expect("starts");
    let daemon = ground.daemon();
    lost.wait().expect("is ours");
    assert!(
        ground.log().contains("a slot that is not known"),
        "{}",
        ground.log()
    );
    for (what, process) in [("other pool's", &mut other), ("person's", &mut own)] {
        assert!(matches!(process.try_wait(), Ok(None)), "the {what} lives");
    }
    assert_eq!(ground.claudes(), kept, "slots that are known are kept");
    let mut client = daemon.client();
    wait("a fresh slot, and no other", || {
        let health = client.ask(&json!({"type": "health"}));
        assert_eq!(health["health"]["size"], 1, "{health}");
        health["health"]["slots"]["fresh"] == 1
    });
    let tree =
        ccp::adapters::procs::tree::tree(other.id(), "CCP_HOOK_TOKEN", &format!("other of {mark}"));
    for member in tree.expect("looks") {
        member.signal(Signal::Kill);
    }
    for mut process in [other, own] {
        let _ = process.kill();
        process.wait().expect("is ours");
    }
}

#[test]
fn a_record_without_a_claude_costs_nobody_else_anything() {
    let ground = Ground::new();
    let mut daemon = ground.daemon();
    daemon.begin(1);
    let record = || {
        let slots = fs::read_dir(ground.dir.join("slots/1")).ok()?;
        let dir = slots.flatten().next()?.path();
        Some(dir.join("host.json"))
    };
    let path = record().expect("a record");
    let mut text: serde_json::Value =
        serde_json::from_slice(&fs::read(&path).expect("reads")).expect("JSON");
    let host = host_of(&mut daemon.client());
    daemon.kill();
    signal_child(host, Signal::Kill);
    wait("its end", || ground.claudes().is_empty());
    // As if it had died before it started a claude.
    text["agent"] = serde_json::Value::Null;
    put(&path, text.to_string().as_bytes());
    let mut bystander = Command::new("sleep").arg("600").spawn().expect("starts");
    let daemon = ground.daemon();
    let mut client = daemon.client();
    client.ask(&json!({"type": "init", "size": 1}));
    wait("a fresh slot", || {
        client.ask(&json!({"type": "health"}))["health"]["slots"]["fresh"] == 1
    });
    assert!(matches!(bystander.try_wait(), Ok(None)));
    bystander.kill().expect("is ours");
    bystander.wait().expect("is ours");
}
