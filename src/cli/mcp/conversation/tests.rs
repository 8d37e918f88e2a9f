use super::*;

/// What is written for a line, and the keys of the calls that begin.
fn take(conversation: &mut Conversation, line: &Value) -> (Vec<Value>, Vec<u64>) {
    read(conversation.line(line.to_string().as_bytes(), Duration::ZERO))
}

fn read(actions: Vec<Action>) -> (Vec<Value>, Vec<u64>) {
    let mut said = Vec::new();
    let mut keys = Vec::new();
    for action in actions {
        match action {
            Action::Say(value) => said.push(value),
            Action::Begin(key, _) | Action::Abandon(key) => keys.push(key),
        }
    }
    (said, keys)
}

fn request(id: u32, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

fn wait(id: u32) -> Value {
    request(id, "tools/call", json!({"name": "wait"}))
}

fn cancel(id: u32) -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}})
}

fn done() -> Outcome {
    Outcome::Done {
        text: "said".to_owned(),
        structured: json!({"sessionId": "ab"}),
    }
}

/// A conversation in this version.
fn speaking(version: &str) -> Conversation {
    let mut conversation = Conversation::default();
    let params = json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let (said, _) = take(&mut conversation, &request(0, "initialize", params));
    assert_eq!(said.len(), 1);
    let told = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(take(&mut conversation, &told), (vec![], vec![]));
    conversation
}

#[test]
fn a_version_is_agreed_on() {
    for (asked, agreed) in [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
        ("", "2025-11-25"),
    ] {
        let mut conversation = Conversation::default();
        let line = request(1, "initialize", json!({"protocolVersion": asked}));
        let (said, _) = take(&mut conversation, &line);
        let result = &said[0]["result"];
        assert_eq!(result["protocolVersion"], agreed, "{asked}");
        assert_eq!(result["capabilities"], json!({"tools": {}}));
        assert_eq!(result["serverInfo"]["name"], "ccp");
    }
    let mut conversation = Conversation::default();
    let (said, _) = take(&mut conversation, &request(1, "initialize", json!({})));
    assert_eq!(said[0]["error"]["code"], -32602);
}

#[test]
fn what_is_not_understood_is_answered_and_the_rest_goes_on() {
    let mut conversation = speaking("2025-11-25");
    let (said, _) = read(conversation.line(b"nonsense", Duration::ZERO));
    assert_eq!(
        (&said[0]["error"]["code"], &said[0]["id"]),
        (&json!(-32700), &Value::Null)
    );
    for (line, code) in [
        (request(1, "resources/list", json!({})), -32601),
        (request(1, "tools/call", json!({"name": "fly"})), -32602),
        (json!({"jsonrpc": "2.0", "id": 1}), -32600),
    ] {
        let (said, _) = take(&mut conversation, &line);
        assert_eq!(
            (&said[0]["error"]["code"], &said[0]["id"]),
            (&json!(code), &json!(1))
        );
    }
    // Nothing is said to what wants no answer.
    for silent in [
        json!({"jsonrpc": "2.0", "method": "notifications/fly"}),
        json!({"jsonrpc": "2.0", "id": 9, "result": {}}),
        cancel(99),
    ] {
        assert_eq!(take(&mut conversation, &silent), (vec![], vec![]));
    }
    let (said, _) = take(&mut conversation, &request(2, "ping", json!({})));
    assert_eq!(said, [json!({"jsonrpc": "2.0", "id": 2, "result": {}})]);
    let (said, _) = take(&mut conversation, &request(3, "tools/list", json!({})));
    let names = said[0]["result"]["tools"]
        .as_array()
        .expect("a list")
        .iter();
    let names: Vec<_> = names.filter_map(|tool| tool["name"].as_str()).collect();
    assert_eq!(
        names,
        ["start", "followup", "wait", "capture", "ls", "stop"]
    );
}

