//! How often an account is asked, and when next. Everything here is a function of what is known; nothing is remembered.

use super::jitter::Jitter;
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use crate::core::usage::{Sample, Source};
use std::time::Duration;

/// An account with live sessions is probed this often at most; what its sessions report puts the probe off.
pub const BUSY: Duration = Duration::from_secs(180);
/// An idle account is probed this often, and a busy one whose sessions report: they leave out the windows of single
/// models.
pub const IDLE: Duration = Duration::from_secs(15 * 60);
/// Where the usage endpoint is asked directly, every account is asked this often.
pub const OAUTH: Duration = Duration::from_secs(180);
/// Each wait is up to this much longer, so that machines do not fall into step.
pub const JITTER: Duration = Duration::from_secs(30);
/// A window's reset is believed this long after it should have been: clocks differ.
pub const AFTER_RESET: Duration = Duration::from_secs(10);
/// A reset is looked at up to this much later.
pub const RESET_JITTER: Duration = Duration::from_secs(15);
/// Accounts that are due together are asked this far apart.
pub const SPACING: Duration = Duration::from_secs(2);
/// A login that nothing used for this long is used once, so that the agent renews it.
pub const RENEWAL: Duration = Duration::from_secs(5 * 24 * 3600);
/// What is as good as "at once".
const AT_ONCE: Timestamp = Timestamp::from_unix_ms(i64::MIN);
/// What the jitter of a whole sweep is drawn for; no account has this number.
const WHOLE_SWEEP: u16 = 0;

/// Which of the two ways of asking the sources call for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rhythm {
    /// Each account by its own need.
    Adaptive,
    /// All together, at a fixed pace.
    Fixed,
}

impl Rhythm {
    /// The rhythm of the first source that can be asked.
    #[must_use]
    pub fn of(sources: &[Source]) -> Self {
        let first = sources.iter().find(|source| **source != Source::Live);
        match first {
            Some(Source::Oauth) => Self::Fixed,
            Some(Source::Claude | Source::Live) | None => Self::Adaptive,
        }
    }
}

/// What decides when an account is asked next.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// Which account.
    pub id: AccountId,
    /// It carries live sessions or reservations.
    pub busy: bool,
    /// When it was asked last.
    pub asked_at: Option<Timestamp>,
    /// When a session of it reported last.
    pub reported_at: Option<Timestamp>,
    /// The newest sample.
    pub held: Option<&'a Sample>,
    /// Until when a plan limit refuses it.
    pub limited_until: Option<Timestamp>,
}

/// How often an account is sampled, for judging the age of its numbers.
#[must_use]
pub const fn cadence(rhythm: Rhythm, busy: bool) -> Duration {
    match (rhythm, busy) {
        (Rhythm::Fixed, _) => OAUTH,
        (Rhythm::Adaptive, true) => BUSY,
        (Rhythm::Adaptive, false) => IDLE,
    }
}

/// When the account is to be asked next. `paused`: sampling rests, only the login is kept alive. `sweep` counts the
/// sweeps so far, which share their jitter.
#[must_use]
pub fn due(
    account: &Standing<'_>,
    rhythm: Rhythm,
    paused: bool,
    sweep: i64,
    jitter: Jitter,
) -> Timestamp {
    let Some(asked_at) = account.asked_at else {
        return AT_ONCE;
    };
    if paused {
        return asked_at.plus(RENEWAL);
    }
    if rhythm == Rhythm::Fixed {
        return asked_at
            .plus(OAUTH)
            .plus(jitter.up_to(JITTER, WHOLE_SWEEP, sweep));
    }
    let later = jitter.up_to(JITTER, account.id.number(), asked_at.unix_ms());
    let idle = asked_at.plus(IDLE).plus(later);
    let regular = if account.busy {
        let heard_at = account.reported_at.map_or(asked_at, |at| at.max(asked_at));
        heard_at.plus(BUSY).plus(later).min(idle)
    } else {
        idle
    };
    match after_reset(account, asked_at, jitter) {
        Some(reset) => regular.min(reset),
        None => regular,
    }
}

