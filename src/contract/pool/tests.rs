//! Requests as clients send them, and what they come to.

mod documentation;

use super::*;
use serde_json::{Value, json};

fn parsed(line: &Value) -> Request {
    match Request::parse(line.to_string().as_bytes()) {
        Ok(incoming) => incoming.request,
        Err(refused) => panic!("{line}: {}", refused.error),
    }
}

fn refusal(line: &Value) -> (String, String) {
    let refused = Request::parse(line.to_string().as_bytes()).expect_err("is refused");
    (refused.error.code.word().to_owned(), refused.error.text)
}

#[test]
fn what_is_not_said_is_what_the_protocol_says() {
    let Request::Wait(wait) = parsed(&json!({"type": "wait"})) else {
        panic!("is a wait")
    };
    assert_eq!(wait, Wait::default());
    assert_eq!((wait.timeout_ms, wait.excerpt.turns), (300_000, 1));
    assert_eq!(
        parsed(&json!({"type": "debug-logs"})),
        Request::DebugLogs {
            lines: 50,
            follow: false
        }
    );
    let Request::Info(info) = parsed(&json!({"type": "info", "sessionId": "a"})) else {
        panic!("is an info")
    };
    assert_eq!(info.verbosity, Verbosity::Full);
    let Request::Ls(ls) = parsed(&json!({"type": "ls"})) else {
        panic!("is an ls")
    };
    assert_eq!(ls.shown(), Verbosity::Flat);
}

#[test]
fn other_spellings_mean_the_same() {
    let rows = [
        (
            json!({"type": "start", "prompt": "p", "parentId": "x"}),
            json!({"type": "start", "prompt": "p", "parent": "x"}),
        ),
        (
            json!({"type": "ls", "callerId": "x"}),
            json!({"type": "ls", "parent": "x"}),
        ),
        (
            json!({"type": "pin", "sessionId": "a", "duration": 30}),
            json!({"type": "set", "sessionId": "a", "pinned": 30}),
        ),
        (
            json!({"type": "unpin", "sessionId": "a"}),
            json!({"type": "set", "sessionId": "a", "pinned": false}),
        ),
        (
            json!({"type": "set-priority", "sessionId": "a", "priority": -2}),
            json!({"type": "set", "sessionId": "a", "priority": -2}),
        ),
        (
            json!({"type": "set-metadata", "sessionId": "a", "metadata": {"name": null}}),
            json!({"type": "set", "sessionId": "a", "metadata": {"name": null}}),
        ),
        (
            json!({"type": "wait", "timeout": 5000.0, "unknown": [1], "parent": ""}),
            json!({"type": "wait", "timeout": 5000, "source": null}),
        ),
    ];
    for (given, same) in rows {
        assert_eq!(parsed(&given), parsed(&same), "{given}");
    }
}

#[test]
fn a_wrong_request_is_told_what_is_wrong_with_it() {
    let rows = [
        (
            json!({"type": "nonsense"}),
            "unknown_command",
            "unknown command: nonsense",
        ),
        (json!({}), "bad_request", "field `type` is required"),
        (
            json!({"type": 7}),
            "bad_request",
            "field `type` must be a string, not 7",
        ),
        (
            json!([]),
            "bad_json",
            "invalid JSON: a request is an object, not an array",
        ),
        (
            json!({"type": "init", "size": 0}),
            "bad_size",
            "pool size must be positive",
        ),
        (
            json!({"type": "resize", "size": -4}),
            "bad_size",
            "pool size must be positive",
        ),
        (
            json!({"type": "resize", "size": "4"}),
            "bad_request",
            "field `size` must be an integer, not the string \"4\"",
        ),
        (
            json!({"type": "resize"}),
            "bad_request",
            "field `size` is required",
        ),
        (
            json!({"type": "config", "set": {"size": 0}}),
            "bad_size",
            "pool size must be positive",
        ),
        (
            json!({"type": "config", "set": 1}),
            "bad_request",
            "field `set` must be an object, not 1",
        ),
        (
            json!({"type": "start", "prompt": 1}),
            "bad_request",
            "field `prompt` must be a string, not 1",
        ),
        (
            json!({"type": "followup", "sessionId": "a"}),
            "bad_request",
            "field `prompt` is required",
        ),
        (
            json!({"type": "capture", "sessionId": "a", "source": "screen"}),
            "bad_request",
            "field `source` must be one of jsonl, buffer, not the string \"screen\"",
        ),
        (
            json!({"type": "capture", "sessionId": "a", "turns": -1}),
            "bad_request",
            "field `turns` must be an integer that is not negative, not -1",
        ),
        (
            json!({"type": "set", "sessionId": "a", "pinned": true}),
            "bad_request",
            "field `pinned` must be a number of seconds or false, not a boolean",
        ),
        (
            json!({"type": "set", "sessionId": "a"}),
            "nothing_to_set",
            "nothing to set: give priority, pinned or metadata",
        ),
        (
            json!({"type": "ls", "statuses": ["idle", "sleepy"]}),
            "bad_request",
            "field `statuses` must be an array of strings, each one of queued, idle, processing, offloaded, error, \
             archived, not an array",
        ),
        (
            json!({"type": "pty-resize", "sessionId": "a", "cols": 0, "rows": 1}),
            "bad_request",
            "field `cols` must be an integer from 1 to 65535, not 0",
        ),
        (
            json!({"type": "subscribe", "sessions": "a"}),
            "bad_request",
            "field `sessions` must be an array of strings, not the string \"a\"",
        ),
    ];
    for (given, code, text) in rows {
        assert_eq!(
            refusal(&given),
            (code.to_owned(), text.to_owned()),
            "{given}"
        );
    }
}

