//! The pool's own life: what it finds at the start, init, resize, and its end.

use super::action::{Action, Fact, ReplaceReason, Reply};
use super::event::{Known, LivingHost};
use super::id::{DeliveryNumber, SessionId, SlotId, Ticket};
use super::machine::{MAX_SIZE, Machine, Phase};
use super::notice::{Notice, PoolNews};
use super::prompt_text::is_part;
use super::record::{Delivery, PromptRecord, Rest, Seat};
use super::refusal::Refusal;
use super::session::{IfAbsent, Session};
use super::slot::{Launch, Ours, Process, Running, Slot, State, Submission, Turn};
use super::status::{Readiness, Status};
use super::{archive, process, turn};
use crate::core::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a registry may lag behind a prompt.
const FRESH_PROMPT: Duration = Duration::from_secs(2);
/// How long processes may take to end with the pool.
const LAST_PATIENCE: Duration = Duration::from_secs(60);

impl Machine {
    /// Takes in what there is when the daemon starts.
    pub(super) fn load(&mut self, known: Known) {
        self.size = known.size.clamp(1, MAX_SIZE);
        self.settings = known.settings;
        self.baseline = known.baseline;
        if let Some(standing) = known.standing {
            self.accounts_changed(standing);
        }
        let mut prompts: BTreeMap<SessionId, PromptRecord> =
            known.prompts.into_iter().map(|p| (p.session, p)).collect();
        let seen = known.hosts.iter().map(|host| host.place.generation.0);
        let delivered = prompts.values().filter_map(|p| p.delivery);
        let highest = seen.chain(delivered.map(|d| d.place.generation.0)).max();
        self.last_generation = known.generation.max(highest.unwrap_or(0));
        for record in known.sessions {
            let id = record.id;
            let seated = record.seat.map(|seat| seat.place.generation.0);
            self.last_generation = self.last_generation.max(seated.unwrap_or(0));
            self.last_order = self.last_order.max(record.order.unwrap_or(0));
            self.alarms.extend(record.pinned_until.map(|at| (at, id)));
            if let Rest::Archived(since) = record.rest {
                self.alarms.insert((since.plus(archive::KEPT), id));
            }
            let session = Session::new(record, prompts.remove(&id), Status::Offloaded);
            self.admit(session);
        }
        let hosts = known.hosts.len();
        let adopted = !known.hosts.is_empty();
        for host in known.hosts {
            self.adopt(host);
        }
        for id in self.sessions.keys().copied().collect::<Vec<_>>() {
            self.settle_loaded(id, adopted);
        }
        if adopted {
            let slots = u32::try_from(hosts).unwrap_or(u32::MAX);
            self.phase = Phase::Running;
            self.readopted = Some(slots);
            self.log(Fact::Readopted { slots });
        }
    }

    /// A session as it was written: its slot may have outlived the daemon, or not.
    fn settle_loaded(&mut self, id: SessionId, adopted: bool) {
        let in_slot = self.slot_of(id).is_some();
        let order = self.next_order();
        let mut check = false;
        if let Some(session) = self.sessions.get_mut(&id)
            && !in_slot
        {
            let was_live = session.record.seat.take().is_some();
            session.record.was_live |= was_live && !adopted;
            check = session
                .prompt
                .as_ref()
                .is_some_and(|p| p.delivery.is_some());
            if session.prompt.is_some() {
                session.record.order.get_or_insert(order);
                session.checking = check.then_some(IfAbsent::Redeliver);
            }
            if was_live {
                self.mark(id);
            }
        }
        self.touch(id);
        let status = self.status_of(id);
        let pending = self.pending_of(id).unwrap_or_default();
        let waiting = self.waiting_for(id);
        if let Some(session) = self.sessions.get_mut(&id) {
            session.told = status;
            session.told_pending = pending;
            session.told_waiting = waiting;
        }
        if check {
            self.check_transcript(id);
        }
    }

    /// Keeps a slot that outlived the daemon before.
    fn adopt(&mut self, host: LivingHost) {
        let now = self.now;
        let (place, done) = (host.place, host.done);
        let seated = |session: &&Session| session.record.seat.map(|s| s.place) == Some(place);
        let session = self.sessions.values().find(seated).map(Session::id);
        let prompt = session.and_then(|id| self.sessions.get(&id)?.prompt.as_ref());
        let highest = prompt.and_then(|p| p.delivery).map(|d| d.number);
        let mut process = Process::adopt(host, highest.unwrap_or_default(), now);
        let starting = process.registry.readiness == Readiness::Starting;
        let state = match session {
            Some(id) => self.adopted_session(id, &mut process, done),
            None if starting => State::Spawning {
                launch: Launch::default(),
                until: process::start_by(now),
                resume: None,
                stuck: false,
            },
            // Nobody knows what it was in the middle of.
            None => State::Clearing(Submission::new(self.book.next_epoch(), now)),
        };
        let mut slot = Slot::new(place.slot, now);
        slot.process = Some(process);
        slot.state = state;
        self.slots.insert(place.slot, slot);
    }

