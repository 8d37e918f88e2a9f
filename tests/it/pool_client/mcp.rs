//! `ccp mcp`: a client that speaks JSON-RPC gets what the pool says.

use super::{BOUND, Scripted, Stage, error};
use ccp::contract::pool::Request;
use ccp_standin::Running;
use serde_json::{Value, json};

fn answer(request: &Request) -> Vec<String> {
    match request {
        Request::Start(_) => {
            vec![json!({"type": "started", "sessionId": "a1", "status": "processing"}).to_string()]
        }
        Request::Capture { .. } => {
            vec![
                json!({"type": "result", "sessionId": "a1", "content": "it said\nthis"})
                    .to_string(),
            ]
        }
        // Nobody answers a wait.
        Request::Wait(_) => Vec::new(),
        _ => error("session_not_found", "session not found: x"),
    }
}

struct Client {
    running: Running,
}

impl Client {
    fn start(stage: &Stage) -> Self {
        let mut command = stage.command("ccp", &["mcp"]);
        command.env("CLAUDE_CODE_SESSION_ID", "conversation");
        let running = Running::start(command).expect("starts");
        Self { running }
    }

    /// The answer to a message with this id.
    #[track_caller]
    fn ask(&mut self, id: u64, method: &str, params: Value) -> Value {
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.say(&message.to_string());
        self.answer(id)
    }

    fn say(&mut self, line: &str) {
        self.running.write_line(line).expect("writes");
    }

    #[track_caller]
    fn answer(&mut self, id: u64) -> Value {
        let wanted = |line: &str| serde_json::from_str::<Value>(line).is_ok_and(|v| v["id"] == id);
        let line = self
            .running
            .wait_for_line(wanted, BOUND)
            .expect("an answer");
        serde_json::from_str(&line).expect("is JSON")
    }

    fn call(&mut self, id: u64, tool: &str, arguments: Value) -> Value {
        let answer = self.ask(
            id,
            "tools/call",
            json!({"name": tool, "arguments": arguments}),
        );
        answer["result"].clone()
    }
}

#[test]
fn tools_are_requests_of_the_pool() {
    let stage = Stage::new();
    let pool = Scripted::start(&stage, "default", answer);
    let mut client = Client::start(&stage);
    let hello = client.ask(
        1,
        "initialize",
        json!({"protocolVersion": "2025-03-26", "capabilities": {}}),
    );
    assert_eq!(hello["result"]["protocolVersion"], "2025-03-26");
    assert_eq!(hello["result"]["serverInfo"]["name"], "ccp");
    client.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    let tools = client.ask(2, "tools/list", json!({}));
    let names: Vec<&str> = tools["result"]["tools"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|tool| tool["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(
        names,
        ["start", "followup", "wait", "capture", "ls", "stop"]
    );
    let started = client.call(
        3,
        "start",
        json!({"prompt": "p", "metadata": {"name": "n"}}),
    );
    assert_eq!(started["isError"], false);
    let text = started["content"][0]["text"].as_str().expect("text");
    let reply: Value = serde_json::from_str(text).expect("is the reply");
    assert_eq!(reply["sessionId"], "a1");
    let asked = json!({"type": "start", "prompt": "p", "metadata": {"name": "n"}, "parent": "conversation"});
    assert_eq!(pool.next(), asked);
    let captured = client.call(4, "capture", json!({"sessionId": "a1", "turns": 2}));
    assert_eq!(captured["content"][0]["text"], "it said\nthis");
    let refused = client.call(5, "stop", json!({"sessionId": "x"}));
    assert_eq!(
        (&refused["isError"], &refused["content"][0]["text"]),
        (&json!(true), &json!("session not found: x"))
    );
}

#[test]
fn a_tool_that_waits_holds_nothing_up() {
    let stage = Stage::new();
    let pool = Scripted::start(&stage, "default", answer);
    let mut client = Client::start(&stage);
    client.say(
        &json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "wait"}})
            .to_string(),
    );
    assert_eq!(
        pool.next(),
        json!({"type": "wait", "parent": "conversation"})
    );
    assert_eq!(client.ask(2, "ping", json!({}))["result"], json!({}));
    client.running.close_stdin();
    assert_eq!(
        client
            .running
            .output(BOUND)
            .expect("ends with its input")
            .code,
        0
    );
}

#[test]
fn what_is_wrong_is_told_by_the_codes_of_json_rpc() {
    let stage = Stage::new();
    let mut client = Client::start(&stage);
    let code = |answer: Value| answer["error"]["code"].clone();
    assert_eq!(code(client.ask(1, "resources/list", json!({}))), -32601);
    assert_eq!(
        code(client.ask(2, "tools/call", json!({"name": "destroy"}))),
        -32602
    );
    let wrong = client.ask(
        3,
        "tools/call",
        json!({"name": "stop", "arguments": {"sessionId": 7}}),
    );
    assert_eq!(
        wrong["error"]["message"],
        "field `sessionId` must be a string, not 7"
    );
    assert_eq!(
        client.ask(4, "initialize", json!({"protocolVersion": "1999-01-01"}))["result"]["protocolVersion"],
        "2025-11-25"
    );
    client.say("not json");
    assert!(
        client
            .running
            .wait_for_line(|line| line.contains("-32700"), BOUND)
            .is_some()
    );
    client.say(r#"[{"jsonrpc":"2.0","id":7,"method":"ping"},{"jsonrpc":"2.0","method":"x"},{"jsonrpc":"2.0","id":8,"method":"ping"}]"#);
    let batch = client
        .running
        .wait_for_line(|line| line.starts_with('['), BOUND)
        .expect("answers");
    let batch: Value = serde_json::from_str(&batch).expect("is JSON");
    assert_eq!(batch.as_array().map(Vec::len), Some(2), "{batch}");
    // Nobody listens: the model is told what to do.
    let answer = client.call(9, "ls", json!({}));
    assert_eq!(answer["isError"], true);
    assert!(
        answer["content"][0]["text"]
            .as_str()
            .expect("text")
            .starts_with("no pool listens")
    );
}
