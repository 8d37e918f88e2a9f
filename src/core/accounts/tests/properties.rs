//! Whatever happens, in whatever order: what the machine never does, and what it always does.

use super::world::{MONDAY, hours, id, minutes, seconds};
use crate::core::account::AccountId;
use crate::core::accounts::action::{Action, Fact, Reply};
use crate::core::accounts::event::{
    Event, KnownAccount, LoginVerdict, ProbeOutcome, Ticket, Which,
};
use crate::core::accounts::machine::Machine;
use crate::core::accounts::{inquiry, refresh};
use crate::core::time::Timestamp;
use crate::core::usage::{Sample, Source, Used, Window, WindowKind};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;

/// What somebody does to the machine.
#[derive(Clone, Debug)]
enum Step {
    Wait(Duration),
    /// Until the deadline, however far.
    Sleep,
    MoveClock(i64),
    Answer(ProbeOutcome),
    Verdict(LoginVerdict),
    /// An answer to a question that nobody asked.
    Stray(u16, ProbeOutcome),
    Told(Event),
    Ask(Which),
}

fn sample(used: f64, resets_in: u64) -> Sample {
    Sample {
        measured_at: MONDAY,
        source: Source::Claude,
        windows: vec![Window {
            kind: WindowKind::FiveHour,
            used: Used::from_percent(used).expect("a number"),
            resets_at: Some(MONDAY.plus(seconds(resets_in))),
        }],
        extra: None,
    }
}

fn account() -> impl Strategy<Value = AccountId> {
    (1_u16..6).prop_map(id)
}

fn verdict() -> impl Strategy<Value = LoginVerdict> {
    prop_oneof![
        Just(LoginVerdict::LoggedIn),
        Just(LoginVerdict::LoggedOut),
        Just(LoginVerdict::Unknown),
    ]
}

fn outcome() -> impl Strategy<Value = ProbeOutcome> {
    let retry_after = proptest::option::of((0_u64..100_000).prop_map(seconds));
    prop_oneof![
        4 => (0.0..100.0, 0_u64..40_000).prop_map(|(u, r)| ProbeOutcome::Measured(sample(u, r))),
        1 => Just(ProbeOutcome::Unchanged),
        2 => retry_after.prop_map(|retry_after| ProbeOutcome::Throttled { retry_after }),
        1 => Just(ProbeOutcome::NoNumbers),
        2 => Just(ProbeOutcome::Unreachable),
        1 => proptest::option::of(verdict())
            .prop_map(|verdict| ProbeOutcome::LoginSuspected { verdict }),
        1 => Just(ProbeOutcome::Failed { reason: "broken".to_owned() }),
    ]
}

