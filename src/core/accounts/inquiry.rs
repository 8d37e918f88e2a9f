//! Inquiries: who is next, which question is asked, and what an answer means for the account.

use super::action::{Action, Fact, Problem, Refreshed};
use super::event::{LoginVerdict, ProbeOutcome};
use super::login::{Change, Login};
use super::machine::Machine;
use super::schedule;
use super::tracked::Tracked;
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use crate::core::usage::Source;
use std::time::Duration;

/// An answer that takes longer than this is not awaited any more: a probe is ended after 20 s, and claude's word about a
/// login after 15 s.
pub const ANSWER: Duration = Duration::from_secs(60);
/// Inquiries that follow each other within this time are of one sweep.
pub const SWEEP_GAP: Duration = Duration::from_secs(10);

/// The questions it takes to learn one account's usage.
#[derive(Clone, Debug)]
pub(super) struct Inquiry {
    pub(super) account: AccountId,
    sources: Vec<Source>,
    asking: Asking,
    /// claude vouched for the login in this inquiry.
    vouched: bool,
    /// What stood in the way so far.
    problem: Option<Problem>,
    /// The answer is awaited until then.
    pub(super) until: Timestamp,
}

/// The question that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asking {
    /// The usage, of the source with this index.
    Usage(usize),
    /// The login; and then, if it lives, the usage of the source with this index.
    Login { then: Option<usize> },
}

/// Inquiries that follow each other closely.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sweep {
    /// It began while nobody was reached.
    in_outage: bool,
}

/// How an inquiry ended.
pub(super) enum Ended {
    /// With an answer about usage.
    Answered,
    /// Without one.
    Failed(Problem),
    /// The login was asked about, and no more was wanted or allowed.
    Vouched,
}

impl Inquiry {
    /// Of what stood in the way, the most telling is what is said in the end.
    fn note(&mut self, problem: Problem) {
        let weight = |p: &Problem| match p {
            Problem::Failed(_) => 0,
            Problem::NoNumbers => 1,
            Problem::LoginSuspected => 2,
            Problem::Unreachable => 3,
            Problem::LoggedOut | Problem::Throttled => 4,
        };
        if self
            .problem
            .as_ref()
            .is_none_or(|p| weight(p) <= weight(&problem))
        {
            self.problem = Some(problem);
        }
    }
}

impl Machine {
    /// Who is asked next, and when; those that clients wait for come first.
    pub(super) fn next_inquiry(&self, now: Timestamp) -> Option<(Timestamp, AccountId)> {
        let in_outage = self.outage.is_on();
        let retry = in_outage.then(|| self.outage.next(&self.everybody()));
        let retry = retry.flatten();
        let paused = self.is_paused(now);
        self.accounts
            .values()
            .filter_map(|tracked| Some((self.begins(tracked, retry, paused)?, tracked.id)))
            .min_by_key(|(at, id)| ((*at).max(now), !self.waiting.wants(*id), *at, *id))
    }

    /// When this account may be asked; `retry` is whom to ask during an outage, and when.
    fn begins(
        &self,
        tracked: &Tracked,
        retry: Option<(AccountId, Timestamp)>,
        paused: bool,
    ) -> Option<Timestamp> {
        if !tracked.signed_in {
            return None;
        }
        let awaited = self.waiting.wants(tracked.id);
        let resting = paused && !awaited;
        let dead = tracked.login.is_dead();
        let look = tracked.login.look_at().filter(|_| !(dead && resting));
        let probe = if dead || self.sources.is_empty() {
            None
        } else if self.outage.is_on() {
            retry
                .filter(|(whom, _)| *whom == tracked.id && !resting)
                .map(|(_, at)| at)
        } else {
            Some(self.due(tracked, paused))
        };
        let probe = probe.map(|at| self.backoff.last_until().map_or(at, |until| until.max(at)));
        let at = [look, probe].into_iter().flatten().min()?;
        // The agent is a process of its own each time: who waits for several need not wait for their spacing.
        if awaited && self.sources.first() != Some(&Source::Oauth) {
            return Some(at);
        }
        Some(
            self.inquired_at
                .map_or(at, |last| at.max(last.plus(schedule::SPACING))),
        )
    }

    pub(super) fn due(&self, tracked: &Tracked, paused: bool) -> Timestamp {
        let standing = tracked.standing();
        let due = schedule::due(&standing, self.rhythm, paused, self.sweeps, self.jitter);
        let due = [tracked.quiet.last_until(), tracked.put_off]
            .into_iter()
            .flatten()
            .fold(due, Timestamp::max);
        tracked.wanted.map_or(due, |wanted| wanted.min(due))
    }

