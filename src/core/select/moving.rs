//! Whether a conversation that runs into its limit had better go on under another account. Moving costs: the new account
//! has no warm prompt cache, so a short wait is cheaper, and an account that is nearly full itself is no place to go.
//! The figures come from simulation.

use super::score::{Assessment, Tier};
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
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

    /// Accounts 1, 2, … by what they used of their five hours and of their week; the first one's limit is in `minutes`.
    fn check(used: &[(f64, f64)], minutes: u64, expected: Option<u16>) {
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
        let ranking = rank(&candidates, None, NOW);
        let resets_at = NOW.plus(Duration::from_secs(minutes * 60));
        let found = target(&ranking, id(1), resets_at, NOW);
        assert_eq!(found, expected.map(id), "{used:?}, reset in {minutes} min");
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
}
