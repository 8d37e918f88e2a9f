//! Whether a conversation that runs into its limit had better go on under another account. Moving costs: the new account
//! has no warm prompt cache, so a short wait is cheaper, and an account that is nearly full itself is no place to go.
//! The figures come from simulation.

use super::score::{Assessment, Tier};
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A reset that is nearer than this is waited for.
pub const WORTH_LEAVING: Duration = Duration::from_secs(30 * 60);
/// With a reset at least this far away, an account without much headroom is better than none.
pub const WORTH_ANYTHING: Duration = Duration::from_secs(60 * 60);
/// Headroom (percent) of both windows that makes an account a good place to go: it has used 80 % at most.
pub const GOOD_HEADROOM: f64 = 20.0;
/// Raw headroom (percent) of the five-hour window without which no account is a place to go.
pub const LEAST_HEADROOM: f64 = 5.0;
/// With less of everybody's week left (percent, on average) nothing is moved: it would only spend the rest faster.
pub const LEAST_OF_WEEK: f64 = 5.0;

/// A conversation is not moved again for this long.
pub const NOT_AGAIN: Duration = Duration::from_secs(20 * 60);
/// A place that nobody uses is given up for another account whose score is this much better.
pub const WORTH_A_START: f64 = 30.0;

/// When conversations are moved (`[pool] handoff`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// When it pays.
    #[default]
    Auto,
    /// Whenever there is somewhere to go.
    Always,
    /// Never.
    Never,
}

/// A conversation whose account the plan refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The account.
    pub account: AccountId,
    /// Until when.
    pub until: Timestamp,
    /// A turn was refused; else one would be.
    pub failed: bool,
    /// Somebody wants this very account.
    pub fixed: bool,
    /// When it was moved last.
    pub moved_at: Option<Timestamp>,
}

/// What a refused conversation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It goes on there.
    Move(AccountId),
    /// It waits until then, or, where any account will do, until one can serve.
    Wait {
        /// Until then at most.
        until: Timestamp,
        /// No account can serve now.
        anywhere: bool,
    },
    /// It is over.
    Stay,
}

/// What becomes of a refused conversation, given the ranking of all accounts, best first.
#[must_use]
pub fn way(ranking: &[Assessment], policy: Policy, refused: &Refused, now: Timestamp) -> Way {
    let wait = Way::Wait {
        until: refused.until,
        anywhere: false,
    };
    if policy == Policy::Never {
        return if refused.failed { Way::Stay } else { wait };
    }
    if refused.fixed {
        return wait;
    }
    let mut others = ranking.iter().filter(|a| a.id != refused.account);
    let Some(best) = others.find(|a| a.available()) else {
        let resets = ranking.iter().filter_map(|a| a.serves_again_at);
        let first = resets.filter(|at| *at > now).min();
        return Way::Wait {
            until: first.map_or(refused.until, |first| first.min(refused.until)),
            anywhere: true,
        };
    };
    let moved_lately = refused.moved_at.is_some_and(|at| now.since(at) < NOT_AGAIN);
    match policy {
        Policy::Always => Way::Move(best.id),
        _ if moved_lately => wait,
        _ => target(ranking, refused.account, refused.until, now).map_or(wait, Way::Move),
    }
}

/// Which accounts the plan refuses, until when.
#[must_use]
pub fn refused(ranking: &[Assessment]) -> BTreeMap<AccountId, Timestamp> {
    let refused = ranking.iter().filter(|assessment| {
        let tier = assessment.tier;
        tier == Tier::RateLimited || assessment.exhausted
    });
    refused
        .filter_map(|a| Some((a.id, a.serves_again_at?)))
        .collect()
}

