//! How the last turn of a transcript stands: what decides whether a prompt is delivered again after a claude died or ran
//! into its limit.

use super::record::{Kind, Record};
use crate::core::time::Timestamp;
use serde_json::Value;
use std::path::PathBuf;

/// The last turn, as far as it was written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastTurn {
    /// The prompt as it was typed; none when the transcript has none, or was cleared since.
    pub prompt: Option<String>,
    /// Whether text or a tool call of the assistant followed: then the prompt must not be delivered again.
    pub followed: bool,
    /// Whether the turn is over: it ended by itself, failed, or was interrupted.
    pub finished: bool,
    /// Whether it was interrupted.
    pub interrupted: bool,
    /// The last thing the assistant said, an error that claude reports in its name included.
    pub last_text: Option<String>,
    /// The error that ended it.
    pub failure: Option<ApiFailure>,
    /// The model that answered last.
    pub model: Option<String>,
    /// The working directory of the last record that names one.
    pub cwd: Option<PathBuf>,
}

/// An error of the service, as claude wrote it down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiFailure {
    /// claude's own name for it: `rate_limit`, `authentication_failed`, `server_error`…
    pub error: String,
    /// Whether it is the plan's limit that was reached, not a passing throttle.
    pub is_plan_limit: bool,
    /// When the limit resets.
    pub resets_at: Option<Timestamp>,
}

/// Takes a transcript's lines from the last to the first until it knows the last turn.
#[derive(Debug, Default)]
pub struct LastTurnReader {
    turn: LastTurn,
    is_done: bool,
}

impl LastTurnReader {
    /// Takes the line before the one taken last. False when no further one is needed.
    pub fn take(&mut self, line: &[u8]) -> bool {
        if self.is_done {
            return false;
        }
        let text = String::from_utf8_lossy(line);
        if let Some(record) = Record::parse(&text) {
            self.take_record(&record);
        }
        !self.is_done
    }

    /// What was found.
    #[must_use]
    pub fn finish(self) -> LastTurn {
        self.turn
    }

    fn take_record(&mut self, record: &Record<'_>) {
        if record.flag("isSidechain") {
            return;
        }
        let turn = &mut self.turn;
        if turn.cwd.is_none() {
            turn.cwd = record.text("cwd").map(PathBuf::from);
        }
        match record.kind() {
            Kind::Clear => self.is_done = true,
            Kind::Prompt => {
                turn.prompt = record.prompt_text();
                self.is_done = true;
            }
            Kind::Interrupted => {
                turn.interrupted = true;
                turn.finished = true;
            }
            Kind::TurnOver => turn.finished = true,
            Kind::Assistant => turn.take_answer(record),
            Kind::User | Kind::Other => {}
        }
    }
}

impl LastTurn {
    fn take_answer(&mut self, record: &Record<'_>) {
        let text = record.assistant_text();
        if self.last_text.is_none() {
            self.last_text.clone_from(&text);
        }
        if record.flag("isApiErrorMessage") {
            // A later answer means that it was got over.
            if !self.followed && self.failure.is_none() {
                self.failure = Some(failure(record));
                self.finished = true;
            }
            return;
        }
        let Some(message) = record.object("message") else {
            return;
        };
        let calls_tool = message
            .blocks()
            .iter()
            .any(|block| block.kind.ends_with("tool_use"));
        if !self.followed && self.failure.is_none() {
            let reason = message.text("stop_reason");
            self.finished |= reason.is_some_and(|reason| reason != "tool_use");
        }
        self.followed |= calls_tool || text.is_some();
        if self.model.is_none() {
            self.model = message.text("model").filter(|model| model != "<synthetic>");
        }
    }
}

fn failure(record: &Record<'_>) -> ApiFailure {
    let quota: Value = record
        .raw("quotaLimits")
        .and_then(|raw| serde_json::from_str(raw).ok())
        .unwrap_or(Value::Null);
    let api_error = record.raw("apiError").unwrap_or_default();
    ApiFailure {
        error: record.text("error").unwrap_or_default(),
        is_plan_limit: !quota.is_null() || api_error.contains("usage_limit"),
        resets_at: resets_at(&quota),
    }
}

/// The reset among the limits, which are one object or a list of them; seconds or milliseconds since the epoch.
fn resets_at(quota: &Value) -> Option<Timestamp> {
    let one = quota["resetsAt"].as_f64();
    let many = || {
        let limits = quota.as_array()?.iter();
        limits
            .filter_map(|limit| limit["resetsAt"].as_f64())
            .reduce(f64::max)
    };
    let number = one.or_else(many)?;
    let seconds = if number < 1e11 {
        number
    } else {
        number / 1000.0
    };
    Some(Timestamp::from_unix_seconds(seconds))
}
