//! The one place where the simulated service and its pretend client read the clock.

/// Milliseconds since the Unix epoch.
pub type Millis = u64;

/// The time now; read once per request or command.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the edge of the simulation: read here, passed on as an argument"
)]
pub fn now() -> Millis {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}
