//! What comes without being asked for again: events, log lines.

use super::{BOUND, Scripted, Stage};
use ccp::contract::pool::Request;
use ccp_standin::Running;
use serde_json::json;

fn streaming(request: &Request) -> Vec<String> {
    match request {
        Request::Subscribe(_) => vec![
            json!({"type": "event", "event": "created", "sessionId": "a", "status": "queued", "parent": ""}).to_string(),
            json!({"type": "event", "event": "something-new", "sessionId": "a"}).to_string(),
            json!({"type": "event", "event": "pool", "action": "destroy"}).to_string(),
        ],
        _ => vec![
            json!({"type": "logs", "lines": ["old"]}).to_string(),
            json!({"type": "log", "line": "new"}).to_string(),
            "close".to_owned(),
        ],
    }
}

#[test]
fn events_are_printed_as_they_come() {
    let stage = Stage::new();
    let pool = Scripted::start(&stage, "default", streaming);
    let text = stage.ok(&["subscribe", "--event", "created,pool", "--status", "queued"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines[0], lines[2]), ("a  created, queued", "pool ended"));
    assert_eq!(
        pool.next(),
        json!({"type": "subscribe", "events": ["created", "pool"], "statuses": ["queued"]})
    );
    let command = stage.command("ccp", &["pool", "--json", "subscribe"]);
    let mut running = Running::start(command).expect("starts");
    // Printed while the stream goes on.
    let line = running.wait_for_line(|line| line.contains("something-new"), BOUND);
    assert!(line.is_some_and(|line| line.starts_with('{')));
}

#[test]
fn the_log_is_followed_until_the_daemon_ends() {
    let stage = Stage::new();
    let pool = Scripted::start(&stage, "default", streaming);
    assert_eq!(stage.ok(&["debug", "logs", "--follow"]), "old\nnew\n");
    assert_eq!(pool.next(), json!({"type": "debug-logs", "follow": true}));
}
