//! Stopping: a turn is interrupted only when it is seen to be under way, and looked at after; a request that still waits
//! is taken out of the queue.

use super::action::{Action, Typing};
use super::book::Owed;
use super::event::{InBox, Inspection};
use super::id::{SessionId, SlotId, Ticket};
use super::machine::Machine;
use super::notice::Notice;
use super::refusal::Refusal;
use super::session::{Purpose, Stopping};
use super::slot::{State, Turn};
use super::status::{Readiness, Status};
use std::time::Duration;

/// How long a turn is tried to be stopped.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long an interrupt may take to be heeded before it counts as swallowed.
const HEED: Duration = Duration::from_millis(1500);
/// Claude drops what follows an Escape within this time after `/clear`.
const AFTER_CLEAR: Duration = Duration::from_secs(1);
/// How long the box and the screen are tidied.
const TIDY: Duration = Duration::from_secs(5);
/// How long after the end of a turn its text comes back into the box.
const COMES_BACK: Duration = Duration::from_millis(200);

impl Machine {
    pub(super) fn stop(&mut self, ticket: Ticket, reference: &str) {
        let id = match self.resolve(reference) {
            Ok(id) => id,
            Err(refusal) => return self.refuse(ticket, refusal),
        };
        let status = self.status_of(id);
        if !status.is_busy() {
            return self.refuse(ticket, Refusal::NotStoppable { status });
        }
        self.begin_stop(id, Purpose::Reply(ticket));
    }

    pub(super) fn begin_stop(&mut self, id: SessionId, purpose: Purpose) {
        let now = self.now;
        if let Some(session) = self.sessions.get_mut(&id) {
            let stopping = session.stopping.get_or_insert_with(|| Stopping {
                purposes: Vec::new(),
                until: now.plus(PATIENCE),
                look_at: now,
            });
            stopping.purposes.push(purpose);
            self.stopping.insert(id);
        }
        self.touch(id);
    }

    /// Sessions that were to stop and have, or will not; whether there were any.
    pub(super) fn resolve_stops(&mut self) -> bool {
        let sessions = &self.sessions;
        let until = |id: &SessionId| Some(sessions.get(id)?.stopping.as_ref()?.until);
        self.stopping.retain(|id| until(id).is_some());
        let stops = |id: &SessionId| Some((*id, until(id)?));
        let stopping: Vec<_> = self.stopping.iter().filter_map(stops).collect();
        let mut moved = false;
        for (id, until) in stopping {
            if self.status_of(id) == Status::Queued {
                moved |= self.cancel(id);
            }
            if !self.sessions.contains_key(&id) {
                continue;
            }
            if !self.status_of(id).is_busy() {
                self.stopped(id);
                moved = true;
            } else if until <= self.now {
                self.not_stopped(id);
                moved = true;
            } else {
                self.wake_at(until);
            }
        }
        moved
    }

