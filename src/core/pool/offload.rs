//! Taking a session out of its slot, and making the slot fresh again.

use super::action::{ReplaceReason, Typing};
use super::id::SlotId;
use super::machine::Machine;
use super::slot::{Process, State, Submission, Turn};
use super::status::Disposition;
use std::time::Duration;

/// How long clearing may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often it is looked whether it is done.
const LOOK: Duration = Duration::from_secs(2);
/// How long the report of the new conversation, which says what claude is like now, may lag behind the registry.
const LAG: Duration = Duration::from_secs(1);

impl Machine {
    /// Takes an idle session out of its slot. That it left is on disk before anything is typed: a daemon that starts
    /// in between must not take the cleared conversation for the session's own.
    pub(super) fn offload(&mut self, slot_id: SlotId) {
        let Some(slot) = self.slots.get(&slot_id) else {
            return;
        };
        let (Some(id), Some(process)) = (slot.session(), &slot.process) else {
            return;
        };
        let account = self.sessions.get(&id).and_then(|s| s.record.account);
        let why = match () {
            () if slot.leaving => Some(ReplaceReason::Shrink),
            () if self.is_outdated(process) => Some(ReplaceReason::Outdated),
            () if self.is_changed(slot_id) => Some(ReplaceReason::Changed),
            () if process.cwd != self.settings.dir || account.is_some() => {
                Some(ReplaceReason::OtherPlace)
            }
            () => None,
        };
        self.unseat(id);
        self.tell(id);
        match why {
            Some(why) => self.replace(slot_id, why),
            None => self.begin_clearing(slot_id),
        }
    }

    pub(super) fn begin_clearing(&mut self, slot_id: SlotId) {
        let submission = Submission::new(self.book.next_epoch(), self.now);
        if let Some(slot) = self.slots.get_mut(&slot_id) {
            slot.state = State::Clearing(submission);
        }
    }

    pub(super) fn advance_clearing(&mut self, slot_id: SlotId) -> bool {
        let now = self.now;
        let durable =
            |submission: &Submission| self.book.is_durable(submission.wait) || self.book.is_clean();
        let Some(slot) = self.slots.get(&slot_id) else {
            return false;
        };
        let (State::Clearing(submission), Some(process)) = (&slot.state, &slot.process) else {
            return false;
        };
        let durable = durable(submission);
        if submission.to_send {
            if durable && process.is_ready() {
                return self.type_clear(slot_id);
            }
        } else if process.uuid != submission.from && process.is_ready() {
            return self.cleared(slot_id);
        }
        if !durable {
            return false;
        }
        let (look_at, give_up_at) = (submission.look_at, submission.begun_at.plus(PATIENCE));
        if give_up_at <= now {
            self.replace(slot_id, ReplaceReason::Unresponsive);
            return true;
        }
        if look_at <= now {
            if let Some(State::Clearing(submission)) =
                self.slots.get_mut(&slot_id).map(|s| &mut s.state)
            {
                submission.look_at = now.plus(LOOK);
            }
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

    fn type_clear(&mut self, slot_id: SlotId) -> bool {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return false;
        };
        let (State::Clearing(submission), Some(process)) = (&mut slot.state, &mut slot.process)
        else {
            return false;
        };
        submission.to_send = false;
        submission.sent_at = Some(now);
        submission.from.clone_from(&process.uuid);
        submission.begun_at = now;
        submission.look_at = now.plus(LOOK);
        let number = process.number();
        self.type_into(slot_id, number, Typing::Clear);
        true
    }

    /// The slot has a new conversation: it is fresh, if claude is like all fresh ones.
    fn cleared(&mut self, slot_id: SlotId) -> bool {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return false;
        };
        let (State::Clearing(submission), Some(process)) = (&mut slot.state, &mut slot.process)
        else {
            return false;
        };
        let confirmed_at = *submission.confirmed_at.get_or_insert(now);
        let reported = process.began == process.uuid || !process.reports;
        if !reported && now < confirmed_at.plus(LAG) {
            self.wake_at(confirmed_at.plus(LAG));
            return false;
        }
        if self.is_changed(slot_id) {
            self.replace(slot_id, ReplaceReason::Changed);
        } else if let Some(slot) = self.slots.get_mut(&slot_id) {
            slot.state = State::Fresh;
            if let Some(process) = &mut slot.process {
                process.left = None;
            }
        }
        true
    }

    /// Whether a process is unlike the pool's fresh ones, as far as it says, or may be because somebody used it: hooks
    /// tell the mode only with a prompt, the model only at the start, and what was allowed for the session never.
    fn is_changed(&self, slot_id: SlotId) -> bool {
        let process = self.slots.get(&slot_id).and_then(|s| s.process.as_ref());
        if process.is_some_and(|process| process.is_handled) {
            return true;
        }
        let (Some(process), Some((build, baseline))) = (process, &self.baseline) else {
            return false;
        };
        *build == process.build && differs(&process.seen, baseline)
    }

    /// What a process says of itself; the first of its kind says what all are to be like.
    pub(super) fn learn_baseline(&mut self, process: &Process) {
        let (build, mut baseline) = match self.baseline.take() {
            Some((build, baseline)) if build == process.build => (build, baseline),
            Some(older) if process.build != self.settings.build => older,
            _ => (process.build, Disposition::default()),
        };
        let before = baseline.clone();
        if build == process.build {
            baseline.mode = baseline.mode.or_else(|| process.seen.mode.clone());
            baseline.model = baseline.model.or_else(|| process.seen.model.clone());
        }
        if baseline != before {
            self.book.mark_baseline();
        }
        self.baseline = Some((build, baseline));
    }
}

fn differs(seen: &Disposition, baseline: &Disposition) -> bool {
    let unlike = |a: &Option<String>, b: &Option<String>| a.is_some() && b.is_some() && a != b;
    unlike(&seen.mode, &baseline.mode) || unlike(&seen.model, &baseline.model)
}

impl Turn {
    /// Nothing goes on, and the registry is not known to lag.
    pub(super) const fn quiet() -> Self {
        Self::Quiet { settle_by: None }
    }
}
