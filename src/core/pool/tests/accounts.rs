//! Accounts in the simulated world: limits that turns run into, somebody who knows where there is headroom, and what must
//! hold of sessions that move.

use super::rows::Pool;
use super::simulation::Simulation;
use super::world::{Faults, Happening, Line, World, ms};
use crate::core::account::AccountId;
use crate::core::pool::action::{Action, Fact, ReplaceReason};
use crate::core::pool::event::{Choice, End, Event, Hook, Standing, TurnFailure};
use crate::core::pool::handoff::CONTINUE;
use crate::core::pool::id::{Place, SessionId};
use crate::core::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What the service knows of the accounts.
#[derive(Clone, Debug, Default)]
pub(super) struct Roster {
    pub(super) all: Vec<AccountId>,
    /// Which are refused until when.
    pub(super) refused: BTreeMap<AccountId, Timestamp>,
    /// In percent: how often a turn finds its account exhausted.
    pub(super) limit: u64,
    /// What whoever decides always says; else chance does.
    pub(super) decides: Option<Choice>,
    /// Sessions whose refused turns were left at that.
    pub(super) stayed: BTreeSet<SessionId>,
}

impl Roster {
    pub(super) fn of(count: u64) -> Self {
        let ids = (1..=count).filter_map(|n| AccountId::new(u16::try_from(n).ok()?));
        Self {
            all: ids.collect(),
            ..Self::default()
        }
    }

    fn open(&self, now: Timestamp) -> Vec<AccountId> {
        let is_open = |account: &&AccountId| self.refused.get(account).is_none_or(|at| *at <= now);
        self.all.iter().filter(is_open).copied().collect()
    }
}

impl World {
    /// On whose login a process runs that nobody wants on a certain one.
    pub(super) fn any_account(&mut self) -> Option<AccountId> {
        let open = self.roster.open(self.now);
        let all = self.roster.all.clone();
        let picked = self.chance.one_of(&open);
        picked.or_else(|| self.chance.one_of(&all))
    }

    /// The daemon hears how the accounts stand.
    pub(super) fn tell_standing(&mut self) {
        if let Some(standing) = self.standing() {
            self.tell(5, 1500, Event::Accounts(standing));
        }
    }

    pub(super) fn standing(&mut self) -> Option<Standing> {
        if self.roster.all.is_empty() {
            return None;
        }
        let now = self.now;
        let mut refused = self.roster.refused.clone();
        refused.retain(|_, until| *until > now);
        let some = self.roster.all.clone();
        let outgrown = self.chance.chance(20).then(|| self.chance.one_of(&some));
        Some(Standing {
            is_open: refused.len() < self.roster.all.len(),
            refused,
            outgrown: outgrown.flatten().into_iter().collect::<BTreeSet<_>>(),
        })
    }

    /// Whether the turn that begins here will be refused, and whether something is said before.
    pub(super) fn will_be_refused(&mut self, place: Place) -> Option<bool> {
        let account = self.hosts.get(&place)?.account?;
        let now = self.now;
        let mut until = self.roster.refused.get(&account).copied();
        until = until.filter(|until| *until > now);
        if until.is_none() && self.chance.chance(self.roster.limit) {
            let time = self.chance.between(5_000, 120_000);
            let at = now.plus(ms(time));
            self.roster.refused.insert(account, at);
            until = Some(at);
            self.tell_standing();
            self.after(time + 1, Happening::Reset);
        }
        until.map(|_| self.chance.chance(40))
    }

    /// A person clears a conversation: what was refused in it is not wanted any more.
    pub(super) fn cleared(&mut self, place: Place) {
        let machine = self.machine.iter().flat_map(|m| m.sessions.values());
        let known = machine.map(|session| &session.record);
        let all = known.chain(self.disk.sessions.values());
        let here = all.filter(|s| s.seat.is_some_and(|seat| seat.place == place));
        self.roster.stayed.extend(here.map(|record| record.id));
    }

    /// The plan refuses a turn.
    pub(super) fn refuse(&mut self, place: Place, turn: u64) {
        if !self.is_at(place, turn) {
            return;
        }
        let Some(host) = self.hosts.get_mut(&place) else {
            return;
        };
        let uuid = host.claude.uuid.clone();
        let account = host.account;
        let prompt = host.claude.working.take().map(|working| working.prompt_id);
        let until = account.and_then(|account| self.roster.refused.get(&account).copied());
        // It is written down a moment later.
        let lag = self.chance.between(0, 150);
        self.after(lag, Happening::Record(place, uuid, Line::Refused(until)));
        let until = until.filter(|_| self.chance.chance(50));
        self.hook(
            place,
            Hook::TurnFailed(TurnFailure::RateLimit { until }),
            prompt,
        );
        let time = self.chance.between(10, 120);
        self.after(
            time,
            Happening::Write(place, crate::core::pool::status::Readiness::Idle),
        );
    }

