//! The score: percent headroom, higher is emptier. Worked through in `docs/selection.md`.

use super::model;
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use crate::core::usage::{Burn, Sample, Window, WindowKind};
use std::time::Duration;

/// Weight of the five-hour window's effective headroom.
pub const WEIGHT_5H: f64 = 0.70;
/// Weight of the weekly window's effective headroom.
pub const WEIGHT_7D: f64 = 0.25;
/// What one live session or reservation costs.
pub const SESSION_COST: f64 = 2.0;
/// What being refused by the plan limit, or needing a login, costs: more than any headroom earns.
pub const OUT_OF_SERVICE_COST: f64 = 100.0;
/// What not knowing the current numbers costs.
pub const STALE_COST: f64 = 20.0;
/// Below this raw headroom (percent) every missing percent costs one more.
pub const BARRIER: f64 = 20.0;
/// The most that a short runway costs.
pub const RUNWAY_COST: f64 = 15.0;
/// A reset nearer than this earns credit, for BOTH windows: a weekly reset days away must not forgive a full window.
pub const HORIZON: Duration = Duration::from_secs(5 * 3600);
/// A window used this far, whose reset is known and ahead, cannot serve.
pub const EXHAUSTED_AT: f64 = 99.5;
/// A sample is never stale before this age, however fast the account is polled.
pub const STALE_FLOOR: Duration = Duration::from_secs(6 * 60);

/// An account as selection sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Which account.
    pub id: AccountId,
    /// The last good sample; none when the account was never sampled.
    pub sample: Option<Sample>,
    /// Pace of the five-hour window.
    pub burn: Burn,
    /// Live sessions and reservations.
    pub sessions: u32,
    /// A session was refused by the plan limit; until when.
    pub limited_until: Option<Timestamp>,
    /// The login is known to be dead.
    pub needs_login: bool,
    /// The sample is too old to trust, the last renewal failed, or there is none.
    pub stale: bool,
}

/// How far an account can serve, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// It has headroom.
    Available,
    /// A binding window is full until a known instant.
    Exhausted,
    /// A session was refused by the plan limit.
    RateLimited,
    /// It cannot serve at all before a sign-in.
    NeedsLogin,
}

impl Tier {
    /// The name in JSON output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Exhausted => "exhausted",
            Self::RateLimited => "rate_limited",
            Self::NeedsLogin => "needs_login",
        }
    }
}

/// What a candidate's score is made of. All values are percent points; penalties are positive and subtracted.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Terms {
    /// Effective headroom of the five-hour window.
    pub eff_5h: f64,
    /// Effective headroom of the weekly window, the binding model window included.
    pub eff_7d: f64,
    /// Raw headroom of the five-hour window.
    pub raw_5h: f64,
    /// Raw headroom of the weekly window, the binding model window included.
    pub raw_7d: f64,
    /// Penalty for live sessions.
    pub sessions: f64,
    /// Penalty for a plan limit.
    pub rate_limited: f64,
    /// Penalty for a dead login.
    pub needs_login: f64,
    /// Penalty for stale numbers.
    pub stale: f64,
    /// Penalty for low five-hour headroom.
    pub barrier_5h: f64,
    /// Penalty for low weekly headroom.
    pub barrier_7d: f64,
    /// Penalty for a window that will run out soon at the present pace.
    pub runway: f64,
}

impl Terms {
    /// The score itself.
    #[must_use]
    pub fn score(&self) -> f64 {
        WEIGHT_5H * self.eff_5h + WEIGHT_7D * self.eff_7d
            - self.sessions
            - self.rate_limited
            - self.needs_login
            - self.stale
            - self.barrier_5h
            - self.barrier_7d
            - self.runway
    }
}

/// A candidate, judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assessment {
    /// Which account.
    pub id: AccountId,
    /// The sum of `terms`.
    pub score: f64,
    /// What it is made of.
    pub terms: Terms,
    /// How far it can serve.
    pub tier: Tier,
    /// Some binding window is full until a known instant in the future.
    pub exhausted: bool,
    /// The earliest instant at which it can serve again, for a tier other than available; none when unknown.
    pub serves_again_at: Option<Timestamp>,
    /// The reset of the five-hour window, for ties.
    pub resets_5h: Option<Timestamp>,
}

impl Assessment {
    /// Not rate limited, not exhausted, login alive.
    #[must_use]
    pub fn available(&self) -> bool {
        self.tier == Tier::Available
    }
}

