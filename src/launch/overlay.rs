//! Before a launch: is the account's overlay as it was left? If not, `ccpd sync` puts it in order.

use super::child;
use crate::adapters::stamp;
use crate::claim::Claim;
use crate::claim::roster::{Origin, Roster};
use std::time::Duration;

/// How long a launch waits for the overlay; then it goes on with what is there.
const SYNC_PATIENCE: Duration = Duration::from_millis(300);

/// Sees to it that the overlay is in order. Returns what to say on stderr.
pub(super) fn ensure(roster: &Roster, claim: &Claim) -> Vec<String> {
    let (snapshot, account) = (&roster.snapshot, &claim.account);
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
            let lease = claim.lease.as_ref().map(ToString::to_string);
            let mut words = vec!["sync", "--account", &number, "--quiet"];
            words.extend(lease.iter().flat_map(|lease| ["--launching", lease]));
            child::start_aside(&ccpd, &words, SYNC_PATIENCE)
                .map_err(|e| format!("cannot run {}: {e}", ccpd.display()))
        });
    match started {
        Ok(Some(said)) => said.lines().map(str::to_owned).collect(),
        Ok(None) if slow => {
            vec!["note: the overlay is still being put in order; going on".to_owned()]
        }
        Ok(None) => Vec::new(),
        Err(problem) => vec![format!(
            "warning: the overlay could not be checked: {problem}"
        )],
    }
}
