//! The one line that says which account was picked and why, and the lines for what was not as it should be.

use super::{Claim, Obstacle, Refusal, label_of, roster::Origin, roster::Roster};
use crate::contract::snapshot::Snapshot;
use crate::core::select::pick::Reason;
use crate::core::select::pin::Pin;
use crate::core::select::score::{Assessment, Candidate, Tier};
use crate::core::time::Timestamp;
use crate::core::usage::WindowKind;
use std::fmt::Write as _;
use std::path::Path;

/// An error for stderr: what failed, and the next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What failed and why.
    pub error: String,
    /// The next step.
    pub hint: String,
}

/// Every line for stderr about a claim, in order.
#[must_use]
pub fn lines(roster: &Roster, claim: &Claim, now: Timestamp) -> Vec<String> {
    let mut lines: Vec<String> = claim
        .problems
        .iter()
        .map(|p| format!("warning: {p}"))
        .collect();
    if let Origin::Rebuilt { why: Some(why) } = &roster.origin {
        lines.push(format!(
            "warning: {why}; usage is unknown, going on with the account last used"
        ));
    }
    lines.extend(pin_line(&roster.snapshot, claim, now));
    lines.push(pick_line(claim, now));
    lines.extend(fallback_line(claim, now));
    lines
}

fn pick_line(claim: &Claim, now: Timestamp) -> String {
    let pick = &claim.choice.pick;
    let label = &claim.account.label;
    let mut line = match pick.reason {
        Reason::PinnedManual | Reason::PinnedAuto => format!("Reusing {label} (pinned)"),
        _ => format!("Selected {label}"),
    };
    let candidate = claim.choice.candidates.iter().find(|c| c.id == pick.id);
    line.push_str(&usage(candidate, now));
    if let Some(bound) = &claim.choice.rule {
        _ = write!(line, " · rule {}", bound.rule.short());
    }
    line
}

/// ` · 5h 22% used · 7d 46% used`, with the age of numbers that are not fresh.
fn usage(candidate: Option<&Candidate>, now: Timestamp) -> String {
    let Some(candidate) = candidate else {
        return String::new();
    };
    let Some(sample) = &candidate.sample else {
        return " · usage unknown".to_owned();
    };
    let mut text = String::new();
    for (name, kind) in [("5h", WindowKind::FiveHour), ("7d", WindowKind::SevenDay)] {
        match sample.window(&kind) {
            // A window that has started anew since it was measured: nothing is known of it but that.
            Some(w) if w.has_reset(now) => _ = write!(text, " · {name} reset"),
            Some(w) => _ = write!(text, " · {name} {:.0}% used", w.used.percent()),
            None => _ = write!(text, " · {name} -"),
        }
    }
    if candidate.stale {
        _ = write!(
            text,
            " · measured {} ago",
            span(now.ms_since(sample.measured_at))
        );
    }
    text
}

fn pin_line(snapshot: &Snapshot, claim: &Claim, now: Timestamp) -> Option<String> {
    let choice = &claim.choice;
    let id = match (choice.pick.pin, &choice.rule) {
        (Pin::Bypassed(id), _) => id,
        (Pin::Barred(id), Some(bound)) => {
            let (label, rule) = (label_of(snapshot, id), bound.name());
            return Some(format!(
                "note: {label} is pinned here, but {rule} does not allow it; the pin stays"
            ));
        }
        _ => return None,
    };
    let label = label_of(snapshot, id);
    let state = claim
        .choice
        .pick
        .ranking
        .iter()
        .find(|a| a.id == id)
        .map(|a| state(a, now));
    Some(format!(
        "note: {label} is pinned here but {}; the pin stays",
        state.unwrap_or_default()
    ))
}

/// Why an account cannot serve, as the tail of a sentence.
fn state(assessment: &Assessment, now: Timestamp) -> String {
    let until = || {
        assessment
            .serves_again_at
            .map(|at| format!(" for {}", span(at.ms_since(now))))
    };
    match assessment.tier {
        Tier::Available => "can serve".to_owned(),
        Tier::Exhausted => format!("is used up{}", until().unwrap_or_default()),
        Tier::RateLimited => format!(
            "is refused by its plan limit{}",
            until().unwrap_or_default()
        ),
        Tier::NeedsLogin => "needs a sign-in".to_owned(),
    }
}

