//! How long this computer has slept since it was started.

use std::time::Duration;

/// The time since boot that the computer slept, by two clocks: one that goes on meanwhile and one that stands still.
/// Zero where the system does not tell. It only grows, and moving the wall clock does not change it.
#[must_use]
pub fn slept() -> Duration {
    // clock_gettime(2): CLOCK_BOOTTIME "is identical to CLOCK_MONOTONIC, except that it also includes any time that
    // the system is suspended".
    #[cfg(target_os = "linux")]
    let (going_on, standing_still) = (libc::CLOCK_BOOTTIME, libc::CLOCK_MONOTONIC);
    // clock_gettime(3) of macOS: CLOCK_UPTIME_RAW "increments monotonically, in the same manner as
    // CLOCK_MONOTONIC_RAW, but that does not increment while the system is asleep".
    #[cfg(target_os = "macos")]
    let (going_on, standing_still) = (libc::CLOCK_MONOTONIC_RAW, libc::CLOCK_UPTIME_RAW);
    // The one that is ahead is read last, so that what passes in between is never missing.
    let still = read(standing_still);
    read(going_on).saturating_sub(still)
}

fn read(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the buffer is a timespec of ours; a clock that is not there leaves it as it is.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_sleeps_during_a_test() {
        let before = slept();
        crate::adapters::files::pause(Duration::from_millis(30));
        let after = slept();
        // Only what passes between the two readings differs.
        assert!(
            after.abs_diff(before) < Duration::from_secs(5),
            "{before:?} {after:?}"
        );
    }
}
