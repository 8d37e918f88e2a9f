//! When a lease still counts.

use crate::core::time::Timestamp;
use std::time::Duration;

/// How long a claim without a process counts.
pub const RESERVATION: Duration = Duration::from_secs(30);
/// How long a lease of another machine (a container, a home on NFS) counts: nobody here can see its process.
pub const FOREIGN: Duration = Duration::from_secs(12 * 3600);

/// Who holds a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// A process; the start time tells it from a later one with the same number.
    Process {
        /// Its pid.
        pid: u32,
        /// Its start time, in the platform's own unit (clock ticks since boot on Linux, microseconds since the Unix
        /// epoch on macOS).
        start: u64,
    },
    /// Nobody yet: a claim with a random tag.
    Reservation {
        /// Tells reservations of one instant apart.
        tag: u64,
    },
}

/// What is known of a lease's holder on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// The process runs.
    Running,
    /// It does not, or the number belongs to another process.
    Gone,
    /// It cannot be told: not our machine, or the process table could not be read.
    Unknown,
}

/// Whether a lease counts as a session at `now`.
#[must_use]
pub fn is_live(holder: Holder, created_at: Timestamp, sighting: Sighting, now: Timestamp) -> bool {
    // A clock that was set back makes leases from the future: they are as fresh as can be.
    let age = now.since(created_at);
    match (holder, sighting) {
        (Holder::Reservation { .. }, _) => age < RESERVATION,
        (Holder::Process { .. }, Sighting::Running) => true,
        (Holder::Process { .. }, Sighting::Gone) => false,
        (Holder::Process { .. }, Sighting::Unknown) => age < FOREIGN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_counts_while_its_holder_may_be_alive() {
        let process = Holder::Process { pid: 1, start: 2 };
        let reservation = Holder::Reservation { tag: 1 };
        let now = Timestamp::from_unix_ms(1_800_000_000_000);
        let rows = [
            (
                "a running process",
                process,
                3600 * 24 * 9,
                Sighting::Running,
                true,
            ),
            ("a process that ended", process, 0, Sighting::Gone, false),
            (
                "a container's process",
                process,
                3600 * 11,
                Sighting::Unknown,
                true,
            ),
            (
                "a container's process long ago",
                process,
                3600 * 13,
                Sighting::Unknown,
                false,
            ),
            ("a fresh reservation", reservation, 29, Sighting::Gone, true),
            (
                "an old reservation",
                reservation,
                30,
                Sighting::Unknown,
                false,
            ),
        ];
        for (name, holder, age, sighting, expected) in rows {
            let created = now.minus(Duration::from_secs(age));
            assert_eq!(is_live(holder, created, sighting, now), expected, "{name}");
        }
        assert!(
            is_live(
                reservation,
                now.plus(Duration::from_secs(9)),
                Sighting::Gone,
                now
            ),
            "from the future"
        );
    }
}
