//! What all accounts together still hold, and when that will be gone. Unknown stays unknown: no figure is made up from
//! an account that was never sampled, and none is zero for want of data.

use crate::core::select::score::{Candidate, EXHAUSTED_AT};
use crate::core::time::Timestamp;
use crate::core::usage::{Window, WindowKind};
use std::time::Duration;

/// The figures of all accounts that have a login. Each is none when no such account tells it.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Forecast {
    /// Mean of what is left of the five-hour windows, in percent; a window whose reset has passed is whole.
    pub remaining_5h: Option<f64>,
    /// The same of the weekly windows.
    pub remaining_7d: Option<f64>,
    /// Sum of the paces, in percent of one account's five-hour window per hour.
    pub burn: Option<f64>,
    /// Mean of how much of the five-hour windows will be used at their resets if every account goes on at its present
    /// pace, in percent. Over 100 means: it does not last.
    pub pace_5h: Option<f64>,
    /// Mean of how much of the weekly windows will be used at their resets if each goes on as since it began.
    pub pace_7d: Option<f64>,
    /// When the five-hour headroom of all accounts will be gone at the present sum of paces, resets on the way counted;
    /// none when nothing is used now, or it lasts longer than [`FORESIGHT`].
    pub dry_at: Option<Timestamp>,
}

/// How far ahead the end of all headroom is looked for.
pub const FORESIGHT: Duration = Duration::from_secs(7 * 24 * 3600);

const FIVE_HOURS: Duration = Duration::from_secs(5 * 3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
/// A weekly window younger than this says nothing about the week.
const YOUNG_WEEK: Duration = Duration::from_secs(6 * 3600);

/// Looks ahead from `now`.
#[must_use]
pub fn forecast(candidates: &[Candidate], now: Timestamp) -> Forecast {
    let with_login: Vec<&Candidate> = candidates.iter().filter(|c| !c.needs_login).collect();
    let window = |c: &Candidate, kind: &WindowKind| -> Option<Window> {
        c.sample.as_ref().and_then(|s| s.window(kind)).cloned()
    };
    let five: Vec<(&Candidate, Window)> = with_login
        .iter()
        .filter_map(|c| Some((*c, window(c, &WindowKind::FiveHour)?)))
        .collect();
    let weekly: Vec<Window> = with_login
        .iter()
        .filter_map(|c| window(c, &WindowKind::SevenDay))
        .collect();
    let burn = (!five.is_empty()).then(|| five.iter().map(|(c, _)| c.burn.0.max(0.0)).sum());
    Forecast {
        remaining_5h: mean(five.iter().map(|(_, w)| 100.0 - used(w, now))),
        remaining_7d: mean(weekly.iter().map(|w| 100.0 - used(w, now))),
        burn,
        pace_5h: mean(five.iter().map(|(c, w)| at_reset(w, c.burn.0, now))),
        pace_7d: mean(weekly.iter().filter_map(|w| at_week_end(w, now))),
        dry_at: burn.and_then(|b| dry_at(&five, b, now)),
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, n), v| (sum + v, n + 1.0));
    (count > 0.0).then(|| sum / count)
}

fn used(window: &Window, now: Timestamp) -> f64 {
    if window.has_reset(now) {
        0.0
    } else {
        window.used.percent()
    }
}

/// Use at the reset; a window without one in sight is taken to run five hours from now.
fn at_reset(window: &Window, burn: f64, now: Timestamp) -> f64 {
    let left = window
        .resets_at
        .filter(|at| *at > now)
        .map_or(FIVE_HOURS, |at| at.since(now));
    used(window, now) + burn.max(0.0) * hours(left)
}

/// Use at the end of the week, if it goes on as since the week began; none for a week that has hardly begun.
fn at_week_end(window: &Window, now: Timestamp) -> Option<f64> {
    let left = window.resets_at.filter(|at| *at > now)?.since(now);
    let gone = WEEK.checked_sub(left).filter(|gone| *gone >= YOUNG_WEEK)?;
    Some(window.used.percent() * WEEK.as_secs_f64() / gone.as_secs_f64())
}