#[test]
fn calls_end_in_their_own_order_and_mistakes_are_results() {
    let mut conversation = speaking("2025-11-25");
    let (_, first) = take(&mut conversation, &wait(1));
    let (said, second) = take(
        &mut conversation,
        &request(2, "tools/call", json!({"name": "ls", "arguments": {}})),
    );
    assert!(said.is_empty() && first != second);
    let (said, _) = read(conversation.done(second[0], &done()));
    assert_eq!(said[0]["id"], 2);
    assert_eq!(
        said[0]["result"]["structuredContent"],
        json!({"sessionId": "ab"})
    );
    assert_eq!(
        said[0]["result"]["content"],
        json!([{"type": "text", "text": "said"}])
    );
    let (said, _) = read(conversation.done(first[0], &Outcome::Failed("timeout".to_owned())));
    assert_eq!(
        (&said[0]["id"], &said[0]["result"]["isError"]),
        (&json!(1), &json!(true))
    );
    assert!(!conversation.is_busy());
    let (said, keys) = take(
        &mut conversation,
        &request(3, "tools/call", json!({"name": "stop"})),
    );
    assert!(keys.is_empty());
    let text = said[0]["result"]["content"][0]["text"]
        .as_str()
        .expect("text");
    assert_eq!(text, "argument `sessionId` is required");
}

#[test]
fn older_versions_get_text_alone() {
    for (version, structured) in [
        ("2024-11-05", false),
        ("2025-03-26", false),
        ("2025-06-18", true),
    ] {
        let mut conversation = speaking(version);
        let (_, keys) = take(&mut conversation, &wait(1));
        let (said, _) = read(conversation.done(keys[0], &done()));
        let has = said[0]["result"].get("structuredContent").is_some();
        assert_eq!(has, structured, "{version}");
    }
}

#[test]
fn a_cancelled_call_is_abandoned_and_gets_no_answer() {
    let mut conversation = speaking("2025-06-18");
    let (_, first) = take(&mut conversation, &wait(1));
    let (_, second) = take(&mut conversation, &wait(2));
    let actions = conversation.line(cancel(1).to_string().as_bytes(), Duration::ZERO);
    assert_eq!(actions, [Action::Abandon(first[0])]);
    assert!(!conversation.wants(first[0]) && conversation.wants(second[0]));
    assert_eq!(conversation.done(first[0], &done()), []);
    assert_eq!(conversation.done(second[0], &done()).len(), 1);
}

#[test]
fn batches_are_answered_together_where_there_are_any() {
    let batch = json!([
        request(1, "ping", json!({})),
        wait(2),
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        7,
        wait(3),
    ]);
    let mut conversation = speaking("2025-03-26");
    let (said, keys) = take(&mut conversation, &batch);
    assert!(said.is_empty() && keys.len() == 2);
    assert_eq!(take(&mut conversation, &cancel(3)), (vec![], vec![keys[1]]));
    let (said, _) = read(conversation.done(keys[0], &done()));
    let answers = said[0].as_array().expect("a batch").iter();
    let ids: Vec<_> = answers.map(|answer| answer["id"].clone()).collect();
    assert_eq!(ids, [json!(1), Value::Null, json!(2)]);
    let told = json!([{"jsonrpc": "2.0", "method": "notifications/initialized"}]);
    assert_eq!(take(&mut conversation, &told), (vec![], vec![]));
    let mut later = speaking("2025-06-18");
    let (said, keys) = take(&mut later, &batch);
    assert_eq!((&said[0]["error"]["code"], keys.len()), (&json!(-32600), 0));
}

#[test]
fn who_asked_for_it_hears_that_a_call_still_runs() {
    let mut conversation = speaking("2025-11-25");
    let params = json!({"name": "wait", "_meta": {"progressToken": "p"}});
    let (_, keys) = take(&mut conversation, &request(1, "tools/call", params));
    let _ = take(&mut conversation, &wait(2));
    let (said, _) = read(conversation.progress(Duration::from_secs(20)));
    let params = json!({"progressToken": "p", "progress": 20.0});
    assert_eq!(
        said,
        [json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})]
    );
    let _ = conversation.done(keys[0], &done());
    assert_eq!(conversation.progress(Duration::from_secs(40)), []);
}

#[test]
fn there_is_a_bound_to_what_runs_at_once() {
    let mut conversation = speaking("2025-11-25");
    for id in 0..64 {
        assert_eq!(take(&mut conversation, &wait(id)).1.len(), 1);
    }
    let (said, keys) = take(&mut conversation, &wait(64));
    assert!(keys.is_empty());
    assert_eq!(said[0]["result"]["isError"], true);
}