    /// Takes a session out of the queue.
    fn cancel(&mut self, id: SessionId) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else {
            return false;
        };
        if session.checking.is_some() {
            return false;
        }
        if session.record.seat.is_some() {
            // It is being brought back: it comes, and is idle then.
            let had = session.prompt.take().is_some();
            if had {
                self.mark_prompt(id);
            }
            return had;
        }
        if session.is_unborn() {
            self.delete_unborn(id);
        } else {
            self.drop_prompt(id);
        }
        true
    }

    /// A session that never was in a slot goes as if it had never been.
    fn delete_unborn(&mut self, id: SessionId) {
        let Some(session) = self.expel(id) else {
            return;
        };
        self.mark_prompt(id);
        self.finish_gone(id, &session.record.parent, Some(&Refusal::DeletedMeanwhile));
        self.actions
            .push(Action::Notify(Notice::Deleted { session: id }));
        self.stopped_for(id, session.stopping);
    }

    fn stopped(&mut self, id: SessionId) {
        let stopping = self.sessions.get_mut(&id).and_then(|s| s.stopping.take());
        self.tell(id);
        self.stopped_for(id, stopping);
    }

    fn stopped_for(&mut self, id: SessionId, stopping: Option<Stopping>) {
        for purpose in stopping.into_iter().flat_map(|stopping| stopping.purposes) {
            match purpose {
                Purpose::Reply(ticket) => self.book.owe(ticket, Owed::Done),
                Purpose::Archive(ticket) => self.closing_goes_on(ticket, id),
            }
        }
    }

    fn not_stopped(&mut self, id: SessionId) {
        let stopping = self.sessions.get_mut(&id).and_then(|s| s.stopping.take());
        for purpose in stopping.into_iter().flat_map(|stopping| stopping.purposes) {
            match purpose {
                Purpose::Reply(ticket) => self.refuse(ticket, Refusal::StopFailed),
                Purpose::Archive(ticket) => self.closing_failed(ticket),
            }
        }
    }

    /// A turn is under way: it is looked at, and interrupted when it is seen to be.
    pub(super) fn advance_stop(&mut self, slot_id: SlotId, id: SessionId) -> bool {
        let now = self.now;
        let Some(stopping) = self.sessions.get_mut(&id).and_then(|s| s.stopping.as_mut()) else {
            return false;
        };
        let Some(process) = self.slots.get(&slot_id).and_then(|s| s.process.as_ref()) else {
            return false;
        };
        if process.outstanding.is_some() {
            return false;
        }
        let allowed_at = process.cleared_at.map(|at| at.plus(AFTER_CLEAR));
        let look_at = allowed_at.map_or(stopping.look_at, |at| at.max(stopping.look_at));
        if look_at > now {
            self.wake_at(look_at);
            return false;
        }
        stopping.look_at = now.plus(HEED);
        self.look(slot_id);
        self.wake_at(now.plus(HEED));
        false
    }

    /// A turn that is to stop was looked at just now, and goes on.
    pub(super) fn stop_seen(&mut self, slot_id: SlotId, id: SessionId, seen: &Inspection) {
        let now = self.now;
        let Some(stopping) = self.sessions.get_mut(&id).and_then(|s| s.stopping.as_mut()) else {
            return;
        };
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return;
        };
        let Some(process) = slot.process.as_mut().filter(|p| p.outstanding.is_none()) else {
            return;
        };
        let too_soon = process
            .cleared_at
            .is_some_and(|at| at.plus(AFTER_CLEAR) > now);
        let under_way = matches!(seen.readiness, Readiness::Busy | Readiness::Waiting { .. });
        if too_soon || !under_way {
            return;
        }
        stopping.look_at = now.plus(HEED);
        let number = process.number();
        self.type_into(slot_id, number, Typing::Interrupt);
    }

    /// An interrupted turn is over; what it left is looked at next.
    pub(super) fn begin_tidying(&mut self, slot_id: SlotId) {
        let tidying = Turn::Tidying {
            look_at: self.now.plus(COMES_BACK),
            until: self.now.plus(TIDY),
        };
        self.set_turn(slot_id, tidying);
    }

    pub(super) fn advance_tidying(&mut self, slot_id: SlotId) -> bool {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return false;
        };
        let (State::Hosting(_, Turn::Tidying { look_at, until }), Some(process)) =
            (&mut slot.state, &slot.process)
        else {
            return false;
        };
        if process.outstanding.is_some() {
            return false;
        }
        if *until <= now {
            self.tidied(slot_id);
            return true;
        }
        let until = *until;
        if *look_at <= now {
            *look_at = now.plus(HEED);
            self.look(slot_id);
            self.wake_at(now.plus(HEED));
        } else {
            let look_at = *look_at;
            self.wake_at(look_at);
        }
        self.wake_at(until);
        false
    }

    pub(super) fn tidying_seen(&mut self, slot_id: SlotId, seen: &Inspection) {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return;
        };
        let (State::Hosting(_, Turn::Tidying { look_at, .. }), Some(process)) =
            (&mut slot.state, &mut slot.process)
        else {
            return;
        };
        if process.outstanding.is_some() || seen.readiness == Readiness::Busy {
            return;
        }
        let typing = if seen.rewind {
            Typing::CloseRewind
        } else if seen.in_box == InBox::Ours {
            Typing::EmptyBox
        } else {
            return self.tidied(slot_id);
        };
        *look_at = now.plus(COMES_BACK);
        let number = process.number();
        self.type_into(slot_id, number, typing);
    }

    fn tidied(&mut self, slot_id: SlotId) {
        let settle_by = Some(self.now);
        self.set_turn(slot_id, Turn::Quiet { settle_by });
        if let Some(session) = self.slots.get(&slot_id).and_then(|s| s.session()) {
            self.tell(session);
        }
    }
}
