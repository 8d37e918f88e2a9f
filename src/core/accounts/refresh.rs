//! Clients that wait for numbers: who asked for which accounts, and when they are answered.

use std::time::Duration;

/// How long a client is kept waiting at most; what has not come by then is answered as not reached.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The most clients that wait at a time; one more is turned away at once.
pub const MAX_WAITING: usize = 64;
