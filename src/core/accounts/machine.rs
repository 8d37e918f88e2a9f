//! The roster machine: decides when each account is sampled and by whom, what becomes of the answers, and when the
//! world is told. It knows no clock, no process, no socket and no file: time is an argument, what happens comes in as
//! an [`Event`], and what is to be done goes out as [`Action`]s.

use super::action::Action;
use super::event::Event;
use crate::core::time::Timestamp;
use crate::core::usage::Source;

/// Everything that is decided about the accounts' usage, in one place.
#[derive(Debug)]
pub struct Machine {
    sources: Vec<Source>,
    seed: u64,
}

impl Machine {
    /// An empty roster. `sources` is `[usage] sources`; `seed` makes its jitter, the same for the same seed.
    #[must_use]
    pub fn new(sources: &[Source], seed: u64) -> Self {
        Self {
            sources: sources.to_vec(),
            seed,
        }
    }

    /// Takes in what happened at `now`, and decides what is to be done.
    #[must_use]
    pub fn handle(&mut self, _event: Event, _now: Timestamp) -> Vec<Action> {
        let _ = (&self.sources, self.seed);
        Vec::new()
    }

    /// When [`Event::Tick`] is due, if nothing happens before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        None
    }
}