    /// Somebody who knows the accounts decides.
    pub(super) fn choose(
        &mut self,
        session: SessionId,
        account: AccountId,
        until: Timestamp,
        known: &BTreeMap<AccountId, Timestamp>,
    ) {
        let now = self.now;
        let mut open = self.roster.open(now);
        open.retain(|a| *a != account && known.get(a).is_none_or(|at| *at <= now));
        let pick = self.chance.one_of(&open);
        let first = self.roster.refused.values().min().copied();
        let choice = match pick {
            _ if self.roster.decides.is_some() => self.roster.decides.unwrap_or(Choice::Stay),
            _ if self.chance.chance(5) => Choice::Stay,
            Some(to) if self.chance.chance(80) => Choice::Move { to },
            Some(_) => Choice::Wait {
                until,
                anywhere: false,
            },
            None => Choice::Wait {
                until: first.unwrap_or(until),
                anywhere: true,
            },
        };
        if choice == Choice::Stay {
            self.roster.stayed.insert(session);
        }
        self.tell(1, 20, Event::Chosen { session, choice });
    }
}

/// What became of the turns that began with this text: how often it was taken for good, and whether one of them was
/// refused after something had been said, and not gone on with.
pub(super) fn fate(world: &World, text: &str) -> (usize, bool) {
    let (mut for_good, mut is_open) = (0, false);
    for lines in world.transcripts.values() {
        let is_it = |line: &Line| matches!(line, Line::Prompt(prompt) if prompt == text);
        let starts = lines.iter().enumerate().filter(|(_, line)| is_it(line));
        for (at, _) in starts {
            let rest = &lines[at + 1..];
            let end = rest.iter().position(|l| matches!(l, Line::Prompt(_)));
            let turn = &rest[..end.unwrap_or(rest.len())];
            let refused = turn.iter().any(|line| matches!(line, Line::Refused(_)));
            let said = turn.contains(&Line::Said);
            for_good += usize::from(!refused || said);
            let goes_on = |line: &Line| matches!(line, Line::Prompt(p) if p == CONTINUE);
            is_open |= refused && said && !rest.iter().any(goes_on);
        }
    }
    (for_good, is_open)
}

impl Simulation {
    /// What was refused came to a good end.
    pub(super) fn check_refused(&self) {
        let machine = self.world.machine.as_ref().expect("a daemon runs");
        for session in machine.sessions.values() {
            assert!(session.kept.is_none(), "kept for ever: {session:?}");
            assert!(session.limited.is_none(), "limited for ever: {session:?}");
        }
    }
}

/// The account that the only slot is on.
fn account_of(pool: &Pool) -> Option<AccountId> {
    pool.world
        .hosts
        .values()
        .next()
        .and_then(|host| host.account)
}

/// A session in the only slot, whose account is refused for so long from now on; and another account.
fn refused_for(time: u64) -> (Pool, AccountId, AccountId) {
    let mut pool = Pool::on_accounts(1, 2);
    pool.play("start a, wait 2500");
    let first = account_of(&pool).expect("one");
    let other = pool.world.roster.all.iter().find(|id| **id != first);
    let other = *other.expect("two");
    let until = pool.world.now.plus(ms(time));
    pool.world.roster.refused.insert(first, until);
    (pool, first, other)
}

#[test]
fn a_refused_turn_goes_on_elsewhere_waits_or_is_over() {
    let (mut pool, _, other) = refused_for(3_600_000);
    pool.world.roster.decides = Some(Choice::Move { to: other });
    pool.play("follow a, wait 9000");
    assert_eq!(
        (pool.shown().as_str(), account_of(&pool)),
        ("a idle", Some(other))
    );
    let (again, goes_on) = (pool.taken("more a"), pool.taken(CONTINUE));
    // Typed again where nothing had followed it, and gone on with where something had.
    assert!((again, goes_on) == (2, 0) || (again, goes_on) == (1, 1));
    let (mut pool, first, _) = refused_for(20_000);
    let until = pool.world.now.plus(ms(20_000));
    let anywhere = false;
    pool.world.roster.decides = Some(Choice::Wait { until, anywhere });
    pool.play("follow a, wait 9000");
    let limited = pool.machine().limited_until(pool.names["a"]);
    assert_eq!((pool.shown().as_str(), limited), ("a queued", Some(until)));
    pool.world.roster.refused.remove(&first);
    pool.play("wait 20000");
    assert_eq!(pool.shown(), "a idle");
    assert_eq!(pool.machine().limited_until(pool.names["a"]), None);
    let (mut pool, first, _) = refused_for(3_600_000);
    pool.world.roster.decides = Some(Choice::Stay);
    pool.play("follow a, wait 9000");
    assert_eq!(
        (pool.shown().as_str(), account_of(&pool)),
        ("a idle", Some(first))
    );
    assert_eq!((pool.taken("more a"), pool.taken(CONTINUE)), (1, 0));
}

