//! The daemon, for the time after this launch: where none runs, `ccpd` is started aside and becomes it. A launch beside a
//! daemon costs one look at the daemon's lock.

use super::child;
use super::environment::Environment;
use super::place::Place;
use crate::adapters::files::{self, Lock, PRIVATE_FILE};
use crate::contract::vars;
use crate::core::time::Timestamp;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// A daemon that was just started listens within this time, and need not be started again meanwhile.
const STARTING: Duration = Duration::from_secs(2);

/// Starts a daemon aside where none runs and the settings allow it. `ccpd` looks closer: whether a service keeps one, and
/// whether it was started too often.
pub(super) fn start_daemon_aside(place: &Place, environment: &Environment) {
    let starts = place.home.daemon_starts();
    if !may_start(place, environment)
        || is_running(&place.home.daemon_lock())
        || attempted_recently(&starts, STARTING, place.now)
    {
        return;
    }
    // Launches at the same moment see the attempt at once, not when ccpd has come up. What cannot be noted is noted by it.
    let _ = note_attempt(&starts, place.now);
    if let Ok(ccpd) = child::sibling() {
        // What cannot be started is no reason to hold a launch up: launches refresh the numbers without a daemon, too.
        let words = ["daemon", "--detach", "--auto"];
        let _ = child::start_aside(&ccpd, &words, Duration::ZERO);
    }
}

fn may_start(place: &Place, environment: &Environment) -> bool {
    // The first process of a container is all that the container is for, and claude would inherit the daemon as a child.
    std::process::id() != 1
        && vars::may_autostart(place.roster.snapshot.autostart, |name| {
            environment.get(name)
        })
}

/// A lock that cannot be looked at is ccpd's to complain about.
fn is_running(lock: &Path) -> bool {
    Lock::is_held(lock).unwrap_or(false)
}

fn note_attempt(starts: &Path, now: Timestamp) -> io::Result<()> {
    let mut options = File::options();
    let options = options.append(true).create(true).mode(PRIVATE_FILE);
    let since_epoch = now.since(Timestamp::from_unix_ms(0));
    options.open(starts)?.set_modified(UNIX_EPOCH + since_epoch)
}

/// Whether the file of an attempt was touched within this time.
pub(super) fn attempted_recently(path: &Path, within: Duration, now: Timestamp) -> bool {
    let attempted = std::fs::metadata(path).map(|m| files::modified_ns(&m) / 1_000_000);
    attempted.is_ok_and(|ms| now.since(Timestamp::from_unix_ms(ms)) < within)
}
