//! What the pool keeps on disk: one row per session, one per accepted prompt that claude has not taken yet. A change
//! holds a whole row, so that writing one twice, or an older one never, does no harm.

use super::id::{Build, ClaudeUuid, DeliveryNumber, Place, SessionId};
use super::status::Disposition;
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// What clients attach to a session: every value is JSON text, which the machine does not read.
pub type Metadata = BTreeMap<String, String>;

/// What a session rests in when it is in no slot and nothing is wanted of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    /// It can be brought back.
    Offloaded,
    /// It could not be loaded, or claude would not take its prompt: why, for people.
    Failed(String),
    /// Put away since then.
    Archived(Timestamp),
}

/// The slot that a session is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Where.
    pub place: Place,
    /// Its conversation was seen there. Until then it may still have to be brought back.
    pub loaded: bool,
}

/// A session's row.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRecord {
    /// Who.
    pub id: SessionId,
    /// Claude's id of its conversation, once known.
    pub uuid: Option<ClaudeUuid>,
    /// There is a prompt in that conversation, so claude has a transcript of it and can resume it.
    pub has_transcript: bool,
    /// What it is when it is in no slot and no prompt is owed.
    pub rest: Rest,
    /// The slot that it is in, or that it is being brought back in. On its row after a restart it means: it was live.
    pub seat: Option<Seat>,
    /// Its place among those that wait for a slot, while it waits for one or its prompt is owed: lower came first.
    pub order: Option<u64>,
    /// Higher goes first; 0 unless set.
    pub priority: i64,
    /// Until when it may not be evicted.
    pub pinned_until: Option<Timestamp>,
    /// Whose child it is: a session id, a claude uuid, or any other word; empty for nobody's.
    pub parent: String,
    /// Where it works now.
    pub cwd: PathBuf,
    /// Where its process has to be started; never changes.
    pub spawn_cwd: PathBuf,
    /// When it was made.
    pub created_at: Timestamp,
    /// When a prompt was last delivered, or what is typed at its prompt last changed.
    pub last_used_at: Timestamp,
    /// From the client.
    pub metadata: Metadata,
    /// The account it was asked to run on.
    pub account: Option<AccountId>,
    /// The model it was last seen on.
    pub model: Option<String>,
    /// What somebody had half typed when its box was needed; put back when there is an occasion.
    pub saved_input: Option<String>,
    /// It was live when the pool was last ended on purpose: a candidate for being restored. Set where
    /// [`SessionRecord::seat`] goes because the pool ends.
    pub was_live: bool,
}

/// How a prompt is on its way to claude.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// To which process.
    pub place: Place,
    /// As which command of its host.
    pub number: DeliveryNumber,
}

/// An accepted prompt whose turn is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptRecord {
    /// Whose.
    pub session: SessionId,
    /// What is typed: already in the form that claude takes literally.
    pub text: Arc<str>,
    /// When it was accepted: no report from before is about it.
    pub accepted_at: Timestamp,
    /// How it is on its way. When a row is written with a delivery that it did not have before, whoever writes it also
    /// writes down, in the same transaction, how long the conversation's transcript is (0 where there is none): the
    /// prompt's own record can only be beyond that.
    pub delivery: Option<Delivery>,
    /// The conversations that its process has been in since that was decided, the first first.
    pub conversations: Vec<ClaudeUuid>,
    /// It was, or may have been, typed to a claude that died before it took it, or to one that the plan refused.
    pub redelivered: bool,
    /// Claude has taken it. Such a row is kept until the turn is over, so that a daemon which starts in between can tell
    /// whether the plan's limit ended it.
    pub taken: bool,
}

/// One change to what is on disk.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// This is a session's row now.
    Session(Box<SessionRecord>),
    /// The session is gone, its prompt with it.
    Deleted(SessionId),
    /// This is the row of a session's prompt now.
    Prompt(PromptRecord),
    /// The session has no prompt (any more).
    NoPrompt(SessionId),
    /// The state that fresh claudes of this build are in.
    Baseline {
        /// Of which build.
        build: Build,
        /// What they are like.
        disposition: Disposition,
    },
}
