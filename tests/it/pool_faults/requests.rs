//! What comes over the socket and is no request, or is too much of one.

use super::ground::{Client, Ground, wait};
use serde_json::{Value, json};
use std::io::Read;
use std::net::Shutdown;

/// Every request with its fields, each with a value that it takes.
fn requests() -> Vec<(&'static str, Value)> {
    let id = "0123456789ab";
    vec![
        ("ping", json!({})),
        ("health", json!({})),
        ("init", json!({"size": 1, "noRestore": true})),
        (
            "config",
            json!({"set": {"flags": "--x", "size": 1, "dir": "/", "keepFresh": 1}}),
        ),
        ("resize", json!({"size": 1})),
        ("destroy", json!({"confirm": false})),
        (
            "start",
            json!({"prompt": "p", "parent": "x", "parentId": "x", "metadata": {"a": 1}, "cwd": "/", "account": "a"}),
        ),
        ("followup", json!({"sessionId": id, "prompt": "p"})),
        (
            "wait",
            json!({"sessionId": id, "parent": "x", "timeout": 1, "source": "jsonl", "turns": 1, "detail": "last"}),
        ),
        (
            "capture",
            json!({"sessionId": id, "source": "jsonl", "turns": 1, "detail": "last"}),
        ),
        ("stop", json!({"sessionId": id})),
        ("archive", json!({"sessionId": id, "recursive": true})),
        ("unarchive", json!({"sessionId": id})),
        (
            "set",
            json!({"sessionId": id, "priority": 1, "pinned": 1, "metadata": {"a": 1}}),
        ),
        ("pin", json!({"sessionId": id, "duration": 1})),
        ("unpin", json!({"sessionId": id})),
        ("set-priority", json!({"sessionId": id, "priority": 1})),
        (
            "set-metadata",
            json!({"sessionId": id, "metadata": {"a": 1}}),
        ),
        (
            "ls",
            json!({"parent": "x", "callerId": "x", "all": true, "tree": true, "archived": true, "statuses": ["idle"], "verbosity": "flat"}),
        ),
        ("info", json!({"sessionId": id, "verbosity": "full"})),
        ("attach", json!({"sessionId": id})),
        (
            "pty-resize",
            json!({"sessionId": id, "cols": 80, "rows": 24}),
        ),
        ("input", json!({"sessionId": id, "data": "x"})),
        ("debug-slots", json!({})),
        ("debug-capture", json!({"slot": 99, "raw": true})),
        ("debug-logs", json!({"lines": 1, "follow": false})),
    ]
}

/// Values that are wrong somewhere: of every kind, and beyond every bound.
fn wrong_values() -> Vec<Value> {
    vec![
        json!(true),
        json!(-1),
        json!(0),
        json!(1.5),
        json!(1e300),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(""),
        json!("\u{0}\u{1b}[31m"),
        json!("x".repeat(100_000)),
        json!([]),
        json!([1, "a", null]),
        json!({}),
        json!({"a": {"b": [{}]}}),
    ]
}

/// A pool without slots, so that the requests are answered as they are, and a session that nobody can run.
fn answers(client: &mut Client, request: &Value) -> Value {
    let answer = client.ask(request);
    assert_eq!(answer["id"], request["id"], "{request} gave {answer}");
    answer
}

#[test]
fn every_field_of_every_request_may_be_wrong() {
    let ground = Ground::new();
    let daemon = ground.daemon();
    let mut client = daemon.begin(1);
    let mut count = 0;
    for (name, fields) in requests() {
        let fields = fields.as_object().expect("an object");
        for field in fields.keys() {
            for wrong in wrong_values() {
                let mut request = fields.clone();
                request.insert("type".to_owned(), json!(name));
                request.insert("id".to_owned(), json!({"n": count}));
                request.insert(field.clone(), wrong.clone());
                // What a right value would do is not this test's: only wrong ones are sent to what changes the pool.
                let harmless = match (name, field.as_str()) {
                    ("start", _) => {
                        !wrong.is_string() && (field == "metadata") != wrong.is_object()
                    }
                    ("config" | "resize" | "destroy", _) => {
                        !wrong.is_object() && wrong != json!(true)
                    }
                    ("wait", "timeout") => wrong.as_u64().is_none(),
                    _ => true,
                };
                if !harmless {
                    continue;
                }
                let answer = answers(&mut client, &Value::Object(request));
                let text = answer["error"].as_str().unwrap_or_default();
                let is_kind = |kind: &str| answer["type"] == kind;
                assert!(
                    [
                        "health", "config", "pool", "sessions", "logs", "slots", "pong"
                    ]
                    .iter()
                    .any(|k| is_kind(k))
                        || (is_kind("error") && !text.is_empty() && answer["code"].is_string()),
                    "{name} {field} {wrong}: {answer}"
                );
                if answer["code"] == "bad_request" && text.contains("must be") {
                    assert!(
                        text.contains(&format!("`{field}`")),
                        "{name} {field}: {text}"
                    );
                }
                count += 1;
            }
            // Left out.
            let mut request = fields.clone();
            request.remove(field);
            request.insert("type".to_owned(), json!(name));
            request.insert("id".to_owned(), json!(count));
            if !["start", "wait", "config", "init"].contains(&name) {
                answers(&mut client, &Value::Object(request));
            }
        }
        // Beside anything that nobody knows.
        let mut request = fields.clone();
        request.insert("type".to_owned(), json!(format!("{name}x")));
        let answer = answers(&mut client, &Value::Object(request));
        assert_eq!(answer["error"], format!("unknown command: {name}x"));
    }
    assert!(count > 500, "{count}");
    let health = client.ask(&json!({"type": "health", "sessions": 7, "unknown": {}}));
    assert_eq!(health["health"]["sessions"]["processing"], 0, "{health}");
    assert_eq!(health["health"]["size"], 1, "{health}");
}

