//! What a pool tells those who subscribed.

use super::session::AccountTag;
use super::words::Status;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Something happened: `{"type":"event","event":…}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    tag = "event",
    rename_all = "lowercase",
    rename_all_fields = "camelCase"
)]
pub enum Event {
    /// A session's status changed.
    Status {
        /// The session.
        session_id: String,
        /// What it is now.
        status: Status,
        /// What it was.
        prev_status: Status,
    },
    /// A session was made.
    Created {
        /// The session.
        session_id: String,
        /// How it is.
        status: Status,
        /// Its parent; empty when it has none.
        parent: String,
    },
    /// Something else of a session changed.
    Updated {
        /// The session.
        session_id: String,
        /// What is different, with its new value.
        changes: Changes,
    },
    /// A session was hidden.
    Archived {
        /// The session.
        session_id: String,
    },
    /// A session was brought back.
    Unarchived {
        /// The session.
        session_id: String,
    },
    /// A session is no more.
    Deleted {
        /// The session.
        session_id: String,
    },
    /// Something happened to the pool itself.
    Pool(PoolChange),
    /// The subscriber was too slow, and so many events are lost to it. An addition of ccp.
    Lagged {
        /// How many.
        dropped: u64,
    },
    /// An event of a newer version.
    #[serde(other)]
    #[cfg_attr(test, schemars(skip))]
    Other,
}

/// What changed of a session. What did not is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Changes {
    /// The directory it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Its priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// Whether it is held in its slot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
    /// What somebody typed and did not send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_input: Option<String>,
    /// All of its metadata, as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<Map<String, Value>>"))]
    pub metadata: Option<Map<String, Value>>,
    /// The account it runs on; null when there is none. An addition of ccp.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub account: Option<Option<AccountTag>>,
    /// What it waits for; null when it waits no more. An addition of ccp.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub waiting_for: Option<Option<String>>,
    /// Until when it waits for an account with headroom; null when it waits no more. An addition of ccp.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub limited_until: Option<Option<String>>,
}

impl Changes {
    /// The names of the fields that changed, as a subscriber names them in `fields`.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        [
            ("cwd", self.cwd.is_some()),
            ("priority", self.priority.is_some()),
            ("pinned", self.pinned.is_some()),
            ("pendingInput", self.pending_input.is_some()),
            ("metadata", self.metadata.is_some()),
            ("account", self.account.is_some()),
            ("waitingFor", self.waiting_for.is_some()),
            ("limitedUntil", self.limited_until.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, changed)| changed.then_some(name))
        .collect()
    }
}

/// What happened to the pool itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    tag = "action",
    rename_all = "lowercase",
    rename_all_fields = "camelCase"
)]
pub enum PoolChange {
    /// It began.
    Init {
        /// How many slots it has.
        size: u32,
    },
    /// It got more or fewer slots.
    Resize {
        /// How many slots it has.
        size: u32,
    },
    /// It ends.
    Destroy,
    /// A session moves to another account. An addition of ccp.
    Handoff {
        /// The session.
        session_id: String,
        /// Where it was.
        #[serde(default)]
        from: Option<AccountTag>,
        /// Where it goes; null when no account can take it.
        #[serde(default)]
        to: Option<AccountTag>,
        /// Until when it has to wait, when no account can take it: RFC 3339, UTC.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<String>,
    },
}

impl Event {
    /// The line, its end included.
    #[must_use]
    pub fn line(&self) -> String {
        #[derive(Serialize)]
        struct Written<'a> {
            r#type: &'static str,
            #[serde(flatten)]
            event: &'a Event,
        }
        let written = Written {
            r#type: "event",
            event: self,
        };
        let mut line = serde_json::to_string(&written).unwrap_or_default();
        line.push('\n');
        line
    }

    /// Its name, as a subscriber names it in `events`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Created { .. } => "created",
            Self::Updated { .. } => "updated",
            Self::Archived { .. } => "archived",
            Self::Unarchived { .. } => "unarchived",
            Self::Deleted { .. } => "deleted",
            Self::Pool(_) => "pool",
            Self::Lagged { .. } => "lagged",
            Self::Other => "other",
        }
    }

    /// The session it is about.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        match self {
            Self::Status { session_id, .. }
            | Self::Created { session_id, .. }
            | Self::Updated { session_id, .. }
            | Self::Archived { session_id }
            | Self::Unarchived { session_id }
            | Self::Deleted { session_id }
            | Self::Pool(PoolChange::Handoff { session_id, .. }) => Some(session_id),
            Self::Pool(_) | Self::Lagged { .. } | Self::Other => None,
        }
    }
}

/// A field that is there, be it null: `Some(None)` says that there is none now.
fn given<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}
