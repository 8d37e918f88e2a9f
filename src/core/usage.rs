//! Usage as it is measured: windows, samples, and what a series of them says about pace.

use super::time::Timestamp;
use std::time::Duration;

/// Percent of a window that is used, 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Default)]
pub struct Used(f64);

impl Used {
    /// From a percentage (31.0 is 31 %). Values outside 0–100 are clamped; not a number is none at all.
    #[must_use]
    pub fn from_percent(percent: f64) -> Option<Self> {
        (!percent.is_nan()).then(|| Self(percent.clamp(0.0, 100.0)))
    }

    /// Nothing used.
    pub const NOTHING: Self = Self(0.0);

    /// The percentage, 0 to 100.
    #[must_use]
    pub const fn percent(self) -> f64 {
        self.0
    }
}

/// Which rate-limit interval a number belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WindowKind {
    /// The five-hour session window.
    FiveHour,
    /// The weekly window over all models.
    SevenDay,
    /// A weekly window of one model, by the display name the service gives it.
    WeeklyScoped(String),
}

/// One rate-limit interval of one account.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Which interval.
    pub kind: WindowKind,
    /// How much of it is used.
    pub used: Used,
    /// When it starts anew; none when the service did not say.
    pub resets_at: Option<Timestamp>,
}

impl Window {
    /// Whether the reset instant has passed, so that the number is of a window that is gone.
    #[must_use]
    pub fn has_reset(&self, now: Timestamp) -> bool {
        self.resets_at.is_some_and(|at| at <= now)
    }
}

/// Where a sample came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// Reported by a running session.
    Live,
    /// Asked of the agent itself.
    Claude,
    /// Read from the usage endpoint with the account's own token.
    Oauth,
}

impl Source {
    /// The name used in `config.toml`, the database and JSON output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Claude => "claude",
            Self::Oauth => "oauth",
        }
    }

    /// The source of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Live, Self::Claude, Self::Oauth]
            .into_iter()
            .find(|s| s.name() == name)
    }
}

/// Paid use beyond the plan. Amounts are in minor units of `currency` (cents).
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ExtraUsage {
    /// Whether the account may use it at all.
    pub enabled: bool,
    /// Amount used, in minor units.
    pub used: Option<f64>,
    /// Monthly limit, in minor units.
    pub limit: Option<f64>,
    /// ISO 4217 code, as the service gives it.
    pub currency: Option<String>,
}

/// All windows of one account, measured together.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// When the numbers were measured, never when they were read.
    pub measured_at: Timestamp,
    /// Who measured them.
    pub source: Source,
    /// The windows; at most one of a kind.
    pub windows: Vec<Window>,
    /// Paid use beyond the plan, where the source tells.
    pub extra: Option<ExtraUsage>,
}

impl Sample {
    /// The window of this kind, if the sample has one.
    #[must_use]
    pub fn window(&self, kind: &WindowKind) -> Option<&Window> {
        self.windows.iter().find(|w| &w.kind == kind)
    }
}

/// What became of a sample that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// It is the newest now.
    Accepted,
    /// The very measurement that is held already: neither a new sample nor an error.
    Unchanged,
    /// Older than the one held.
    Older,
    /// It claims less use than a recent one inside one window: a late or foreign answer.
    Shrunk,
}

/// Slack for "less use than before": the service rounds, and sources round differently.
const ROUNDING: f64 = 1.0;
/// Two reset instants closer than this are the same window: sources differ by rounding and by clock.
const SAME_RESET: Duration = Duration::from_secs(120);

/// Late and foreign answers come within minutes. Less use than this long ago is real: the service gives limits back, and
/// plans are upgraded.
const SHRINKS_AFTER: Duration = Duration::from_secs(30 * 60);

/// Whether `new` may replace `held`. A sample must be newer, and monotone inside one window for a while.
#[must_use]
pub fn accept(held: Option<&Sample>, new: &Sample) -> Acceptance {
    let Some(held) = held else {
        return Acceptance::Accepted;
    };
    if new.measured_at == held.measured_at {
        return Acceptance::Unchanged;
    }
    if new.measured_at < held.measured_at {
        return Acceptance::Older;
    }
    if new.measured_at.since(held.measured_at) >= SHRINKS_AFTER {
        return Acceptance::Accepted;
    }
    let shrunk = new
        .windows
        .iter()
        .any(|w| held.window(&w.kind).is_some_and(|h| shrank(h, w)));
    if shrunk {
        Acceptance::Shrunk
    } else {
        Acceptance::Accepted
    }
}

fn shrank(held: &Window, new: &Window) -> bool {
    let (Some(a), Some(b)) = (held.resets_at, new.resets_at) else {
        return false;
    };
    let same = b.ms_since(a).unsigned_abs() <= SAME_RESET.as_millis() as u64;
    same && new.used.percent() + ROUNDING < held.used.percent()
}

/// Windows that a source left out are carried over from the sample before, as long as they have not reset.
/// (The status line of a session reports no model windows; a probe does.)
#[must_use]
pub fn carry_over(held: Option<&Sample>, mut new: Sample) -> Sample {
    let Some(held) = held else { return new };
    for window in &held.windows {
        let scoped = matches!(window.kind, WindowKind::WeeklyScoped(_));
        if scoped
            && new.source == Source::Live
            && new.window(&window.kind).is_none()
            && !window.has_reset(new.measured_at)
        {
            new.windows.push(window.clone());
        }
    }
    if new.extra.is_none() {
        new.extra.clone_from(&held.extra);
    }
    new
}

/// Percent of the five-hour window per hour.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Default)]
pub struct Burn(pub f64);

/// How far back samples count for the burn estimate.
pub const BURN_HORIZON: Duration = Duration::from_secs(45 * 60);
const BURN_MIN_SPAN: Duration = Duration::from_secs(10 * 60);
const BURN_MIN_SAMPLES: usize = 3;