#[test]
fn lines_that_are_no_requests_are_refused_and_the_connection_stays() {
    let ground = Ground::new();
    let daemon = ground.daemon();
    let mut client = daemon.client();
    let deep = "[".repeat(100_000);
    let rows: [&[u8]; 12] = [
        b"nonsense",
        b"{",
        b"[]",
        b"7",
        b"null",
        b"\"ping\"",
        b"{\"type\":7}",
        b"{}",
        b"{\"type\":null}",
        b"{\"type\":\"ping\"} {\"type\":\"ping\"}",
        b"{\"type\":\"ping\",\"id\":\"\xff\xfe\"}",
        deep.as_bytes(),
    ];
    for row in rows {
        client.bytes(row);
        client.bytes(b"\n");
        let answer = client.next().expect("an answer");
        assert_eq!(
            answer["type"],
            "error",
            "{:?}",
            String::from_utf8_lossy(row)
        );
        assert!(
            answer["error"]
                .as_str()
                .is_some_and(|text| text.len() < 400),
            "{answer}"
        );
    }
    client.bytes(b"\r\n\n   \n\t\r\n\n{\"type\":\"ping\",\"id\":1}\r\n");
    assert_eq!(client.next().expect("an answer")["id"], 1);
}

#[test]
fn a_line_that_is_too_long_ends_the_connection_with_a_word() {
    let ground = Ground::new();
    let daemon = ground.daemon();
    let before = daemon.memory_kb();
    // Whole, just as long as it may be.
    let mut client = daemon.client();
    let most = 16 * 1024 * 1024;
    let mut line = br#"{"type":"ping","id":1,"x":""#.to_vec();
    line.resize(most - 2, b'y');
    line.extend_from_slice(b"\"}\n");
    client.bytes(&line);
    assert_eq!(client.next().expect("an answer")["type"], "pong");
    // Whole and too long; and without an end, from a client that goes on.
    for end in [&b"\n"[..], b""] {
        let mut client = daemon.client();
        client.bytes(&vec![b'x'; most + 1]);
        client.bytes(end);
        let answer = client.next().expect("an answer");
        assert_eq!(answer["error"], "request too large");
        assert!(client.next().is_none(), "it is closed");
    }
    let mut other = daemon.client();
    assert_eq!(other.ask(&json!({"type": "ping"}))["type"], "pong");
    // Nothing of it is kept.
    if let (Some(before), Some(after)) = (before, daemon.memory_kb()) {
        assert!(after < before + 150_000, "{before} kB became {after} kB");
    }
}

#[test]
fn ten_thousand_requests_at_once_are_answered_in_order() {
    let ground = Ground::new();
    let daemon = ground.daemon();
    let mut client = daemon.begin(1);
    let mut writer = Client::of(client.stream.try_clone().expect("a second end"));
    let many = 10_000_usize;
    let sender = std::thread::spawn(move || {
        let line = |n| {
            let name = ["ping", "health", "ls", "nonsense"][n % 4];
            format!("{}\n", json!({"type": name, "id": n}))
        };
        let text: String = (0..many).map(line).collect();
        writer.bytes(text.as_bytes());
    });
    for n in 0..many {
        let answer = client.next().unwrap_or_else(|| panic!("answer {n}"));
        assert_eq!(answer["id"], n);
    }
    sender.join().expect("sends");
}

#[test]
fn whoever_closes_one_half_gets_all_answers() {
    let ground = Ground::new();
    let daemon = ground.daemon();
    let mut client = daemon.begin(1);
    let session = client.start("hold on");
    let mut half = daemon.client();
    let until = json!({"type": "wait", "sessionId": session, "id": 1});
    half.bytes(format!("{until}\n{{\"type\":\"ping\",\"id\":2}}\n{{\"type\":\"pi").as_bytes());
    half.stream.shutdown(Shutdown::Write).expect("closes");
    // Longer than the daemon needs to see that somebody is gone.
    let mut byte = [0];
    half.stream
        .set_read_timeout(Some(std::time::Duration::from_millis(2_500)))
        .expect("is set");
    assert!(half.stream.read(&mut byte).is_err(), "nothing yet");
    half.stream
        .set_read_timeout(Some(super::ground::BOUND))
        .expect("is set");
    wait("a stop", || {
        client.ask(&json!({"type": "stop", "sessionId": session}))["type"] == "ok"
    });
    assert_eq!(half.next().expect("the wait")["id"], 1);
    assert_eq!(half.next().expect("the ping")["id"], 2);
    assert!(half.next().is_none(), "half a request is none");
}