/// Just after the first reset, or end of a limit, that nobody looked at yet.
fn after_reset(account: &Standing<'_>, asked_at: Timestamp, jitter: Jitter) -> Option<Timestamp> {
    let windows = account.held.map_or(&[][..], |sample| &sample.windows);
    let resets = windows
        .iter()
        // What is empty does not change by being emptied.
        .filter(|window| window.used.percent() > 0.0)
        .filter_map(|window| window.resets_at);
    resets
        .chain(account.limited_until)
        .map(|at| at.plus(AFTER_RESET))
        .filter(|at| *at > asked_at)
        .min()
        .map(|at| at.plus(jitter.up_to(RESET_JITTER, account.id.number(), at.unix_ms())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::usage::{Used, Window, WindowKind};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_ms(seconds * 1000)
    }

    fn sample(used: f64, resets_at: i64) -> Sample {
        Sample {
            measured_at: at(0),
            source: Source::Claude,
            windows: vec![Window {
                kind: WindowKind::FiveHour,
                used: Used::from_percent(used).expect("a number"),
                resets_at: Some(at(resets_at)),
            }],
            extra: None,
        }
    }

    /// How many seconds after the last question the next one is due, at the least and at the most.
    fn check(
        name: &str,
        account: Standing<'_>,
        rhythm: Rhythm,
        paused: bool,
        least: i64,
        most: i64,
    ) {
        for seed in 0..50 {
            let found = due(&account, rhythm, paused, 0, Jitter::new(seed));
            let found = found.ms_since(at(0)) as f64 / 1000.0;
            let fits = found >= least as f64 && found <= most as f64;
            assert!(fits, "{name}: {found} s is not in {least}..{most}");
        }
    }

    #[test]
    fn each_account_has_the_cadence_of_its_use() {
        let idle = Standing {
            id: AccountId::new(1).expect("1"),
            busy: false,
            asked_at: Some(at(0)),
            reported_at: None,
            held: None,
            limited_until: None,
        };
        let busy = Standing { busy: true, ..idle };
        let reporting = |s| Standing {
            reported_at: Some(at(s)),
            ..busy
        };
        let (near, far, empty) = (sample(40.0, 300), sample(40.0, 9000), sample(0.0, 300));
        let with = |held| Standing {
            held: Some(held),
            ..idle
        };
        let limited = Standing {
            limited_until: Some(at(500)),
            ..idle
        };
        let adaptive = Rhythm::Adaptive;
        check("idle", idle, adaptive, false, 900, 930);
        check("busy and silent", busy, adaptive, false, 180, 210);
        check(
            "busy and reporting",
            reporting(100),
            adaptive,
            false,
            280,
            310,
        );
        check(
            "its reports leave windows out",
            reporting(890),
            adaptive,
            false,
            900,
            930,
        );
        check("a reset ahead", with(&near), adaptive, false, 310, 325);
        check(
            "a reset beyond the cadence",
            with(&far),
            adaptive,
            false,
            900,
            930,
        );
        check("nothing to reset", with(&empty), adaptive, false, 900, 930);
        check("the end of a limit", limited, adaptive, false, 510, 525);
        check("directly asked", idle, Rhythm::Fixed, false, 180, 210);
        check(
            "directly asked, busy",
            reporting(100),
            Rhythm::Fixed,
            false,
            180,
            210,
        );
        check("paused", busy, adaptive, true, 432_000, 432_000);
    }

    #[test]
    fn a_reset_is_looked_at_once_and_a_new_account_at_once() {
        let held = sample(40.0, 300);
        let account = Standing {
            id: AccountId::new(1).expect("1"),
            busy: false,
            asked_at: Some(at(312)),
            reported_at: None,
            held: Some(&held),
            limited_until: None,
        };
        let next = due(&account, Rhythm::Adaptive, false, 0, Jitter::new(1));
        assert!(next >= at(312 + 900), "looked at already");
        let new = Standing {
            asked_at: None,
            ..account
        };
        assert!(due(&new, Rhythm::Adaptive, false, 0, Jitter::new(1)) < at(0));
    }

    #[test]
    fn the_first_source_that_can_be_asked_sets_the_rhythm() {
        let rows = [
            (&[Source::Live, Source::Claude][..], Rhythm::Adaptive),
            (&[Source::Claude, Source::Oauth], Rhythm::Adaptive),
            (
                &[Source::Live, Source::Oauth, Source::Claude],
                Rhythm::Fixed,
            ),
            (&[Source::Live], Rhythm::Adaptive),
        ];
        for (sources, expected) in rows {
            assert_eq!(Rhythm::of(sources), expected, "{sources:?}");
        }
    }
}
