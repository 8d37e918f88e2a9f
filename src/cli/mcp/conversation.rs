//! The conversation with a client: which version is spoken, which calls run, whom an answer is for. Decides only; lines
//! come in and what is to be done goes out.

use super::call::{self, Call};
use super::rpc::{self, Frame, Message, Wrong};
use super::tools::{self, INSTRUCTIONS};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// How many calls run at once: far more than a pool has slots, and each has a thread and a connection.
const MAX_CALLS: usize = 64;

/// The versions of MCP that are spoken, each named by its date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// The first one.
    V2024_11_05,
    /// Batches, and annotations of tools.
    V2025_03_26,
    /// No batches; results that programs read.
    V2025_06_18,
    /// Wrong arguments are results, so that a model can mend them.
    V2025_11_25,
}

impl Version {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::V2024_11_05, "2024-11-05"),
        (Self::V2025_03_26, "2025-03-26"),
        (Self::V2025_06_18, "2025-06-18"),
        (Self::V2025_11_25, "2025-11-25"),
    ];
    const LATEST: Self = Self::V2025_11_25;

    /// What the client asked for, else the newest: it ends the connection when it does not know that one.
    fn agreed(asked: &str) -> Self {
        let row = Self::ALL.iter().find(|(_, name)| *name == asked);
        row.map_or(Self::LATEST, |(version, _)| *version)
    }

    fn name(self) -> &'static str {
        let row = Self::ALL.iter().find(|(version, _)| *version == self);
        row.map_or("", |(_, name)| *name)
    }

    fn has_batches(self) -> bool {
        self == Self::V2025_03_26
    }

    /// Whether tools say how they behave.
    pub fn has_annotations(self) -> bool {
        self >= Self::V2025_03_26
    }

    /// Whether results have a part for programs.
    pub fn has_structured_content(self) -> bool {
        self >= Self::V2025_06_18
    }
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It was done.
    Done {
        /// For people and models.
        text: String,
        /// For programs; fits the tool's output schema.
        structured: Value,
    },
    /// It was not; what went wrong, and the next step.
    Failed(String),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Write this line.
    Say(Value),
    /// Carry a call out; its outcome comes back with the key.
    Begin(u64, Call),
    /// Nobody wants this call's outcome any more.
    Abandon(u64),
}

/// A call that runs.
#[derive(Debug)]
struct Running {
    id: Value,
    /// Under which name the client wants to hear that it still runs.
    progress: Option<Value>,
    began: Duration,
    batch: Option<u64>,
}

/// A batch some of whose answers are missing.
#[derive(Debug, Default)]
struct Batch {
    missing: usize,
    answers: Vec<Value>,
}

/// The state of a conversation.
#[derive(Debug, Default)]
pub struct Conversation {
    version: Option<Version>,
    last_key: u64,
    calls: BTreeMap<u64, Running>,
    batches: HashMap<u64, Batch>,
}

impl Conversation {
    /// A line came in, so long after the beginning.
    #[must_use]
    pub fn line(&mut self, line: &[u8], now: Duration) -> Vec<Action> {
        let mut actions = Vec::new();
        match rpc::frame(line) {
            Ok(Frame::One(value)) => self.message(value, None, now, &mut actions),
            // Before the first message nobody knows which version it is.
            Ok(Frame::Batch(values)) if self.version.is_none_or(Version::has_batches) => {
                self.batch(values, now, &mut actions);
            }
            Ok(Frame::Batch(_)) => {
                let text = "this version of the protocol has no batches";
                let wrong = Wrong::new(Value::Null, rpc::INVALID_REQUEST, text);
                actions.push(Action::Say(wrong.answer()));
            }
            Err(wrong) => actions.push(Action::Say(wrong.answer())),
        }
        actions
    }

    /// A call came to its end.
    #[must_use]
    pub fn done(&mut self, key: u64, outcome: &Outcome) -> Vec<Action> {
        let mut actions = Vec::new();
        if let Some(running) = self.calls.remove(&key) {
            let result = self.result(outcome);
            let answer = rpc::result(&running.id, result);
            self.answer(answer, running.batch, &mut actions);
        }
        actions
    }

    /// Tells those who asked for it that their calls still run: clients give up on a call they hear nothing of.
    #[must_use]
    pub fn progress(&self, now: Duration) -> Vec<Action> {
        let told = self.calls.values().filter_map(|running| {
            let token = running.progress.as_ref()?;
            let seconds = now.saturating_sub(running.began).as_secs_f64();
            let params = json!({"progressToken": token, "progress": seconds});
            let told = rpc::notification("notifications/progress", params);
            Some(Action::Say(told))
        });
        told.collect()
    }

    /// Whether somebody wants this call's outcome.
    #[must_use]
    pub fn wants(&self, key: u64) -> bool {
        self.calls.contains_key(&key)
    }