/// Judges one candidate at `now`, for a launch that will use `model` (none: unknown, model windows do not rank).
#[must_use]
pub fn assess(candidate: &Candidate, model: Option<&str>, now: Timestamp) -> Assessment {
    let binding: Vec<&Window> = candidate
        .sample
        .iter()
        .flat_map(|s| &s.windows)
        .filter(|w| binds(&w.kind, model))
        .collect();
    let (five, weekly): (Vec<&Window>, Vec<&Window>) = binding
        .iter()
        .copied()
        .partition(|w| w.kind == WindowKind::FiveHour);
    let raw_5h = least(&five, |w| raw(w, now));
    let raw_7d = least(&weekly, |w| raw(w, now));
    let limited = candidate.limited_until.is_some_and(|until| until > now);
    let terms = Terms {
        eff_5h: least(&five, |w| effective(w, now)),
        eff_7d: least(&weekly, |w| effective(w, now)),
        raw_5h,
        raw_7d,
        sessions: SESSION_COST * f64::from(candidate.sessions),
        rate_limited: cost_if(limited, OUT_OF_SERVICE_COST),
        needs_login: cost_if(candidate.needs_login, OUT_OF_SERVICE_COST),
        stale: cost_if(candidate.stale || candidate.sample.is_none(), STALE_COST),
        barrier_5h: barrier(raw_5h),
        barrier_7d: barrier(raw_7d),
        runway: runway(raw_5h, candidate.burn),
    };
    // Every full window has to reset before the account serves again: the latest of them decides.
    let full_until = binding
        .iter()
        .filter(|w| is_full(w, now))
        .filter_map(|w| w.resets_at)
        .max();
    let tier = if candidate.needs_login {
        Tier::NeedsLogin
    } else if limited {
        Tier::RateLimited
    } else if full_until.is_some() {
        Tier::Exhausted
    } else {
        Tier::Available
    };
    Assessment {
        id: candidate.id,
        score: terms.score(),
        terms,
        tier,
        exhausted: full_until.is_some(),
        serves_again_at: full_until.max(candidate.limited_until.filter(|_| limited)),
        resets_5h: five
            .first()
            .and_then(|w| w.resets_at)
            .filter(|at| *at > now),
    }
}

fn binds(kind: &WindowKind, model: Option<&str>) -> bool {
    match kind {
        WindowKind::FiveHour | WindowKind::SevenDay => true,
        WindowKind::WeeklyScoped(name) => model.is_some_and(|m| model::names_same(name, m)),
    }
}

fn least(windows: &[&Window], headroom: impl Fn(&Window) -> f64) -> f64 {
    windows.iter().map(|w| headroom(w)).fold(100.0, f64::min)
}

/// The share of `used` that still counts: 1 when the reset is unknown or further than the horizon, 0 once it passed.
fn effective(window: &Window, now: Timestamp) -> f64 {
    let fraction = window.resets_at.map_or(1.0, |at| {
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds to a reset stay far below 2^52"
        )]
        let ahead = at.ms_since(now) as f64 / 1000.0;
        (ahead / HORIZON.as_secs_f64()).clamp(0.0, 1.0)
    });
    100.0 - fraction * window.used.percent()
}

fn raw(window: &Window, now: Timestamp) -> f64 {
    if window.has_reset(now) {
        100.0
    } else {
        100.0 - window.used.percent()
    }
}

fn is_full(window: &Window, now: Timestamp) -> bool {
    window.used.percent() >= EXHAUSTED_AT && window.resets_at.is_some_and(|at| at > now)
}

fn barrier(raw: f64) -> f64 {
    (BARRIER - raw.max(0.0)).max(0.0)
}

fn runway(raw_5h: f64, Burn(per_hour): Burn) -> f64 {
    if per_hour <= 0.0 {
        return 0.0;
    }
    let hours_left = raw_5h / per_hour;
    RUNWAY_COST * (1.0 - hours_left / 5.0).clamp(0.0, 1.0)
}

fn cost_if(applies: bool, cost: f64) -> f64 {
    if applies { cost } else { 0.0 }
}

/// What decides whether a sample is too old to trust.
#[derive(Clone, Copy, Debug)]
pub struct Freshness {
    /// When the last good sample was measured.
    pub measured_at: Option<Timestamp>,
    /// How often this account is being sampled at present.
    pub cadence: Duration,
    /// Since when sampling is paused on purpose; a pause does not age samples.
    pub paused_since: Option<Timestamp>,
    /// The last attempt to renew the login failed.
    pub renewal_failed: bool,
}

/// Stale: never sampled, older than twice the account's own cadence (at least six minutes), or renewal failed.
#[must_use]
pub fn is_stale(freshness: &Freshness, now: Timestamp) -> bool {
    let Some(measured_at) = freshness.measured_at else {
        return true;
    };
    let clock = freshness.paused_since.map_or(now, |paused| paused.min(now));
    let limit = (freshness.cadence * 2).max(STALE_FLOOR);
    freshness.renewal_failed || clock.since(measured_at) > limit
}
