//! What a pool answers.

use super::config::Config;
use super::error::PoolError;
use super::event::Event;
use super::health::Health;
use super::session::Session;
use super::words::{SlotState, Status};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An answer that is no error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    tag = "type",
    rename_all = "lowercase",
    rename_all_fields = "camelCase"
)]
pub enum Reply {
    /// It was done.
    Ok,
    /// To `ping`.
    Pong {
        /// Version of the program. An addition of ccp.
        #[serde(default)]
        version: String,
        /// The protocol it speaks. An addition of ccp.
        #[serde(default)]
        protocol: u32,
    },
    /// To `health` and `init`. The fields of the health are repeated beside `health`.
    Health {
        /// How the pool does.
        health: Box<Health>,
    },
    /// To `config`.
    Config {
        /// The configuration as it is now.
        config: Config,
    },
    /// To `resize`.
    Pool {
        /// The pool as it will be.
        pool: PoolSize,
    },
    /// To `start` and `followup`.
    Started {
        /// The session.
        session_id: String,
        /// How it is.
        status: Status,
    },
    /// To `wait`, `capture` and `debug-capture`.
    Result {
        /// The session; left out by `debug-capture`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session_id: Option<String>,
        /// What was read; may be empty.
        content: String,
    },
    /// To `ls`.
    Sessions {
        /// In the order they were made.
        sessions: Vec<Session>,
    },
    /// To `info`.
    Session {
        /// The session.
        session: Box<Session>,
    },
    /// To `attach`.
    Attached {
        /// Where to connect: raw bytes both ways.
        socket_path: String,
        /// Width of the terminal.
        cols: u16,
        /// Height of the terminal.
        rows: u16,
    },
    /// To `subscribe` with `ack`. An addition of ccp.
    Subscribed,
    /// To `debug-slots`.
    Slots {
        /// In the order of their numbers.
        slots: Vec<SlotInfo>,
    },
    /// To `debug-logs`.
    Logs {
        /// The last lines of the log, oldest first.
        lines: Vec<String>,
    },
    /// A line of the log that came after the answer to `debug-logs` with `follow`.
    Log {
        /// The line.
        line: String,
    },
}

/// A pool's size, as `resize` answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PoolSize {
    /// How many slots.
    pub size: u32,
}

/// A slot, for people who look for a fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SlotInfo {
    /// Its number.
    pub slot: u32,
    /// How it is.
    pub state: SlotState,
    /// The session in it.
    #[serde(default)]
    pub session_id: Option<String>,
    /// The conversation in it.
    #[serde(default, rename = "claudeUUID")]
    pub claude_uuid: Option<String>,
    /// Its claude.
    #[serde(default)]
    pub pid: Option<u32>,
    /// The process that holds its terminal.
    #[serde(default)]
    pub host_pid: Option<u32>,
    /// The number of the account it runs on.
    #[serde(default)]
    pub account: Option<u16>,
    /// What is wrong with it.
    #[serde(default)]
    pub problem: Option<String>,
}

/// A line from a pool.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// An answer.
    Reply(Reply),
    /// An error.
    Error(PoolError),
    /// An event.
    Event(Event),
}

impl Reply {
    /// The line, its end included.
    #[must_use]
    pub fn line(&self, id: Option<&Value>) -> String {
        #[derive(Serialize)]
        struct Written<'a> {
            #[serde(flatten)]
            reply: &'a Reply,
            /// The same fields once more at the top.
            #[serde(flatten)]
            health: Option<&'a Health>,
            #[serde(skip_serializing_if = "Option::is_none")]
            id: Option<&'a Value>,
        }
        let health = match self {
            Self::Health { health } => Some(&**health),
            _ => None,
        };
        let written = Written {
            reply: self,
            health,
            id: id.filter(|id| !id.is_null()),
        };
        let mut line = serde_json::to_string(&written).unwrap_or_default();
        line.push('\n');
        line
    }
}

impl Message {
    /// Reads a line, with or without its end. The text of an error says what is wrong with it.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        Self::of(value)
    }

    /// Reads an object.
    pub fn of(value: Value) -> Result<Self, String> {
        if let Some(error) = PoolError::of(&value) {
            return Ok(Self::Error(error));
        }
        let read = match value.get("type").and_then(Value::as_str) {
            None => return Err("`type` is missing".to_owned()),
            Some("event") => serde_json::from_value(value).map(Self::Event),
            Some(_) => serde_json::from_value(value).map(Self::Reply),
        };
        read.map_err(|error| error.to_string())
    }
}
