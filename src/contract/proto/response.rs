//! What the daemon answers.

use super::{MAX_LINE, PROTO};
use crate::contract::status::Status;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// To `health`.
    Health(Health),
    /// To `status`.
    Status(Box<Status>),
    /// To `select`.
    Select(Selected),
    /// To `checkin`: whether there was such a lease.
    Checkin {
        /// Whether there was.
        ended: bool,
    },
    /// To `refresh`.
    Refresh(Refreshed),
    /// To `shutdown`: it is on its way out.
    Shutdown,
    /// To `report`: whether it was news.
    Report {
        /// Whether the sample in it was kept.
        kept: bool,
    },
    /// To anything that could not be done.
    Error(ErrorBody),
}

/// How far the daemon is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It listens, and opens the database.
    Starting,
    /// It does its work.
    Ready,
    /// It cannot do its work; `problem` says why. It keeps trying.
    Degraded,
    /// It finishes what it writes, and goes.
    Stopping,
}

/// Who it is and how it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Version of the program.
    pub version: String,
    /// The protocol it speaks.
    pub speaks: u32,
    /// Its process.
    pub pid: u32,
    /// How far it is.
    pub phase: Phase,
    /// What keeps it from its work.
    #[serde(default)]
    pub problem: Option<String>,
    /// When it started, in milliseconds since the Unix epoch.
    pub started_at_ms: i64,
    /// How many accounts it looks after.
    pub accounts: u32,
    /// How many clients are connected, this one included.
    pub connections: u32,
    /// When the last sweep was completed, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub swept_at_ms: Option<i64>,
}

/// A pick.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Selected {
    /// The account: `acct-NN`.
    pub id: String,
    /// Its label.
    pub label: String,
    /// Its `CLAUDE_CONFIG_DIR`; one that is no Unicode is written as in `status`.
    pub config_dir: String,
    /// Why it was picked.
    pub reason: String,
    /// Its score: percent headroom.
    pub score: f64,
    /// It cannot serve at present; no other could either.
    pub fallback: bool,
    /// The reservation, for `checkin`; null when it could not be written.
    #[serde(default)]
    pub lease: Option<String>,
}

/// What sampling came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refreshed {
    /// Numbers of the accounts that answered.
    #[serde(default)]
    pub sampled: Vec<u16>,
    /// Those that did not, and why, in the order they were asked.
    #[serde(default)]
    pub failed: Vec<Failed>,
    /// Numbers of the accounts whose login was renewed on the way, where `login.renew` is `direct`.
    #[serde(default)]
    pub renewed: Vec<u16>,
}

/// An account that did not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Its number.
    pub account: u16,
    /// What stood in the way.
    pub problem: String,
}

/// What went wrong, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The line is no request, or a field of it is wrong.
    BadRequest,
    /// There is no such op.
    UnknownOp,
    /// The request is of a newer protocol.
    UnsupportedProto,
    /// The line is longer than [`MAX_LINE`].
    LineTooLong,
    /// So many clients are connected that no more are let in.
    TooManyConnections,
    /// It is starting, stopping, or has too much to do: ask again, or do without.
    Unavailable,
    /// No account can be picked.
    NoPick,
    /// `shutdown` for a protocol that is not newer than its own.
    NotNewer,
    /// Something failed inside.
    Internal,
    /// A code of a newer version.
    #[serde(other)]
    Other,
}

/// An error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// For programs.
    pub code: Code,
    /// For people.
    pub message: String,
}

impl ErrorBody {
    /// An error.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// To a line over the limit.
    #[must_use]
    pub fn too_long() -> Self {
        Self::new(
            Code::LineTooLong,
            format!("a line has at most {MAX_LINE} bytes"),
        )
    }
}

impl fmt::Display for ErrorBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ErrorBody {}

impl Response {
    /// Reads a line. The text of an error says what is wrong with it.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(line).map_err(|e| e.to_string())?;
        let ok = value.get("ok").and_then(Value::as_bool);
        let op = value
            .get("op")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let flag = |name| value.get(name).and_then(Value::as_bool).unwrap_or(false);
        match (ok, op.as_str()) {
            (Some(false), _) => {
                let error = value.get("error").cloned().unwrap_or_default();
                read(error).map(Self::Error)
            }
            (None, _) => Err("`ok` is missing".to_owned()),
            (_, "health") => read(value).map(Self::Health),
            (_, "status") => read(value.get("status").cloned().unwrap_or_default())
                .map(|s| Self::Status(Box::new(s))),
            (_, "select") => read(value).map(Self::Select),
            (_, "checkin") => Ok(Self::Checkin {
                ended: flag("ended"),
            }),
            (_, "refresh") => read(value).map(Self::Refresh),
            (_, "shutdown") => Ok(Self::Shutdown),
            (_, "report") => Ok(Self::Report { kept: flag("kept") }),
            (_, other) => Err(format!("there is no answer `{other}`")),
        }
    }

    /// The line, its end included.
    #[must_use]
    pub fn line(&self) -> String {
        let (op, mut object) = match self {
            Self::Health(health) => ("health", written(health)),
            Self::Status(status) => ("status", json!({ "status": written(status) })),
            Self::Select(selected) => ("select", written(selected)),
            Self::Checkin { ended } => ("checkin", json!({ "ended": ended })),
            Self::Refresh(refreshed) => ("refresh", written(refreshed)),
            Self::Shutdown => ("shutdown", json!({})),
            Self::Report { kept } => ("report", json!({ "kept": kept })),
            Self::Error(error) => {
                let object = json!({ "proto": PROTO, "ok": false, "error": written(error) });
                return format!("{object}\n");
            }
        };
        if let Value::Object(fields) = &mut object {
            fields.insert("proto".to_owned(), PROTO.into());
            fields.insert("ok".to_owned(), true.into());
            fields.insert("op".to_owned(), op.into());
        }
        format!("{object}\n")
    }
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|e| e.to_string())
}

/// What is made of numbers, texts and lists alone can always be written.
fn written(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}
