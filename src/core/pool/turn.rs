//! Turns of a hosted session: when one begins, when it is over, and what is seen of its process meanwhile.

use super::action::{Action, Fact};
use super::event::{InTranscript, Inspection};
use super::id::{ClaudeUuid, DeliveryNumber, Place, SessionId, SlotId};
use super::machine::Machine;
use super::record::Delivery;
use super::slot::{Ours, Process, Running, State, Turn};
use super::status::{Beginning, Readiness};
use crate::core::time::Timestamp;
use std::time::Duration;

/// A registry that does not follow a hook within this time says that claude works again.
const SETTLE: Duration = Duration::from_secs(1);
/// How often a turn is looked at that does not end, in case its end goes unheard.
const LOOK: Duration = Duration::from_secs(30);
/// A registry that is idle that long after a turn began is believed, whatever it says since when.
pub(super) const BELIEVED: Duration = Duration::from_secs(10);

impl Machine {
    pub(super) fn advance_hosting(&mut self, slot_id: SlotId, id: SessionId) -> bool {
        let state = self.slots.get(&slot_id).map(|slot| &slot.state);
        match state {
            Some(State::Hosting(_, Turn::Quiet { .. })) => self.advance_quiet(slot_id, id),
            Some(State::Hosting(_, Turn::Delivering(_))) => self.advance_delivering(slot_id, id),
            Some(State::Hosting(_, Turn::Running(_))) => self.advance_running(slot_id, id),
            Some(State::Hosting(_, Turn::Tidying { .. })) => self.advance_tidying(slot_id),
            Some(State::Hosting(_, Turn::Choosing(_))) => self.advance_choosing(slot_id, id),
            _ => false,
        }
    }

