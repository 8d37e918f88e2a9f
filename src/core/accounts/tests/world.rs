//! A simulated world: a clock that runs from event to event, accounts that are used up and reset, a service with moods.

use crate::core::account::AccountId;
use crate::core::accounts::action::{Action, Fact, Reply};
use crate::core::accounts::event::{
    Event, KnownAccount, LoginVerdict, ProbeOutcome, Ticket, Which,
};
use crate::core::accounts::machine::Machine;
use crate::core::time::Timestamp;
use crate::core::usage::{
    Acceptance, Sample, Source, Used, Window, WindowKind, accept, carry_over,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// Monday, 2027-01-04, 00:00:00 UTC.
pub(super) const MONDAY: Timestamp = Timestamp::from_unix_ms(1_799_020_800_000);
const FIVE_HOURS: Duration = Duration::from_secs(5 * 3600);

pub(super) const fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

pub(super) const fn minutes(m: u64) -> Duration {
    Duration::from_secs(m * 60)
}

pub(super) const fn hours(h: u64) -> Duration {
    Duration::from_secs(h * 3600)
}

pub(super) fn id(n: u16) -> AccountId {
    AccountId::new(n).expect("in range")
}

/// How the service is disposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Fine,
    Throttling(Option<u64>),
    Gone,
    /// As claude sees both.
    Mute,
    /// Questions are swallowed.
    Swallowing,
}

/// What is really the case with an account.
#[derive(Clone, Debug)]
pub(super) struct Truth {
    pub(super) sessions: u32,
    pub(super) used: f64,
    pub(super) resets_at: Option<Timestamp>,
    pub(super) login: LoginVerdict,
    /// Percent per hour and session.
    pub(super) burn: f64,
    pub(super) unreachable: bool,
}

/// The world, and everything that the machine did in it.
pub(super) struct World {
    pub(super) machine: Machine,
    pub(super) now: Timestamp,
    pub(super) mood: Mood,
    pub(super) truth: BTreeMap<AccountId, Truth>,
    /// The database.
    known: BTreeMap<AccountId, KnownAccount>,
    last_launch: Timestamp,
    answer: Option<(Timestamp, Event)>,
    pub(super) probes: Vec<(Timestamp, AccountId, Source)>,
    pub(super) looks: Vec<(Timestamp, AccountId)>,
    pub(super) resets: Vec<(Timestamp, AccountId)>,
    pub(super) publications: Vec<(Timestamp, bool)>,
    pub(super) facts: Vec<(Timestamp, Fact)>,
    pub(super) needs_login: Vec<(Timestamp, AccountId, bool)>,
    pub(super) cadences: BTreeMap<AccountId, Duration>,
    pub(super) paused: Vec<(Timestamp, Option<Timestamp>)>,
    pub(super) replies: Vec<(Timestamp, Ticket, Reply)>,
    pub(super) kept: usize,
    /// When numbers that were kept were measured.
    pub(super) measured: Vec<(Timestamp, AccountId)>,
    tickets: u64,
}

impl World {
    /// A world with this many accounts, none of them ever asked, on a Monday morning at 0:00.
    pub(super) fn new(accounts: u16, sources: &[Source], seed: u64) -> Self {
        let ids: Vec<AccountId> = (1..=accounts).map(id).collect();
        let truth = Truth {
            sessions: 0,
            used: 0.0,
            resets_at: None,
            login: LoginVerdict::LoggedIn,
            burn: 12.0,
            unreachable: false,
        };
        let mut world = Self {
            machine: Machine::new(sources, seed),
            now: MONDAY,
            mood: Mood::Fine,
            truth: ids.iter().map(|id| (*id, truth.clone())).collect(),
            known: ids.iter().map(|id| (*id, KnownAccount::new(*id))).collect(),
            last_launch: MONDAY,
            answer: None,
            probes: Vec::new(),
            looks: Vec::new(),
            resets: Vec::new(),
            publications: Vec::new(),
            facts: Vec::new(),
            needs_login: Vec::new(),
            cadences: BTreeMap::new(),
            paused: Vec::new(),
            replies: Vec::new(),
            kept: 0,
            measured: Vec::new(),
            tickets: 0,
        };
        world.load();
        world
    }

