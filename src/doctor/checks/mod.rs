//! The list of checks, in the order in which they are gone through: what others stand on comes first, so that what is
//! mended there is seen by the rest.

pub mod accounts;
pub mod client;
pub mod daemon;
pub mod environment;
pub mod home;
pub mod left;
pub mod overlay;
pub mod pools;
pub mod processes;
pub mod rules;
pub mod shells;
pub mod slots;
pub mod state;

use super::{Check, Finding, Patient};
use crate::core::time::Timestamp;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// Every check. `docs/doctor.md` has the same list with the meaning of each.
pub const CHECKS: &[Check] = &[
    home::FOREIGN,
    home::PERMISSIONS,
    home::DISK,
    home::TEMPORARY,
    home::TRASH,
    left::MOUNTS,
    left::LOGS,
    state::SETTINGS,
    state::DATABASE,
    state::ORPHANS,
    accounts::ACCOUNTS,
    accounts::DIRECTORY,
    accounts::DIRECTORY_NAME,
    overlay::PERMISSIONS,
    overlay::PRIVATE,
    overlay::STRAYS,
    overlay::CONFLICTS,
    overlay::LINKS,
    overlay::MERGES,
    accounts::STATE,
    accounts::IDENTITY,
    accounts::CLASH,
    accounts::CREDENTIAL,
    accounts::LOGIN,
    accounts::LOGIN_AGE,
    rules::RULES,
    state::LEASES,
    left::INBOX,
    state::SNAPSHOT,
    daemon::FILES,
    daemon::DAEMON,
    daemon::SWEEP,
    daemon::SERVICE,
    pools::POOLS,
    client::FOUND,
    client::VERSION,
    slots::VERSIONS,
    shells::EXECUTABLES,
    shells::ON_PATH,
    shells::ALIAS,
    environment::OVERRIDES,
    environment::BASE_URL,
    environment::BASE_SETTINGS,
    environment::KEY_HELPER,
    environment::STATUSLINE,
    environment::HOOKS,
    processes::PROCESSES,
];

/// The findings, or that all is well.
fn or_ok(findings: Vec<Finding>, ok: impl Into<String>) -> Vec<Finding> {
    if findings.is_empty() {
        vec![Finding::ok(ok)]
    } else {
        findings
    }
}

/// The same of accounts, where there are any.
fn or_all(patient: &Patient<'_>, findings: Vec<Finding>, ok: &str) -> Vec<Finding> {
    let nobody = patient.accounts.is_empty();
    or_ok(findings, if nobody { "no accounts to look at" } else { ok })
}

/// `1 account`, `2 accounts`.
pub(super) fn count(number: usize, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {what}{s}")
}

/// Whether nobody has written the file for this long. By the file's own time, which has whole seconds.
fn is_older(path: &Path, than: Duration, now: Timestamp) -> bool {
    let modified = fs::symlink_metadata(path).map(|m| m.mtime().saturating_mul(1000));
    modified.is_ok_and(|ms| now.since(Timestamp::from_unix_ms(ms)) > than)
}

/// A duration in its largest whole unit.
fn age(duration: Duration) -> String {
    let seconds = usize::try_from(duration.as_secs()).unwrap_or(usize::MAX);
    for (unit, name) in [(86_400, "day"), (3600, "hour"), (60, "minute")] {
        if seconds >= unit {
            return count(seconds / unit, name);
        }
    }
    count(seconds, "second")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_id_is_there_once() {
        let ids: HashSet<_> = CHECKS.iter().map(|c| c.id).collect();
        assert_eq!(ids.len(), CHECKS.len());
        for check in CHECKS {
            assert!(check.question.ends_with('?'), "{}", check.id);
            let is_plain = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(check.id.chars().all(is_plain), "{}", check.id);
        }
    }

    #[test]
    fn ages_are_told_in_whole_units() {
        let rows = [
            (0, "0 seconds"),
            (1, "1 second"),
            (119, "1 minute"),
            (7200, "2 hours"),
            (86_400 * 25 + 5, "25 days"),
        ];
        for (seconds, text) in rows {
            assert_eq!(age(Duration::from_secs(seconds)), text);
        }
    }
}
