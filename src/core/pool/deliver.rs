//! Delivering a prompt: typed as a numbered command once it is on disk that it will be, then seen to be taken. Claude's
//! report of this very prompt is the acknowledgement, or the prompt's record in the transcript.

use super::action::{Action, Fact, ReplaceReason, Typing};
use super::event::{InBox, InTranscript, Inspection};
use super::id::{DeliveryNumber, PromptId, SessionId, SlotId};
use super::machine::Machine;
use super::record::{Delivery, Rest};
use super::resume::RESENDS;
use super::session::IfAbsent;
use super::slot::{Ours, Process, Running, State, Submission, Turn};
use super::status::Readiness;
use crate::core::time::Timestamp;
use std::time::Duration;

/// How long after the submit key a prompt is looked for, and how long after that again.
const LOOK: Duration = Duration::from_secs(1);
/// How long a slot that is not ready for a prompt is left alone between two looks.
const LOOK_BEFORE: Duration = Duration::from_secs(2);
/// Claude may take so long to read a prompt on a machine that has much to do, and longer for a long one: it puts 2,500
/// lines together for several seconds, in which it shows none of them.
const READS: Duration = Duration::from_secs(10);
/// For each so many bytes a second longer.
const READS_PER_SECOND: u64 = 4096;
/// A prompt that was this often neither in the box nor in the transcript is not on its way any more.
const ABSENCES: u8 = 3;
/// When a turn is looked at first, in case its end goes unheard.
pub(super) const FIRST_LOOK: Duration = Duration::from_secs(2);

