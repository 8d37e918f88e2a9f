//! Handing a session over to another account: a turn that the plan refused, or a prompt that would be, goes on where
//! there is headroom. Which account that is, and whether moving pays, somebody else knows: here it is asked for, and what
//! follows from the answer is done without losing a prompt or running a tool twice.

use super::action::{Action, Fact, ReplaceReason};
use super::event::{Choice, Standing};
use super::id::{SessionId, SlotId};
use super::machine::Machine;
use super::notice::{Notice, PoolNews};
use super::record::PromptRecord;
use super::session::{IfAbsent, Limited};
use super::slot::{Launch, Ours, State, Turn};
use super::status::Status;
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What is typed when something followed the prompt that the plan refused: a tool may have run.
pub const CONTINUE: &str = "Continue from where you stopped.";
/// How long the transcript may take to tell how a turn ended that seems to be over.
const JUDGE: Duration = Duration::from_secs(2);
/// Between two looks into it.
const LOOK: Duration = Duration::from_millis(50);
/// The answer to a choice is given up after this.
const CHOOSING: Duration = Duration::from_secs(10);
/// When a limit whose end nobody knows is tried again.
const UNKNOWN: Duration = Duration::from_secs(15 * 60);
/// A slot that was started on another account is not moved again for this long.
const SETTLED: Duration = Duration::from_secs(10 * 60);

/// A session whose account is refused, while it is asked what to do.
#[derive(Clone, Debug)]
pub(super) struct Choosing {
    /// What is to be typed, where the prompt itself was taken and refused; none: it was never typed.
    pub(super) text: Option<Arc<str>>,
    /// When the answer is given up.
    pub(super) until: Timestamp,
}

/// What is known of the accounts.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    /// It has been told: there are accounts.
    known: bool,
    standing: Standing,
    /// What slots were refused themselves, which may be known here first.
    refused: BTreeMap<AccountId, Timestamp>,
}

impl Accounts {
    fn refused_until(&self, account: Option<AccountId>, now: Timestamp) -> Option<Timestamp> {
        let of = |known: &BTreeMap<AccountId, Timestamp>| known.get(&account?).copied();
        let until = of(&self.standing.refused).max(of(&self.refused));
        until.filter(|until| *until > now)
    }
}

impl Machine {
    /// Whether the plan refuses this account now.
    pub(super) fn is_refused(&self, account: Option<AccountId>) -> bool {
        self.accounts.refused_until(account, self.now).is_some()
    }

    /// The accounts stand otherwise than before.
    pub(super) fn accounts_changed(&mut self, standing: Standing) {
        self.accounts.known = true;
        let before = std::mem::replace(&mut self.accounts.standing, standing);
        let now = &self.accounts.standing;
        let opened = now.is_open && !before.is_open;
        let mut back = before.refused;
        back.retain(|account, _| !now.refused.contains_key(account));
        self.accounts.refused.retain(|a, _| !back.contains_key(a));
        let waiting: Vec<SessionId> = self.queue.iter().copied().collect();
        for id in waiting {
            let limited = self.sessions.get(&id).and_then(|s| s.limited);
            let is_over = limited.is_some_and(|limited| {
                let came_back = limited.account.is_some_and(|a| back.contains_key(&a));
                came_back || (limited.anywhere && opened)
            });
            if is_over {
                self.end_limit(id);
            }
        }
    }

    /// The account's limit, or the wait for any, is over; whether it was.
    pub(super) fn limit_over(&mut self, id: SessionId) -> bool {
        let limited = self.sessions.get(&id).and_then(|s| s.limited);
        let is_over = limited.is_some_and(|limited| limited.until <= self.now);
        if is_over {
            self.end_limit(id);
        }
        is_over
    }