    /// Begins the next inquiry, if it is time and none is under way.
    pub(super) fn begin_inquiry(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        let next = self.next_inquiry(now).filter(|(at, _)| *at <= now);
        let Some((_, account)) = next.filter(|_| self.inquiry.is_none()) else {
            return;
        };
        let awaited = self.waiting.wants(account);
        let Some(tracked) = self.accounts.get_mut(&account) else {
            return;
        };
        tracked.wanted = None;
        let look = tracked.login.look_at().is_some_and(|at| at <= now);
        let only_doubted = matches!(tracked.login, Login::Doubted { .. }) && !awaited;
        self.inquired_at = Some(now);
        if self.sweep.is_none() {
            self.outage.sweep_began();
            let in_outage = self.outage.is_on();
            self.sweep = Some(Sweep { in_outage });
        }
        let inquiry = Inquiry {
            account,
            sources: self.sources.clone(),
            asking: Asking::Usage(0),
            vouched: false,
            problem: None,
            until: now.plus(ANSWER),
        };
        if look {
            let then = (!only_doubted).then_some(0);
            self.ask_login(inquiry, then, now, actions);
        } else {
            self.ask_usage(inquiry, 0, now, actions);
        }
    }

    fn ask_login(
        &mut self,
        mut inquiry: Inquiry,
        then: Option<usize>,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let account = inquiry.account;
        inquiry.asking = Asking::Login { then };
        inquiry.until = now.plus(ANSWER);
        self.inquiry = Some(inquiry);
        actions.push(Action::ConfirmLogin { account });
    }

    /// Asks the source with this index, or ends the inquiry when there is none or nobody may be asked.
    fn ask_usage(
        &mut self,
        mut inquiry: Inquiry,
        index: usize,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let account = inquiry.account;
        let source = inquiry.sources.get(index).copied();
        let allowed = self.backoff.until(now).is_none();
        let tracked = self.accounts.get_mut(&account);
        let (Some(source), Some(tracked), true) = (source, tracked, allowed) else {
            let ended = inquiry.problem.take().map_or(Ended::Vouched, Ended::Failed);
            self.end_inquiry(account, ended, now, actions);
            return;
        };
        tracked.asked_at = Some(now);
        inquiry.asking = Asking::Usage(index);
        inquiry.until = now.plus(ANSWER);
        self.inquiry = Some(inquiry);
        actions.push(Action::Probe { account, source });
    }

    /// The answer to a probe.
    pub(super) fn probed(
        &mut self,
        account: AccountId,
        source: Source,
        outcome: ProbeOutcome,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let awaited = |inquiry: &mut Inquiry| match inquiry.asking {
            Asking::Usage(index) if inquiry.account == account => {
                (inquiry.sources.get(index) == Some(&source)).then_some(index)
            }
            Asking::Usage(_) | Asking::Login { .. } => None,
        };
        let Some(index) = self.inquiry.as_mut().and_then(awaited) else {
            // Too late to be an answer; numbers are numbers all the same.
            if let ProbeOutcome::Measured(sample) = outcome {
                self.measured(account, &sample, now, actions);
            }
            return;
        };
        let Some(mut inquiry) = self.inquiry.take() else {
            return;
        };
        match outcome {
            ProbeOutcome::Measured(sample) => {
                self.measured(account, &sample, now, actions);
                self.end_inquiry(account, Ended::Answered, now, actions);
            }
            ProbeOutcome::Unchanged => self.end_inquiry(account, Ended::Answered, now, actions),
            ProbeOutcome::Throttled { retry_after } => {
                self.throttled(account, retry_after, now, actions);
            }
            ProbeOutcome::LoginSuspected { .. } if inquiry.vouched => {
                inquiry.note(Problem::LoginSuspected);
                self.ask_usage(inquiry, index + 1, now, actions);
            }
            ProbeOutcome::LoginSuspected { verdict: None } => {
                self.ask_login(inquiry, Some(index), now, actions);
            }
            ProbeOutcome::LoginSuspected {
                verdict: Some(verdict),
            } => self.judge(inquiry, Some(index), verdict, now, actions),
            ProbeOutcome::NoNumbers => {
                inquiry.note(Problem::NoNumbers);
                self.ask_usage(inquiry, index + 1, now, actions);
            }
            ProbeOutcome::Unreachable => {
                inquiry.note(Problem::Unreachable);
                self.ask_usage(inquiry, index + 1, now, actions);
            }
            ProbeOutcome::Failed { reason } => {
                inquiry.note(Problem::Failed(reason));
                self.ask_usage(inquiry, index + 1, now, actions);
            }
        }
    }

