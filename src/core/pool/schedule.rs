//! Who is in which slot: the queue, its slots, who makes room, and what becomes of slots that are too many or outdated.

use super::action::{Action, Fact, ReplaceReason};
use super::id::{SessionId, SlotId};
use super::machine::Machine;
use super::session::Session;
use super::slot::{Launch, Process, Slot, State, Turn};
use super::status::SlotState;
use crate::core::account::AccountId;
use std::cmp::Reverse;

/// How a session's place in the queue compares: the lowest is served first.
type QueueKey = (bool, Reverse<i64>, Option<u64>, SessionId);

impl Machine {
    /// Those who wait for a slot, the next one first: pinned ones, then by priority, then by when they came.
    pub(super) fn waiting(&self) -> Vec<SessionId> {
        let mut waiting: Vec<(QueueKey, SessionId)> = self
            .queue
            .iter()
            .filter_map(|id| self.sessions.get(id))
            .filter(|session| session.waits())
            .map(|session| (self.queue_key(session), session.id()))
            .collect();
        waiting.sort_unstable();
        waiting.into_iter().map(|(_, id)| id).collect()
    }

    fn queue_key(&self, session: &Session) -> QueueKey {
        (
            !session.is_pinned(self.now),
            Reverse(session.record.priority),
            session.record.order,
            session.id(),
        )
    }

    /// Gives slots to those who wait, in their order; whether anybody got one.
    pub(super) fn assign(&mut self) -> bool {
        if self.queue.is_empty() {
            return false;
        }
        let mut moved = false;
        for id in self.waiting() {
            if self.is_launched_for(id) {
                continue;
            }
            if !self.seat_or_launch(id) {
                break;
            }
            moved = true;
        }
        moved
    }

    /// A slot is being started for this session alone.
    pub(super) fn is_launched_for(&self, id: SessionId) -> bool {
        self.slots.values().any(|slot| slot.launching() == Some(id))
    }

    fn seat_or_launch(&mut self, id: SessionId) -> bool {
        let Some(session) = self.sessions.get(&id) else {
            return false;
        };
        // Nothing that cannot be undone happens for what may still have to be taken back.
        let only_claim = session.accepting.is_some();
        if only_claim && !session.is_unborn() {
            return false;
        }
        let cold = session.load_failures > 0 && session.record.has_transcript;
        if !cold && let Some(slot) = self.fitting(session) {
            self.claim(slot, id);
            return true;
        }
        if only_claim || (!cold && self.is_ordinary(session)) {
            return false;
        }
        self.launch_for(id)
    }

    /// A fresh slot that can take a session as it is; one that is up to date before others.
    fn fitting(&self, session: &Session) -> Option<SlotId> {
        let fits = |slot: &&Slot| {
            let process = slot.process.as_ref();
            matches!(slot.state, State::Fresh)
                && !slot.leaving
                && process.is_some_and(|p| takes(p, session) && !self.is_barred(p))
        };
        let outdated = |slot: &&Slot| {
            let process = slot.process.as_ref();
            process.is_none_or(|process| self.is_outdated(process))
        };
        let fitting = self.slots.values().filter(fits);
        fitting
            .min_by_key(|slot| (self.is_refused(account_of(slot)), outdated(slot), slot.id))
            .map(|s| s.id)
    }

    /// It was started from something else than slots are now, or serves with whom a rule no longer allows.
    pub(super) fn is_outdated(&self, process: &Process) -> bool {
        process.build != self.settings.build || self.is_barred(process)
    }

    /// A rule lets others serve in the pool's directory.
    fn is_barred(&self, process: &Process) -> bool {
        let allows =
            |allowed: &Vec<AccountId>| process.account.is_some_and(|a| allowed.contains(&a));
        let is_here = process.cwd == self.settings.dir;
        is_here && !self.settings.allowed.as_ref().is_none_or(allows)
    }

    /// Any slot of the pool will do for it.
    pub(super) fn is_ordinary(&self, session: &Session) -> bool {
        session.record.spawn_cwd == self.settings.dir && session.record.account.is_none()
    }

