//! A session as clients see it.

use super::words::Status;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A session. Flat it has what is not usual; `children` make it nested, `full` makes it full.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// 12 lower-case hexadecimal characters.
    pub session_id: String,
    /// How it is.
    pub status: Status,
    /// Higher ones get a slot first; left out when it is 0 and the session is not full.
    #[serde(default)]
    pub priority: i64,
    /// It is held in its slot; left out when it is not, and the session is not full.
    #[serde(default)]
    pub pinned: bool,
    /// What somebody typed and did not send, while it is loaded; left out when it is empty and the session is not full.
    #[serde(default)]
    pub pending_input: Option<String>,
    /// What it waits for a person to decide, while it does. An addition of ccp.
    #[serde(default)]
    pub waiting_for: Option<String>,
    /// Until when it waits for an account with headroom, while it does: RFC 3339, UTC, whole seconds. An addition of ccp.
    #[serde(default)]
    pub limited_until: Option<String>,
    /// The sessions that name it as their parent, oldest first.
    #[serde(default)]
    pub children: Option<Vec<Session>>,
    /// The rest of a full session.
    #[serde(flatten, default)]
    pub full: Option<Full>,
}

/// What a full session has besides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Full {
    /// The id of the session or conversation that started it; empty when there is none.
    pub parent: String,
    /// The directory it is in now.
    pub cwd: String,
    /// The id of its conversation; null until it is known.
    #[serde(rename = "claudeUUID")]
    pub claude_uuid: Option<String>,
    /// The directory it began in.
    pub spawn_cwd: String,
    /// RFC 3339, UTC, whole seconds.
    pub created_at: String,
    /// The claude it is loaded in.
    pub pid: Option<u32>,
    /// `name`, `description`, and tags beside them.
    #[cfg_attr(test, schemars(with = "Map<String, Value>"))]
    pub metadata: Map<String, Value>,
    /// The account it runs on. An addition of ccp.
    #[serde(default)]
    pub account: Option<AccountTag>,
    /// The model it used last. An addition of ccp.
    #[serde(default)]
    pub model: Option<String>,
    /// When it got a prompt last: RFC 3339, UTC, whole seconds. An addition of ccp.
    #[serde(default)]
    pub last_used_at: Option<String>,
}

/// An account, as far as a pool's clients need it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AccountTag {
    /// Its number.
    pub id: u16,
    /// Its label.
    pub label: String,
}

/// How a session is written; what is none is left out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    session_id: &'a str,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pinned: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_input: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_for: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limited_until: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    children: Option<&'a [Session]>,
    #[serde(flatten)]
    full: Option<&'a Full>,
}

impl Serialize for Session {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let full = self.full.is_some();
        let pending = self.pending_input.as_deref();
        let children = self.children.as_deref();
        Written {
            session_id: &self.session_id,
            status: self.status,
            priority: (full || self.priority != 0).then_some(self.priority),
            pinned: (full || self.pinned).then_some(self.pinned),
            pending_input: pending.filter(|text| full || !text.is_empty()),
            waiting_for: self.waiting_for.as_deref(),
            limited_until: self.limited_until.as_deref(),
            // A full session always has the field.
            children: children.or(full.then_some(&[])),
            full: self.full.as_ref(),
        }
        .serialize(serializer)
    }
}
