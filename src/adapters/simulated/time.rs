//! The one place where the simulated service reads the clock; everything else is given the time.

/// Milliseconds since the Unix epoch.
pub(super) type Millis = u64;

/// The time at which a request arrived.
#[expect(
    clippy::disallowed_methods,
    reason = "the edge of the simulated service: read once per request, passed on as an argument"
)]
pub(super) fn now() -> Millis {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}