/// Accounts that a place which nobody uses had better leave: the worst one, when another is much better, and those that
/// cannot sign in.
#[must_use]
pub fn outgrown(ranking: &[Assessment]) -> BTreeSet<AccountId> {
    let Some(best) = ranking.first().filter(|best| best.available()) else {
        return BTreeSet::new();
    };
    let worst = ranking.iter().rfind(|a| a.available());
    let worst = worst.filter(|worst| best.score - worst.score >= WORTH_A_START);
    let dead = ranking.iter().filter(|a| a.tier == Tier::NeedsLogin);
    dead.chain(worst).map(|a| a.id).collect()
}

/// Where a conversation of `current` had better go, given the ranking of all accounts, best first; none when it had better
/// wait for `resets_at`, or stay.
#[must_use]
pub fn target(
    ranking: &[Assessment],
    current: AccountId,
    resets_at: Timestamp,
    now: Timestamp,
) -> Option<AccountId> {
    let wait = resets_at.since(now);
    if resets_at <= now || wait < WORTH_LEAVING || is_week_over(ranking) {
        return None;
    }
    let places = || {
        let others = ranking.iter().filter(|a| a.id != current);
        others.filter(|a| a.tier == Tier::Available)
    };
    let is_good =
        |a: &&Assessment| a.terms.raw_5h >= GOOD_HEADROOM && a.terms.raw_7d >= GOOD_HEADROOM;
    let is_some = |a: &&Assessment| a.terms.raw_5h >= LEAST_HEADROOM;
    let any = || places().find(is_some).filter(|_| wait >= WORTH_ANYTHING);
    places().find(is_good).or_else(any).map(|a| a.id)
}