fn hours(duration: Duration) -> f64 {
    duration.as_secs_f64() / 3600.0
}

/// What is left of one account, while time goes by.
struct Supply {
    left: f64,
    /// Its next reset, after which it is whole; none when no window runs.
    refills_at: Option<Timestamp>,
    /// Before this it gives nothing: a plan limit, or a full week.
    closed_until: Option<Timestamp>,
}

/// Lets the sum of paces drain one account after the other, the one that refills soonest first, as work moves to where
/// headroom is.
fn dry_at(five: &[(&Candidate, Window)], burn: f64, now: Timestamp) -> Option<Timestamp> {
    if burn <= 0.0 {
        return None;
    }
    let end = now.plus(FORESIGHT);
    let mut supplies: Vec<Supply> = five.iter().map(|(c, w)| supply(c, w, now)).collect();
    let mut at = now;
    // Every round passes a reset, an opening or an empty account; a week has 34 resets of each.
    for _ in 0..supplies.len().saturating_mul(100) {
        let open = |s: &Supply| s.left > 0.0 && s.closed_until.is_none_or(|until| until <= at);
        let Some(drained) = supplies
            .iter()
            .enumerate()
            .filter(|(_, s)| open(s))
            .min_by_key(|(i, s)| (s.refills_at.map_or(i64::MAX, Timestamp::unix_ms), *i))
            .map(|(i, _)| i)
        else {
            return Some(at);
        };
        let lasts = Duration::from_secs_f64(
            (supplies[drained].left / burn * 3600.0).min(FORESIGHT.as_secs_f64()),
        );
        let empty_at = at.plus(lasts);
        let change = supplies
            .iter()
            .flat_map(|s| [s.refills_at, s.closed_until])
            .flatten()
            .filter(|t| *t > at)
            .min();
        // What is drained at all begins a window, if none runs.
        let begun = at.plus(FIVE_HOURS);
        supplies[drained].refills_at.get_or_insert(begun);
        let next = change.map_or(empty_at, |c| c.min(empty_at));
        if next >= empty_at {
            supplies[drained].left = 0.0;
        } else {
            supplies[drained].left -= burn * hours(next.since(at));
        }
        at = next;
        if at >= end {
            return None;
        }
        for supply in supplies
            .iter_mut()
            .filter(|s| s.refills_at.is_some_and(|t| t <= at))
        {
            supply.left = 100.0;
            supply.refills_at = None;
        }
    }
    None
}

