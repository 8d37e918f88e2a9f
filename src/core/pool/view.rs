//! What clients may look at: sessions and the pool's health, as values. Looking changes nothing, so these are answers of
//! methods of [`super::machine::Machine`] and no events: `is_initialized`, `health`, `session`, `list`, `slots`, `live`
//! (for attach, input and pty-resize: which process, or why none), `resolve` and `has` (for drawing an id).

use super::id::{ClaudeUuid, Place, SessionId, SlotId};
use super::record::Metadata;
use super::status::{SlotState, Status};
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A session as clients may see it.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionView {
    /// Who.
    pub id: SessionId,
    /// What it is.
    pub status: Status,
    /// Higher goes first.
    pub priority: i64,
    /// It may not be evicted now.
    pub pinned: bool,
    /// What stands at its prompt; none while it is in no slot.
    pub pending_input: Option<String>,
    /// The children that are not archived, oldest first; empty unless asked for.
    pub children: Vec<SessionView>,
    /// Whose child; empty for nobody's.
    pub parent: String,
    /// Where it works.
    pub cwd: PathBuf,
    /// Claude's id of its conversation, once known.
    pub claude_uuid: Option<ClaudeUuid>,
    /// Where its process is started.
    pub spawn_cwd: PathBuf,
    /// When it was made.
    pub created_at: Timestamp,
    /// Claude's pid, while it is in a slot.
    pub pid: Option<u32>,
    /// From clients.
    pub metadata: Metadata,
    /// The account it runs on, or was asked to run on.
    pub account: Option<AccountId>,
    /// The model it was last seen on.
    pub model: Option<String>,
    /// When a prompt was last delivered, or what is typed at its prompt last changed.
    pub last_used_at: Timestamp,
    /// What it waits for a person for (`permission prompt`, …).
    pub waiting_for: Option<String>,
    /// Until when it waits for an account that the plan does not refuse.
    pub limited_until: Option<Timestamp>,
    /// Why it is in error.
    pub problem: Option<String>,
    /// Its prompt may have been typed to a claude that died before it took it.
    pub redelivered: bool,
}

/// Which sessions a client wants listed.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Listing {
    /// Children of this parent alone; every session where it is none.
    pub parent: Option<String>,
    /// Every session, whatever `parent` says.
    pub all: bool,
    /// Children of children too.
    pub tree: bool,
    /// The archived ones too.
    pub archived: bool,
    /// Of these statuses alone; of any when it is empty.
    pub statuses: Vec<Status>,
    /// With their children in them; who is shown as a child is not shown beside its parent again.
    pub nested: bool,
}

/// One slot, for debugging.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotView {
    /// Which.
    pub slot: SlotId,
    /// What it is.
    pub state: SlotState,
    /// Its process, while it has one.
    pub place: Option<Place>,
    /// Claude's pid.
    pub pid: Option<u32>,
    /// The session in it, or on its way into it.
    pub session: Option<SessionId>,
    /// The conversation in its claude.
    pub uuid: Option<ClaudeUuid>,
    /// It leaves the pool as soon as it is free.
    pub leaving: bool,
    /// How many of its processes died or would not start in a row.
    pub failures: u32,
    /// What went wrong last, or stands in its way now: for people.
    pub problem: Option<String>,
}

/// How the pool is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthView {
    /// How many slots it is to have.
    pub size: u32,
    /// How many sessions wait for a slot.
    pub queue_depth: usize,
    /// How many slots are what; every state is there, and the sum is `size`: slots that are still to leave after a
    /// shrink are not counted.
    pub slots: BTreeMap<SlotState, u32>,
    /// How many slots are still to leave.
    pub leaving: u32,
    /// How many sessions are what; every status is there.
    pub sessions: BTreeMap<Status, usize>,
    /// How many slots run on which account; slots on plain `~/.claude` are not counted.
    pub accounts: BTreeMap<AccountId, u32>,
    /// Why slots do not start, each text once: for people.
    pub problems: Vec<String>,
}
