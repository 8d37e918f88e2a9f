//! A pick in plain words and a table that adds up.

use crate::claim::announce::span;
use crate::contract::record::{PickRecord, PinRecord, RankedAccount};
use crate::core::time::Timestamp;
use crate::tui::rows::{printable, usage};
use crate::tui::sums::{self, NAMES};
use crate::tui::times;
use jiff::tz::TimeZone;
use std::path::Path;
use unicode_width::UnicodeWidthStr;

/// The command of a pick that moved a session.
const HANDOFF: &str = "handoff";

/// Everything that an explanation needs.
pub(super) struct Told<'a> {
    pub(super) record: &'a PickRecord,
    /// The session still counts.
    pub(super) live: bool,
    pub(super) now: Timestamp,
    pub(super) zone: &'a TimeZone,
    /// Shortened to `~`.
    pub(super) user_home: &'a Path,
}

/// The whole text.
pub(super) fn explain(told: &Told<'_>) -> String {
    let record = told.record;
    let at = Timestamp::from_unix_ms(record.at_ms);
    let mut text = format!(
        "{} was picked {} ago ({}) {}\n",
        printable(&record.label),
        span(told.now.ms_since(at)),
        times::instant(at, told.now, told.zone),
        by_whom(record),
    );
    for (name, fact) in facts(told) {
        text.push_str(&format!("  {name:<8} {fact}\n"));
    }
    text.push('\n');
    text.push_str(&table(record));
    text.push('\n');
    text.push_str(&legend(record));
    text.push_str(&margin(record));
    text
}

fn by_whom(record: &PickRecord) -> String {
    match record.command.as_str() {
        "pool" => "by a pool, for a slot".to_owned(),
        HANDOFF => "by a pool, for a session whose account ran into its limit".to_owned(),
        command => format!("by `ccp {}`", printable(command)),
    }
}

fn facts(told: &Told<'_>) -> Vec<(&'static str, String)> {
    let record = told.record;
    let mut facts = vec![("because", reason(record))];
    if let Some(pin) = &record.pin {
        facts.push(("pin", pin_sentence(pin, record)));
    }
    if !matches!(record.command.as_str(), "pool" | HANDOFF) {
        facts.push(("where", place(&record.cwd, told.user_home)));
    }
    if let Some(model) = &record.model {
        facts.push(("model", printable(model)));
    }
    if let Some(claude) = &record.claude {
        facts.push(("claude", place(claude, told.user_home)));
    }
    let session = match (record.pid, told.live) {
        (Some(pid), true) => format!("process {pid}, still running"),
        (Some(pid), false) => format!("process {pid}, ended"),
        (None, true) => "a reservation that still stands".to_owned(),
        (None, false) => "a reservation, over".to_owned(),
    };
    facts.push(("session", session));
    facts
}

/// Why, as the rest of a sentence.
pub(super) fn reason(record: &PickRecord) -> String {
    let serving = record
        .ranking
        .iter()
        .filter(|a| a.tier == "available")
        .count();
    match record.reason.as_str() {
        "forced" if record.command == HANDOFF => "it was the best place to go on".to_owned(),
        "forced" => "it was asked for by name".to_owned(),
        "pinned" => "this directory is pinned to it".to_owned(),
        "reused" => {
            "it was used in this directory within the hour and still had headroom".to_owned()
        }
        "emptiest" => format!("it had the highest score of {serving} accounts that could serve"),
        "only_available" => "no other account could serve".to_owned(),
        "fallback_exhausted" => {
            "no account had headroom, and this was the best of the full ones".to_owned()
        }
        "fallback_rate_limited" => {
            "every account was refused by its plan limit, and this one's ends first".to_owned()
        }
        other => format!(
            "`{}`, which this version of ccp does not know",
            printable(other)
        ),
    }
}

fn pin_sentence(pin: &PinRecord, record: &PickRecord) -> String {
    let found = record.ranking.iter().find(|a| a.id == pin.account);
    let label = found.map_or_else(
        || format!("account {}", pin.account),
        |a| printable(&a.label),
    );
    let obstacle = match found.map(|a| a.tier.as_str()) {
        Some("needs_login") => "needed a sign-in",
        Some("rate_limited") => "was refused by its plan limit",
        Some("exhausted") => "was used up",
        _ => "was too full",
    };
    let forced = if record.reason == "forced" {
        ", but an account was asked for by name"
    } else {
        ""
    };
    match pin.kind.as_str() {
        "manual" => format!("pinned to {label} by order{forced}"),
        "auto" => format!("{label} was used here last{forced}"),
        "bypassed" => {
            format!("pinned to {label} by order, which {obstacle}: ranked freely, the pin stays")
        }
        "abandoned" => {
            format!("{label} was used here last but {obstacle}: the account picked takes its place")
        }
        "beside" => {
            format!("a session of {label} was running here: ranked freely, the pin stays with it")
        }
        other => format!(
            "`{}` {label}, which this version of ccp does not know",
            printable(other)
        ),
    }
}