#[test]
fn a_prompt_is_not_typed_where_it_would_be_refused() {
    let (mut pool, first, other) = refused_for(3_600_000);
    pool.world.roster.decides = Some(Choice::Move { to: other });
    let standing = pool.world.standing().expect("accounts");
    assert!(standing.refused.contains_key(&first));
    pool.world.handle(Event::Accounts(standing));
    pool.play("follow a, wait 9000");
    assert_eq!(
        (pool.shown().as_str(), account_of(&pool)),
        ("a idle", Some(other))
    );
    assert_eq!(pool.taken("more a"), 1);
    // One that is stopped while it waits is not typed at all.
    let (mut pool, _, _) = refused_for(3_600_000);
    let until = pool.world.now.plus(ms(3_600_000));
    let anywhere = true;
    pool.world.roster.decides = Some(Choice::Wait { until, anywhere });
    let standing = pool.world.standing().expect("accounts");
    pool.world.handle(Event::Accounts(standing));
    pool.play("follow a, wait 3000, stop a, wait 3000");
    assert_eq!(
        (pool.shown().as_str(), pool.taken("more a")),
        ("a offloaded", 0)
    );
}

#[test]
fn a_fresh_slot_leaves_an_account_that_is_outgrown_and_one_in_use_does_not() {
    for (script, moves) in [("wait 100", true), ("start a, wait 2500", false)] {
        let mut pool = Pool::on_accounts(1, 2);
        pool.play(script);
        let standing = Standing {
            outgrown: account_of(&pool).into_iter().collect(),
            is_open: true,
            ..Standing::default()
        };
        pool.world.performed.clear();
        pool.world.handle(Event::Accounts(standing));
        pool.run(5000);
        let left = |action: &Action| {
            let why = ReplaceReason::AccountLeft;
            matches!(action, Action::Log(Fact::Replaced { why: w, .. }) if *w == why)
        };
        let left = pool.world.performed.iter().filter(|a| left(a)).count();
        assert_eq!(left, usize::from(moves), "{script}");
    }
}

#[test]
fn who_waits_for_any_account_goes_on_when_one_can_serve() {
    let (mut pool, first, other) = refused_for(3_600_000);
    let until = pool.world.now.plus(ms(3_600_000));
    pool.world.roster.refused.insert(other, until);
    let anywhere = true;
    pool.world.roster.decides = Some(Choice::Wait { until, anywhere });
    let standing = pool.world.standing().expect("accounts");
    pool.world.handle(Event::Accounts(standing));
    pool.play("follow a, wait 3000");
    assert_eq!(pool.shown(), "a queued");
    pool.world.roster.refused.remove(&other);
    pool.world.roster.decides = Some(Choice::Move { to: other });
    let standing = pool.world.standing().expect("accounts");
    assert!(standing.is_open && standing.refused.contains_key(&first));
    pool.world.handle(Event::Accounts(standing));
    pool.run(9000);
    assert_eq!(
        (pool.shown().as_str(), account_of(&pool)),
        ("a idle", Some(other))
    );
}

#[test]
fn a_process_that_dies_in_a_refused_turn_leaves_the_prompt_owed() {
    let (mut pool, _, other) = refused_for(3_600_000);
    pool.world.roster.decides = Some(Choice::Move { to: other });
    pool.play("follow a, wait 200");
    // Nobody hears how it ended.
    (pool.world.faults.lost_hook, pool.world.faults.lost_registry) = (100, 100);
    let end = pool.world.now.plus(ms(3000));
    let is_refused = |world: &World| {
        let mut lines = world.transcripts.values().flatten();
        lines.any(|line| matches!(line, Line::Refused(_)))
    };
    while !is_refused(&pool.world) {
        assert!(pool.world.step(end), "it is refused");
    }
    let place = *pool.world.hosts.keys().next().expect("alive");
    pool.world.faults = Faults::default();
    pool.world.roster.refused.clear();
    pool.world.gone(place, End::HostGone);
    pool.run(9000);
    assert_eq!(pool.shown(), "a idle");
    let (again, goes_on) = (pool.taken("more a"), pool.taken(CONTINUE));
    assert!((again, goes_on) == (2, 0) || (again, goes_on) == (1, 1));
}

#[test]
fn a_process_that_was_started_with_a_conversation_is_not_given_to_another_session() {
    let (mut pool, _, other) = refused_for(3_600_000);
    pool.world.roster.decides = Some(Choice::Move { to: other });
    pool.play("follow a");
    let is_it = |action: &Action| {
        matches!(
            action,
            Action::Spawn {
                resume: Some(_),
                ..
            }
        )
    };
    let end = pool.world.now.plus(ms(9000));
    while !pool.world.performed.iter().any(is_it) {
        assert!(pool.world.step(end), "it is handed over");
    }
    let session = pool.names["a"];
    let uuid = pool.world.disk.sessions[&session].uuid.clone();
    pool.play("stop a, wait 100");
    pool.world.kill_daemon();
    pool.world.start_daemon();
    pool.play("start b, wait 6000");
    let of_b = pool.world.disk.sessions[&pool.names["b"]].uuid.clone();
    assert!(of_b.is_some() && of_b != uuid, "{of_b:?}");
    assert_eq!(pool.shown(), "a offloaded, b idle");
}
