//! The accounts of a status document as rows of text: what the table and the screen both show.

use super::sums;
use super::times;
use crate::claim::announce::span;
use crate::contract::snapshot::ExtraEntry;
use crate::contract::status::{AccountStatus, Status};
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use jiff::tz::TimeZone;

/// One moment's knowledge of all accounts.
#[derive(Clone, Debug)]
pub struct Moment {
    /// The numbers.
    pub status: Status,
    /// The account that `ccp run` in the present directory would use; none when none can serve.
    pub next: Option<AccountId>,
    /// The account that the present directory is pinned to by order.
    pub pinned_here: Option<AccountId>,
    /// When each account's present login was made, where ccp saw that.
    pub signed_in: Vec<(AccountId, Timestamp)>,
    /// What could not be found out: lines for the person.
    pub problems: Vec<String>,
    /// When all this was looked at.
    pub now: Timestamp,
}

/// How full a window is; only ever shown beside the number itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Under 70 %.
    Low,
    /// Under 90 %.
    Middle,
    /// 90 % and more.
    High,
}

/// Use of a window, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// `46%`, or `-` when unknown.
    pub text: String,
    /// How full; none when unknown.
    pub level: Option<Level>,
}

/// One account as a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The next pick.
    pub next: bool,
    /// Its label.
    pub label: String,
    /// Its score, one digit after the point.
    pub score: String,
    /// Use of the five-hour window.
    pub used_5h: Usage,
    /// Use of the weekly window.
    pub used_7d: Usage,
    /// Live sessions and reservations.
    pub live: String,
    /// Resets of the two windows.
    pub resets: String,
    /// What else there is to say.
    pub flags: Vec<String>,
}

/// The rows of all accounts, in the document's order: by tier, then score.
#[must_use]
pub fn rows(moment: &Moment, zone: &TimeZone) -> Vec<Row> {
    let row = |account: &AccountStatus| row(account, moment, zone);
    moment.status.accounts.iter().map(row).collect()
}

fn row(account: &AccountStatus, moment: &Moment, zone: &TimeZone) -> Row {
    Row {
        next: moment.next.map(AccountId::number) == Some(account.id),
        label: printable(&account.label),
        score: sums::plain(sums::tenths(account.score)),
        used_5h: usage(account.used_5h_pct),
        used_7d: usage(account.used_7d_pct),
        live: account.sessions.to_string(),
        resets: resets(account, moment.now, zone),
        flags: flags(account, moment.now, zone),
    }
}

/// Use in whole percent; unknown is `-`, never 0 %.
#[must_use]
pub fn usage(percent: Option<f64>) -> Usage {
    let Some(percent) = percent else {
        return Usage {
            text: "-".to_owned(),
            level: None,
        };
    };
    // The colour goes by what is shown, so that the two never disagree.
    let shown = percent.round();
    let level = match shown {
        n if n < 70.0 => Level::Low,
        n if n < 90.0 => Level::Middle,
        _ => Level::High,
    };
    Usage {
        text: format!("{shown:.0}%"),
        level: Some(level),
    }
}

/// The document's instants are RFC 3339; what cannot be read is unknown.
#[must_use]
pub fn parse_instant(text: &str) -> Option<Timestamp> {
    let parsed: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_unix_ms(parsed.as_millisecond()))
}

/// An instant of the document in local time; `-` when unknown.
#[must_use]
pub fn local(text: Option<&str>, now: Timestamp, zone: &TimeZone) -> String {
    text.and_then(parse_instant)
        .map_or_else(|| "-".to_owned(), |at| times::instant(at, now, zone))
}

fn resets(account: &AccountStatus, now: Timestamp, zone: &TimeZone) -> String {
    let both = [&account.resets_5h_at, &account.resets_7d_at];
    if both.iter().all(|at| at.is_none()) {
        return "-".to_owned();
    }
    let texts = both.map(|at| local(at.as_deref(), now, zone));
    texts.join(" · ")
}