    /// Has a slot started anew for a session that needs another place than the slots have.
    fn launch_for(&mut self, id: SessionId) -> bool {
        let launch = Launch {
            session: Some(id),
            account: None,
        };
        let rested = |slot: &&mut Slot| {
            matches!(&slot.state, State::Empty { at, launch } if *at <= self.now && launch.session.is_none())
                && !slot.leaving
        };
        if let Some(slot) = self.slots.values_mut().find(rested) {
            slot.state = State::Empty {
                at: self.now,
                launch,
            };
            return true;
        }
        let outdated =
            |slot: &&Slot| slot.process.as_ref().map(|p| p.build) == Some(self.settings.build);
        let fresh = |slot: &&Slot| matches!(slot.state, State::Fresh) && !slot.leaving;
        let fresh = self.slots.values().filter(fresh);
        let Some(slot) = fresh
            .min_by_key(|slot| (outdated(slot), slot.id))
            .map(|s| s.id)
        else {
            return false;
        };
        self.replace_for(slot, ReplaceReason::OtherPlace, launch);
        true
    }

    /// Lets idle sessions leave for those who wait, and for keepFresh; whether one did.
    pub(super) fn make_room(&mut self) -> bool {
        let demand = if self.queue.is_empty() {
            0
        } else {
            let waiting = self.waiting().into_iter();
            waiting
                .filter(|id| !self.is_accepting(*id) && !self.is_launched_for(*id))
                .count()
        };
        let keep = if std::mem::take(&mut self.check_fresh) {
            self.settings.keep_fresh as usize
        } else {
            0
        };
        if demand + keep == 0 {
            return false;
        }
        let mut supply = self.slots.values().filter(|slot| is_coming(slot)).count();
        let mut moved = false;
        while supply < demand + keep {
            let Some((session, slot)) = self.victim() else {
                break;
            };
            self.log(Fact::Evicted { session, slot });
            self.offload(slot);
            supply += 1;
            moved = true;
        }
        moved
    }

    /// The idle session that can be missed most: not pinned; of the lowest priority, then one with nothing half typed,
    /// then the one that was used longest ago.
    pub(super) fn victim(&self) -> Option<(SessionId, SlotId)> {
        self.slots
            .values()
            .filter(|slot| !slot.leaving)
            .filter_map(|slot| self.evictable(slot).map(|session| (session, slot)))
            .min_by_key(|(session, slot)| {
                let process = slot.process.as_ref();
                let typed = process.is_some_and(|process| !process.pending.is_empty());
                let record = &session.record;
                (record.priority, typed, record.last_used_at, record.id)
            })
            .map(|(session, slot)| (session.id(), slot.id))
    }

    /// The session in a slot, if it may be asked to leave.
    fn evictable(&self, slot: &Slot) -> Option<&Session> {
        // A registry that has not followed yet may be about to say that claude works again.
        let State::Hosting(id, Turn::Quiet { settle_by: None }) = &slot.state else {
            return None;
        };
        let session = self.sessions.get(id)?;
        let free = session.prompt.is_none()
            && session.stopping.is_none()
            && session.accepting.is_none()
            && !session.is_pinned(self.now);
        let engaged = slot.process.as_ref().is_some_and(Process::is_engaged);
        (free && !engaged).then_some(session)
    }

    /// How many slots are too many.
    pub(super) fn excess(&self) -> usize {
        let staying = self.slots.values().filter(|slot| !slot.leaving).count();
        staying.saturating_sub(self.size as usize)
    }

    /// Brings the number of slots to what it is to be, as they come free, and replaces those that nobody can use;
    /// whether anything moved.
    pub(super) fn trim(&mut self) -> bool {
        let mut moved = false;
        while self.excess() > 0 {
            let Some(slot) = self.dispensable() else {
                break;
            };
            self.dismiss(slot);
            moved = true;
        }
        while self.slots.values().filter(|slot| !slot.leaving).count() < self.size as usize {
            let free = (1..).map(SlotId).find(|id| !self.slots.contains_key(id));
            let Some(id) = free else { break };
            self.slots.insert(id, Slot::new(id, self.now));
            moved = true;
        }
        moved | self.replace_unusable()
    }

