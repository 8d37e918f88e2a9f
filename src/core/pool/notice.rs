//! What watchers are told: the events of the protocol, as facts.

use super::id::SessionId;
use super::record::Metadata;
use super::status::Status;
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use std::path::PathBuf;

/// One field of a session that has another value now.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// Where it works.
    Cwd(PathBuf),
    /// Its priority.
    Priority(i64),
    /// It may not be evicted, or may again.
    Pinned(bool),
    /// What stands at its prompt; empty when nothing does or it is in no slot.
    PendingInput(String),
    /// All of its metadata.
    Metadata(Metadata),
    /// The account that it runs on.
    Account(Option<AccountId>),
    /// What it waits for a person for; none when it no longer does.
    WaitingFor(Option<String>),
    /// Until when it waits for an account that the plan does not refuse; none when it no longer does.
    LimitedUntil(Option<Timestamp>),
}

/// Something that befell the whole pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolNews {
    /// It was initialized with this many slots.
    Init {
        /// How many.
        size: u32,
    },
    /// It has, or is to have, another number of slots.
    Resize {
        /// How many.
        size: u32,
    },
    /// It is being ended.
    Destroy,
    /// A session goes on under another account, or waits for one.
    Handoff {
        /// Which.
        session: SessionId,
        /// The one that the plan refuses.
        from: Option<AccountId>,
        /// The other one; none: it waits, until then.
        to: Option<AccountId>,
        /// Until when it waits at most.
        until: Option<Timestamp>,
    },
}

/// What watchers are told.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// A session is something else than before.
    Status {
        /// Which.
        session: SessionId,
        /// What it is.
        status: Status,
        /// What it was.
        previous: Status,
    },
    /// There is a new session.
    Created {
        /// Which.
        session: SessionId,
        /// What it is.
        status: Status,
        /// Whose child; empty for nobody's.
        parent: String,
    },
    /// A session has changed. Comes at most once per event and session.
    Updated {
        /// Which.
        session: SessionId,
        /// What has changed; never empty.
        changes: Vec<Update>,
    },
    /// A session was put away.
    Archived {
        /// Which.
        session: SessionId,
    },
    /// A session was taken out again.
    Unarchived {
        /// Which.
        session: SessionId,
    },
    /// A session is no more.
    Deleted {
        /// Which.
        session: SessionId,
    },
    /// Something befell the pool.
    Pool(PoolNews),
}
