//! What is on disk, what is on its way there, and what waits for it. One write is under way at a time; what changes
//! meanwhile goes with the next one. A write that failed is repeated with everything that was in it.

use super::id::{SessionId, Ticket, Token};
use crate::core::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long after a failed write the next one is tried, unless somebody waits for an answer.
const RETRY: Duration = Duration::from_secs(1);

/// A point in the sequence of writes: what was changed before it is on disk once it is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Epoch(u64);

/// Which rows of a session have to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dirty {
    pub(super) row: bool,
    pub(super) prompt: bool,
}

/// What a client is answered once everything that was changed for it is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owed {
    /// That its prompt or session is accepted.
    Started(SessionId),
    /// That it is done.
    Done,
}

#[derive(Debug, Default)]
struct Write {
    sessions: BTreeMap<SessionId, Dirty>,
    baseline: bool,
    owed: Vec<(Ticket, Owed)>,
}

#[derive(Debug, Default)]
pub(super) struct Book {
    next: Write,
    under_way: Option<(Token, Write)>,
    /// How many writes were begun.
    begun: u64,
    /// The last one that was done.
    done: u64,
    retry_at: Option<Timestamp>,
}

/// What a new write has to hold.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) token: Token,
    pub(super) sessions: Vec<(SessionId, Dirty)>,
    pub(super) baseline: bool,
}

impl Book {
    /// A session's rows changed, or are gone.
    pub(super) fn mark(&mut self, session: SessionId, row: bool, prompt: bool) -> Epoch {
        let dirty = self.next.sessions.entry(session).or_default();
        dirty.row |= row;
        dirty.prompt |= prompt;
        self.next_epoch()
    }

    pub(super) fn mark_baseline(&mut self) {
        self.next.baseline = true;
    }

    /// When everything that changed until now is on disk.
    pub(super) const fn next_epoch(&self) -> Epoch {
        Epoch(self.begun + 1)
    }

    pub(super) fn is_durable(&self, epoch: Epoch) -> bool {
        self.done >= epoch.0
    }

    /// Answer this client when everything that changed until now is on disk.
    pub(super) fn owe(&mut self, ticket: Ticket, owed: Owed) {
        self.next.owed.push((ticket, owed));
    }

    /// Nothing is left to write.
    pub(super) fn is_clean(&self) -> bool {
        self.under_way.is_none()
            && self.next.sessions.is_empty()
            && !self.next.baseline
            && self.next.owed.is_empty()
    }

    /// The next write, where there is something to write and none is under way.
    pub(super) fn begin(&mut self, now: Timestamp) -> Option<Batch> {
        if self.under_way.is_some() || self.is_clean() {
            return None;
        }
        let rests = self.retry_at.is_some_and(|at| at > now);
        if rests && self.next.owed.is_empty() {
            return None;
        }
        self.retry_at = None;
        self.begun += 1;
        let token = Token(self.begun);
        let write = std::mem::take(&mut self.next);
        let batch = Batch {
            token,
            sessions: write.sessions.iter().map(|(id, d)| (*id, *d)).collect(),
            baseline: write.baseline,
        };
        self.under_way = Some((token, write));
        Some(batch)
    }

    /// It is on disk; who is to be answered now.
    pub(super) fn done(&mut self, token: Token) -> Vec<(Ticket, Owed)> {
        match self.under_way.take_if(|(t, _)| *t == token) {
            Some((_, write)) => {
                self.done = token.0;
                write.owed
            }
            None => Vec::new(),
        }
    }

    /// It is not on disk; who is to be told so.
    pub(super) fn failed(&mut self, token: Token, now: Timestamp) -> Vec<(Ticket, Owed)> {
        let Some((_, write)) = self.under_way.take_if(|(t, _)| *t == token) else {
            return Vec::new();
        };
        for (session, dirty) in write.sessions {
            let next = self.next.sessions.entry(session).or_default();
            next.row |= dirty.row;
            next.prompt |= dirty.prompt;
        }
        self.next.baseline |= write.baseline;
        self.retry_at = Some(now.plus(RETRY));
        write.owed
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.retry_at.filter(|_| !self.is_clean())
    }
}