    fn advance_quiet(&mut self, slot_id: SlotId, id: SessionId) -> bool {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return false;
        };
        let (State::Hosting(_, Turn::Quiet { settle_by }), Some(process)) =
            (&mut slot.state, &slot.process)
        else {
            return false;
        };
        let settled = settle_by.is_some() && process.is_idle();
        if settled {
            *settle_by = None;
            self.check_fresh = true;
        }
        let late = settle_by.filter(|by| *by <= now);
        let pending = settle_by.filter(|by| *by > now);
        if late.is_some() {
            *settle_by = Some(now.plus(SETTLE));
        }
        if process.is_engaged() {
            let since = process.registry.since;
            self.begin_turn(slot_id, since);
            return true;
        }
        let has_prompt = self.sessions.get(&id).is_some_and(|s| s.prompt.is_some());
        if has_prompt && !self.is_accepting_refused(slot_id, id) {
            if !self.hold_back(slot_id, id) {
                self.begin_delivery(slot_id, id);
            }
            return true;
        }
        if late.is_some() {
            self.look(slot_id);
            self.wake_at(now.plus(SETTLE));
        }
        if let Some(by) = pending {
            self.wake_at(by);
        }
        self.put_back(slot_id, id) || settled
    }

    /// Claude works, and not on a prompt of the pool's.
    fn begin_turn(&mut self, slot_id: SlotId, since: Timestamp) {
        let now = self.now;
        let mut session = None;
        if let Some(slot) = self.slots.get_mut(&slot_id) {
            session = slot.session();
            if let Some(process) = &mut slot.process {
                process.idle_after = process.idle_after.max(since);
            }
        }
        if let Some(id) = session
            && let Some(session) = self.sessions.get_mut(&id)
        {
            session.record.last_used_at = now;
            self.mark(id);
        }
        let running = Running::new(since, None, now.plus(LOOK));
        self.set_turn(slot_id, Turn::Running(running));
        self.know_prompt(slot_id);
    }

    /// The prompt of a turn that is not the pool's, where a hook told it.
    pub(super) fn know_prompt(&mut self, slot_id: SlotId) {
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return;
        };
        let place = slot.place();
        let (State::Hosting(_, Turn::Running(running)), Some(place), Some(process)) =
            (&mut slot.state, place, &mut slot.process)
        else {
            return;
        };
        // The registry follows the hook, or goes before it by a moment.
        let fits = |at: Timestamp| at.plus(SETTLE) >= running.since;
        let submitted = process.submitted.take_if(|submitted| fits(submitted.at));
        if let (None, Some(submitted)) = (&running.ours, submitted) {
            running.prompt = submitted.prompt;
            running.ours = Some(Ours {
                delivery: Delivery {
                    place,
                    number: DeliveryNumber(0),
                },
                text: submitted.text,
                taken_in: process.uuid.clone(),
                conversations: process.uuid.clone().into_iter().collect(),
            });
        }
    }

    fn advance_running(&mut self, slot_id: SlotId, id: SessionId) -> bool {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return false;
        };
        let (State::Hosting(_, Turn::Running(running)), Some(process)) =
            (&mut slot.state, &mut slot.process)
        else {
            return false;
        };
        let stops = self.sessions.get(&id).is_some_and(|s| s.stopping.is_some());
        if process.is_idle() || running.judged_since.is_some() {
            if !stops && self.judge(slot_id, id) {
                return false;
            }
            self.end_turn(slot_id, now);
            return true;
        }
        let look_at = running.look_at;
        if look_at <= now {
            running.look_at = now.plus(LOOK);
            self.look(slot_id);
        }
        self.wake_at(if look_at > now {
            look_at
        } else {
            now.plus(LOOK)
        });
        self.advance_stop(slot_id, id)
    }

    /// A turn is over: at `at` by whoever said so.
    pub(super) fn end_turn(&mut self, slot_id: SlotId, at: Timestamp) {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return;
        };
        let (Some(id), Some(process)) = (slot.session(), &mut slot.process) else {
            return;
        };
        process.busy_after = process.busy_after.max(at);
        self.forget_kept(id);
        if self.sessions.get(&id).is_some_and(|s| s.stopping.is_some()) {
            self.begin_tidying(slot_id);
            return;
        }
        let settle_by = Some(now.plus(SETTLE));
        self.set_turn(slot_id, Turn::Quiet { settle_by });
        // Whoever waits is answered before anything else happens to the session.
        self.tell(id);
    }

    /// The transcript was asked whether the turn ended that a hook says ended.
    pub(super) fn doubt_answered(&mut self, slot_id: SlotId, found: InTranscript) {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return;
        };
        let (State::Hosting(_, Turn::Running(running)), Some(process)) =
            (&mut slot.state, &slot.process)
        else {
            return;
        };
        running.doubt = None;
        if let InTranscript::Refused { followed, until } = found
            && process.account.is_some()
        {
            let ours = running.ours.clone();
            return self.refused(slot_id, ours.as_ref(), followed, until);
        }
        let ended = matches!(found, InTranscript::Answered | InTranscript::Refused { .. });
        let idle = process.registry.readiness == Readiness::Idle;
        let believed = idle && now.since(running.since) >= BELIEVED;
        if ended || (believed && running.judged_since.is_none()) {
            self.end_turn(slot_id, now);
        }
    }

    /// Claude's registry file was read.
    pub(super) fn registry_read(
        &mut self,
        place: Place,
        readiness: &Readiness,
        since: Timestamp,
        uuid: Option<ClaudeUuid>,
    ) {
        let Some(process) = self.at(place).and_then(|slot| slot.process.as_mut()) else {
            return;
        };
        if !process.read(readiness, since) {
            return;
        }
        process.registry.uuid.clone_from(&uuid);
        if let Some(uuid) = uuid {
            self.conversation(place, uuid, None);
        }
        if let Some(session) = self.slots.get(&place.slot).and_then(|s| s.session()) {
            self.touch(session);
        }
    }

    /// The conversation in a process is this one.
    pub(super) fn conversation(
        &mut self,
        place: Place,
        uuid: ClaudeUuid,
        beginning: Option<Beginning>,
    ) {
        let Some(slot) = self.at(place) else {
            return;
        };
        let Some(process) = &mut slot.process else {
            return;
        };
        let is_new = process.uuid.as_ref() != Some(&uuid);
        let by_registry = process.registry.uuid.as_ref() == Some(&uuid);
        if is_new && process.was_in(&uuid) && !by_registry {
            return;
        }
        let before = if is_new {
            process.enter(uuid.clone())
        } else {
            None
        };
        let State::Hosting(id, _) = slot.state else {
            return;
        };
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if session.record.uuid.is_none() {
            session.record.uuid = Some(uuid);
            self.mark(id);
            return;
        }
        let continued = matches!(
            beginning,
            Some(Beginning::Resume | Beginning::Compact | Beginning::Fork)
        );
        if is_new {
            session.record.uuid = Some(uuid.clone());
            session.record.has_transcript = continued;
            if let Some(prompt) = &mut session.prompt {
                prompt.conversations.push(uuid.clone());
            }
            self.mark_prompt(id);
            self.log(Fact::ConversationChanged {
                session: id,
                from: before,
                to: uuid,
            });
        } else if continued && !session.record.has_transcript {
            session.record.has_transcript = true;
            self.mark(id);
        }
    }

    /// A process was looked at.
    pub(super) fn inspected(&mut self, place: Place, seen: Option<Inspection>) {
        let Some(process) = self.at(place).and_then(|slot| slot.process.as_mut()) else {
            return;
        };
        let before = process.registry.since;
        process.end_look(seen.as_ref());
        let Some(seen) = seen else {
            return;
        };
        if seen.since < before {
            return;
        }
        if let Some(uuid) = seen.uuid.clone() {
            self.conversation(place, uuid, None);
        }
        let slot = place.slot;
        let Some(state) = self.slots.get(&slot).map(|slot| &slot.state) else {
            return;
        };
        match state {
            State::Resuming(..) | State::Clearing(_) => self.submission_seen(slot, &seen),
            State::Hosting(id, turn) => {
                let id = *id;
                match turn {
                    Turn::Quiet { settle_by } => {
                        let unsettled = settle_by.is_some();
                        self.quiet_seen(slot, unsettled, &seen);
                    }
                    Turn::Delivering(_) => self.delivery_seen(slot, id, &seen),
                    Turn::Running(_) => self.running_seen(slot, id, &seen),
                    Turn::Tidying { .. } => self.tidying_seen(slot, &seen),
                    Turn::Choosing(_) => {}
                }
                self.touch(id);
            }
            State::Empty { .. } | State::Spawning { .. } | State::Fresh | State::Ending { .. } => {}
        }
    }

    /// A hook said that a turn is over, and the registry has not followed.
    fn quiet_seen(&mut self, slot_id: SlotId, unsettled: bool, seen: &Inspection) {
        if !unsettled {
            return;
        }
        match seen.readiness {
            Readiness::Busy | Readiness::Waiting { .. } => self.begin_turn(slot_id, seen.since),
            Readiness::Idle => {
                // It is idle, whatever it says since when.
                let process = self
                    .slots
                    .get_mut(&slot_id)
                    .and_then(|s| s.process.as_mut());
                if let Some(process) = process {
                    process.believe_idle();
                }
            }
            Readiness::Starting => {}
        }
    }

    /// A turn was looked at.
    fn running_seen(&mut self, slot_id: SlotId, id: SessionId, seen: &Inspection) {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return;
        };
        let (State::Hosting(_, Turn::Running(running)), Some(process)) =
            (&mut slot.state, &mut slot.process)
        else {
            return;
        };
        if seen.readiness != Readiness::Idle {
            return self.stop_seen(slot_id, id, seen);
        }
        if process.is_idle() {
            return;
        }
        match running.ours.clone() {
            Some(_) if running.doubt.is_some() => {}
            Some(ours) => {
                running.doubt = Some(now);
                running.look_at = running
                    .look_at
                    .min(running.since.plus(BELIEVED).max(now.plus(SETTLE)));
                self.ask_transcript(id, ours);
            }
            None if now.since(running.since) >= BELIEVED => process.believe_idle(),
            None => {}
        }
    }

    /// Asks the transcript what became of a prompt that was taken.
    pub(super) fn ask_transcript(&mut self, id: SessionId, ours: Ours) {
        self.actions.push(Action::CheckTranscript {
            session: id,
            conversations: ours.conversations,
            delivery: ours.delivery,
            text: ours.text,
        });
    }
}

impl Process {
    /// As [`Process::believe_idle`], when the last turn has been over for so long that a registry that lagged behind it
    /// would have followed.
    pub(super) fn believe_idle_later(&mut self, now: Timestamp) {
        if now.since(self.busy_after) >= SETTLE {
            self.believe_idle();
        }
    }

    /// Its registry says idle and is right, though it says so since before the last turn began.
    fn believe_idle(&mut self) {
        let before = Timestamp::from_unix_ms(self.registry.since.unix_ms() - 1);
        self.idle_after = self.idle_after.min(before);
    }
}