    /// The machine is told what the database has.
    fn load(&mut self) {
        let rows = self.known.values().cloned().map(|known| KnownAccount {
            sessions: self.truth[&known.id].sessions,
            ..known
        });
        let event = Event::Loaded {
            accounts: rows.collect(),
            last_launch: Some(self.last_launch),
            paused_since: self.paused.last().and_then(|(_, since)| *since),
        };
        self.tell(event);
    }

    /// The usual one, after its first sweep.
    pub(super) fn settled(accounts: u16) -> Self {
        let mut world = Self::new(accounts, &[Source::Live, Source::Claude], 1);
        world.run(minutes(1));
        world.forget();
        world
    }

    /// The record begins anew.
    pub(super) fn forget(&mut self) {
        self.probes.clear();
        self.looks.clear();
        self.resets.clear();
        self.publications.clear();
        self.facts.clear();
        self.needs_login.clear();
        self.paused.clear();
        self.replies.clear();
    }

    pub(super) fn tell(&mut self, event: Event) {
        let actions = self.machine.handle(event, self.now);
        for action in actions {
            self.perform(action);
        }
    }

    pub(super) fn launch(&mut self, account: u16) {
        self.last_launch = self.now;
        self.truth.get_mut(&id(account)).expect("known").sessions += 1;
        self.tell(Event::SessionStarted {
            account: id(account),
        });
    }

    pub(super) fn end_session(&mut self, account: u16) {
        self.truth.get_mut(&id(account)).expect("known").sessions -= 1;
        self.tell(Event::SessionEnded {
            account: id(account),
        });
    }