fn place(path: &Path, user_home: &Path) -> String {
    if path.as_os_str().is_empty() {
        return "a directory that was gone".to_owned();
    }
    let text = match path.strip_prefix(user_home) {
        Ok(rest) if rest.as_os_str().is_empty() => "~".to_owned(),
        Ok(rest) => format!("~/{}", rest.display()),
        Err(_) => path.display().to_string(),
    };
    printable(&text)
}

/// Inputs, terms and score of every account. Terms that are nothing everywhere are left out; the rest of each line adds
/// up to its score.
fn table(record: &PickRecord) -> String {
    let terms: Vec<Vec<i64>> = record
        .ranking
        .iter()
        .map(|a| {
            let all = sums::contributions(&a.terms, a.score);
            all.iter().map(|c| c.tenths).collect()
        })
        .collect();
    let used: Vec<usize> = (0..NAMES.len())
        .filter(|c| terms.iter().any(|t| t[*c] != 0))
        .collect();
    let mut head: Vec<String> = ["ACCOUNT", "5h used", "7d used", "sessions", "burn %/h"]
        .map(str::to_owned)
        .to_vec();
    head.extend(used.iter().map(|c| NAMES[*c].1.to_owned()));
    head.push("SCORE".to_owned());
    head.push(String::new());
    let mut lines = vec![(" ", head)];
    for (account, terms) in record.ranking.iter().zip(&terms) {
        let mark = if account.id == record.account {
            crate::tui::table::MARK
        } else {
            " "
        };
        lines.push((mark, cells(account, &used, terms)));
    }
    let widths: Vec<usize> = (0..lines[0].1.len())
        .map(|c| lines.iter().map(|(_, l)| l[c].width()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for (mark, line) in &lines {
        let mut out = format!("{mark} ");
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let blank = " ".repeat(width - cell.width());
            let gap = if column == 0 { "" } else { "  " };
            let left = column == 0 || column + 1 == line.len();
            out.push_str(gap);
            if left {
                out.push_str(&format!("{cell}{blank}"));
            } else {
                out.push_str(&format!("{blank}{cell}"));
            }
        }
        text.push_str(out.trim_end());
        text.push('\n');
    }
    text
}

fn cells(account: &RankedAccount, used: &[usize], terms: &[i64]) -> Vec<String> {
    let mut cells = vec![
        printable(&account.label),
        usage(account.used_5h).text,
        usage(account.used_7d).text,
        account.sessions.to_string(),
        format!("{:.1}", account.burn),
    ];
    cells.extend(used.iter().map(|c| sums::signed(terms[*c])));
    cells.push(sums::plain(sums::tenths(account.score)));
    let tier = match account.tier.as_str() {
        "available" => String::new(),
        other => printable(&other.replace('_', " ")),
    };
    cells.push(tier);
    cells
}

/// What the heads of the shown terms stand for.
fn legend(record: &PickRecord) -> String {
    let shown = |index: usize| {
        record
            .ranking
            .iter()
            .any(|a| sums::contributions(&a.terms, a.score)[index].tenths != 0)
    };
    let parts: Vec<String> = NAMES
        .iter()
        .enumerate()
        .filter(|(index, _)| shown(*index))
        .map(|(_, (name, head))| format!("{head} = {name}"))
        .collect();
    format!(
        "the terms of a line add up to its score: {}\n",
        parts.join(", ")
    )
}

/// The runner-up, and by how much.
fn margin(record: &PickRecord) -> String {
    let picked = record.ranking.iter().find(|a| a.id == record.account);
    let runner_up = record.ranking.iter().find(|a| a.id != record.account);
    let (Some(picked), Some(other)) = (picked, runner_up) else {
        return "there was no other account\n".to_owned();
    };
    let label = printable(&other.label);
    let margin = sums::tenths(picked.score) - sums::tenths(other.score);
    let tier = match other.tier.as_str() {
        "available" => "",
        "exhausted" => ", but used up",
        "rate_limited" => ", but refused by its plan limit",
        _ => ", but in need of a sign-in",
    };
    match margin {
        0 => format!(
            "runner-up: {label}, level{tier}; the earlier 5-hour reset, then the lower number, decides\n"
        ),
        n if n > 0 => format!("runner-up: {label}, {} behind{tier}\n", sums::plain(n)),
        n => format!("runner-up: {label}, {} ahead{tier}\n", sums::plain(-n)),
    }
}

#[cfg(test)]
mod tests;