    /// A session waits no longer for a reset.
    pub(super) fn end_limit(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.limited = None;
            self.touch(id);
        }
    }

    /// A turn of the pool's seems to be over, and no hook said how: the transcript is asked, since the plan's limit ends
    /// turns too. Whether the answer is awaited.
    pub(super) fn judge(&mut self, slot_id: SlotId, id: SessionId) -> bool {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return false;
        };
        let (State::Hosting(_, Turn::Running(running)), Some(process)) =
            (&mut slot.state, &slot.process)
        else {
            return false;
        };
        let Some(ours) = running.ours.clone().filter(|_| process.account.is_some()) else {
            return false;
        };
        let since = *running.judged_since.get_or_insert(now);
        if now.since(since) >= JUDGE {
            return false;
        }
        if running.doubt.is_none() && running.judge_at <= now {
            running.doubt = Some(now);
            running.judge_at = now.plus(LOOK);
            self.ask_transcript(id, ours);
        }
        let again = if let Some(State::Hosting(_, Turn::Running(running))) =
            self.slots.get(&slot_id).map(|slot| &slot.state)
        {
            running.judge_at
        } else {
            now
        };
        self.wake_at(if again > now {
            again
        } else {
            since.plus(JUDGE)
        });
        true
    }

    /// A prompt was taken on an account: its row is kept until its turn is over.
    pub(super) fn keep(&mut self, id: SessionId, prompt: Option<PromptRecord>) {
        let slot = self.slot_of(id).and_then(|slot| self.slots.get(&slot));
        let has_account = slot.is_some_and(|slot| {
            let process = slot.process.as_ref();
            process.is_some_and(|process| process.account.is_some())
        });
        if has_account && let Some(session) = self.sessions.get_mut(&id) {
            session.kept = prompt.map(|prompt| PromptRecord {
                taken: true,
                ..prompt
            });
        }
    }

    /// The turn of a kept prompt is over.
    pub(super) fn forget_kept(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id)
            && session.kept.take().is_some()
        {
            self.mark_prompt(id);
        }
    }

    /// What became of a kept prompt, the transcript is asked: its process is gone. Whether there was one.
    pub(super) fn take_back_kept(&mut self, id: SessionId) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else {
            return false;
        };
        let Some(kept) = session.kept.take() else {
            return false;
        };
        session.prompt = Some(kept);
        session.checking = Some(IfAbsent::Redeliver);
        session.record.order = Some(0);
        self.mark_prompt(id);
        true
    }

    /// There are accounts, as far as is known.
    pub(super) const fn has_accounts(&self) -> bool {
        self.accounts.known
    }

    /// The account that a session runs on now.
    pub(super) fn account_of(&self, id: SessionId) -> Option<AccountId> {
        let slot = self.slots.get(&self.slot_of(id)?)?;
        let hosts = matches!(slot.state, State::Hosting(..));
        slot.process.as_ref().filter(|_| hosts)?.account
    }

    /// The plan refused a turn: it is asked where the session may go on.
    pub(super) fn refused(
        &mut self,
        slot_id: SlotId,
        ours: Option<&Ours>,
        followed: bool,
        until: Option<Timestamp>,
    ) {
        let text = ours.map_or_else(|| Arc::from(CONTINUE), |ours| owed(&ours.text, followed));
        let process = self.slots.get(&slot_id).and_then(|s| s.process.as_ref());
        let Some(process) = process else { return };
        let uuid = process.uuid.as_ref();
        // Which of several it is in, nobody knows.
        let is_there = |ours: &Ours| match (uuid, &ours.taken_in, &ours.conversations[..]) {
            (None, _, _) | (_, None, []) => true,
            (Some(uuid), Some(only), _) | (Some(uuid), None, [only]) => only == uuid,
            (Some(_), None, _) => false,
        };
        let left = ours.is_some_and(|ours| !is_there(ours));
        if let Some(account) = process.account {
            let until = until.unwrap_or(self.now.plus(UNKNOWN));
            self.accounts.refused.insert(account, until);
        }
        if left {
            // Somebody who is attached has cleared the conversation meanwhile: nothing of it is wanted.
            return self.end_turn(slot_id, self.now);
        }
        self.choose(slot_id, Some(text), until);
    }

    /// Asks where a session of a refused account may go on.
    fn choose(&mut self, slot_id: SlotId, text: Option<Arc<str>>, until: Option<Timestamp>) {
        let now = self.now;
        let Some(slot) = self.slots.get(&slot_id) else {
            return;
        };
        let (Some(session), Some(account)) = (
            slot.session(),
            slot.process.as_ref().and_then(|process| process.account),
        ) else {
            return;
        };
        let Some(held) = self.sessions.get(&session) else {
            return;
        };
        let until = until.or(self.accounts.refused_until(Some(account), now));
        self.actions.push(Action::Choose {
            session,
            account,
            until: until.unwrap_or(now.plus(UNKNOWN)),
            failed: text.is_some(),
            fixed: held.record.account.is_some(),
            moved_at: held.moved_at,
            refused: self.accounts.refused.clone(),
        });
        let choosing = Choosing {
            text,
            until: now.plus(CHOOSING),
        };
        self.set_turn(slot_id, Turn::Choosing(choosing));
    }

    /// Whether a prompt had better not be typed here: the plan would refuse it, or bill it.
    pub(super) fn hold_back(&mut self, slot_id: SlotId, id: SessionId) -> bool {
        let slot = self.slots.get(&slot_id);
        let account = slot.and_then(|slot| slot.process.as_ref()?.account);
        let Some(until) = self.accounts.refused_until(account, self.now) else {
            return false;
        };
        if self.sessions.get(&id).is_some_and(|s| s.goes_on_anyway) {
            return false;
        }
        self.choose(slot_id, None, Some(until));
        true
    }

    /// Its prompt may still have to be taken back, and would be held back.
    pub(super) fn is_accepting_refused(&self, slot_id: SlotId, id: SessionId) -> bool {
        let slot = self.slots.get(&slot_id);
        let account = slot.and_then(|slot| slot.process.as_ref()?.account);
        self.is_accepting(id) && self.is_refused(account)
    }

    pub(super) fn advance_choosing(&mut self, slot_id: SlotId, id: SessionId) -> bool {
        let slot = self.slots.get(&slot_id);
        let Some(State::Hosting(_, Turn::Choosing(choosing))) = slot.map(|slot| &slot.state) else {
            return false;
        };
        let until = choosing.until;
        let stops = self.sessions.get(&id).is_some_and(|s| s.stopping.is_some());
        if !stops && until > self.now {
            self.wake_at(until);
            return false;
        }
        if stops {
            self.drop_prompt(id);
        }
        self.stay(slot_id, id);
        true
    }

    /// Where a session of a refused account is to go on.
    pub(super) fn chosen(&mut self, id: SessionId, choice: &Choice) {
        let slot = self.slot_of(id).and_then(|slot| self.slots.get(&slot));
        let Some((slot_id, choosing, from)) = slot.and_then(|slot| match &slot.state {
            State::Hosting(_, Turn::Choosing(choosing)) => {
                let account = slot.process.as_ref().and_then(|p| p.account);
                Some((slot.id, choosing.clone(), account))
            }
            _ => None,
        }) else {
            return;
        };
        let to = match *choice {
            Choice::Stay => return self.stay(slot_id, id),
            Choice::Move { to } => Some(to),
            Choice::Wait { until, anywhere } => {
                let limited = Limited {
                    account: from,
                    until: until.max(self.now.plus(Duration::from_secs(1))),
                    anywhere,
                };
                self.limit(id, limited);
                None
            }
        };
        let taken = choosing.text.is_some();
        self.owe_again(id, choosing.text);
        if let Some(to) = to {
            self.moved(id, from, to);
        } else if !taken {
            return self.offload(slot_id);
        }
        self.unseat(id);
        let launch = Launch {
            session: to.map(|_| id),
            account: to,
        };
        self.replace_for(slot_id, ReplaceReason::AccountLeft, launch);
        self.tell(id);
    }

    fn moved(&mut self, id: SessionId, from: Option<AccountId>, to: AccountId) {
        self.log(Fact::HandedOver {
            session: id,
            from,
            to,
        });
        self.actions
            .push(Action::Notify(Notice::Pool(PoolNews::Handoff {
                session: id,
                from,
                to: Some(to),
                until: None,
            })));
    }

    fn limit(&mut self, id: SessionId, limited: Limited) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.limited = Some(limited);
        }
        self.alarms.insert((limited.until, id));
        self.log(Fact::Limited {
            session: id,
            until: limited.until,
        });
        self.actions
            .push(Action::Notify(Notice::Pool(PoolNews::Handoff {
                session: id,
                from: limited.account,
                to: None,
                until: Some(limited.until),
            })));
    }

    /// The session goes on where it is: a turn that was refused is over, a prompt is typed all the same.
    fn stay(&mut self, slot_id: SlotId, id: SessionId) {
        let has_prompt = match self.sessions.get_mut(&id) {
            Some(session) => {
                session.goes_on_anyway = session.prompt.is_some();
                session.kept = None;
                session.goes_on_anyway
            }
            None => false,
        };
        self.mark_prompt(id);
        if has_prompt {
            return self.begin_delivery(slot_id, id);
        }
        let settle_by = Some(self.now);
        self.set_turn(slot_id, Turn::Quiet { settle_by });
        self.tell(id);
    }

    /// A session whose turn was refused is owed this prompt, before all that came later.
    pub(super) fn owe_again(&mut self, id: SessionId, text: Option<Arc<str>>) {
        let now = self.now;
        if let Some(session) = self.sessions.get_mut(&id) {
            session.kept = None;
            if let Some(text) = text {
                session.prompt = Some(PromptRecord {
                    session: id,
                    text,
                    accepted_at: now,
                    delivery: None,
                    conversations: Vec::new(),
                    redelivered: true,
                    taken: false,
                });
                session.record.order = Some(0);
            }
        }
        self.mark_prompt(id);
    }

    /// A turn of a process that is gone was refused: the session waits for a slot.
    pub(super) fn refused_dead(&mut self, id: SessionId, text: &Arc<str>, followed: bool) {
        let text = owed(text, followed);
        if let Some(session) = self.sessions.get_mut(&id) {
            session.checking = None;
        }
        self.owe_again(id, Some(text));
    }

    /// A fresh slot that had better be on another account, which costs nothing as long as nobody uses it.
    pub(super) fn outgrown(&self, slot: &super::slot::Slot) -> bool {
        let standing = &self.accounts.standing;
        let account = slot.process.as_ref().and_then(|process| process.account);
        let rests = slot.moved_at.is_none_or(|at| self.now.since(at) >= SETTLED);
        let left = account.is_some_and(|account| standing.outgrown.contains(&account));
        standing.is_open && rests && (left || self.is_refused(account))
    }

    /// Until when the session waits because its account, or every account, is refused.
    pub(super) fn limited_until(&self, id: SessionId) -> Option<Timestamp> {
        let session = self.sessions.get(&id)?;
        let limited = session.limited.as_ref()?;
        (self.status_of(id) == Status::Queued).then_some(limited.until)
    }
}

/// What is owed to a session whose turn was refused: its prompt, or, when something had followed it, to go on.
fn owed(prompt: &Arc<str>, followed: bool) -> Arc<str> {
    if followed {
        Arc::from(CONTINUE)
    } else {
        Arc::clone(prompt)
    }
}
