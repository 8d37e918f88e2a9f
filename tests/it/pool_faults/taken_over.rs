//! What a daemon finds at its start: another implementation's sessions, or ten thousand of its own.

use super::ground::{Ground, wait};
use crate::support::put;
use ccp::adapters::pool_store::PoolStore;
use ccp::core::pool::id::{ClaudeUuid, SessionId};
use ccp::core::pool::record::{Change, Rest, SessionRecord};
use ccp::core::time::Timestamp;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

#[test]
fn sessions_of_another_implementation_are_taken_over_once() {
    let ground = Ground::new();
    ground.make_dir();
    let foreign = json!({"version": 3, "sessions": [
        {"sessionId": "0123456789ab", "claudeUUID": "u-1", "cwd": "/w", "spawnCwd": "/s", "priority": 3,
         "createdAt": "2025-01-02T03:04:05Z", "metadata": {"name": "mine", "tags": ["a"]}, "parent": "p", "status": "idle"},
        {"sessionId": "0123456789ac", "claudeUUID": "u-2", "status": "archived"},
        {"sessionId": "nonsense", "claudeUUID": "u-3"},
        {"sessionId": "0123456789ad"},
    ]});
    let path = ground.dir.join("pool.json");
    put(&path, foreign.to_string().as_bytes());
    let before = (
        fs::read(&path).expect("reads"),
        fs::metadata(&path).expect("is there").modified().ok(),
    );
    for round in 0..3 {
        let daemon = ground.daemon();
        let mut client = daemon.client();
        client.ask(&json!({"type": "init", "size": 1, "noRestore": true}));
        let info = client.ask(&json!({"type": "info", "sessionId": "0123456789ab"}));
        let session = &info["session"];
        assert_eq!(session["status"], "offloaded", "{info}");
        assert_eq!(session["createdAt"], "2025-01-02T03:04:05Z");
        assert_eq!(
            (&session["cwd"], &session["spawnCwd"]),
            (&json!("/w"), &json!("/s"))
        );
        assert_eq!(
            (&session["claudeUUID"], &session["parent"]),
            (&json!("u-1"), &json!("p"))
        );
        let priority = if round == 0 { 3 } else { 9 };
        assert_eq!(
            session["priority"], priority,
            "round {round}: not taken over again"
        );
        assert_eq!(session["metadata"], json!({"name": "mine", "tags": ["a"]}));
        assert_eq!(client.status("0123456789ac"), "archived");
        assert_eq!(
            client.ask(&json!({"type": "info", "sessionId": "0123456789ad"}))["type"],
            "error"
        );
        client.ask(&json!({"type": "set", "sessionId": "0123456789ab", "priority": 9}));
        wait("a fresh slot", || {
            client.ask(&json!({"type": "health"}))["health"]["slots"]["fresh"] == 1
        });
        drop(daemon);
        let log = ground.log();
        assert_eq!(log.matches("2 sessions taken over").count(), 1, "{log}");
        assert!(log.contains("`nonsense` is no id of a session"), "{log}");
        let after = (
            fs::read(&path).expect("reads"),
            fs::metadata(&path).expect("is there").modified().ok(),
        );
        assert_eq!(after, before, "it is never written");
    }
}

#[test]
fn a_foreign_state_that_makes_no_sense_is_told_and_left() {
    let ground = Ground::new();
    ground.make_dir();
    put(&ground.dir.join("pool.json"), b"{\"sessions\": [");
    let daemon = ground.daemon();
    daemon.begin(1);
    assert!(
        ground
            .log()
            .contains("is not all taken over: it is no JSON"),
        "{}",
        ground.log()
    );
}

#[test]
fn ten_thousand_sessions_are_held() {
    const MANY: u64 = 10_000;
    let ground = Ground::new();
    ground.make_dir();
    let session = |n: u64| SessionRecord {
        id: SessionId::from_bits(n << 8 | 1),
        uuid: Some(ClaudeUuid::new(&format!("uuid-{n}"))),
        has_transcript: true,
        rest: if n.is_multiple_of(5) {
            Rest::Archived(ccp::adapters::clock::now())
        } else {
            Rest::Offloaded
        },
        seat: None,
        order: None,
        priority: 0,
        pinned_until: None,
        parent: if n.is_multiple_of(3) {
            String::new()
        } else {
            SessionId::from_bits((n / 3) << 8 | 1).to_string()
        },
        cwd: ground.home().to_owned(),
        spawn_cwd: ground.home().to_owned(),
        created_at: Timestamp::from_unix_ms(1_700_000_000_000 + i64::try_from(n).expect("small")),
        last_used_at: Timestamp::from_unix_ms(1_700_000_000_000),
        metadata: BTreeMap::from([("name".to_owned(), format!("\"session {n}\""))]),
        account: None,
        model: None,
        saved_input: None,
        was_live: false,
    };
    let changes: Vec<Change> = (0..MANY)
        .map(|n| Change::Session(Box::new(session(n))))
        .collect();
    let mut store = PoolStore::open(&ground.dir.join("pool.db")).expect("opens");
    store.write(&changes, |_, _| 0).expect("writes");
    drop(store);
    let began = Instant::now();
    let daemon = ground.daemon();
    println!("listens after {:?}", began.elapsed());
    let mut client = daemon.begin(1);
    println!("a fresh slot after {:?}", began.elapsed());
    for request in [
        json!({"type": "health"}),
        json!({"type": "ls", "all": true}),
        json!({"type": "ls", "all": true, "tree": true, "verbosity": "full"}),
        json!({"type": "ls", "all": true, "archived": true, "verbosity": "full"}),
        json!({"type": "info", "sessionId": SessionId::from_bits(1).to_string()}),
        json!({"type": "start", "prompt": "hello"}),
    ] {
        let asked = Instant::now();
        let answer = client.ask(&request);
        let took = asked.elapsed();
        println!("{took:?} for {request}: {} bytes", answer.to_string().len());
        assert_ne!(answer["type"], "error", "{answer}");
        assert!(took < Duration::from_secs(10), "{took:?} for {request}");
        if request["archived"] == true {
            assert!(
                answer["sessions"]
                    .as_array()
                    .is_some_and(|all| !all.is_empty())
            );
        }
        if let Some(session) = answer["sessionId"].as_str() {
            let waited =
                client.ask(&json!({"type": "wait", "sessionId": session, "timeout": 30_000}));
            assert_eq!(waited["type"], "result", "{waited}");
            println!("{:?} for a turn", asked.elapsed());
        }
    }
    if let Some(memory) = daemon.memory_kb() {
        println!("{memory} kB");
        assert!(memory < 200_000, "{memory} kB");
    }
}