/// Pace of the five-hour window: the secant over the last 45 minutes of good samples, cut at a reset (an older sample
/// that shows more use than a newer one). Needs three samples that span ten minutes; otherwise 0.
///
/// `samples` are (measured at, used) in any order.
#[must_use]
pub fn burn(samples: &[(Timestamp, Used)], now: Timestamp) -> Burn {
    let mut recent: Vec<_> = samples
        .iter()
        .filter(|(at, _)| *at <= now && now.since(*at) <= BURN_HORIZON)
        .copied()
        .collect();
    recent.sort_by_key(|(at, _)| *at);
    let cut = recent
        .windows(2)
        .rposition(|pair| pair[0].1 > pair[1].1)
        .map_or(0, |i| i + 1);
    let run = &recent[cut..];
    let (Some(first), Some(last)) = (run.first(), run.last()) else {
        return Burn::default();
    };
    let span = last.0.since(first.0);
    if run.len() < BURN_MIN_SAMPLES || span < BURN_MIN_SPAN {
        return Burn::default();
    }
    Burn((last.1.percent() - first.1.percent()) / (span.as_secs_f64() / 3600.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(m: i64) -> Timestamp {
        Timestamp::from_unix_ms(m * 60_000)
    }

    fn used(p: f64) -> Used {
        Used::from_percent(p).expect("a number")
    }

    fn five_hour(at: i64, percent: f64, resets: Option<i64>) -> Sample {
        let window = Window {
            kind: WindowKind::FiveHour,
            used: used(percent),
            resets_at: resets.map(minute),
        };
        Sample {
            measured_at: minute(at),
            source: Source::Claude,
            windows: vec![window],
            extra: None,
        }
    }

    #[test]
    fn percentages_are_clamped_and_nan_is_refused() {
        assert_eq!(Used::from_percent(-3.0), Some(Used::NOTHING));
        assert_eq!(Used::from_percent(250.0).map(Used::percent), Some(100.0));
        assert_eq!(Used::from_percent(f64::NAN), None);
    }

    #[test]
    fn burn_is_the_secant_since_the_last_reset() {
        type Row<'a> = (&'a str, &'a [(i64, f64)], f64);
        let rows: [Row<'_>; 7] = [
            ("nothing", &[], 0.0),
            ("two samples are too few", &[(0, 10.0), (30, 20.0)], 0.0),
            (
                "too short a span",
                &[(30, 10.0), (33, 20.0), (38, 30.0)],
                0.0,
            ),
            ("steady", &[(10, 10.0), (25, 15.0), (40, 20.0)], 20.0),
            (
                "cut at a reset",
                &[(1, 80.0), (10, 90.0), (20, 0.0), (30, 5.0), (40, 10.0)],
                30.0,
            ),
            (
                "older than the horizon does not count",
                &[(-60, 0.0), (10, 10.0), (25, 10.0), (40, 10.0)],
                0.0,
            ),
            ("any order", &[(40, 20.0), (10, 10.0), (25, 15.0)], 20.0),
        ];
        for (name, points, expected) in rows {
            let samples: Vec<_> = points.iter().map(|(m, p)| (minute(*m), used(*p))).collect();
            let Burn(found) = burn(&samples, minute(40));
            assert!(
                (found - expected).abs() < 1e-9,
                "{name}: {found} is not {expected}"
            );
        }
    }

    #[test]
    fn a_sample_must_be_newer_and_monotone_inside_one_window() {
        let held = five_hour(10, 50.0, Some(300));
        let rows = [
            (
                "newer, more",
                five_hour(20, 60.0, Some(300)),
                Acceptance::Accepted,
            ),
            (
                "the same measurement",
                five_hour(10, 50.0, Some(300)),
                Acceptance::Unchanged,
            ),
            ("older", five_hour(9, 70.0, Some(300)), Acceptance::Older),
            (
                "less inside one window",
                five_hour(20, 40.0, Some(301)),
                Acceptance::Shrunk,
            ),
            (
                "less, long after",
                five_hour(41, 40.0, Some(301)),
                Acceptance::Accepted,
            ),
            (
                "rounding is no shrinking",
                five_hour(20, 49.5, Some(300)),
                Acceptance::Accepted,
            ),
            (
                "less in the next window",
                five_hour(310, 1.0, Some(600)),
                Acceptance::Accepted,
            ),
            (
                "reset unknown",
                five_hour(20, 1.0, None),
                Acceptance::Accepted,
            ),
        ];
        for (name, new, expected) in rows {
            assert_eq!(accept(Some(&held), &new), expected, "{name}");
        }
        assert_eq!(accept(None, &held), Acceptance::Accepted);
    }

    #[test]
    fn a_status_line_sample_keeps_the_model_windows_of_the_probe_before() {
        let scoped = |resets| Window {
            kind: WindowKind::WeeklyScoped("Fable".into()),
            used: used(88.0),
            resets_at: Some(minute(resets)),
        };
        let mut held = five_hour(10, 50.0, Some(300));
        held.windows.push(scoped(9000));
        let live = Sample {
            source: Source::Live,
            ..five_hour(20, 55.0, Some(300))
        };
        let merged = carry_over(Some(&held), live.clone());
        assert!(
            merged
                .window(&WindowKind::WeeklyScoped("Fable".into()))
                .is_some()
        );

        held.windows[1] = scoped(15);
        assert_eq!(
            carry_over(Some(&held), live).windows.len(),
            1,
            "a window that has reset is not carried"
        );
        assert_eq!(
            carry_over(Some(&held), five_hour(20, 55.0, Some(300)))
                .windows
                .len(),
            1,
            "a probe tells all"
        );
    }
}