    /// claude's word about a login.
    pub(super) fn login_checked(
        &mut self,
        account: AccountId,
        verdict: LoginVerdict,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let awaited = |inquiry: &Inquiry| match inquiry.asking {
            Asking::Login { then } if inquiry.account == account => Some(then),
            Asking::Login { .. } | Asking::Usage(_) => None,
        };
        let Some(then) = self.inquiry.as_ref().and_then(awaited) else {
            return;
        };
        if let Some(inquiry) = self.inquiry.take() {
            self.judge(inquiry, then, verdict, now, actions);
        }
    }

    fn judge(
        &mut self,
        mut inquiry: Inquiry,
        then: Option<usize>,
        verdict: LoginVerdict,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let account = inquiry.account;
        if let Some(tracked) = self.accounts.get_mut(&account) {
            tracked.checked_at = Some(now);
            let change = tracked.login.heard(verdict, now);
            if change != Change::None {
                let needs = change == Change::Died;
                actions.push(Action::SetNeedsLogin { account, needs });
                self.changed(now);
            }
        }
        match (verdict, then) {
            (LoginVerdict::LoggedIn, Some(index)) => {
                inquiry.vouched = true;
                self.ask_usage(inquiry, index, now, actions);
            }
            (LoginVerdict::LoggedIn, None) => {
                self.end_inquiry(account, Ended::Vouched, now, actions)
            }
            (LoginVerdict::LoggedOut, _) => {
                self.end_inquiry(account, Ended::Failed(Problem::LoggedOut), now, actions);
            }
            (LoginVerdict::Unknown, _) => {
                let ended = Ended::Failed(Problem::LoginSuspected);
                self.end_inquiry(account, ended, now, actions);
            }
        }
    }

    /// An answer that never came.
    pub(super) fn give_up_answer(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if self
            .inquiry
            .as_ref()
            .is_none_or(|inquiry| inquiry.until > now)
        {
            return;
        }
        let Some(inquiry) = self.inquiry.take() else {
            return;
        };
        let account = inquiry.account;
        actions.push(Action::Log(Fact::AnswerLost { account }));
        match inquiry.asking {
            Asking::Login { then } => {
                self.judge(inquiry, then, LoginVerdict::Unknown, now, actions);
            }
            Asking::Usage(_) => {
                let problem = Problem::Failed("no answer in time".to_owned());
                self.end_inquiry(account, Ended::Failed(problem), now, actions);
            }
        }
    }

    pub(super) fn end_inquiry(
        &mut self,
        account: AccountId,
        ended: Ended,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let Some(tracked) = self.accounts.get_mut(&account) else {
            return;
        };
        let dead = tracked.login.is_dead();
        let refreshed = match ended {
            Ended::Answered => {
                tracked.put_off = None;
                actions.push(Action::SetProbed {
                    account,
                    problem: None,
                });
                self.answered(account, now, actions);
                Refreshed::Fresh
            }
            Ended::Failed(problem) => {
                actions.push(Action::SetProbed {
                    account,
                    problem: Some(problem.clone()),
                });
                actions.push(Action::Log(Fact::NoAnswer {
                    account,
                    problem: problem.clone(),
                }));
                self.failed(account, &problem, now, actions);
                if dead {
                    Refreshed::NeedsLogin
                } else {
                    Refreshed::Problem(problem)
                }
            }
            Ended::Vouched => match self.backoff.until(now) {
                Some(until) => Refreshed::BackingOff { until },
                None => Refreshed::NotReached,
            },
        };
        self.waiting.resolve(account, &refreshed);
    }

    /// Ends the sweep when nobody is asked soon.
    pub(super) fn end_sweep(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        let Some(sweep) = self.sweep.filter(|_| self.inquiry.is_none()) else {
            return;
        };
        let soon = now.plus(SWEEP_GAP);
        if self.next_inquiry(now).is_some_and(|(at, _)| at <= soon) {
            return;
        }
        self.sweep = None;
        self.sweeps += 1;
        // Nothing was learnt by asking into an outage.
        if sweep.in_outage && self.outage.is_on() {
            return;
        }
        self.publish_at = None;
        actions.push(Action::Publish { sweep: true });
    }
}
