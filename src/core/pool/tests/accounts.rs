//! Accounts in the simulated world: limits that turns run into, somebody who knows where there is headroom, and what must
//! hold of sessions that move.

use super::simulation::Simulation;
use super::world::{Happening, Line, World, ms};
use crate::core::account::AccountId;
use crate::core::pool::event::{Choice, Event, Hook, Standing, TurnFailure};
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
