//! Bringing a session into a fresh slot: a new one begins there, one that has a past is resumed.

use super::action::{Action, ReplaceReason, Typing};
use super::event::{InBox, Inspection};
use super::id::{ClaudeUuid, SessionId, SlotId};
use super::machine::Machine;
use super::record::Seat;
use super::slot::{Process, State, Submission, Turn};
use super::status::Readiness;
use std::time::Duration;

/// How long a conversation may take to come back.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_secs(2);
/// How often the submit key is pressed again.
pub(super) const RESENDS: u8 = 3;

impl Machine {
    /// Gives a fresh slot to a session.
    pub(super) fn claim(&mut self, slot_id: SlotId, id: SessionId) {
        let (Some(slot), Some(session)) =
            (self.slots.get_mut(&slot_id), self.sessions.get_mut(&id))
        else {
            return;
        };
        let (Some(place), Some(process)) = (slot.place(), &mut slot.process) else {
            return;
        };
        let has_past = session.record.has_transcript && session.record.uuid.is_some();
        let loaded = !has_past || session.record.uuid == process.uuid;
        if !has_past {
            session.record.uuid.clone_from(&process.uuid);
        }
        session.record.seat = Some(Seat { place, loaded });
        session.record.was_live = false;
        session.stuck_for = None;
        self.actions.push(Action::SetSession {
            place,
            session: Some(id),
        });
        let wait = self.mark_prompt(id);
        let state = if loaded {
            State::Hosting(id, Turn::Quiet { settle_by: None })
        } else {
            State::Resuming(id, Submission::new(wait, self.now))
        };
        if let Some(slot) = self.slots.get_mut(&slot_id) {
            slot.state = state;
        }
        if loaded {
            self.loaded(id);
        }
    }

    /// A session is in its slot with its conversation.
    fn loaded(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if let Some(seat) = &mut session.record.seat {
            seat.loaded = true;
        }
        if session.prompt.is_none() {
            session.record.order = None;
            session.for_pin = false;
            session.load_failures = 0;
            self.check_fresh = true;
        }
        self.mark(id);
    }

    pub(super) fn advance_resuming(&mut self, slot_id: SlotId, id: SessionId) -> bool {
        let now = self.now;
        let uuid = self.sessions.get(&id).and_then(|s| s.record.uuid.clone());
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return false;
        };
        let (State::Resuming(_, submission), Some(process)) = (&mut slot.state, &mut slot.process)
        else {
            return false;
        };
        if is_back(process, uuid.as_ref()) && process.outstanding.is_none() {
            slot.state = State::Hosting(id, Turn::Quiet { settle_by: None });
            self.loaded(id);
            return true;
        }
        if now.since(submission.begun_at) >= PATIENCE {
            return self.resume_failed(slot_id, id, "claude did not bring the conversation back");
        }
        let give_up_at = submission.begun_at.plus(PATIENCE);
        if submission.to_send && self.book.is_durable(submission.wait) && process.is_ready() {
            let number = process.number();
            submission.to_send = false;
            submission.sent_at = Some(now);
            let Some(uuid) = uuid else { return false };
            self.type_into(slot_id, number, Typing::Resume(uuid));
            return true;
        }
        let look_at = submission.look_at;
        let waits_for_disk = submission.to_send && !self.book.is_durable(submission.wait);
        if !waits_for_disk && look_at <= now {
            submission.look_at = now.plus(LOOK);
            self.look(slot_id);
        }
        self.wake_at(give_up_at);
        self.wake_at(if look_at > now {
            look_at
        } else {
            now.plus(LOOK)
        });
        false
    }

    /// What was seen of a slot that resumes or clears. None of its business: false.
    pub(super) fn submission_seen(&mut self, slot_id: SlotId, seen: &Inspection) {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return;
        };
        let (State::Resuming(_, submission) | State::Clearing(submission), Some(process)) =
            (&mut slot.state, &mut slot.process)
        else {
            return;
        };
        if submission.to_send && seen.readiness == Readiness::Idle {
            process.believe_idle_later(now);
        }
        let swallowed = submission.typed_at.is_some()
            && submission.confirmed_at.is_none()
            && process.outstanding.is_none()
            && seen.readiness == Readiness::Idle
            && seen.in_box == InBox::Ours;
        if swallowed && submission.resent < RESENDS {
            submission.resent += 1;
            let times = submission.resent;
            self.resend(slot_id, times);
        }
    }

    fn resume_failed(&mut self, slot_id: SlotId, id: SessionId, why: &str) -> bool {
        self.unseat(id);
        self.load_failed(id, why.to_owned());
        self.replace(slot_id, ReplaceReason::Unresponsive);
        true
    }
}

/// The conversation is there, and claude waits for input.
fn is_back(process: &Process, uuid: Option<&ClaudeUuid>) -> bool {
    process.uuid.as_ref() == uuid && process.is_idle()
}
