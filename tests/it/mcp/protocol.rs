//! The server by hand: one line after the other.

use super::scripted::{BOUND, SESSION, Scripted};
use crate::support::CCP;
use ccp::contract::pool::{MAX_REQUEST, Request};
use ccp_standin::Running;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A home with a short path: sockets go below it.
fn home() -> TempDir {
    let mut builder = tempfile::Builder::new();
    builder.prefix("ccp").tempdir_in("/tmp").expect("a home")
}

/// A client that talks to `ccp mcp`.
struct Client {
    running: Running,
    last: u32,
}

impl Client {
    fn of(mut command: Command, home: &Path) -> Self {
        command
            .env_clear()
            .env("HOME", home)
            .env("PATH", "/usr/bin:/bin")
            .current_dir(home);
        command.env("CLAUDE_CODE_SESSION_ID", "the-conversation");
        let running = Running::start(command).expect("starts");
        Self { running, last: 0 }
    }

    /// One that has said hello.
    fn start(home: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(CCP);
        command.arg("mcp").args(arguments);
        let mut client = Self::of(command, home);
        client.hello();
        client
    }

    fn hello(&mut self) {
        let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let id = self.send("initialize", &params);
        let answer = self.answer(id);
        assert_eq!(
            answer["result"]["protocolVersion"], "2025-06-18",
            "{answer}"
        );
        self.tell("notifications/initialized", &json!({}));
    }

    fn send(&mut self, method: &str, params: &Value) -> u32 {
        self.last += 1;
        let id = self.last;
        let line = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.running.write_line(&line.to_string()).expect("writes");
        id
    }

    fn tell(&mut self, method: &str, params: &Value) {
        let line = json!({"jsonrpc": "2.0", "method": method, "params": params});
        self.running.write_line(&line.to_string()).expect("writes");
    }

    fn call(&mut self, name: &str, arguments: &Value) -> u32 {
        self.send("tools/call", &json!({"name": name, "arguments": arguments}))
    }

    fn is_answer(line: &str, id: &Value) -> bool {
        serde_json::from_str::<Value>(line).is_ok_and(|v| v.get("id") == Some(id))
    }

    #[track_caller]
    fn answer(&mut self, id: impl Into<Value>) -> Value {
        let id = id.into();
        let line = self
            .running
            .wait_for_line(|line| Self::is_answer(line, &id), BOUND);
        let line = line.unwrap_or_else(|| panic!("no answer to {id}"));
        serde_json::from_str(&line).expect("JSON")
    }

    /// The text of a result, and whether it is an error.
    #[track_caller]
    fn text(&mut self, id: u32) -> (String, bool) {
        let answer = self.answer(id);
        let result = &answer["result"];
        let text = result["content"][0]["text"].as_str();
        let text = text.unwrap_or_else(|| panic!("{answer}")).to_owned();
        (text, result["isError"] == true)
    }

    /// Closes the input; what it said must be protocol alone, and its end a good one.
    #[track_caller]
    fn end(mut self) -> Vec<Value> {
        self.running.close_stdin();
        let output = self.running.output(BOUND).expect("ends");
        assert_eq!((output.code, output.stderr.as_str()), (0, ""));
        let lines = output.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).expect(line))
            .collect()
    }
}

#[test]
fn a_wait_holds_up_nobody_and_can_be_given_up() {
    let home = home();
    let pool = Scripted::start(home.path(), "default");
    let mut client = Client::start(home.path(), &[]);
    let start = client.call("start", &json!({"prompt": "do it", "name": "parser"}));
    assert_eq!(
        client.text(start),
        (format!("session {SESSION} is processing"), false)
    );
    let started = client.answer(start)["result"]["structuredContent"].clone();
    assert_eq!(
        started,
        json!({"sessionId": SESSION, "status": "processing"})
    );
    let asked = pool.asked("start", |request| match request {
        Request::Start(start) => Some(start.clone()),
        _ => None,
    });
    assert_eq!(asked.parent.as_deref(), Some("the-conversation"));
    assert_eq!(asked.prompt.as_deref(), Some("do it"));
    assert_eq!(asked.metadata.expect("some")["name"], "parser");

    let given_up = client.call("wait", &json!({}));
    pool.wait_for_waiting(1);
    let parent = pool.asked("wait", |request| match request {
        Request::Wait(wait) => Some((wait.parent.clone(), wait.session_id.clone())),
        _ => None,
    });
    assert_eq!(parent, (Some("the-conversation".to_owned()), None));
    let ls = client.call("ls", &json!({}));
    assert_eq!(client.text(ls).0, format!("{SESSION}  processing  parser"));
    client.tell(
        "notifications/cancelled",
        &json!({"requestId": given_up, "reason": "enough"}),
    );
    pool.wait_for_given_up(1);

    let again = client.call("wait", &json!({"sessionId": SESSION, "timeout": 1000}));
    let blocked = client.call("start", &json!({"prompt": "and this", "block": true}));
    pool.wait_for_waiting(3);
    pool.finish("it is done");
    for id in [again, blocked] {
        assert_eq!(
            client.text(id),
            (format!("session {SESSION}\n\nit is done"), false)
        );
        let structured = client.answer(id)["result"]["structuredContent"].clone();
        assert_eq!(
            structured,
            json!({"sessionId": SESSION, "text": "it is done"})
        );
    }
    let said = client.end();
    assert!(said.iter().all(|line| line["id"] != given_up), "{said:#?}");
}