    /// Whether a call runs.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.calls.is_empty()
    }

    /// The client has gone.
    pub fn forget(&mut self, key: u64) {
        self.calls.remove(&key);
    }

    fn version(&self) -> Version {
        self.version.unwrap_or(Version::LATEST)
    }

    fn batch(&mut self, values: Vec<Value>, now: Duration, actions: &mut Vec<Action>) {
        self.last_key += 1;
        let batch = self.last_key;
        // One more than there are, so that it does not go out before the last is read.
        self.batches.insert(
            batch,
            Batch {
                missing: 1,
                answers: Vec::new(),
            },
        );
        for value in values {
            self.message(value, Some(batch), now, actions);
        }
        self.less(batch, None, actions);
    }

    fn message(
        &mut self,
        value: Value,
        batch: Option<u64>,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        let answer = match rpc::message(value) {
            Ok(Message::Answer) => return,
            Ok(Message::Notification { method, params }) => {
                if method == "notifications/cancelled" {
                    self.cancelled(&params, actions);
                }
                return;
            }
            Ok(Message::Request { id, method, params }) => {
                if method == "tools/call" {
                    return self.call(id, &params, batch, now, actions);
                }
                match self.request(&method, &params) {
                    Ok(result) => rpc::result(&id, result),
                    Err((code, text)) => Wrong::new(id, code, text).answer(),
                }
            }
            Err(wrong) => wrong.answer(),
        };
        if let Some(batch) = batch.and_then(|batch| self.batches.get_mut(&batch)) {
            batch.missing += 1;
        }
        self.answer(answer, batch, actions);
    }

    fn request(
        &mut self,
        method: &str,
        params: &Map<String, Value>,
    ) -> Result<Value, (i64, String)> {
        match method {
            "initialize" => self.initialize(params),
            "ping" => Ok(json!({})),
            "tools/list" => {
                let version = self.version();
                let tools = tools::TOOLS.iter().map(|tool| tool.shown(version));
                Ok(json!({"tools": tools.collect::<Vec<_>>()}))
            }
            other => {
                let shown: String = other.chars().take(100).collect();
                Err((rpc::METHOD_NOT_FOUND, format!("unknown method: {shown}")))
            }
        }
    }

    fn initialize(&mut self, params: &Map<String, Value>) -> Result<Value, (i64, String)> {
        let Some(asked) = params.get("protocolVersion").and_then(Value::as_str) else {
            let text = "`protocolVersion` has to be a string".to_owned();
            return Err((rpc::INVALID_PARAMS, text));
        };
        let version = Version::agreed(asked);
        self.version = Some(version);
        Ok(json!({
            "protocolVersion": version.name(),
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "ccp", "title": "Pool of Claude Code sessions", "version": env!("CARGO_PKG_VERSION")},
            "instructions": INSTRUCTIONS,
        }))
    }

    fn call(
        &mut self,
        id: Value,
        params: &Map<String, Value>,
        batch: Option<u64>,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        if let Some(batch) = batch.and_then(|batch| self.batches.get_mut(&batch)) {
            batch.missing += 1;
        }
        let read = match call::read(params) {
            Ok(_) if self.calls.len() >= MAX_CALLS => Err(Outcome::Failed(format!(
                "{MAX_CALLS} calls run already\nnext step: await some of them first"
            ))),
            Ok(call) => Ok(call),
            Err(call::Mistake::Argument(text)) => Err(Outcome::Failed(text)),
            Err(call::Mistake::Call(text)) => {
                let wrong = Wrong::new(id, rpc::INVALID_PARAMS, text);
                return self.answer(wrong.answer(), batch, actions);
            }
        };
        match read {
            Ok(call) => {
                self.last_key += 1;
                let token = params
                    .get("_meta")
                    .and_then(|meta| meta.get("progressToken"));
                let progress = token.filter(|token| token.is_string() || token.is_number());
                let running = Running {
                    id,
                    progress: progress.cloned(),
                    began: now,
                    batch,
                };
                self.calls.insert(self.last_key, running);
                actions.push(Action::Begin(self.last_key, call));
            }
            Err(outcome) => {
                let answer = rpc::result(&id, self.result(&outcome));
                self.answer(answer, batch, actions);
            }
        }
    }

    /// The client gave a call up: it gets no answer.
    fn cancelled(&mut self, params: &Map<String, Value>, actions: &mut Vec<Action>) {
        let Some(id) = params.get("requestId") else {
            return;
        };
        let found = self.calls.iter().find(|(_, running)| running.id == *id);
        let Some(key) = found.map(|(key, _)| *key) else {
            return;
        };
        if let Some(running) = self.calls.remove(&key) {
            actions.push(Action::Abandon(key));
            if let Some(batch) = running.batch {
                self.less(batch, None, actions);
            }
        }
    }

    fn result(&self, outcome: &Outcome) -> Value {
        let content = |text: &str| json!([{"type": "text", "text": text}]);
        match outcome {
            Outcome::Failed(text) => json!({"content": content(text), "isError": true}),
            Outcome::Done { text, structured } => {
                let mut result = json!({"content": content(text), "isError": false});
                if self.version().has_structured_content() {
                    result["structuredContent"] = structured.clone();
                }
                result
            }
        }
    }

    fn answer(&mut self, answer: Value, batch: Option<u64>, actions: &mut Vec<Action>) {
        match batch {
            None => actions.push(Action::Say(answer)),
            Some(batch) => self.less(batch, Some(answer), actions),
        }
    }

    /// One answer of a batch less is missing; the last one sends it.
    fn less(&mut self, key: u64, answer: Option<Value>, actions: &mut Vec<Action>) {
        let Some(batch) = self.batches.get_mut(&key) else {
            return;
        };
        batch.answers.extend(answer);
        batch.missing = batch.missing.saturating_sub(1);
        if batch.missing == 0 {
            let answers = self.batches.remove(&key).unwrap_or_default().answers;
            // Of notifications alone nothing is said.
            if !answers.is_empty() {
                actions.push(Action::Say(Value::Array(answers)));
            }
        }
    }
}

#[cfg(test)]
mod tests;
