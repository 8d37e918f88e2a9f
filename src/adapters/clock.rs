//! The one place that reads the wall clock.

use crate::core::time::Timestamp;
use std::time::UNIX_EPOCH;

/// Now, by the wall clock; before 1970 it is 1970.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock"
)]
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