fn fallback_line(claim: &Claim, now: Timestamp) -> Option<String> {
    let pick = &claim.choice.pick;
    let assessment = pick.assessment();
    if assessment.available() {
        return None;
    }
    let label = &claim.account.label;
    let state = state(assessment, now);
    let extra = claim
        .account
        .sample
        .as_ref()
        .and_then(|s| s.extra.as_ref())
        .is_some_and(|e| e.enabled);
    let billing = if extra {
        "; extra usage is on, so this BILLS"
    } else {
        ""
    };
    let lead = match &claim.choice.rule {
        _ if !pick.reason.is_fallback() => String::new(),
        Some(bound) => format!("no account that {} allows has headroom: ", bound.name()),
        None => "no account has headroom: ".to_owned(),
    };
    Some(format!("warning: {lead}{label} {state}{billing}"))
}

/// A span of time in the two largest units that matter: `3 d 4 h`, `2 h 5 min`, `40 s`.
#[must_use]
pub fn span(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// What to tell about a refusal.
#[must_use]
pub fn refusal(refusal: &Refusal) -> Failure {
    let failure = |error: String, hint: String| Failure { error, hint };
    match refusal {
        Refusal::Unknown(text) => failure(
            format!("no account is called `{text}`"),
            "`ccp list` shows ids, labels and emails".to_owned(),
        ),
        Refusal::Ambiguous(text, ids) => failure(
            format!("`{text}` could be any of {}", ids.join(", ")),
            format!(
                "use an id, such as {}",
                ids.first().map_or("acct-01", String::as_str)
            ),
        ),
        Refusal::NoAccounts => failure(
            "there are no accounts yet".to_owned(),
            "`ccp add` signs one in; `command claude` runs plain claude".to_owned(),
        ),
        Refusal::AllNeedLogin(labels) => failure(
            format!("every account needs a sign-in: {}", labels.join(", ")),
            format!(
                "`ccp login {}`, or `command claude` for plain claude",
                labels.first().map_or("NAME", String::as_str)
            ),
        ),
        Refusal::NeedsLogin(label) => failure(
            format!("{label} needs a sign-in"),
            format!("`ccp login {label}`"),
        ),
        Refusal::Rule { rule, dir, why } => ruled(rule, dir, why),
        Refusal::RulesUnknown(config) => failure(
            format!(
                "the rules in {} are not known: it changed and was not taken in",
                config.display()
            ),
            "`ccp config apply` takes it in, or says what is wrong with it".to_owned(),
        ),
    }
}

fn ruled(rule: &str, dir: &Path, why: &Obstacle) -> Failure {
    let dir = dir.display();
    let (error, hint) = match why {
        Obstacle::NoneThere(references) => (
            format!(
                "no account that {rule} allows in {dir} exists: {}",
                references.join(", ")
            ),
            "`ccp list` shows the accounts, `ccp add` signs one in, `ccp config path` tells where the rule is".to_owned(),
        ),
        Obstacle::AllNeedLogin(labels) => (
            format!(
                "every account that {rule} allows in {dir} needs a sign-in: {}",
                labels.join(", ")
            ),
            format!("`ccp login {}`", labels.first().map_or("NAME", String::as_str)),
        ),
        Obstacle::Barred { named, allowed } => (
            format!(
                "{rule} allows {} in {dir}, not {named}",
                allowed.join(", ")
            ),
            format!(
                "name {}, or none; `ccp config path` tells where the rule is",
                allowed.first().map_or("another", String::as_str)
            ),
        ),
    };
    Failure { error, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_show_two_units() {
        let rows = [
            (-5, "0 s"),
            (40_000, "40 s"),
            (90_000, "1 min"),
            (7_500_000, "2 h 5 min"),
            (273_600_000, "3 d 4 h"),
        ];
        for (ms, expected) in rows {
            assert_eq!(span(ms), expected, "{ms}");
        }
    }
}