fn told() -> impl Strategy<Value = Event> {
    let sources =
        proptest::sample::subsequence(vec![Source::Live, Source::Claude, Source::Oauth], 0..=3);
    prop_oneof![
        account().prop_map(|account| Event::AccountAdded(KnownAccount::new(account))),
        account().prop_map(|account| Event::AccountRemoved { account }),
        account().prop_map(|account| Event::AccountChanged { account }),
        account().prop_map(|account| Event::SignedIn { account }),
        account().prop_map(|account| Event::SessionStarted { account }),
        account().prop_map(|account| Event::SessionEnded { account }),
        (account(), 0_u32..3).prop_map(|(account, live)| Event::SessionsCounted { account, live }),
        // What a session reported, as the database has it.
        (account(), 0.0..100.0, 0_u64..40_000).prop_map(|(account, used, resets)| {
            let sample = Sample {
                source: Source::Live,
                ..sample(used, resets)
            };
            Event::AccountAdded(KnownAccount {
                held: Some(sample),
                ..KnownAccount::new(account)
            })
        }),
        (account(), proptest::option::of(0_u64..40_000)).prop_map(|(account, until)| {
            Event::LimitReported {
                account,
                until: until.map(|s| MONDAY.plus(seconds(s))),
                reported_at: MONDAY,
            }
        }),
        account().prop_map(|account| Event::AuthenticationFailed { account }),
        any::<bool>().prop_map(|on| Event::Saver { on }),
        sources.prop_map(|sources| Event::SourcesChanged { sources }),
        Just(Event::Woke),
        Just(Event::Tick),
        (1_u16..6).prop_map(|n| Event::Loaded {
            accounts: (1..=n).map(|n| KnownAccount::new(id(n))).collect(),
            last_launch: Some(MONDAY),
            paused_since: None,
        }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let which = prop_oneof![Just(Which::All), account().prop_map(Which::One)];
    prop_oneof![
        3 => (0_u64..400).prop_map(|s| Step::Wait(seconds(s))),
        5 => Just(Step::Sleep),
        1 => (-86_400_000_i64..86_400_000).prop_map(Step::MoveClock),
        8 => outcome().prop_map(Step::Answer),
        4 => verdict().prop_map(Step::Verdict),
        1 => (1_u16..6, outcome()).prop_map(|(n, o)| Step::Stray(n, o)),
        4 => told().prop_map(Step::Told),
        2 => which.prop_map(Step::Ask),
    ]
}

/// A machine, and a strict observer beside it.
struct Observed {
    machine: Machine,
    now: Timestamp,
    usage: Option<(AccountId, Source)>,
    login: Option<AccountId>,
    throttled_until: Option<Timestamp>,
    open: BTreeSet<Ticket>,
    answered: BTreeSet<Ticket>,
    tickets: u64,
}

impl Observed {
    fn new(seed: u64) -> Self {
        let mut observed = Self {
            machine: Machine::new(&[Source::Live, Source::Oauth, Source::Claude], seed),
            now: MONDAY,
            usage: None,
            login: None,
            throttled_until: None,
            open: BTreeSet::new(),
            answered: BTreeSet::new(),
            tickets: 0,
        };
        observed.tell(Event::Loaded {
            accounts: (1..=3).map(|n| KnownAccount::new(id(n))).collect(),
            last_launch: None,
            paused_since: None,
        });
        observed
    }

    fn tell(&mut self, event: Event) {
        let before = self.machine.next_deadline();
        let moved_back = |until: Timestamp| until.min(self.now.plus(minutes(30)));
        self.throttled_until = self.throttled_until.map(moved_back);
        let actions = self.machine.handle(event, self.now);
        for action in &actions {
            self.check(action);
        }
        assert!(actions.len() < 64, "{} actions at once", actions.len());
        let deadline = self.machine.next_deadline();
        assert!(
            deadline.is_none_or(|at| at > self.now),
            "due already: {before:?} then {deadline:?} at {:?}",
            self.now
        );
        let asking = self.usage.is_some() || self.login.is_some();
        assert!(
            !asking || deadline.is_some(),
            "an answer is awaited for ever"
        );
        let bound = self.now.plus(refresh::PATIENCE);
        assert!(self.open.is_empty() || deadline.is_some_and(|at| at <= bound));
        assert!(self.open.len() <= refresh::MAX_WAITING);
    }

    fn check(&mut self, action: &Action) {
        match action {
            Action::Probe { account, source } => {
                assert_ne!(*source, Source::Live, "live cannot be asked");
                assert_eq!((self.usage, self.login), (None, None), "two at once");
                let resting = self.throttled_until.is_some_and(|until| until > self.now);
                assert!(!resting, "a probe while backing off");
                self.usage = Some((*account, *source));
            }
            Action::ConfirmLogin { account } => {
                assert_eq!((self.usage, self.login), (None, None), "two at once");
                self.login = Some(*account);
            }
            Action::Log(Fact::AnswerLost { .. }) => {
                self.usage = None;
                self.login = None;
            }
            Action::Log(Fact::BackedOff { until, .. }) => self.throttled_until = Some(*until),
            Action::Log(Fact::BackOffEnded) => self.throttled_until = None,
            Action::Reply { ticket, reply } => {
                let waited = self.open.remove(ticket);
                let turned_away = *reply == Reply::Busy;
                assert!(waited || turned_away, "a reply that nobody waits for");
                assert!(self.answered.insert(*ticket), "two replies");
            }
            _ => {}
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Wait(time) => {
                let end = self.now.plus(time);
                while let Some(at) = self.machine.next_deadline().filter(|at| *at <= end) {
                    self.now = at;
                    self.tell(Event::Tick);
                }
                self.now = end;
            }
            Step::Sleep => {
                if let Some(at) = self.machine.next_deadline() {
                    self.now = at;
                    self.tell(Event::Tick);
                }
            }
            Step::MoveClock(ms) => {
                self.now = Timestamp::from_unix_ms(self.now.unix_ms() + ms);
                self.tell(Event::Tick);
            }
            Step::Answer(outcome) => {
                if let Some((account, source)) = self.usage.take() {
                    self.tell(Event::Probed {
                        account,
                        source,
                        outcome: self.measured_now(outcome),
                    });
                }
            }
            Step::Verdict(verdict) => {
                if let Some(account) = self.login.take() {
                    self.tell(Event::LoginChecked { account, verdict });
                }
            }
            Step::Stray(n, outcome) => {
                let asked = self.usage.is_some_and(|(account, _)| account == id(n));
                if !asked {
                    self.tell(Event::Probed {
                        account: id(n),
                        source: Source::Claude,
                        outcome,
                    });
                }
            }
            Step::Told(event) => self.tell(event),
            Step::Ask(which) => {
                self.tickets += 1;
                let ticket = Ticket(self.tickets);
                if self.open.len() < refresh::MAX_WAITING {
                    self.open.insert(ticket);
                }
                self.tell(Event::Refresh { ticket, which });
            }
        }
    }

    fn measured_now(&self, outcome: ProbeOutcome) -> ProbeOutcome {
        match outcome {
            ProbeOutcome::Measured(sample) => ProbeOutcome::Measured(Sample {
                measured_at: self.now,
                ..sample
            }),
            other => other,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_never_happens_never_happens(
        seed in any::<u64>(),
        steps in proptest::collection::vec(step(), 1..200),
    ) {
        let mut observed = Observed::new(seed);
        for step in steps {
            observed.step(step);
        }
        // Nobody answers any more: every client is answered all the same.
        observed.step(Step::Wait(refresh::PATIENCE));
        prop_assert_eq!(observed.open.len(), 0);
        // And the next question is asked before long, if any can be.
        observed.tell(Event::Saver { on: false });
        observed.tell(Event::SourcesChanged { sources: vec![Source::Claude] });
        observed.tell(Event::AccountRemoved { account: id(1) });
        observed.tell(Event::AccountAdded(KnownAccount::new(id(1))));
        observed.tell(Event::SessionStarted { account: id(1) });
        observed.step(Step::Wait(inquiry::ANSWER + hours(1)));
        let asking = observed.usage.is_some() || observed.login.is_some();
        let later = observed.machine.next_deadline();
        prop_assert!(asking || later.is_some_and(|at| at.since(observed.now) < hours(1)));
    }

    #[test]
    fn the_same_seed_and_the_same_story_end_the_same(
        seed in any::<u64>(),
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut ends = (0..2).map(|_| {
            let mut observed = Observed::new(seed);
            for step in steps.clone() {
                observed.step(step);
            }
            (observed.machine.next_deadline(), observed.usage)
        });
        prop_assert_eq!(ends.next(), ends.next());
    }
}