fn supply(candidate: &Candidate, window: &Window, now: Timestamp) -> Supply {
    let full_week = candidate
        .sample
        .as_ref()
        .and_then(|s| s.window(&WindowKind::SevenDay))
        .filter(|w| w.used.percent() >= EXHAUSTED_AT)
        .and_then(|w| w.resets_at);
    Supply {
        left: 100.0 - used(window, now),
        refills_at: window.resets_at.filter(|at| *at > now),
        closed_until: full_week
            .max(candidate.limited_until)
            .filter(|until| *until > now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::account::AccountId;
    use crate::core::usage::{Burn, Sample, Source, Used};

    const NOW: i64 = 1_800_000_000_000;

    fn hour(h: f64) -> Timestamp {
        Timestamp::from_unix_seconds(NOW as f64 / 1000.0 + h * 3600.0)
    }

    /// An account with (used, hours to the reset) of its five-hour and weekly windows, and its pace.
    fn account(
        five: Option<(f64, Option<f64>)>,
        weekly: Option<(f64, f64)>,
        burn: f64,
    ) -> Candidate {
        let window = |kind, used: f64, resets: Option<f64>| Window {
            kind,
            used: Used::from_percent(used).expect("a number"),
            resets_at: resets.map(hour),
        };
        let windows: Vec<Window> = five
            .map(|(u, r)| window(WindowKind::FiveHour, u, r))
            .into_iter()
            .chain(weekly.map(|(u, r)| window(WindowKind::SevenDay, u, Some(r))))
            .collect();
        let sample = (!windows.is_empty()).then(|| Sample {
            measured_at: hour(0.0),
            source: Source::Claude,
            windows,
            extra: None,
        });
        Candidate {
            id: AccountId::new(1).expect("1"),
            sample,
            burn: Burn(burn),
            sessions: 0,
            limited_until: None,
            needs_login: false,
            stale: false,
        }
    }

    fn now() -> Timestamp {
        hour(0.0)
    }

    #[test]
    fn nothing_known_is_nothing_said() {
        assert_eq!(forecast(&[], now()), Forecast::default());
        let never_sampled = account(None, None, 0.0);
        assert_eq!(forecast(&[never_sampled], now()), Forecast::default());
        let mut signed_out = account(Some((50.0, Some(1.0))), None, 9.0);
        signed_out.needs_login = true;
        assert_eq!(forecast(&[signed_out], now()), Forecast::default());
    }

    #[test]
    fn what_remains_is_the_mean_of_what_is_known() {
        let accounts = [
            account(Some((40.0, Some(1.0))), Some((10.0, 84.0)), 0.0),
            account(Some((80.0, Some(-1.0))), Some((30.0, 84.0)), 0.0),
            account(None, None, 0.0),
        ];
        let found = forecast(&accounts, now());
        assert_eq!(found.remaining_5h, Some(80.0), "60 and a whole one");
        assert_eq!(found.remaining_7d, Some(80.0));
        assert_eq!(found.burn, Some(0.0));
        assert_eq!(found.pace_7d, Some(40.0), "half a week used 20");
        assert_eq!(found.dry_at, None);
    }

    #[test]
    fn pace_is_the_use_at_the_reset() {
        let found = forecast(
            &[account(Some((40.0, Some(3.0))), Some((1.0, 167.0)), 30.0)],
            now(),
        );
        assert_eq!(found.pace_5h, Some(130.0));
        assert_eq!(found.pace_7d, None, "the week has hardly begun");
        let fresh = forecast(&[account(Some((90.0, Some(-0.1))), None, 10.0)], now());
        assert_eq!(fresh.pace_5h, Some(50.0));
    }

    #[test]
    fn the_end_of_all_headroom() {
        let one = |used, reset, burn| account(Some((used, reset)), None, burn);
        let rows: [(&str, Vec<Candidate>, Option<f64>); 6] = [
            (
                "before its reset",
                vec![one(40.0, Some(4.0), 30.0)],
                Some(2.0),
            ),
            (
                "the reset comes first, the next window does not last",
                vec![one(40.0, Some(1.0), 30.0)],
                Some(1.0 + 100.0 / 30.0),
            ),
            ("slow enough for ever", vec![one(0.0, None, 20.0)], None),
            (
                "two accounts share the load",
                vec![one(50.0, Some(4.0), 20.0), one(50.0, Some(4.5), 20.0)],
                Some(2.5),
            ),
            (
                "a fast one is helped out by a fresh one",
                vec![one(90.0, Some(5.0), 50.0), one(0.0, None, 0.0)],
                Some(2.2),
            ),
            ("nothing is used", vec![one(99.0, Some(1.0), 0.0)], None),
        ];
        for (name, accounts, expected) in rows {
            let found = forecast(&accounts, now()).dry_at;
            let found = found.map(|at| (at.unix_ms() - NOW) as f64 / 3_600_000.0);
            let near = match (found, expected) {
                (Some(a), Some(b)) => (a - b).abs() < 0.001,
                (None, None) => true,
                _ => false,
            };
            assert!(near, "{name}: {found:?} is not {expected:?}");
        }
        let mut limited = one(0.0, None, 0.0);
        limited.limited_until = Some(hour(9.0));
        let mut busy = one(50.0, Some(4.0), 50.0);
        busy.id = AccountId::new(2).expect("2");
        let found = forecast(&[limited, busy], now()).dry_at;
        assert_eq!(found, Some(hour(1.0)), "a limited account gives nothing");
    }
}
