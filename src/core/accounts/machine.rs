//! The roster machine: decides when each account is sampled and by whom, what becomes of the answers, and when the
//! world is told. It knows no clock, no process, no socket and no file: time is an argument, what happens comes in as
//! an [`Event`], and what is to be done goes out as [`Action`]s.
//!
//! One question is under way at a time. An *inquiry* is the questions it takes to learn one account's usage: the sources
//! in order, and claude's word about the login where that is in doubt. Inquiries that follow each other closely are a
//! *sweep*.

use super::action::{Action, Refreshed, Reply};
use super::backoff::Backoff;
use super::event::{Event, KnownAccount, Ticket, Which};
use super::inquiry::{Inquiry, Sweep};
use super::jitter::Jitter;
use super::login::Change;
use super::outage::Outage;
use super::pause::Pause;
use super::refresh::Waiting;
use super::schedule::{self, Rhythm};
use super::tracked::Tracked;
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use crate::core::usage::{Sample, Source};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Changes that come within this time are published together.
pub const COALESCE: Duration = Duration::from_millis(250);
/// Sessions that cannot authenticate are believed this long after claude was asked about the login.
const DOUBT_AGAIN: Duration = Duration::from_secs(60);

/// Everything that is decided about the accounts' usage, in one place.
#[derive(Debug)]
pub struct Machine {
    /// Those that can be asked, in order.
    pub(super) sources: Vec<Source>,
    /// What sessions report counts.
    takes_reports: bool,
    pub(super) rhythm: Rhythm,
    pub(super) jitter: Jitter,
    pub(super) accounts: BTreeMap<AccountId, Tracked>,
    pub(super) inquiry: Option<Inquiry>,
    pub(super) sweep: Option<Sweep>,
    pub(super) sweeps: i64,
    /// When the last inquiry began.
    pub(super) inquired_at: Option<Timestamp>,
    /// The service throttles: pool-wide.
    pub(super) backoff: Backoff,
    pub(super) outage: Outage,
    pub(super) pause: Pause,
    pub(super) waiting: Waiting,
    pub(super) publish_at: Option<Timestamp>,
    pub(super) heard_at: Option<Timestamp>,
    pub(super) woken_at: Option<Timestamp>,
}

impl Machine {
    /// An empty roster. `sources` is `[usage] sources`; `seed` makes its jitter, the same for the same seed.
    #[must_use]
    pub fn new(sources: &[Source], seed: u64) -> Self {
        let mut machine = Self {
            sources: Vec::new(),
            takes_reports: false,
            rhythm: Rhythm::Adaptive,
            jitter: Jitter::new(seed),
            accounts: BTreeMap::new(),
            inquiry: None,
            sweep: None,
            sweeps: 0,
            inquired_at: None,
            backoff: Backoff::default(),
            outage: Outage::default(),
            pause: Pause::default(),
            waiting: Waiting::default(),
            publish_at: None,
            heard_at: None,
            woken_at: None,
        };
        machine.set_sources(sources);
        machine
    }

    /// Takes in what happened at `now`, and decides what is to be done.
    #[must_use]
    pub fn handle(&mut self, event: Event, now: Timestamp) -> Vec<Action> {
        let mut actions = Vec::new();
        self.look_at_clock(now, &mut actions);
        self.take(event, now, &mut actions);
        self.settle(now, &mut actions);
        actions
    }

