//! A session as the machine holds it.

use super::id::{SessionId, Ticket};
use super::record::{PromptRecord, Rest, SessionRecord};
use super::status::Status;
use crate::core::account::AccountId;
use crate::core::time::Timestamp;

/// An acceptance that is not on disk yet, and how to take it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Accepting {
    /// The session itself is new.
    New,
    /// The prompt is; the session was this before.
    Prompt { rest: Rest },
}

/// What becomes of a prompt whose process is gone and whose transcript is being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum IfAbsent {
    /// It is delivered again.
    Redeliver,
    /// Claude would not take it: the session fails.
    Fail(String),
}

/// Who wants a session stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A client, who is answered.
    Reply(Ticket),
    /// An archiving, which goes on.
    Archive(Ticket),
}

/// A turn that is to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stopping {
    pub(super) purposes: Vec<Purpose>,
    /// When it is given up.
    pub(super) until: Timestamp,
    /// When the next look is due.
    pub(super) look_at: Timestamp,
}

/// Why a queued session is not given a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limited {
    /// The account that is refused.
    pub(super) account: Option<AccountId>,
    pub(super) until: Timestamp,
    /// Another account would do.
    pub(super) anywhere: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) record: SessionRecord,
    /// Accepted, and not seen to be taken.
    pub(super) prompt: Option<PromptRecord>,
    /// Taken, in a turn that is not known to be over.
    pub(super) kept: Option<PromptRecord>,
    pub(super) accepting: Option<Accepting>,
    /// The transcript is being read for the prompt of a process that is gone, or that is about to be.
    pub(super) checking: Option<IfAbsent>,
    pub(super) stopping: Option<Stopping>,
    /// In a row.
    pub(super) load_failures: u32,
    /// What watchers know.
    pub(super) told: Status,
    pub(super) told_pending: String,
    pub(super) told_waiting: Option<String>,
    /// A dialog at the start of the process that is started for it.
    pub(super) stuck_for: Option<String>,
    /// Its turn has just died with its process: those who wait are told so.
    pub(super) died: bool,
    /// Its pin put it into the queue, nothing else did.
    pub(super) for_pin: bool,
    pub(super) limited: Option<Limited>,
    /// When it was handed over last.
    pub(super) moved_at: Option<Timestamp>,
    /// Its prompt is typed though the plan may refuse it.
    pub(super) goes_on_anyway: bool,
    pub(super) told_account: Option<AccountId>,
    pub(super) told_limit: Option<Timestamp>,
}

impl Session {
    pub(super) fn new(record: SessionRecord, prompt: Option<PromptRecord>, told: Status) -> Self {
        Self {
            record,
            prompt,
            kept: None,
            accepting: None,
            checking: None,
            stopping: None,
            load_failures: 0,
            told,
            told_pending: String::new(),
            told_waiting: None,
            stuck_for: None,
            died: false,
            for_pin: false,
            limited: None,
            moved_at: None,
            goes_on_anyway: false,
            told_account: None,
            told_limit: None,
        }
    }

    pub(super) const fn id(&self) -> SessionId {
        self.record.id
    }

    /// Not there yet for anybody: the answer that there is one has not been given.
    pub(super) const fn is_hidden(&self) -> bool {
        matches!(self.accepting, Some(Accepting::New))
    }

    pub(super) fn is_pinned(&self, now: Timestamp) -> bool {
        self.record.pinned_until.is_some_and(|until| until > now)
    }

    pub(super) const fn is_archived(&self) -> bool {
        matches!(self.record.rest, Rest::Archived(_))
    }

    /// It waits for a slot, and may be given one.
    pub(super) const fn waits(&self) -> bool {
        let queued = self.record.seat.is_none() && self.record.order.is_some();
        queued && self.checking.is_none() && self.limited.is_none()
    }

    /// Nothing of it was ever in a slot.
    pub(super) const fn is_unborn(&self) -> bool {
        self.record.uuid.is_none() && !self.record.has_transcript
    }

    /// What it is while it is in no slot.
    pub(super) const fn status_at_rest(&self) -> Status {
        if self.record.order.is_some() || self.checking.is_some() {
            return Status::Queued;
        }
        match self.record.rest {
            Rest::Offloaded => Status::Offloaded,
            Rest::Failed(_) => Status::Error,
            Rest::Archived(_) => Status::Archived,
        }
    }
}