/// Whether all accounts that can sign in have, together, used more than 95 % of their weeks.
fn is_week_over(ranking: &[Assessment]) -> bool {
    let weeks = || ranking.iter().filter(|a| a.tier != Tier::NeedsLogin);
    let count = weeks().count();
    let left: f64 = weeks().map(|a| a.terms.raw_7d).sum();
    count == 0 || left < LEAST_OF_WEEK * f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::super::pick::rank;
    use super::super::score::Candidate;
    use super::*;
    use crate::core::usage::{Burn, Sample, Source, Used, Window, WindowKind};

    const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

    fn id(number: u16) -> AccountId {
        AccountId::new(number).expect("in range")
    }

    /// The ranking of accounts 1, 2, … by what they used of their five hours and of their week.
    fn ranking(used: &[(f64, f64)]) -> Vec<Assessment> {
        let window = |kind, percent| Window {
            kind,
            used: Used::from_percent(percent).expect("a number"),
            resets_at: Some(NOW.plus(Duration::from_secs(4 * 3600))),
        };
        let candidate = |(number, (five, week)): (u16, &(f64, f64))| Candidate {
            id: id(number),
            sample: Some(Sample {
                measured_at: NOW,
                source: Source::Claude,
                windows: vec![
                    window(WindowKind::FiveHour, *five),
                    window(WindowKind::SevenDay, *week),
                ],
                extra: None,
            }),
            burn: Burn(0.0),
            sessions: 0,
            limited_until: None,
            needs_login: false,
            stale: false,
        };
        let candidates: Vec<_> = (1..).zip(used).map(candidate).collect();
        rank(&candidates, None, NOW)
    }

    fn minutes(minutes: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(minutes * 60))
    }

    /// Where to go from the first account, whose limit ends in so many minutes.
    fn check(used: &[(f64, f64)], wait: u64, expected: Option<u16>) {
        let ranking = ranking(used);
        let resets_at = minutes(wait);
        let found = target(&ranking, id(1), resets_at, NOW);
        assert_eq!(found, expected.map(id), "{used:?}, reset in {wait} min");
    }

    #[test]
    fn moving_pays_when_the_wait_is_long_and_there_is_a_place_to_go() {
        check(&[(100.0, 20.0), (50.0, 30.0)], 120, Some(2));
        check(&[(100.0, 20.0), (50.0, 30.0)], 30, Some(2));
        check(&[(100.0, 20.0), (50.0, 30.0)], 29, None);
        check(&[(100.0, 20.0), (50.0, 30.0)], 0, None);
        check(&[(100.0, 20.0), (50.0, 30.0), (10.0, 10.0)], 120, Some(3));
        check(&[(100.0, 20.0)], 120, None);
    }

    #[test]
    fn little_headroom_is_worth_it_only_for_a_long_wait() {
        check(&[(100.0, 20.0), (90.0, 30.0)], 59, None);
        check(&[(100.0, 20.0), (90.0, 30.0)], 60, Some(2));
        check(&[(100.0, 20.0), (50.0, 85.0)], 59, None);
        check(&[(100.0, 20.0), (50.0, 85.0)], 60, Some(2));
        check(&[(100.0, 20.0), (96.0, 30.0)], 200, None);
    }

    #[test]
    fn nothing_moves_when_the_week_of_all_is_nearly_over() {
        check(&[(100.0, 99.0), (10.0, 92.0)], 200, None);
        check(&[(100.0, 99.0), (10.0, 90.0)], 200, Some(2));
    }

    /// What a refused conversation of the first account does.
    fn check_way(
        policy: Policy,
        used: &[(f64, f64)],
        change: impl Fn(&mut Refused),
        expected: Way,
    ) {
        let mut refused = Refused {
            account: id(1),
            until: minutes(120),
            failed: true,
            fixed: false,
            moved_at: None,
        };
        change(&mut refused);
        let found = way(&ranking(used), policy, &refused, NOW);
        assert_eq!(found, expected, "{policy:?} {used:?} {refused:?}");
    }

    const OPEN: &[(f64, f64)] = &[(100.0, 20.0), (50.0, 30.0)];

    #[test]
    fn a_refused_conversation_moves_waits_or_is_over() {
        let move_on = Way::Move(id(2));
        let wait = |at: u64| Way::Wait {
            until: minutes(at),
            anywhere: false,
        };
        let same = |_: &mut Refused| {};
        check_way(Policy::Auto, OPEN, same, move_on);
        check_way(Policy::Auto, OPEN, |r| r.until = minutes(20), wait(20));
        check_way(Policy::Always, OPEN, |r| r.until = minutes(20), move_on);
        check_way(Policy::Never, OPEN, same, Way::Stay);
        check_way(Policy::Never, OPEN, |r| r.failed = false, wait(120));
        check_way(Policy::Always, OPEN, |r| r.fixed = true, wait(120));
        let lately = |r: &mut Refused| r.moved_at = Some(NOW.minus(NOT_AGAIN / 2));
        check_way(Policy::Auto, OPEN, lately, wait(120));
        check_way(Policy::Always, OPEN, lately, move_on);
        let before = |r: &mut Refused| r.moved_at = Some(NOW.minus(NOT_AGAIN));
        check_way(Policy::Auto, OPEN, before, move_on);
        // Nobody can serve: the first reset of all, which is in four hours, or the own one.
        let full = &[(100.0, 20.0), (100.0, 20.0)];
        let anywhere = |at: u64| Way::Wait {
            until: minutes(at),
            anywhere: true,
        };
        check_way(Policy::Auto, full, same, anywhere(120));
        check_way(
            Policy::Always,
            full,
            |r| r.until = minutes(300),
            anywhere(240),
        );
    }

    #[test]
    fn places_that_nobody_uses_leave_the_worst_account() {
        let outgrown = |used: &[(f64, f64)]| outgrown(&ranking(used));
        assert_eq!(outgrown(&[(10.0, 10.0), (80.0, 10.0)]), [id(2)].into());
        assert_eq!(outgrown(&[(10.0, 10.0), (20.0, 10.0)]), [].into());
        assert_eq!(outgrown(&[(90.0, 10.0)]), [].into());
        let full = refused(&ranking(&[(10.0, 10.0), (100.0, 10.0)]));
        assert_eq!(full, [(id(2), minutes(240))].into());
    }
}