    /// When [`Event::Tick`] is due, if nothing happens before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let now = self.heard_at?;
        let next_inquiry = self.next_inquiry(now).map(|(at, _)| at);
        [
            self.inquiry.as_ref().map(|inquiry| inquiry.until),
            next_inquiry.filter(|_| self.inquiry.is_none()),
            self.pause.next_deadline(),
            self.waiting.next_deadline(),
            self.publish_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn take(&mut self, event: Event, now: Timestamp, actions: &mut Vec<Action>) {
        match event {
            Event::Loaded {
                accounts,
                last_launch,
                paused_since,
            } => {
                self.pause.load(last_launch, paused_since, now);
                self.load(accounts, now);
            }
            Event::SourcesChanged { sources } => self.set_sources(&sources),
            Event::AccountAdded(known) => self.add(known, now),
            Event::AccountRemoved { account } => self.remove(account, now),
            Event::AccountChanged { .. } => self.changed(now),
            Event::SignedIn { account } => self.signed_in(account, now, actions),
            Event::SessionStarted { account } => self.session_started(account, now),
            Event::SessionEnded { account } => {
                self.pause.worked(now);
                self.count_sessions(account, now, |n| n.saturating_sub(1));
            }
            Event::SessionsCounted { account, live } => {
                self.count_sessions(account, now, |_| live);
            }
            Event::Probed {
                account,
                source,
                outcome,
            } => self.probed(account, source, outcome, now, actions),
            Event::LoginChecked { account, verdict } => {
                self.login_checked(account, verdict, now, actions);
            }
            Event::LimitReported {
                account,
                until,
                reported_at,
            } => self.limit(account, until, reported_at, now, actions),
            Event::AuthenticationFailed { account } => self.doubt(account, now),
            Event::Refresh { ticket, which } => self.refresh(ticket, which, now, actions),
            Event::Saver { on } => self.pause.saver(on),
            Event::Woke if self.is_paused(now) => {}
            Event::Woke => self.wake(now),
            Event::Tick => {}
        }
    }

    /// Everything that follows from the state and the time alone.
    fn settle(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        self.give_up_answer(now, actions);
        self.begin_inquiry(now, actions);
        self.end_sweep(now, actions);
        // The next sweep has another jitter, by which somebody may be due already.
        self.begin_inquiry(now, actions);
        self.tell_pause(now, actions);
        self.tell_cadences(now, actions);
        let replies = self.waiting.replies(now);
        // A client that is answered finds what it asked for.
        let due = |at: Timestamp| at <= now || !replies.is_empty();
        if self.publish_at.is_some_and(due) {
            self.publish_at = None;
            actions.push(Action::Publish { sweep: false });
        }
        actions.extend(replies);
    }

    fn set_sources(&mut self, sources: &[Source]) {
        self.takes_reports = sources.contains(&Source::Live);
        self.rhythm = Rhythm::of(sources);
        self.sources = sources
            .iter()
            .copied()
            .filter(|source| *source != Source::Live)
            .collect();
    }

    fn load(&mut self, known: Vec<KnownAccount>, now: Timestamp) {
        let listed: BTreeSet<AccountId> = known.iter().map(|k| k.id).collect();
        let gone: Vec<AccountId> = self.accounts.keys().copied().collect();
        for account in gone.into_iter().filter(|id| !listed.contains(id)) {
            self.remove(account, now);
        }
        for known in known {
            self.take_over(known, now);
        }
        self.changed(now);
    }

    fn add(&mut self, known: KnownAccount, now: Timestamp) {
        self.take_over(known, now);
        self.changed(now);
    }

    /// Takes over what is known of an account. Numbers that a session reported are in it: they put off the next question,
    /// and are work.
    fn take_over(&mut self, known: KnownAccount, now: Timestamp) {
        let is_report = |sample: &&Sample| self.takes_reports && sample.source == Source::Live;
        let report = known.held.as_ref().filter(is_report);
        let reported_at = report.map(|sample| sample.measured_at.min(now));
        let id = known.id;
        if let Some(tracked) = self.accounts.get_mut(&id) {
            tracked.reload(known, now);
        } else {
            self.accounts.insert(id, Tracked::new(known, now));
        }
        if let (Some(tracked), Some(at)) = (self.accounts.get_mut(&id), reported_at) {
            tracked.heard(at);
            self.pause.heard(at);
        }
    }

    fn remove(&mut self, account: AccountId, now: Timestamp) {
        if self.accounts.remove(&account).is_some() {
            self.outage.forget(account);
            self.waiting.resolve(account, &Refreshed::Unknown);
            self.changed(now);
        }
    }

    fn signed_in(&mut self, account: AccountId, now: Timestamp, actions: &mut Vec<Action>) {
        let Some(tracked) = self.accounts.get_mut(&account) else {
            return;
        };
        tracked.signed_in = true;
        tracked.quiet = Backoff::default();
        tracked.want(now);
        self.login_works(account, actions);
        self.changed(now);
    }

    fn session_started(&mut self, account: AccountId, now: Timestamp) {
        self.pause.worked(now);
        self.count_sessions(account, now, |n| n.saturating_add(1));
        if self.pause.is_saving() {
            // The one round that a launch is worth, for numbers that are old.
            for tracked in self.accounts.values_mut() {
                let old = |at: Timestamp| now.since(at) >= schedule::IDLE;
                if tracked.asked_at.is_none_or(old) {
                    tracked.want(now);
                }
            }
        }
    }

    fn count_sessions(&mut self, account: AccountId, now: Timestamp, new: impl Fn(u32) -> u32) {
        if let Some(tracked) = self.accounts.get_mut(&account) {
            let before = tracked.sessions;
            tracked.count(new(before));
            if before != tracked.sessions {
                self.changed(now);
            }
        }
    }

    fn limit(
        &mut self,
        account: AccountId,
        until: Option<Timestamp>,
        reported_at: Timestamp,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let Some(tracked) = self.accounts.get_mut(&account) else {
            return;
        };
        let reported_at = reported_at.min(now);
        if tracked.limit_reported_at.is_some_and(|at| at > reported_at) {
            return;
        }
        tracked.limit_reported_at = Some(reported_at);
        if tracked.limited_until != until {
            tracked.limited_until = until;
            self.changed(now);
        }
        actions.push(Action::SetLimited {
            account,
            until,
            reported_at,
        });
    }

    fn doubt(&mut self, account: AccountId, now: Timestamp) {
        if let Some(tracked) = self.accounts.get_mut(&account) {
            let lately = |at: Timestamp| now.since(at) < DOUBT_AGAIN;
            if tracked.signed_in && !tracked.checked_at.is_some_and(lately) {
                tracked.login.doubt(now);
            }
        }
    }

    fn refresh(&mut self, ticket: Ticket, which: Which, now: Timestamp, actions: &mut Vec<Action>) {
        if self.waiting.is_full() {
            actions.push(Action::Reply {
                ticket,
                reply: Reply::Busy,
            });
            return;
        }
        let accounts: Vec<AccountId> = match which {
            Which::All => self.accounts.keys().copied().collect(),
            Which::One(account) => vec![account],
        };
        let (mut open, mut done) = (BTreeSet::new(), Vec::new());
        for account in accounts {
            match self.refusal(account, now) {
                Some(refused) => done.push((account, refused)),
                None => {
                    open.insert(account);
                    if let Some(tracked) = self.accounts.get_mut(&account) {
                        tracked.want(now);
                    }
                }
            }
        }
        if !open.is_empty() {
            self.outage.hurry(now);
        }
        self.waiting.begin(ticket, open, done, now);
    }

    /// Why an account cannot be asked now, if it cannot.
    fn refusal(&self, account: AccountId, now: Timestamp) -> Option<Refreshed> {
        let Some(tracked) = self.accounts.get(&account) else {
            return Some(Refreshed::Unknown);
        };
        if !tracked.signed_in || (self.sources.is_empty() && !tracked.login.is_dead()) {
            return Some(Refreshed::NotAsked);
        }
        if tracked.login.is_dead() {
            return None;
        }
        let until = self.backoff.until(now)?;
        Some(Refreshed::BackingOff { until })
    }

    /// Something worked under this login.
    pub(super) fn login_works(&mut self, account: AccountId, actions: &mut Vec<Action>) {
        if let Some(tracked) = self.accounts.get_mut(&account)
            && tracked.login.succeeded() == Change::Revived
        {
            actions.push(Action::SetNeedsLogin {
                account,
                needs: false,
            });
        }
    }

    /// Accounts whose usage can be asked for.
    pub(super) fn everybody(&self) -> BTreeSet<AccountId> {
        let can = |t: &&Tracked| t.signed_in && !t.login.is_dead();
        self.accounts.values().filter(can).map(|t| t.id).collect()
    }

    pub(super) fn is_paused(&self, now: Timestamp) -> bool {
        self.pause.is_on(now)
    }

    /// A launcher has to see it.
    pub(super) fn changed(&mut self, now: Timestamp) {
        self.publish_at.get_or_insert(now.plus(COALESCE));
    }

    fn tell_pause(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        let owed = self.sweep.is_some() || self.next_inquiry(now).is_some_and(|(at, _)| at <= now);
        let told = self.pause.news(owed, now);
        if let Some(since) = told {
            actions.push(Action::SetPaused { since });
            self.changed(now);
        }
    }

    /// A slower cadence is told at once. A faster one with the first numbers taken under it, so that those held do not
    /// turn stale in between.
    fn tell_cadences(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        let mut news = false;
        let asking = self.inquiry.as_ref().map(|inquiry| inquiry.account);
        for tracked in self.accounts.values_mut() {
            let every = schedule::cadence(self.rhythm, tracked.is_busy());
            let told = tracked.told_cadence;
            let fresh = tracked.asked_at.max(tracked.reported_at);
            let slower = told.is_none_or(|told| every > told) && every == schedule::IDLE;
            let kept_up =
                asking != Some(tracked.id) && fresh.is_some_and(|at| now.since(at) <= every);
            if told != Some(every) && (slower || kept_up) {
                tracked.told_cadence = Some(every);
                actions.push(Action::SetCadence {
                    account: tracked.id,
                    every,
                });
                news = true;
            }
        }
        if news {
            self.changed(now);
        }
    }
}