#[test]
fn an_id_comes_back_with_whatever_is_answered_unless_it_is_null() {
    for id in [json!(1), json!("x"), json!({"a": [1]}), json!(false)] {
        let line = json!({"type": "ping", "id": id}).to_string();
        let incoming = Request::parse(line.as_bytes()).expect("is right");
        assert_eq!(incoming.id, Some(id.clone()));
        let reply: Value = serde_json::from_str(&Reply::Ok.line(Some(&id))).expect("is JSON");
        assert_eq!(reply, json!({"type": "ok", "id": id}));
        let wrong = json!({"type": "stop", "id": id}).to_string();
        let refused = Request::parse(wrong.as_bytes()).expect_err("is refused");
        assert_eq!(refused.id, Some(id.clone()));
        let told: Value = serde_json::from_str(&refused.error.line(Some(&id))).expect("is JSON");
        assert_eq!(told["id"], id);
    }
    let incoming = Request::parse(b"{\"type\":\"ping\",\"id\":null}").expect("is right");
    assert_eq!(incoming.id, None);
    assert_eq!(Reply::Ok.line(Some(&Value::Null)), "{\"type\":\"ok\"}\n");
}

#[test]
fn a_session_shows_what_was_asked_for() {
    let mut session = Session {
        session_id: "0123456789ab".to_owned(),
        status: Status::Idle,
        priority: 0,
        pinned: false,
        pending_input: Some(String::new()),
        waiting_for: None,
        limited_until: None,
        children: None,
        full: None,
    };
    let shown = |session: &Session| serde_json::to_value(session).expect("is JSON");
    assert_eq!(
        shown(&session),
        json!({"sessionId": "0123456789ab", "status": "idle"})
    );
    session.priority = -1;
    session.pinned = true;
    session.children = Some(Vec::new());
    assert_eq!(
        shown(&session),
        json!({"sessionId": "0123456789ab", "status": "idle", "priority": -1, "pinned": true, "children": []})
    );
    session.full = Some(Full {
        parent: String::new(),
        cwd: "/w".to_owned(),
        claude_uuid: None,
        spawn_cwd: "/w".to_owned(),
        created_at: "2026-11-21T10:00:00Z".to_owned(),
        pid: None,
        metadata: serde_json::Map::new(),
        account: None,
        model: None,
        last_used_at: None,
    });
    session.priority = 0;
    let full = shown(&session);
    for (name, value) in [
        ("priority", json!(0)),
        ("pinned", json!(true)),
        ("pendingInput", json!("")),
        ("parent", json!("")),
        ("claudeUUID", Value::Null),
        ("pid", Value::Null),
        ("metadata", json!({})),
        ("account", Value::Null),
    ] {
        assert_eq!(full.get(name), Some(&value), "{name} in {full}");
    }
    let back: Session = serde_json::from_value(full).expect("reads it");
    assert_eq!(back, session);
}

#[test]
fn health_is_read_below_its_name_and_beside_it() {
    let health = Health {
        name: "default".to_owned(),
        size: 1,
        queue_depth: 0,
        slots: SlotCounts::default(),
        sessions: SessionCounts::default(),
        config: Config::default(),
        accounts: Vec::new(),
        version: "1".to_owned(),
        readopted: None,
        problems: Vec::new(),
    };
    let reply = Reply::Health {
        health: Box::new(health),
    };
    let line: Value = serde_json::from_str(&reply.line(None)).expect("is JSON");
    for name in ["name", "size", "queueDepth", "slots", "sessions", "config"] {
        assert_eq!(line["health"][name], line[name], "{name}");
        assert!(line.get(name).is_some(), "{name}");
    }
    assert_eq!(Message::of(line), Ok(Message::Reply(reply)));
}

#[test]
fn codes_are_words_and_come_back() {
    for (code, word) in Code::all() {
        assert_eq!(Code::of(word), *code);
        assert_eq!(code.word(), *word);
    }
    assert_eq!(Code::of("new_one").word(), "new_one");
}

#[test]
fn bytes_that_mean_nothing_make_nothing_panic() {
    let line = b"{\"type\":\"set\",\"sessionId\":\"a\",\"pinned\":1e300,\"priority\":2}";
    for end in 0..=line.len() {
        for bit in 0..8 {
            let mut bytes = line[..end].to_vec();
            if let Some(last) = bytes.last_mut() {
                *last ^= 1 << bit;
            }
            let _ = Request::parse(&bytes);
            let _ = Message::parse(&bytes);
        }
    }
    let deep = "[".repeat(100_000);
    assert!(Request::parse(deep.as_bytes()).is_err());
}