    /// A slot that can leave now, the one that is missed least first.
    fn dispensable(&self) -> Option<SlotId> {
        let rank = |slot: &&Slot| match slot.shown() {
            SlotState::Crashed => 0,
            SlotState::Spawning => 1,
            SlotState::Clearing => 2,
            _ => 3,
        };
        let free = self.slots.values().filter(|slot| {
            let free = !matches!(slot.state, State::Hosting(..) | State::Resuming(..));
            free && !slot.leaving
        });
        let free = free.min_by_key(|slot| (rank(slot), Reverse(slot.id)));
        free.map(|slot| slot.id)
            .or_else(|| self.victim().map(|(_, slot)| slot))
    }

    /// Has a slot leave the pool.
    pub(super) fn dismiss(&mut self, id: SlotId) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.leaving = true;
        }
        match self.slots.get(&id).map(|slot| &slot.state) {
            Some(State::Empty { .. }) => {
                self.slots.remove(&id);
            }
            Some(State::Hosting(..)) => self.offload(id),
            Some(State::Ending { .. }) | None => {}
            Some(_) => self.replace(id, ReplaceReason::Shrink),
        }
    }

    /// Who gets the next slot that they can use.
    fn next_in_line(&self) -> Option<&Session> {
        if self.queue.is_empty() {
            return None;
        }
        let mut waiting = self.waiting().into_iter();
        let next = waiting.find(|id| !self.is_launched_for(*id));
        next.and_then(|id| self.sessions.get(&id))
    }

    /// Replaces fresh slots that are outdated, one at a time, and those that were started for a session that does not
    /// need them any more.
    fn replace_unusable(&mut self) -> bool {
        let under_way = self
            .slots
            .values()
            .any(|slot| slot.process.is_none() || slot.launching_now());
        let next = self.next_in_line();
        let found = self.slots.values().find_map(|slot| {
            let process = slot.process.as_ref()?;
            if slot.leaving || !matches!(slot.state, State::Fresh) {
                return None;
            }
            if process.cwd != self.settings.dir {
                // Who is next may need this very place.
                let needed = next.is_some_and(|session| takes(process, session));
                return (!needed).then_some((slot.id, ReplaceReason::OtherPlace));
            }
            if self.is_outdated(process) && !under_way {
                return Some((slot.id, ReplaceReason::Outdated));
            }
            let left = !under_way && self.queue.is_empty() && self.outgrown(slot);
            left.then_some((slot.id, ReplaceReason::AccountLeft))
        });
        let Some((slot, why)) = found else {
            return false;
        };
        if why == ReplaceReason::AccountLeft
            && let Some(slot) = self.slots.get_mut(&slot)
        {
            slot.moved_at = Some(self.now);
        }
        self.replace(slot, why);
        true
    }

    pub(super) fn unseat(&mut self, id: SessionId) {
        let slot = self.slot_of(id);
        let place = slot.and_then(|slot| self.slots.get(&slot)?.place());
        if let Some(slot) = slot {
            self.keep_box(slot, id);
        }
        self.unseat_dead(id);
        if let Some(place) = place {
            self.actions.push(Action::CloseAttach { place });
            self.actions.push(Action::SetSession {
                place,
                session: None,
            });
        }
    }
}

/// A fresh process can take a session as it is.
fn takes(process: &Process, session: &Session) -> bool {
    let account = session.record.account;
    process.cwd == session.record.spawn_cwd && (account.is_none() || account == process.account)
}

fn account_of(slot: &Slot) -> Option<AccountId> {
    slot.process.as_ref().and_then(|process| process.account)
}

/// It is fresh, or on its way to be, for whoever comes.
fn is_coming(slot: &Slot) -> bool {
    let coming = match &slot.state {
        State::Fresh | State::Clearing(_) => true,
        State::Empty { .. } => slot.failures == 0,
        State::Spawning { stuck, .. } => !stuck,
        State::Ending { .. } => true,
        State::Resuming(..) | State::Hosting(..) => false,
    };
    coming && !slot.leaving && slot.launching().is_none()
}
