//! One account in full: its windows as bars, its score term by term, and what else is known of it. Only texts; where they
//! go on the screen is decided elsewhere.

use super::rows::{Level, Moment, local, parse_instant, printable, usage};
use super::{sums, times};
use crate::claim::announce::span;
use crate::contract::status::AccountStatus;
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use jiff::tz::TimeZone;
use std::time::Duration;

/// How long a login lasts after the sign-in, whatever is renewed in between.
const LOGIN_LASTS: Duration = Duration::from_secs(30 * 24 * 3600);

/// A window as a bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Which window.
    pub name: String,
    /// Share used, 0 to 1; none when unknown.
    pub share: Option<f64>,
    /// How full.
    pub level: Option<Level>,
    /// `46% used · resets 6:00 PM`.
    pub text: String,
}

/// The windows of an account.
#[must_use]
pub fn bars(account: &AccountStatus, now: Timestamp, zone: &TimeZone) -> Vec<Bar> {
    let bar = |name: &str, percent: Option<f64>, resets: Option<&str>| {
        let used = usage(percent);
        let share = percent.map(|p| (p / 100.0).clamp(0.0, 1.0));
        let text = match (share, resets) {
            (None, _) => "unknown".to_owned(),
            (Some(_), None) => format!("{} used", used.text),
            (Some(_), Some(at)) => {
                format!("{} used · resets {}", used.text, local(Some(at), now, zone))
            }
        };
        Bar {
            name: printable(name),
            share,
            level: used.level,
            text,
        }
    };
    let mut bars = vec![
        bar("5h", account.used_5h_pct, account.resets_5h_at.as_deref()),
        bar("7d", account.used_7d_pct, account.resets_7d_at.as_deref()),
    ];
    let models = account.models.iter();
    bars.extend(models.map(|m| bar(&m.model, m.used_pct, m.resets_at.as_deref())));
    bars
}

/// The score's terms that are not nothing, and the score: `(name, "+54.6")`, the last one being the sum.
#[must_use]
pub fn score(account: &AccountStatus) -> Vec<(String, String)> {
    let terms = sums::contributions(&account.components, account.score);
    let mut lines: Vec<(String, String)> = terms
        .iter()
        .filter(|c| c.tenths != 0)
        .map(|c| (c.name.to_owned(), sums::signed(c.tenths)))
        .collect();
    lines.push(("score".to_owned(), sums::plain(sums::tenths(account.score))));
    lines
}

/// What else there is to know: `(name, text)`.
#[must_use]
pub fn facts(
    account: &AccountStatus,
    moment: &Moment,
    zone: &TimeZone,
) -> Vec<(&'static str, String)> {
    let now = moment.now;
    let mut facts = vec![("pace", pace(account, now, zone))];
    if let Some(at) = account.serves_again_at.as_deref() {
        facts.push(("serves", format!("again {}", local(Some(at), now, zone))));
    }
    facts.push(("pin", pin(account, moment)));
    facts.push(("login", login(account, moment)));
    facts.push(("sample", sample(account, now, zone)));
    facts
}

/// All accounts together: `all accounts: 54% of 5h, 60% of 7d left, dry 3:00 PM`; none when nothing is known.
#[must_use]
pub fn together(moment: &Moment, zone: &TimeZone) -> Option<String> {
    let pool = &moment.status.pool;
    let left = |percent: Option<f64>, name: &str| {
        percent.map(|_| format!("{} of {name}", usage(percent).text))
    };
    let parts: Vec<String> = [
        left(pool.remaining_5h_pct, "5h"),
        left(pool.remaining_7d_pct, "7d"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if parts.is_empty() {
        return None;
    }
    let dry = pool.dry_at.as_deref();
    let dry = dry.map(|at| format!(", dry {}", local(Some(at), moment.now, zone)));
    Some(format!(
        "all accounts: {} left{}",
        parts.join(", "),
        dry.unwrap_or_default()
    ))
}

/// `12.0 %/h · empty in 2 h 5 min`, or what comes first.
fn pace(account: &AccountStatus, now: Timestamp, zone: &TimeZone) -> String {
    if account.used_5h_pct.is_none() {
        return "unknown".to_owned();
    }
    if account.burn <= 0.0 {
        return "0.0 %/h".to_owned();
    }
    let hours = account.components.raw_5h.max(0.0) / account.burn;
    let empty_at = now.plus(Duration::try_from_secs_f64(hours * 3600.0).unwrap_or(Duration::MAX));
    let resets = account.resets_5h_at.as_deref().and_then(parse_instant);
    let until = match resets {
        Some(at) if at <= empty_at => "lasts until its reset".to_owned(),
        _ => format!(
            "empty in {}, {}",
            span(empty_at.ms_since(now)),
            times::instant(empty_at, now, zone)
        ),
    };
    format!("{:.1} %/h · {until}", account.burn)
}

fn pin(account: &AccountStatus, moment: &Moment) -> String {
    let here = moment.pinned_here.map(AccountId::number) == Some(account.id);
    let elsewhere = account.pinned.len() - usize::from(here && !account.pinned.is_empty());
    let others = match elsewhere {
        0 => String::new(),
        1 => "1 other directory".to_owned(),
        n => format!("{n} other directories"),
    };
    match (here, others.is_empty()) {
        (true, true) => "this directory".to_owned(),
        (true, false) => format!("this directory and {others}"),
        (false, true) => "-".to_owned(),
        (false, false) => others,
    }
}

fn login(account: &AccountStatus, moment: &Moment) -> String {
    if account.flags.iter().any(|f| f == "needs_login") {
        return "needed: press a".to_owned();
    }
    let found = moment
        .signed_in
        .iter()
        .find(|(id, _)| id.number() == account.id);
    let Some((_, at)) = found else {
        return "age unknown".to_owned();
    };
    let age = moment.now.ms_since(*at);
    let left = at.plus(LOGIN_LASTS).ms_since(moment.now);
    if left <= 0 {
        return format!("{} old, may end any moment", span(age));
    }
    format!("{} old, ends in about {}", span(age), span(left))
}

fn sample(account: &AccountStatus, now: Timestamp, zone: &TimeZone) -> String {
    let Some(sample) = &account.sample else {
        return "never measured".to_owned();
    };
    let ms = i64::try_from(sample.age_s)
        .unwrap_or(i64::MAX)
        .saturating_mul(1000);
    let source = match sample.source.as_str() {
        "live" => "a running session",
        "claude" => "claude",
        "oauth" => "the usage endpoint",
        other => other,
    };
    let at = local(Some(&sample.measured_at), now, zone);
    format!("{} ago, {at}, from {}", span(ms), printable(source))
}
