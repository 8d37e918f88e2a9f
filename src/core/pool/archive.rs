//! Putting sessions away: what goes on in them is stopped first, their slots are cleared after the answer.

use super::action::{Action, ReplaceReason};
use super::book::Owed;
use super::id::{SessionId, Ticket};
use super::machine::{Closing, Machine};
use super::notice::{Notice, Update};
use super::record::Rest;
use super::refusal::Refusal;
use super::session::Purpose;
use super::slot::{State, Turn};
use super::status::Status;
use crate::core::time::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long an archived session is kept.
pub const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

impl Machine {
    pub(super) fn archive(&mut self, ticket: Ticket, reference: &str, recursive: bool) {
        let id = match self.resolve(reference) {
            Ok(id) => id,
            Err(refusal) => return self.refuse(ticket, refusal),
        };
        let mut all = self.descendants(id);
        if !all.is_empty() && !recursive {
            return self.refuse(ticket, Refusal::UnarchivedChildren);
        }
        all.push(id);
        let left = BTreeSet::new();
        self.closings.insert(ticket, Closing { all, left });
        self.finish_closing(ticket);
    }

    /// One of the sessions is not busy any more.
    pub(super) fn closing_goes_on(&mut self, ticket: Ticket, stopped: SessionId) {
        if let Some(closing) = self.closings.get_mut(&ticket) {
            closing.left.remove(&stopped);
        }
        self.finish_closing(ticket);
    }

    /// One of the sessions cannot be stopped.
    pub(super) fn closing_failed(&mut self, ticket: Ticket) {
        if self.closings.remove(&ticket).is_some() {
            self.refuse(ticket, Refusal::StopFailed);
        }
    }

    fn finish_closing(&mut self, ticket: Ticket) {
        let Some(closing) = self.closings.get(&ticket) else {
            return;
        };
        if !closing.left.is_empty() {
            return;
        }
        // One of them may have become busy while others were stopped.
        let busy = |id: &SessionId| self.status_of(*id) == Status::Processing;
        let left: BTreeSet<SessionId> = closing.all.iter().copied().filter(busy).collect();
        if !left.is_empty() {
            for id in &left {
                self.begin_stop(*id, Purpose::Archive(ticket));
            }
            if let Some(closing) = self.closings.get_mut(&ticket) {
                closing.left = left;
            }
            return;
        }
        if let Some(closing) = self.closings.remove(&ticket) {
            for id in closing.all {
                self.put_away(id);
            }
            self.book.owe(ticket, Owed::Done);
        }
    }

    fn put_away(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id).filter(|s| !s.is_archived()) else {
            return;
        };
        let pinned = session.record.pinned_until.take().is_some();
        self.vacate(id);
        self.lay_to_rest(id, Rest::Archived(self.now));
        self.alarms.insert((self.now.plus(KEPT), id));
        if pinned {
            self.tell_changes(id, vec![Update::Pinned(false)]);
        }
        self.tell(id);
        self.actions
            .push(Action::Notify(Notice::Archived { session: id }));
    }

    /// Takes a session that is not processing out of its slot, if it is in one.
    pub(super) fn vacate(&mut self, id: SessionId) {
        let Some(slot) = self.slot_of(id) else {
            return;
        };
        match self.slots.get(&slot).map(|s| &s.state) {
            Some(State::Hosting(_, Turn::Quiet { .. })) => self.offload(slot),
            Some(State::Resuming(_, submission)) if submission.to_send => {
                self.unseat(id);
                if let Some(slot) = self.slots.get_mut(&slot) {
                    slot.state = State::Fresh;
                }
            }
            Some(_) => {
                self.unseat(id);
                self.replace(slot, ReplaceReason::Abandoned);
            }
            None => {}
        }
    }

    /// Removes a session that has been archived long enough.
    pub(super) fn remove_old(&mut self, id: SessionId) -> bool {
        let since = self.sessions.get(&id).and_then(|s| match s.record.rest {
            Rest::Archived(since) => Some(since),
            _ => None,
        });
        let old = |since: Timestamp| since.plus(KEPT) <= self.now;
        if !since.is_some_and(old) {
            return false;
        }
        self.forget(id);
        self.actions
            .push(Action::Notify(Notice::Deleted { session: id }));
        true
    }
}
