//! What the loop does without being asked, and when.

use super::COALESCE;
use std::time::Instant;

/// When what is next to be done without being asked.
pub(super) struct Due {
    pub(super) housekeeping: Instant,
    pub(super) overlays: Option<Instant>,
    pub(super) reload: Option<Instant>,
    pub(super) leases: Option<Instant>,
    /// A look at claude's own list of sessions.
    pub(super) sessions: Option<Instant>,
    /// A look at the battery.
    pub(super) power: Instant,
}

impl Due {
    pub(super) fn at_start() -> Self {
        let now = Instant::now();
        Self {
            housekeeping: now,
            overlays: Some(now),
            reload: None,
            leases: None,
            sessions: None,
            power: now,
        }
    }

    pub(super) fn next(&self) -> Instant {
        let rest = [self.overlays, self.reload, self.leases, self.sessions];
        rest.into_iter()
            .flatten()
            .fold(self.housekeeping.min(self.power), Instant::min)
    }
}

/// Notes that something is to be done, together with what is noted right after.
pub(super) fn soon(due: &mut Option<Instant>) {
    due.get_or_insert_with(|| Instant::now() + COALESCE);
}

/// Whether that time has come; then it is noted no more.
pub(super) fn is_due(due: &mut Option<Instant>) -> bool {
    let is = due.is_some_and(|at| at <= Instant::now());
    if is {
        *due = None;
    }
    is
}