/// What else there is to say about an account, gravest first.
#[must_use]
pub fn flags(account: &AccountStatus, now: Timestamp, zone: &TimeZone) -> Vec<String> {
    let set = |name: &str| account.flags.iter().any(|f| f == name);
    let mut flags = Vec::new();
    if set("needs_login") {
        flags.push("needs login".to_owned());
    }
    if set("rate_limited") {
        let until = local(account.limited_until.as_deref(), now, zone);
        flags.push(format!("rate-limited until {until}"));
    }
    if set("exhausted") {
        flags.push("exhausted".to_owned());
    }
    if set("no_data") {
        flags.push("no data".to_owned());
    } else if set("stale") {
        flags.push(format!("stale{}", age(account)));
    }
    flags.extend(account.extra.as_ref().and_then(overage));
    for model in &account.models {
        // An unknown share of one model says nothing worth a flag.
        let Some(used) = model.used_pct else {
            continue;
        };
        let used = usage(Some(used)).text;
        flags.push(format!("{} {used}", printable(&model.model).to_uppercase()));
    }
    if set("pinned") {
        flags.push("pinned".to_owned());
    }
    flags
}

fn age(account: &AccountStatus) -> String {
    let seconds = account.sample.as_ref().map(|s| s.age_s);
    let ms = seconds.and_then(|s| i64::try_from(s).ok()?.checked_mul(1000));
    ms.map_or_else(String::new, |ms| format!(" {}", span(ms)))
}

/// `overage $3.20/$50.00`; none where paid use is off and none was made.
fn overage(extra: &ExtraEntry) -> Option<String> {
    let used = extra.used.filter(|u| *u > 0.0);
    if !extra.enabled && used.is_none() {
        return None;
    }
    let currency = extra.currency.as_deref().unwrap_or("USD");
    let shown = |amount: f64| money(amount, currency);
    let of = extra.limit.map(|l| format!("/{}", shown(l)));
    Some(format!(
        "overage {}{}",
        extra.used.map_or_else(|| "-".to_owned(), shown),
        of.unwrap_or_default()
    ))
}

/// An amount in minor units of an ISO 4217 currency.
fn money(minor: f64, currency: &str) -> String {
    let upper = currency.to_ascii_uppercase();
    let (digits, per_major) = match upper.as_str() {
        "JPY" | "KRW" | "VND" | "CLP" | "ISK" => (0, 1.0),
        _ => (2, 100.0),
    };
    let amount = format!("{:.digits$}", minor / per_major);
    match upper.as_str() {
        "USD" => format!("${amount}"),
        "EUR" => format!("€{amount}"),
        "GBP" => format!("£{amount}"),
        "JPY" => format!("¥{amount}"),
        other => format!("{amount} {}", printable(other)),
    }
}

/// When the newest number of all was measured, in local time.
#[must_use]
pub fn updated(moment: &Moment, zone: &TimeZone) -> String {
    let measured = moment.status.accounts.iter().filter_map(|a| {
        let sample = a.sample.as_ref()?;
        parse_instant(&sample.measured_at)
    });
    measured.max().map_or_else(
        || "nothing measured yet".to_owned(),
        |at| format!("updated {}", times::instant(at, moment.now, zone)),
    )
}

/// Labels hold no control characters; a damaged file might, and must not reach the terminal.
#[must_use]
pub fn printable(text: &str) -> String {
    let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_is_shown_in_whole_percent_and_coloured_by_what_is_shown() {
        let rows = [
            (None, "-", None),
            (Some(0.0), "0%", Some(Level::Low)),
            (Some(69.4), "69%", Some(Level::Low)),
            (Some(69.6), "70%", Some(Level::Middle)),
            (Some(89.4), "89%", Some(Level::Middle)),
            (Some(89.6), "90%", Some(Level::High)),
            (Some(100.0), "100%", Some(Level::High)),
        ];
        for (percent, text, level) in rows {
            let found = usage(percent);
            assert_eq!(
                (found.text.as_str(), found.level),
                (text, level),
                "{percent:?}"
            );
        }
    }

    #[test]
    fn paid_use_is_told_in_its_own_currency() {
        let extra = |enabled, used, limit, currency: Option<&str>| ExtraEntry {
            enabled,
            used,
            limit,
            currency: currency.map(str::to_owned),
        };
        let rows = [
            (extra(false, None, None, None), None),
            (extra(false, Some(0.0), Some(5000.0), None), None),
            (
                extra(true, Some(320.0), Some(5000.0), Some("USD")),
                Some("overage $3.20/$50.00"),
            ),
            (
                extra(false, Some(320.0), None, Some("eur")),
                Some("overage €3.20"),
            ),
            (
                extra(true, None, Some(900.0), Some("JPY")),
                Some("overage -/¥900"),
            ),
            (
                extra(true, Some(150.0), None, Some("CHF")),
                Some("overage 1.50 CHF"),
            ),
        ];
        for (extra, expected) in rows {
            assert_eq!(overage(&extra).as_deref(), expected, "{extra:?}");
        }
    }
}
