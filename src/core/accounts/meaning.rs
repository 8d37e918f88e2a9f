//! What an answer, or none, means beyond the account that was asked: for the roster, for who waits, for the sweep.

use super::action::{Action, Fact, Problem, Refreshed};
use super::inquiry::{Ended, SWEEP_GAP};
use super::machine::Machine;
use super::outage::Meaning;
use super::schedule;
use super::tracked::Tracked;
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use crate::core::usage::{Acceptance, Sample};
use std::time::Duration;

impl Machine {
    pub(super) fn measured(
        &mut self,
        account: AccountId,
        sample: &Sample,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let Some(tracked) = self.accounts.get_mut(&account) else {
            return;
        };
        match tracked.asked(sample, now) {
            Acceptance::Accepted => {
                actions.push(Action::Keep {
                    account,
                    sample: sample.clone(),
                });
                self.changed(now);
            }
            Acceptance::Unchanged => {}
            why @ (Acceptance::Older | Acceptance::Shrunk) => {
                actions.push(Action::Log(Fact::SampleRefused { account, why }));
            }
        }
    }

    /// What an answer means for everybody.
    pub(super) fn answered(
        &mut self,
        account: AccountId,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        self.login_works(account, actions);
        if self.backoff.answered() {
            actions.push(Action::Log(Fact::BackOffEnded));
        }
        let everybody = self.everybody();
        let was_quiet = |t: &&Tracked| t.quiet.times() > 0;
        let quiet = self.accounts.values().filter(was_quiet).map(|t| t.id);
        let released = everybody.is_subset(&quiet.collect());
        if let Some(tracked) = self.accounts.get_mut(&account) {
            tracked.quiet.answered();
        }
        let over = self.reached(account, actions);
        if (released || over) && !self.is_paused(now) {
            for id in everybody.into_iter().filter(|id| *id != account) {
                self.want(id, now);
            }
        }
    }

    /// The service was reached. Returns whether that ends an outage.
    fn reached(&mut self, account: AccountId, actions: &mut Vec<Action>) -> bool {
        let Some(since) = self.outage.reached(account) else {
            return false;
        };
        actions.push(Action::Log(Fact::OutageEnded { since }));
        true
    }

    fn want(&mut self, account: AccountId, at: Timestamp) {
        if let Some(tracked) = self.accounts.get_mut(&account) {
            tracked.want(at);
        }
    }

    pub(super) fn throttled(
        &mut self,
        account: AccountId,
        retry_after: Option<Duration>,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let until = self.backoff.refused(retry_after, now);
        let times = self.backoff.times();
        actions.push(Action::Log(Fact::BackedOff { until, times }));
        self.end_inquiry(account, Ended::Failed(Problem::Throttled), now, actions);
        if self.reached(account, actions) {
            for id in self.everybody() {
                self.want(id, until);
            }
        }
        self.want(account, until);
        self.resolve_everybody(&Refreshed::BackingOff { until });
    }

    /// Those who wait for an account that would be asked for its usage are answered.
    pub(super) fn resolve_everybody(&mut self, refreshed: &Refreshed) {
        let everybody = self.everybody();
        for id in self.waiting.open().intersection(&everybody) {
            self.waiting.resolve(*id, refreshed);
        }
    }

    /// What a failure means for everybody.
    pub(super) fn failed(
        &mut self,
        account: AccountId,
        problem: &Problem,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        if *problem == Problem::NoNumbers
            && let Some(tracked) = self.accounts.get_mut(&account)
        {
            tracked.quiet.refused(None, now);
        }
        if *problem != Problem::Unreachable {
            return;
        }
        let everybody = self.everybody();
        match self.outage.failed(account, &everybody, self.jitter, now) {
            Meaning::Alone => {}
            Meaning::AskAnother => {
                let witness = everybody.iter().find(|id| !self.outage.is_unreached(**id));
                if let Some(witness) = witness.copied().filter(|_| !self.is_paused(now)) {
                    self.want(witness, now);
                }
            }
            Meaning::GiveUp => self.give_up_sweep(now, actions),
            Meaning::Began => {
                actions.push(Action::Log(Fact::OutageBegan));
                self.give_up_sweep(now, actions);
            }
            Meaning::GoesOn => self.resolve_everybody(&Refreshed::Problem(Problem::Unreachable)),
        }
    }

    /// Those who would have been asked now are left for later.
    fn give_up_sweep(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        let paused = self.is_paused(now);
        let soon = now.plus(SWEEP_GAP);
        let left: Vec<AccountId> = self
            .everybody()
            .into_iter()
            .filter(|id| {
                let tracked = self.accounts.get(id);
                tracked.is_some_and(|t| self.due(t, paused) <= soon)
            })
            .collect();
        for id in &left {
            if let Some(tracked) = self.accounts.get_mut(id) {
                tracked.wanted = None;
                tracked.put_off = Some(now.plus(schedule::BUSY));
            }
        }
        if !left.is_empty() {
            actions.push(Action::Log(Fact::SweepGivenUp { left: left.len() }));
        }
        self.resolve_everybody(&Refreshed::Problem(Problem::Unreachable));
    }
}