    /// A client asks; returns the ticket.
    pub(super) fn refresh(&mut self, which: Which) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.tell(Event::Refresh { ticket, which });
        ticket
    }

    /// A session of the account reports what is true: it is taken into the database, and the machine told of that.
    pub(super) fn report(&mut self, account: u16) {
        let sample = self.sample(id(account), Source::Live);
        if self.offer(id(account), sample) {
            self.load();
        }
    }

    fn offer(&mut self, account: AccountId, sample: Sample) -> bool {
        let known = self.known.get_mut(&account).expect("known");
        // As the database does after the clock was set back.
        let latest = self.now.plus(seconds(300));
        known.held.take_if(|held| held.measured_at > latest);
        let is_news = accept(known.held.as_ref(), &sample) == Acceptance::Accepted;
        if is_news {
            self.kept += 1;
            self.measured.push((sample.measured_at, account));
            known.held = Some(carry_over(known.held.as_ref(), sample));
        }
        is_news
    }

    pub(super) fn run(&mut self, time: Duration) {
        self.run_until(self.now.plus(time));
    }

    /// Lets time pass, from one thing that happens to the next.
    pub(super) fn run_until(&mut self, end: Timestamp) {
        loop {
            let deadline = self.machine.next_deadline();
            let answer = self.answer.as_ref().map(|(at, _)| *at);
            let next = [deadline, answer].into_iter().flatten().min();
            let next = next.filter(|at| *at <= end);
            self.pass(next.unwrap_or(end));
            let Some(next) = next else { return };
            let answered = self.answer.take_if(|(at, _)| *at <= next);
            match answered {
                Some((_, event)) => self.tell(event),
                None => {
                    self.tell(Event::Tick);
                    let later = self.machine.next_deadline();
                    assert!(later.is_none_or(|at| at > next), "stuck at {next:?}");
                }
            }
        }
    }

    /// The computer's clock moves, and nothing else does.
    pub(super) fn move_clock(&mut self, by_ms: i64) {
        let moved = |at: Timestamp| Timestamp::from_unix_ms(at.unix_ms() + by_ms);
        self.now = moved(self.now);
        if let Some((at, _)) = &mut self.answer {
            *at = moved(*at);
        }
        for truth in self.truth.values_mut() {
            truth.resets_at = truth.resets_at.map(moved);
        }
    }

    fn pass(&mut self, to: Timestamp) {
        let elapsed = to.since(self.now).as_secs_f64() / 3600.0;
        for (id, truth) in &mut self.truth {
            if truth.sessions > 0 {
                truth.resets_at.get_or_insert(self.now.plus(FIVE_HOURS));
            }
            truth.used = (truth.used + truth.burn * elapsed * f64::from(truth.sessions)).min(100.0);
            if let Some(at) = truth.resets_at.filter(|at| *at <= to) {
                self.resets.push((at, *id));
                truth.used = 0.0;
                truth.resets_at = None;
            }
        }
        self.now = self.now.max(to);
    }

    pub(super) fn sample(&self, account: AccountId, source: Source) -> Sample {
        let truth = &self.truth[&account];
        Sample {
            measured_at: self.now,
            source,
            windows: vec![Window {
                kind: WindowKind::FiveHour,
                used: Used::from_percent(truth.used).expect("a number"),
                resets_at: truth.resets_at,
            }],
            extra: None,
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Probe { account, source } => {
                assert_eq!(self.answer, None, "two questions at once");
                self.probes.push((self.now, account, source));
                let outcome = self.outcome(account, source);
                let event = Event::Probed {
                    account,
                    source,
                    outcome,
                };
                self.answer_after(Duration::from_millis(400), event);
            }
            Action::ConfirmLogin { account } => {
                assert_eq!(self.answer, None, "two questions at once");
                self.looks.push((self.now, account));
                let verdict = self.truth[&account].login;
                let event = Event::LoginChecked { account, verdict };
                self.answer_after(Duration::from_millis(200), event);
            }
            Action::Keep { account, sample } => {
                self.offer(account, sample);
            }
            Action::SetNeedsLogin { account, needs } => {
                self.needs_login.push((self.now, account, needs));
                self.known.get_mut(&account).expect("known").needs_login = needs;
            }
            Action::SetCadence { account, every } => {
                self.cadences.insert(account, every);
            }
            Action::SetPaused { since } => self.paused.push((self.now, since)),
            Action::Publish { sweep } => self.publications.push((self.now, sweep)),
            Action::Reply { ticket, reply } => self.replies.push((self.now, ticket, reply)),
            Action::Log(fact) => self.facts.push((self.now, fact)),
            Action::SetProbed { account, .. } => {
                let now = self.now;
                self.known.get_mut(&account).expect("known").probed_at = Some(now);
            }
            Action::SetLimited { account, until, .. } => {
                self.known.get_mut(&account).expect("known").limited_until = until;
            }
        }
    }

    fn answer_after(&mut self, time: Duration, event: Event) {
        if self.mood != Mood::Swallowing {
            self.answer = Some((self.now.plus(time), event));
        }
    }

    fn outcome(&self, account: AccountId, source: Source) -> ProbeOutcome {
        let truth = &self.truth[&account];
        match self.mood {
            Mood::Gone => ProbeOutcome::Unreachable,
            _ if truth.unreachable => ProbeOutcome::Unreachable,
            _ if truth.login != LoginVerdict::LoggedIn => {
                ProbeOutcome::LoginSuspected { verdict: None }
            }
            Mood::Throttling(asked) => ProbeOutcome::Throttled {
                retry_after: asked.map(seconds),
            },
            Mood::Mute => ProbeOutcome::NoNumbers,
            Mood::Fine | Mood::Swallowing => ProbeOutcome::Measured(self.sample(account, source)),
        }
    }

    /// Seconds since `since` at which this account was probed.
    pub(super) fn probed(&self, account: u16, since: Timestamp) -> Vec<i64> {
        self.probes
            .iter()
            .filter(|(at, whom, _)| *whom == id(account) && *at >= since)
            .map(|(at, ..)| at.ms_since(since) / 1000)
            .collect()
    }

    /// Whose probes there were, in order.
    pub(super) fn asked(&self) -> Vec<u16> {
        self.probes.iter().map(|(_, id, _)| id.number()).collect()
    }

    pub(super) fn has_fact(&self, is_it: impl Fn(&Fact) -> bool) -> bool {
        self.facts.iter().any(|(_, fact)| is_it(fact))
    }
}