    fn adopted_session(
        &mut self,
        id: SessionId,
        process: &mut Process,
        done: DeliveryNumber,
    ) -> State {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&id) else {
            return State::Fresh;
        };
        let record = &mut session.record;
        let loaded = record.seat.is_some_and(|seat| seat.loaded);
        if !loaded && record.uuid != process.uuid {
            return State::Resuming(id, Submission::new(self.book.next_epoch(), now));
        }
        if let Some(Seat { loaded, .. }) = &mut record.seat {
            *loaded = true;
        }
        if session.prompt.as_ref().is_some_and(|prompt| prompt.taken) {
            session.kept = session.prompt.take();
        }
        if session.prompt.is_none() {
            record.order = None;
        }
        if record.uuid != process.uuid && process.uuid.is_some() {
            record.uuid.clone_from(&process.uuid);
            record.has_transcript = false;
            if let Some(prompt) = &mut session.prompt {
                prompt.conversations.extend(process.uuid.clone());
            }
        }
        let typed = session.prompt.as_ref().filter(|p| p.delivery.is_some());
        if typed.is_some_and(|prompt| is_part(&prompt.text, &process.pending)) {
            // What the daemon before was typing is nobody's half-typed line.
            process.pending.clear();
        }
        let delivery = session.prompt.as_ref().map(|p| (p.delivery, p.accepted_at));
        let turn = match delivery {
            Some((Some(delivery), accepted_at)) => {
                Turn::Delivering(adopted_delivery(delivery, accepted_at, done, now))
            }
            Some((None, _)) => Turn::quiet(),
            None if session.kept.is_some() => Turn::Running(adopted_turn(session, now)),
            None if process.is_engaged() => {
                let since = process.registry.since;
                Turn::Running(Running::new(since, None, now.plus(turn::BELIEVED)))
            }
            // A prompt that was taken a moment ago may not show in the registry yet.
            None if now.since(record.last_used_at) < FRESH_PROMPT => {
                process.idle_after = now;
                Turn::Quiet {
                    settle_by: Some(now.plus(FRESH_PROMPT)),
                }
            }
            None => Turn::quiet(),
        };
        self.mark(id);
        State::Hosting(id, turn)
    }

    pub(super) fn init(&mut self, ticket: Ticket, size: Option<i64>, no_restore: bool) {
        if self.phase == Phase::Running {
            return match self.readopted.take() {
                Some(slots) => self.reply(
                    ticket,
                    Reply::Initialized {
                        readopted: Some(slots),
                    },
                ),
                None => self.refuse(ticket, Refusal::AlreadyInitialized),
            };
        }
        let size = match size.map(check_size).transpose() {
            Ok(size) => size.unwrap_or(self.size),
            Err(refusal) => return self.refuse(ticket, refusal),
        };
        self.size = size;
        self.phase = Phase::Running;
        self.restore(no_restore);
        self.reply(ticket, Reply::Initialized { readopted: None });
        self.actions
            .push(Action::Notify(Notice::Pool(PoolNews::Init { size })));
    }

    /// Has the sessions that were live brought back, those used last first, as far as there will be room: who waits
    /// with a prompt, and the slots that are kept fresh, come before.
    fn restore(&mut self, no_restore: bool) {
        let taken = self.queue.len() + self.settings.keep_fresh as usize;
        let room = (self.size as usize).saturating_sub(taken);
        let mut live: Vec<(Timestamp, SessionId)> = self
            .sessions
            .values()
            .filter(|s| s.record.was_live)
            .map(|s| (s.record.last_used_at, s.id()))
            .collect();
        live.sort_unstable();
        let mut left = if no_restore { 0 } else { room };
        for (_, id) in live.into_iter().rev() {
            let order = self.next_order();
            if let Some(session) = self.sessions.get_mut(&id) {
                session.record.was_live = false;
                let rests = session.status_at_rest() == Status::Offloaded;
                if rests && left > 0 {
                    session.record.order = Some(order);
                    left -= 1;
                }
            }
            self.mark(id);
        }
    }

    pub(super) fn resize(&mut self, ticket: Ticket, size: i64) {
        let size = match check_size(size) {
            Ok(size) => size,
            Err(refusal) => return self.refuse(ticket, refusal),
        };
        self.size = size;
        self.try_again();
        self.actions.push(Action::SaveSize { size });
        self.reply(ticket, Reply::Resized { size });
        self.actions
            .push(Action::Notify(Notice::Pool(PoolNews::Resize { size })));
    }

    pub(super) fn destroy(&mut self, ticket: Ticket, confirm: bool) {
        if !confirm {
            return self.refuse(ticket, Refusal::DestroyUnconfirmed);
        }
        self.reply(ticket, Reply::Done);
        self.actions
            .push(Action::Notify(Notice::Pool(PoolNews::Destroy)));
        self.send_waiters_home();
        let slots: Vec<SlotId> = self.slots.keys().copied().collect();
        for id in slots {
            self.end_slot(id);
        }
        self.phase = Phase::Ending {
            until: self.now.plus(LAST_PATIENCE),
        };
    }

    fn end_slot(&mut self, id: SlotId) {
        let Some(slot) = self.slots.get_mut(&id) else {
            return;
        };
        slot.leaving = true;
        if let State::Hosting(session, turn) = &slot.state {
            let (session, turn) = (*session, turn.clone());
            self.leave_turn(session, turn);
        }
        let Some(slot) = self.slots.get_mut(&id) else {
            return;
        };
        let session = slot.session();
        let ending = matches!(slot.state, State::Ending { .. });
        if slot.process.is_none() {
            self.slots.remove(&id);
            return;
        }
        if let Some(session) = session {
            if let Some(session) = self.sessions.get_mut(&session) {
                session.record.was_live = true;
            }
            self.unseat(session);
            self.tell(session);
        }
        if !ending {
            self.replace(id, ReplaceReason::Destroy);
        }
    }

    /// What is under way in a slot that ends with the pool: what became of it is in the transcript, for whoever starts next.
    fn leave_turn(&mut self, id: SessionId, turn: Turn) {
        match turn {
            Turn::Delivering(submission) if submission.sent_at.is_some() => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.checking = Some(IfAbsent::Redeliver);
                }
            }
            Turn::Running(_) => {
                self.take_back_kept(id);
            }
            Turn::Choosing(choosing) => self.owe_again(id, choosing.text),
            Turn::Delivering(_) | Turn::Quiet { .. } | Turn::Tidying { .. } => {}
        }
    }

    /// The daemon goes, the slots stay.
    pub(super) fn leave(&mut self) {
        if self.phase != Phase::Over && !matches!(self.phase, Phase::Ending { .. }) {
            self.send_waiters_home();
            self.phase = Phase::Leaving;
        }
    }

    /// Lets the daemon exit once there is nothing left to do.
    pub(super) fn end_life(&mut self) {
        let over = match self.phase {
            Phase::Ending { until } => {
                until <= self.now || (self.slots.is_empty() && self.book.is_clean())
            }
            Phase::Leaving => self.book.is_clean(),
            Phase::Waiting | Phase::Running | Phase::Over => false,
        };
        if over {
            self.phase = Phase::Over;
            self.actions.push(Action::Shutdown);
        }
    }
}

/// A prompt that a daemon before this one was delivering.
fn adopted_delivery(
    delivery: Delivery,
    accepted_at: Timestamp,
    done: DeliveryNumber,
    now: Timestamp,
) -> Submission {
    let mut submission = Submission::new(Default::default(), now);
    submission.number = Some(delivery.number);
    // It may be on its way to the host, or be there: reports of it count from when it was accepted.
    submission.sent_at = Some(accepted_at);
    submission.to_send = done < delivery.number;
    if !submission.to_send {
        submission.typed_at = Some(now);
    }
    submission
}

/// A turn that a daemon before this one saw begin.
fn adopted_turn(session: &Session, now: Timestamp) -> Running {
    let kept = session.kept.as_ref();
    let since = kept.map_or(now, |prompt| prompt.accepted_at);
    Running::new(since, kept.and_then(Ours::of), now.plus(turn::BELIEVED))
}

fn check_size(size: i64) -> Result<u32, Refusal> {
    match u32::try_from(size) {
        Ok(0) | Err(_) if size < 1 => Err(Refusal::SizeNotPositive),
        Ok(size) if size <= MAX_SIZE => Ok(size),
        _ => Err(Refusal::SizeTooLarge),
    }
}