#[test]
fn an_error_is_a_result_that_names_the_next_step() {
    let home = home();
    let mut client = Client::start(home.path(), &[]);
    let ls = client.call("ls", &json!({}));
    let (text, is_error) = client.text(ls);
    assert!(is_error && text.contains("ccp pool init"), "{text}");
    // The pool comes up later; the server finds it.
    let pool = Scripted::start(home.path(), "default");
    for (name, arguments, error, next) in [
        (
            "stop",
            json!({"sessionId": "beef"}),
            "session not found: beef",
            "`ls`",
        ),
        (
            "followup",
            json!({"sessionId": "a", "prompt": "p"}),
            "session is processing; stop first",
            "`wait`",
        ),
        (
            "followup",
            json!({"sessionId": "a"}),
            "`prompt` is required",
            "",
        ),
    ] {
        let id = client.call(name, &arguments);
        let (text, is_error) = client.text(id);
        assert!(
            is_error && text.contains(error) && text.contains(next),
            "{text}"
        );
    }
    let stop = client.call("stop", &json!({"sessionId": SESSION}));
    assert_eq!(
        client.text(stop),
        (format!("session {SESSION} is stopped"), false)
    );
    let capture = client.call("capture", &json!({"sessionId": SESSION, "turns": 0}));
    assert_eq!(
        client.text(capture).0,
        format!("session {SESSION}\n\nso far")
    );
    assert!(
        pool.so_far().iter().any(
            |request| matches!(request, Request::Capture { excerpt, .. } if excerpt.turns == 0)
        )
    );

    client.running.write_line("{nonsense").expect("writes");
    assert_eq!(client.answer(Value::Null)["error"]["code"], -32700);
    let unknown = client.send("prompts/list", &json!({}));
    assert_eq!(client.answer(unknown)["error"]["code"], -32601);
    let ping = client.send("ping", &json!({}));
    assert_eq!(client.answer(ping)["result"], json!({}));
    client.end();
}

#[test]
fn the_end_of_the_input_ends_what_waits() {
    let home = home();
    let pool = Scripted::start(home.path(), "work");
    let mut client = Client::start(home.path(), &["--pool", "work"]);
    client.call("wait", &json!({"sessionId": SESSION}));
    pool.wait_for_waiting(1);
    let said = client.end();
    assert_eq!(said.len(), 1, "hello alone was answered: {said:#?}");
    pool.wait_for_given_up(1);
    // What the pool answers at once is passed on to whoever closed one direction only.
    let mut client = Client::start(home.path(), &["--pool", "work"]);
    client.call("start", &json!({"prompt": "last words"}));
    assert_eq!(client.end().len(), 2);
}

#[test]
fn a_line_has_a_bound() {
    let home = home();
    let mut client = Client::start(home.path(), &[]);
    client
        .running
        .write_line(&"x".repeat(MAX_REQUEST + 1))
        .expect("writes");
    assert_eq!(client.answer(Value::Null)["error"]["code"], -32600);
    let output = client.running.output(BOUND).expect("ends");
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert!(
        output.stderr.starts_with("error: a message has at most"),
        "{}",
        output.stderr
    );
}

/// A server lives on when the conversation above it becomes another one, and its environment does not change with it.
#[test]
fn the_parent_is_the_conversation_as_it_is_now() {
    let home = home();
    let sessions = home.path().join(".claude/sessions");
    std::fs::create_dir_all(&sessions).expect("makes");
    let pool = Scripted::start(home.path(), "default");
    let mut command = Command::new("/bin/sh");
    // The shell stays, as claude would.
    command.args(["-c", "\"$0\" mcp; exit $?", CCP]);
    let mut client = Client::of(command, home.path());
    client.hello();
    for (number, id) in ["first", "second"].into_iter().enumerate() {
        let file = sessions.join(format!("{}.json", client.running.pid()));
        crate::support::put(&file, json!({"sessionId": id}).to_string().as_bytes());
        let start = client.call("start", &json!({"prompt": number.to_string()}));
        client.answer(start);
        let parent = pool.asked("start", |request| match request {
            Request::Start(start) if start.prompt == Some(number.to_string()) => {
                Some(start.parent.clone())
            }
            _ => None,
        });
        assert_eq!(parent.as_deref(), Some(id));
    }
    let none = client.call("start", &json!({"prompt": "orphan", "parent": "none"}));
    client.answer(none);
    let orphan = |request: &Request| match request {
        Request::Start(start) if start.prompt.as_deref() == Some("orphan") => {
            Some(start.parent.clone())
        }
        _ => None,
    };
    assert_eq!(pool.asked("start", orphan), None);
    client.end();
}
