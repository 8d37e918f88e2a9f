//! A claude that is not there, does not start, ends at once, or is another one meanwhile.

use super::ground::{Client, Ground, wait};
use crate::support::put;
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};

fn problems(client: &mut Client) -> String {
    let health = client.ask(&json!({"type": "health"}));
    let slots = client.ask(&json!({"type": "debug-slots"}));
    format!("{} {}", health["health"]["problems"], slots["slots"])
}

fn fresh(client: &mut Client) -> Value {
    client.ask(&json!({"type": "health"}))["health"]["slots"]["fresh"].clone()
}

#[test]
fn a_flag_that_claude_does_not_know_is_told_in_its_own_words_and_can_be_mended() {
    let ground = Ground::new();
    ground.config(&json!({"size": 1, "flags": "--no-such-flag"}));
    let daemon = ground.daemon();
    let mut client = daemon.client();
    client.ask(&json!({"type": "init"}));
    wait("claude's own words", || {
        problems(&mut client).contains("unknown option '--no-such-flag'")
    });
    let health = client.ask(&json!({"type": "health"}));
    assert!(
        health["health"]["problems"]
            .to_string()
            .contains("unknown option"),
        "health says it: {health}"
    );
    let set = json!({"type": "config", "set": {"flags": ""}});
    assert_eq!(client.ask(&set)["type"], "config");
    wait("a fresh slot", || fresh(&mut client) == 1);
    assert!(!problems(&mut client).contains("unknown option"));
}

#[test]
fn flags_with_an_open_quote_are_refused_where_they_are_given() {
    let ground = Ground::new();
    let daemon = ground.daemon();
    let mut client = daemon.client();
    let set = json!({"type": "config", "set": {"flags": "--model 'opus"}});
    let answer = client.ask(&set);
    assert_eq!(answer["type"], "error", "{answer}");
    assert!(
        answer["error"]
            .as_str()
            .is_some_and(|text| text.contains("unclosed '")),
        "{answer}"
    );
    let config = client.ask(&json!({"type": "config"}));
    assert!(
        config["config"]["flags"].is_null(),
        "nothing was taken: {config}"
    );
    drop(daemon);
    // Somebody edited the file.
    ground.config(&json!({"size": 1, "flags": "--model 'opus"}));
    let daemon = ground.daemon();
    let answer = daemon.client().ask(&json!({"type": "init"}));
    assert!(
        answer["error"]
            .as_str()
            .is_some_and(|text| text.contains("unclosed '")),
        "{answer}"
    );
}

#[test]
fn a_claude_that_is_missing_is_an_error_of_init_until_it_is_there() {
    let ground = Ground::new();
    let kept = ground.home().join("kept");
    fs::rename(ground.claude(), &kept).expect("moves");
    let daemon = ground.daemon();
    let mut client = daemon.client();
    let answer = client.ask(&json!({"type": "init", "size": 1}));
    let text = answer["error"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"));
    assert!(text.contains("claude"), "{text}");
    assert_eq!(
        client.ask(&json!({"type": "health"}))["error"],
        "pool not initialized"
    );
    fs::rename(&kept, ground.claude()).expect("moves");
    assert_eq!(
        client.ask(&json!({"type": "init", "size": 1}))["type"],
        "health"
    );
    wait("a fresh slot", || fresh(&mut client) == 1);
}

#[test]
fn a_directory_that_is_not_trusted_is_an_error_of_init_that_says_what_to_do() {
    let ground = Ground::new();
    ground.trust(false);
    let before = fs::read(ground.home().join(".claude.json")).expect("is there");
    let daemon = ground.daemon();
    let mut client = daemon.client();
    let answer = client.ask(&json!({"type": "init", "size": 1}));
    let text = answer["error"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"));
    assert!(text.contains("run `claude` there once"), "{text}");
    let after = fs::read(ground.home().join(".claude.json")).expect("is there");
    assert_eq!(before, after, "nothing is written there");
    ground.trust(true);
    assert_eq!(
        client.ask(&json!({"type": "init", "size": 1}))["type"],
        "health"
    );
}

#[test]
fn a_claude_that_ends_at_once_is_tried_less_and_less_often() {
    let ground = Ground::new();
    put(&ground.home().join("exit-at-once"), b"no more credit");
    let daemon = ground.daemon();
    let mut client = daemon.client();
    let began = Instant::now();
    client.ask(&json!({"type": "init", "size": 1}));
    let starts = || {
        let text = fs::read_to_string(ground.home().join("starts")).unwrap_or_default();
        let times: Vec<u64> = text.lines().filter_map(|line| line.parse().ok()).collect();
        times
    };
    wait("four starts", || starts().len() >= 4);
    let times = starts();
    let pauses: Vec<f64> = times
        .windows(2)
        .map(|pair| Duration::from_nanos(pair[1] - pair[0]).as_secs_f64())
        .collect();
    // 1, 2 and 4 seconds and what a start takes.
    for (pause, least) in pauses.iter().zip([1.0, 2.0, 4.0]) {
        assert!(*pause >= least, "{pauses:?}");
    }
    assert!(began.elapsed() >= Duration::from_secs(7));
    assert!(
        problems(&mut client).contains("no more credit"),
        "{}",
        problems(&mut client)
    );
    let session = client.start("later");
    assert_eq!(client.status(&session), "queued");
    fs::remove_file(ground.home().join("exit-at-once")).expect("goes");
    let waited = client.ask(&json!({"type": "wait", "sessionId": session, "timeout": 35_000}));
    assert_eq!(waited["type"], "result", "{waited}");
}

#[test]
fn slots_of_a_claude_that_was_replaced_are_replaced_when_that_is_seen() {
    let ground = Ground::new();
    let daemon = ground.daemon();
    let mut client = daemon.begin(2);
    let before = ground.claudes();
    let mut newer = include_bytes!("../../data/slot_claude.sh").to_vec();
    newer.extend_from_slice(b"\n# a later version\n");
    ground.write_claude(&newer);
    // Any change of the configuration has it looked at at once, not in half a minute.
    assert_eq!(
        client.ask(&json!({"type": "config", "set": {"note": 1}}))["type"],
        "config"
    );
    wait("other processes", || {
        let now = ground.claudes();
        now.len() == 2 && now.is_disjoint(&before)
    });
    wait("fresh slots", || fresh(&mut client) == 2);
}

#[test]
fn claudes_that_hang_at_their_start_hold_nobody_back() {
    let ground = Ground::new();
    let cores = std::thread::available_parallelism().map_or(2, |n| n.get().max(2));
    let script = include_str!("../../data/slot_claude.sh");
    let hang = format!(
        "[ \"$1\" = --version ] || for n in {{1..{cores}}}; do mkdir \"$HOME/hangs$n\" 2>/dev/null && exec sleep 600; done\n"
    );
    let (first, rest) = script.split_once('\n').expect("lines");
    ground.write_claude(format!("{first}\n{hang}{rest}").as_bytes());
    let daemon = ground.daemon();
    let mut client = daemon.client();
    let begun = client.ask(&json!({"type": "init", "size": cores + 2}));
    assert_eq!(begun["type"], "health", "{begun}");
    wait("the others", || {
        let slots = client.ask(&json!({"type": "health"}))["health"]["slots"].clone();
        slots["fresh"] == 2 && slots["spawning"] == cores
    });
    drop(daemon);
    ground.nothing_runs();
}