impl Machine {
    /// Decides how a hosted session's prompt is typed.
    pub(super) fn begin_delivery(&mut self, slot_id: SlotId, id: SessionId) {
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return;
        };
        let place = slot.place();
        let (Some(place), Some(process)) = (place, &mut slot.process) else {
            return;
        };
        let number = process.number();
        if let Some(prompt) = self.sessions.get_mut(&id).and_then(|s| s.prompt.as_mut()) {
            prompt.delivery = Some(Delivery { place, number });
            prompt.conversations = process.uuid.clone().into_iter().collect();
        }
        let wait = self.mark_prompt(id);
        let mut submission = Submission::new(wait, self.now);
        submission.number = Some(number);
        self.set_turn(slot_id, Turn::Delivering(submission));
    }

    pub(super) fn set_turn(&mut self, slot_id: SlotId, new: Turn) {
        let session = self.slots.get_mut(&slot_id).and_then(|slot| {
            let State::Hosting(session, turn) = &mut slot.state else {
                return None;
            };
            *turn = new;
            Some(*session)
        });
        if let Some(session) = session {
            self.touch(session);
        }
    }

    /// Has a host type.
    pub(super) fn type_into(&mut self, slot_id: SlotId, number: DeliveryNumber, typing: Typing) {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return;
        };
        let place = slot.place();
        let (Some(place), Some(process)) = (place, &mut slot.process) else {
            return;
        };
        process.begin_typing(number, &typing, now);
        let ours = match &typing {
            Typing::Prompt(text) => Some(text.clone()),
            Typing::Clear => Some("/clear".into()),
            Typing::Resume(uuid) => Some(format!("/resume {}", uuid.as_str()).into()),
            _ => None,
        };
        if let Some(ours) = ours {
            process.ours = Some((number, ours));
            process.pending.clear();
        } else if typing == Typing::EmptyBox {
            process.pending.clear();
        }
        self.actions.push(Action::Type {
            place,
            number,
            typing,
        });
    }

    /// Presses the submit key again.
    pub(super) fn resend(&mut self, slot_id: SlotId, times: u8) {
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return;
        };
        let Some(place) = slot.place() else { return };
        let Some(number) = slot.process.as_mut().map(Process::number) else {
            return;
        };
        self.log(Fact::SubmitResent { place, times });
        self.type_into(slot_id, number, Typing::Submit);
    }

    /// Asks for a look at a slot's process, unless one is under way.
    pub(super) fn look(&mut self, slot_id: SlotId) {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return;
        };
        let place = slot.place();
        let (Some(place), Some(process)) = (place, &mut slot.process) else {
            return;
        };
        if process.begin_look(now) {
            let ours = process.ours.clone();
            self.actions.push(Action::Inspect {
                place,
                number: ours
                    .as_ref()
                    .map_or_else(DeliveryNumber::default, |(n, _)| *n),
                ours: ours.map(|(_, text)| text),
            });
        }
    }

    pub(super) fn advance_delivering(&mut self, slot_id: SlotId, id: SessionId) -> bool {
        let now = self.now;
        let stops = self.sessions.get(&id).is_some_and(|s| s.stopping.is_some());
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return false;
        };
        let (State::Hosting(_, Turn::Delivering(submission)), Some(process)) =
            (&mut slot.state, &mut slot.process)
        else {
            return false;
        };
        if !submission.to_send {
            return self.advance_delivered(slot_id, id);
        }
        if stops && submission.sent_at.is_none() {
            self.drop_prompt(id);
            self.set_turn(slot_id, Turn::quiet());
            return true;
        }
        if !self.book.is_durable(submission.wait) {
            return false;
        }
        if process.is_ready() {
            self.type_prompt(slot_id, id);
            return true;
        }
        if submission.look_at <= now {
            submission.look_at = now.plus(LOOK_BEFORE);
            self.look(slot_id);
        }
        self.wake_at_look(slot_id);
        false
    }

    fn wake_at_look(&mut self, slot_id: SlotId) {
        let state = self.slots.get(&slot_id).map(|slot| &slot.state);
        if let Some(State::Hosting(_, Turn::Delivering(submission))) = state {
            self.wake_at(submission.look_at);
        }
    }

    fn type_prompt(&mut self, slot_id: SlotId, id: SessionId) {
        let now = self.now;
        let slot = self.slots.get(&slot_id);
        let line = slot.and_then(|slot| slot.process.as_ref()?.in_box(now).into());
        if let Some(kept) = self.keep_line(id, &line.unwrap_or_default()) {
            // The box is emptied once it is on disk what stood in it.
            if let Some(State::Hosting(_, Turn::Delivering(submission))) =
                self.slots.get_mut(&slot_id).map(|slot| &mut slot.state)
            {
                submission.wait = kept;
            }
            return;
        }
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return;
        };
        let (State::Hosting(_, Turn::Delivering(submission)), Some(process)) =
            (&mut slot.state, &mut slot.process)
        else {
            return;
        };
        let Some(number) = submission.number else {
            return;
        };
        submission.to_send = false;
        submission.sent_at.get_or_insert(now);
        process.put_back = None;
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        session.record.last_used_at = now;
        let Some(text) = session.prompt.as_ref().map(|p| p.text.clone()) else {
            return;
        };
        self.mark(id);
        self.type_into(slot_id, number, Typing::Prompt(text));
    }

    /// A prompt that was typed, or may have been.
    fn advance_delivered(&mut self, slot_id: SlotId, id: SessionId) -> bool {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return false;
        };
        let (State::Hosting(_, Turn::Delivering(submission)), Some(process)) =
            (&mut slot.state, &mut slot.process)
        else {
            return false;
        };
        if let Some(outstanding) = process.outstanding {
            if outstanding.until <= now {
                self.give_up_prompt(slot_id, id, "its host does not answer");
                return true;
            }
            self.wake_at(outstanding.until);
            return false;
        }
        if submission.look_at <= now {
            submission.look_at = now.plus(LOOK);
            self.check_transcript(id);
        }
        self.wake_at_look(slot_id);
        false
    }

    /// The transcript does not have a prompt that was typed; the process is looked at next.
    fn absent(&mut self, slot_id: SlotId) {
        if let Some(State::Hosting(_, Turn::Delivering(submission))) =
            self.slots.get_mut(&slot_id).map(|slot| &mut slot.state)
        {
            submission.reading = true;
            self.look(slot_id);
        }
    }

    /// The process was looked at while its prompt is on its way.
    pub(super) fn delivery_seen(&mut self, slot_id: SlotId, id: SessionId, seen: &Inspection) {
        let now = self.now;
        let stops = self.sessions.get(&id).is_some_and(|s| s.stopping.is_some());
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return;
        };
        let (State::Hosting(_, Turn::Delivering(submission)), Some(process)) =
            (&mut slot.state, &mut slot.process)
        else {
            return;
        };
        if submission.to_send && seen.readiness == Readiness::Idle {
            process.believe_idle_later(now);
            return;
        }
        let asked = std::mem::take(&mut submission.reading);
        let idle = seen.readiness == Readiness::Idle;
        if !asked || submission.to_send || process.outstanding.is_some() || !idle {
            return;
        }
        match seen.in_box {
            InBox::Ours if stops => {
                let number = process.number();
                self.drop_prompt(id);
                self.begin_tidying(slot_id);
                self.type_into(slot_id, number, Typing::EmptyBox);
            }
            InBox::Ours if submission.resent < RESENDS => {
                submission.resent += 1;
                let times = submission.resent;
                self.resend(slot_id, times);
            }
            InBox::Ours => self.give_up_prompt(slot_id, id, "claude does not take the prompt"),
            InBox::Nothing | InBox::Else | InBox::Hidden => {
                submission.absent = submission.absent.saturating_add(1);
                let typed_at = submission.typed_at.or(submission.sent_at);
                let waited = typed_at.map_or(Duration::MAX, |at| now.since(at));
                let patience = self.sessions.get(&id).and_then(|s| s.prompt.as_ref());
                let patience = patience.map_or(READS, |prompt| reading_time(&prompt.text));
                if submission.absent >= ABSENCES && waited >= patience {
                    self.give_up_prompt(slot_id, id, "claude did not take the prompt");
                }
            }
        }
    }

    /// A prompt is not going to be taken. Its process is ended first: only then is the transcript's word final.
    fn give_up_prompt(&mut self, slot_id: SlotId, id: SessionId, why: &str) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.checking = Some(IfAbsent::Fail(why.to_owned()));
        }
        self.unseat(id);
        self.replace(slot_id, ReplaceReason::Unresponsive);
    }

    /// A prompt is not wanted any more, and was not taken.
    pub(super) fn drop_prompt(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.prompt = None;
            session.limited = None;
            session.goes_on_anyway = false;
            session.record.order = None;
        }
        self.mark_prompt(id);
    }

    /// Claude has taken a session's prompt.
    pub(super) fn take_prompt(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let delivery = session.prompt.take().and_then(|prompt| prompt.delivery);
        session.record.order = None;
        session.record.has_transcript = true;
        session.record.last_used_at = self.now;
        session.load_failures = 0;
        session.for_pin = false;
        session.checking = None;
        session.goes_on_anyway = false;
        self.mark_prompt(id);
        if let Some(delivery) = delivery {
            self.log(Fact::PromptTaken {
                session: id,
                delivery,
            });
        }
    }

    /// Claude has taken the prompt that was typed into this slot: the turn is under way.
    pub(super) fn acknowledge(&mut self, slot_id: SlotId, id: SessionId, prompt: Option<PromptId>) {
        let now = self.now;
        let state = self.slots.get(&slot_id).map(|slot| &slot.state);
        let Some(State::Hosting(_, Turn::Delivering(submission))) = state else {
            return;
        };
        let since = submission.typed_at.or(submission.sent_at).unwrap_or(now);
        let prompt_row = self.sessions.get(&id).and_then(|s| s.prompt.clone());
        let ours = prompt_row.as_ref().and_then(Ours::of);
        if let Some(process) = self
            .slots
            .get_mut(&slot_id)
            .and_then(|s| s.process.as_mut())
        {
            process.idle_after = process.idle_after.max(since);
            process.outstanding = process
                .outstanding
                .filter(|o| Some(o.number) != ours.as_ref().map(|o| o.delivery.number));
        }
        self.take_prompt(id);
        self.keep(id, prompt_row);
        let mut running = Running::new(since, ours, now.plus(FIRST_LOOK));
        running.prompt = prompt;
        self.set_turn(slot_id, Turn::Running(running));
    }

    pub(super) fn transcript_checked(
        &mut self,
        id: SessionId,
        delivery: Delivery,
        found: InTranscript,
    ) {
        let slot = self.slot_of(id).filter(|slot| *slot == delivery.place.slot);
        let state = slot
            .and_then(|slot| self.slots.get(&slot))
            .map(|s| &s.state);
        if let (Some(slot), Some(State::Hosting(_, Turn::Running(running)))) = (slot, state) {
            let asked = running.ours.as_ref().map(|o| o.delivery) == Some(delivery);
            let is_refused = matches!(found, InTranscript::Refused { .. });
            if asked && (running.doubt.is_some() || is_refused) {
                self.doubt_answered(slot, found);
            }
            return;
        }
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        if session.prompt.as_ref().and_then(|p| p.delivery) != Some(delivery) {
            return;
        }
        match (slot, session.checking.clone()) {
            (Some(slot), _) => self.checked_alive(slot, id, found),
            (None, Some(if_absent)) => self.checked_dead(id, found, if_absent),
            (None, None) => {}
        }
    }

    fn checked_alive(&mut self, slot: SlotId, id: SessionId, found: InTranscript) {
        match found {
            InTranscript::Absent => self.absent(slot),
            InTranscript::Taken { .. } => self.acknowledge(slot, id, None),
            InTranscript::Answered => {
                self.acknowledge(slot, id, None);
                self.end_turn(slot, self.now);
            }
            InTranscript::Refused { .. } => {
                self.acknowledge(slot, id, None);
                self.doubt_answered(slot, found);
            }
        }
    }

    /// The transcript of a process that is gone has the last word on its prompt.
    fn checked_dead(&mut self, id: SessionId, found: InTranscript, if_absent: IfAbsent) {
        let prompt = self.sessions.get(&id).and_then(|s| s.prompt.clone());
        let taken = prompt.as_ref().is_some_and(|prompt| prompt.taken);
        match (found, if_absent) {
            (InTranscript::Absent, IfAbsent::Redeliver) if taken => {
                self.take_prompt(id);
                self.die(id);
            }
            (InTranscript::Absent, IfAbsent::Redeliver) => self.redeliver(id),
            (InTranscript::Absent, IfAbsent::Fail(why)) => {
                self.lay_to_rest(id, Rest::Failed(why));
            }
            (InTranscript::Taken { .. }, _) => {
                self.take_prompt(id);
                self.die(id);
            }
            (InTranscript::Refused { followed, .. }, _) if self.has_accounts() => {
                self.take_prompt(id);
                if let Some(prompt) = prompt {
                    self.refused_dead(id, &prompt.text, followed);
                }
            }
            (InTranscript::Answered | InTranscript::Refused { .. }, _) => self.take_prompt(id),
        }
    }

    fn redeliver(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.checking = None;
            if let Some(prompt) = &mut session.prompt {
                prompt.delivery = None;
                prompt.redelivered = true;
            }
        }
        self.mark_prompt(id);
        self.log(Fact::Redelivering { session: id });
        self.load_failed(id, "claude died before it took the prompt".to_owned());
    }

    /// A host has carried out a command.
    pub(super) fn typed(&mut self, place: super::id::Place, number: DeliveryNumber, at: Timestamp) {
        let now = self.now;
        let Some(slot) = self.at(place) else {
            return;
        };
        let Some(process) = &mut slot.process else {
            return;
        };
        let Some(done) = process.outstanding.take_if(|o| o.number == number) else {
            return;
        };
        let session = match &mut slot.state {
            State::Hosting(session, Turn::Delivering(submission)) => {
                // An idle registry from before any of the keys is an old one.
                process.idle_after = process.idle_after.max(at);
                submission.typed_at = Some(at);
                submission.look_at = now.plus(LOOK);
                Some(*session)
            }
            State::Clearing(submission) => {
                submission.typed_at.get_or_insert(at);
                process.cleared_at = Some(at);
                None
            }
            State::Resuming(_, submission) => {
                submission.typed_at.get_or_insert(at);
                None
            }
            State::Hosting(session, _) => Some(*session),
            _ => None,
        };
        if let Some(session) = session.filter(|_| done.puts_back) {
            let record = self.sessions.get_mut(&session).map(|s| &mut s.record);
            let saved = record.and_then(|record| record.saved_input.take());
            let process = self.at(place).and_then(|slot| slot.process.as_mut());
            if let (Some(saved), Some(process)) = (saved, process) {
                process.put_back = Some((saved, now));
            }
            self.mark(session);
        }
    }
}

fn reading_time(text: &str) -> Duration {
    READS + Duration::from_secs(text.len() as u64 / READS_PER_SECOND)
}
