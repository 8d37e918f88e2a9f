//! What somebody has half typed at a session's prompt: kept when the box is needed, and put back when it is free again.
//! Nothing that was reported of it is lost: it is in the box, or in the session's record.

use super::action::Typing;
use super::book::Epoch;
use super::id::{Place, SessionId, SlotId};
use super::machine::Machine;
use super::prompt_text::{is_part, is_same};
use super::slot::{Process, State, Turn};
use crate::core::time::Timestamp;
use std::time::Duration;

/// What was put back into the box is seen on the screen within this time.
const SHOWS: Duration = Duration::from_secs(1);

/// What is to be kept when this much is kept already: both, unless the one only goes on where the other ended.
fn joined(saved: Option<&str>, text: &str) -> String {
    match saved {
        Some(saved) if !text.starts_with(saved) => format!("{saved}\n{text}"),
        _ => text.to_owned(),
    }
}

impl Machine {
    /// What stands at a prompt changed.
    pub(super) fn pending_input(&mut self, place: Place, text: String) {
        let now = self.now;
        let Some(slot) = self.at(place) else {
            return;
        };
        let Some(process) = &mut slot.process else {
            return;
        };
        let may_be_ours = match &slot.state {
            State::Hosting(_, Turn::Quiet { .. } | Turn::Running(_) | Turn::Choosing(_)) => false,
            State::Hosting(_, Turn::Delivering(submission)) => submission.sent_at.is_some(),
            State::Hosting(_, Turn::Tidying { .. }) => true,
            // Typed just before its session left.
            State::Clearing(_) | State::Ending { .. } => return self.left_behind(place, &text),
            _ => return,
        };
        let by_the_pool = process.outstanding.is_some_and(|o| !o.puts_back);
        let is_ours = |(_, ours): &(_, std::sync::Arc<str>)| is_part(ours, &text);
        // What stands there while the pool types, or after that, is the pool's as far as it can be.
        if (may_be_ours || by_the_pool) && process.ours.as_ref().is_some_and(is_ours) {
            if text.is_empty() && !by_the_pool {
                process.pending.clear();
            }
            return;
        }
        let State::Hosting(id, turn) = &slot.state else {
            return;
        };
        let id = *id;
        if by_the_pool && matches!(turn, Turn::Delivering(_)) {
            // It stood there before the pool's keys came, which have emptied the box.
            self.keep_line(id, &text);
            return;
        }
        if process.pending == text || (by_the_pool && text.is_empty()) {
            return;
        }
        process.pending = text;
        if process.outstanding.is_none()
            && let Some(session) = self.sessions.get_mut(&id)
        {
            session.record.last_used_at = now;
            self.mark(id);
        }
        self.touch(id);
    }

    /// A line that was reported when its session had left the slot already.
    fn left_behind(&mut self, place: Place, text: &str) {
        let process = self.at(place).and_then(|slot| slot.process.as_ref());
        let Some((id, ours)) = process.and_then(|p| Some((p.left?, p.ours.clone()))) else {
            return;
        };
        if ours.is_some_and(|(_, ours)| is_part(&ours, text)) {
            return;
        }
        let kept = self.keep_line(id, text);
        if let (Some(kept), Some(State::Clearing(submission))) =
            (kept, self.at(place).map(|slot| &mut slot.state))
            && submission.to_send
        {
            submission.wait = kept;
        }
    }

    /// Keeps a line with the session, beside what is kept of it already. When it will be on disk; none where it is kept
    /// already.
    pub(super) fn keep_line(&mut self, id: SessionId, line: &str) -> Option<Epoch> {
        let session = self.sessions.get_mut(&id).filter(|_| !line.is_empty())?;
        let saved = session.record.saved_input.as_deref();
        if saved.is_some_and(|saved| saved.ends_with(line)) {
            return None;
        }
        session.record.saved_input = Some(joined(saved, line));
        Some(self.mark(id))
    }

    /// Keeps what stands in the box of the slot that a session leaves.
    pub(super) fn keep_box(&mut self, slot_id: SlotId, id: SessionId) {
        let now = self.now;
        let slot = self.slots.get_mut(&slot_id);
        let Some(process) = slot.and_then(|slot| slot.process.as_mut()) else {
            return;
        };
        process.left = Some(id);
        let line = process.in_box(now);
        self.keep_line(id, &line);
    }

    /// Puts back what somebody had half typed when the box was needed.
    pub(super) fn put_back(&mut self, slot_id: SlotId, id: SessionId) -> bool {
        let (Some(slot), Some(session)) =
            (self.slots.get_mut(&slot_id), self.sessions.get_mut(&id))
        else {
            return false;
        };
        let Some(process) = slot.process.as_mut().filter(|process| process.is_ready()) else {
            return false;
        };
        let Some(saved) = session.record.saved_input.clone() else {
            return false;
        };
        if is_same(&saved, &process.pending) {
            // The very text: typed by a daemon before this one.
            session.record.saved_input = None;
            self.mark(id);
            return true;
        }
        if !process.pending.is_empty() {
            // Something new stands there; it waits until that is gone.
            return false;
        }
        let number = process.number();
        self.type_into(slot_id, number, Typing::PutBack(saved));
        true
    }
}

impl Process {
    /// What stands in the box, by all that is known: what was put back a moment ago may not be shown yet.
    pub(super) fn in_box(&self, now: Timestamp) -> String {
        match &self.put_back {
            Some((text, at)) if self.pending.is_empty() && now.since(*at) < SHOWS => text.clone(),
            _ => self.pending.clone(),
        }
    }
}
