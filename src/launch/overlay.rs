//! Before a launch: is the account's overlay as it was left? If not, `ccpd sync` puts it in order.

use super::child;
use crate::adapters::stamp;
use crate::claim::roster::{Origin, Roster};
use crate::contract::snapshot::AccountEntry;
use std::time::Duration;

/// How long a launch waits for the overlay; then it goes on with what is there.
const SYNC_PATIENCE: Duration = Duration::from_millis(300);

/// Sees to it that the overlay is in order. Returns lines for stderr: what was put in order, what could not be.
pub(super) fn ensure(roster: &Roster, account: &AccountEntry) -> Vec<String> {
    let snapshot = &roster.snapshot;
    let current = |s| stamp::is_current(s, &snapshot.base(), &account.dir, snapshot.two_way);
    if account.stamp.as_ref().is_some_and(current) {
        return Vec::new();
    }
    // Without a snapshot the configured base is not known either, but `ccpd sync` reads the settings itself.
    let slow = matches!(roster.origin, Origin::Published);
    let started = child::sibling()
        .map_err(|failure| failure.error)
        .and_then(|ccpd| {
            let number = account.id.to_string();
            child::start_aside(
                &ccpd,
                &["sync", "--account", &number, "--quiet"],
                SYNC_PATIENCE,
            )
            .map_err(|e| format!("cannot run {}: {e}", ccpd.display()))
        });
    match started {
        Ok(aside) => {
            let said = String::from_utf8_lossy(&aside.said);
            let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
            if !aside.ended && slow {
                lines.push("note: the overlay is still being put in order; going on".to_owned());
            }
            lines
        }
        Err(problem) => vec![format!(
            "warning: the overlay could not be checked: {problem}"
        )],
    }
}
