//! How long a claude is waited for: to an instant, or until nobody wants to know any more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Between two looks at whether somebody still wants to know.
const LOOK: Duration = Duration::from_millis(50);

/// The end of a wait.
#[derive(Clone, Copy, Debug)]
pub struct Until<'a> {
    at: Instant,
    stop: Option<&'a AtomicBool>,
}

impl<'a> Until<'a> {
    /// At this instant, or as soon as `stop` is set.
    #[must_use]
    pub const fn new(at: Instant, stop: Option<&'a AtomicBool>) -> Self {
        Self { at, stop }
    }

    /// What is left of it; zero when it is over.
    #[must_use]
    pub fn left(&self) -> Duration {
        if self.is_stopped() {
            return Duration::ZERO;
        }
        self.at.saturating_duration_since(Instant::now())
    }

    /// The same, but no longer than may pass before `stop` is looked at again.
    pub(super) fn left_for_now(&self) -> Duration {
        let most = self.stop.map_or(Duration::MAX, |_| LOOK);
        self.left().min(most)
    }

    /// The same end, earlier by so much.
    pub(super) fn minus(&self, by: Duration) -> Self {
        let at = self.at.checked_sub(by).unwrap_or(self.at);
        Self { at, ..*self }
    }

    fn is_stopped(&self) -> bool {
        self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
    }
}

impl From<Instant> for Until<'_> {
    fn from(at: Instant) -> Self {
        Self::new(at, None)
    }
}
