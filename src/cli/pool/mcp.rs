//! `ccp mcp`: a pool as a server of the Model Context Protocol over standard input and output: JSON-RPC 2.0, one message
//! a line (modelcontextprotocol.io, revisions 2024-11-05 to 2025-11-25). Its tools are requests of the pool's own
//! protocol, with the same fields.

mod tools;

use super::stand::Stand;
use crate::cli::failure::{Failure, Outcome};
use crate::contract::exit;
use crate::contract::pool::{Line, Lines};
use serde_json::{Map, Value, json};
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

/// The revisions that are understood, newest first. They do not differ in what is used here, but for batches.
const REVISIONS: &[&str] = &["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
/// How many tools may be at work at a time: each one holds a thread and a connection.
const MOST_CALLS: usize = 64;
/// How long tools that are at work have when the input is over.
const LAST: Duration = Duration::from_secs(2);

// Codes of errors (JSON-RPC 2.0, section 5.1).
const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;
const SERVER_BUSY: i32 = -32000;

/// Runs `ccp mcp` until the input is over.
pub fn run(pool: &str) -> Outcome {
    let server = Server {
        stand: Arc::new(Stand::new(pool, false)?),
        at_work: Arc::new(AtomicUsize::new(0)),
    };
    let (send, receive) = mpsc::channel::<Value>();
    let (finished, over) = mpsc::channel::<()>();
    // One thread writes, so that answers of tools that finish together do not mix.
    std::thread::spawn(move || {
        let _finished = finished;
        for answer in receive {
            let mut stdout = io::stdout().lock();
            let written = writeln!(stdout, "{answer}").and_then(|()| stdout.flush());
            if written.is_err() {
                return;
            }
        }
    });
    let read = server.read(&send);
    drop(send);
    // Over when the last tool has answered, or time is up.
    let _ = over.recv_timeout(LAST);
    read.map_err(|error| Failure::new(format!("cannot read standard input: {error}")))?;
    Ok(exit::OK)
}

#[derive(Clone, Debug)]
struct Server {
    stand: Arc<Stand>,
    at_work: Arc<AtomicUsize>,
}

impl Server {
    fn read(&self, send: &Sender<Value>) -> io::Result<()> {
        let mut stdin = io::stdin().lock();
        let mut lines = Lines::of_requests();
        let mut chunk = vec![0; 64 * 1024];
        loop {
            let count = match stdin.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            lines.push(&chunk[..count]);
            while let Some(line) = lines.next() {
                let Line::Text(line) = line else {
                    let _ = send.send(refused(
                        &Value::Null,
                        PARSE_ERROR,
                        "the message is too long",
                    ));
                    return Ok(());
                };
                self.message(&line, send);
            }
        }
    }

    fn message(&self, line: &[u8], send: &Sender<Value>) {
        let answer = match serde_json::from_slice(line) {
            Err(error) => Some(refused(&Value::Null, PARSE_ERROR, &error.to_string())),
            Ok(Value::Array(batch)) if batch.is_empty() => {
                Some(refused(&Value::Null, INVALID_REQUEST, "the batch is empty"))
            }
            Ok(Value::Array(batch)) => return self.batch(batch, send.clone()),
            Ok(message) => return self.one(message, send.clone()),
        };
        let _ = answer.map(|answer| send.send(answer));
    }

    /// The answers of a batch are one message (revision 2025-03-26).
    fn batch(&self, batch: Vec<Value>, send: Sender<Value>) {
        let (each, answers) = mpsc::channel();
        for message in batch {
            self.one(message, each.clone());
        }
        std::thread::spawn(move || {
            drop(each);
            let answers: Vec<Value> = answers.into_iter().collect();
            if !answers.is_empty() {
                let _ = send.send(Value::Array(answers));
            }
        });
    }

    /// One message. A tool works on its own thread: waiting takes minutes, and a ping does not.
    fn one(&self, message: Value, send: Sender<Value>) {
        let Value::Object(message) = message else {
            let _ = send.send(refused(
                &Value::Null,
                INVALID_REQUEST,
                "a message is an object",
            ));
            return;
        };
        let Some(method) = message.get("method").and_then(Value::as_str) else {
            // An answer to a question that was never asked is nothing to answer.
            if !message.contains_key("result") && !message.contains_key("error") {
                let id = message.get("id").unwrap_or(&Value::Null);
                let _ = send.send(refused(id, INVALID_REQUEST, "`method` is missing"));
            }
            return;
        };
        // Without an id it is a notification.
        let Some(id) = message.get("id").cloned() else {
            return;
        };
        let params = message.get("params").and_then(Value::as_object);
        let params = params.cloned().unwrap_or_default();
        if method == "tools/call" {
            self.call(id, params, send);
        } else {
            let _ = send.send(match self.answer(method, &params) {
                Some(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
                None => refused(
                    &id,
                    METHOD_NOT_FOUND,
                    &format!("there is no method `{method}`"),
                ),
            });
        }
    }

    fn answer(&self, method: &str, params: &Map<String, Value>) -> Option<Value> {
        match method {
            "initialize" => Some(self.initialize(params)),
            "ping" => Some(json!({})),
            "tools/list" => Some(json!({"tools": tools::list()})),
            _ => None,
        }
    }

    /// The client's revision where it is understood, else the newest: the client decides whether it can go on.
    fn initialize(&self, params: &Map<String, Value>) -> Value {
        let asked = params.get("protocolVersion").and_then(Value::as_str);
        let revision = REVISIONS.iter().find(|revision| Some(**revision) == asked);
        json!({
            "protocolVersion": revision.unwrap_or(&REVISIONS[0]),
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "ccp", "version": env!("CARGO_PKG_VERSION")},
            "instructions": format!(
                "Runs prompts in Claude Code sessions of the pool `{}`. `start` begins one and returns its sessionId at \
                 once; `wait` returns what it said when it has finished; `followup` goes on with it.",
                self.stand.name
            ),
        })
    }

    fn call(&self, id: Value, params: Map<String, Value>, send: Sender<Value>) {
        let request = match tools::request(&self.stand, &params) {
            Ok(request) => request,
            Err(why) => {
                let _ = send.send(refused(&id, INVALID_PARAMS, &why));
                return;
            }
        };
        if self.at_work.fetch_add(1, Ordering::Relaxed) >= MOST_CALLS {
            self.at_work.fetch_sub(1, Ordering::Relaxed);
            let _ = send.send(refused(&id, SERVER_BUSY, "too many tools are at work"));
            return;
        }
        let server = self.clone();
        std::thread::spawn(move || {
            let (text, is_error) = match tools::call(&server.stand, request) {
                Ok(text) => (text, false),
                // The model reads it, and can do something about it.
                Err(failure) => (failure.error, true),
            };
            server.at_work.fetch_sub(1, Ordering::Relaxed);
            let content = json!([{"type": "text", "text": text}]);
            let result = json!({"content": content, "isError": is_error});
            let _ = send.send(json!({"jsonrpc": "2.0", "id": id, "result": result}));
        });
    }
}

fn refused(id: &Value, code: i32, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}
