//! Who may start a claude now. A start keeps a core busy until claude takes input: started all at once, the first of many
//! is usable hardly before the last; in turns, the first is as fast as it would be alone. Once there is one, more start at
//! a time, so that the last is no later than it has to be. Knows neither processes nor the clock.

use super::spawning::Task;
use crate::core::account::AccountId;
use crate::core::pool::id::Place;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Two share even one core: each waits for a disk or a service now and then.
const AT_LEAST: usize = 2;
/// So many times as many, once one takes input: no core rests while a start waits for something, and where much else runs
/// the pool gets its share of the machine.
const AFTER_FIRST: usize = 3;
/// A start that takes longer waits for something, and holds nobody else back: several times what is usual.
const TURN: Duration = Duration::from_secs(3);
/// Nobody waits longer than this for a turn, however many are before it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A start, and on which account where that is said.
pub(super) type Start = (Task, Option<AccountId>);

/// The starts under way and those that wait.
#[derive(Debug)]
pub(super) struct Turns {
    at_once: usize,
    /// One of those that were asked for together takes input.
    has_first: bool,
    under_way: BTreeMap<Place, Instant>,
    waiting: VecDeque<(Start, Instant)>,
}

impl Turns {
    /// As many at once as there are cores.
    pub fn new(cores: usize) -> Self {
        Self {
            at_once: cores.max(AT_LEAST),
            has_first: false,
            under_way: BTreeMap::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Queues a start. Those that a session waits for come first.
    pub fn ask(&mut self, start: Start, now: Instant) {
        let is_wanted = |start: &Start| start.0.session.is_some();
        let at = if is_wanted(&start) {
            let before = self
                .waiting
                .iter()
                .take_while(|(start, _)| is_wanted(start));
            before.count()
        } else {
            self.waiting.len()
        };
        self.waiting.insert(at, (start, now));
    }

    /// The next one that may start now, which is under way from here on.
    pub fn next(&mut self, now: Instant) -> Option<Start> {
        self.under_way.retain(|_, since| *since + TURN > now);
        let times = if self.has_first { AFTER_FIRST } else { 1 };
        let has_room = self.under_way.len() < self.at_once * times;
        let late = self
            .waiting
            .iter()
            .position(|(_, since)| *since + PATIENCE <= now);
        let at = if has_room { Some(0) } else { late }?;
        let (start, _) = self.waiting.remove(at)?;
        self.under_way.insert(start.0.place, now);
        Some(start)
    }

    /// This one takes input, or never will: its turn is over. Whether it was still waiting for it.
    pub fn over(&mut self, place: Place) -> bool {
        let ended = self.under_way.remove(&place).is_some();
        let before = self.waiting.len();
        self.waiting.retain(|((task, _), _)| task.place != place);
        let is_quiet = self.under_way.is_empty() && self.waiting.is_empty();
        self.has_first = !is_quiet && (self.has_first || ended);
        self.waiting.len() < before
    }

    /// When somebody's turn comes by time alone.
    pub fn deadline(&self) -> Option<Instant> {
        let late = self
            .waiting
            .iter()
            .map(|(_, since)| *since + PATIENCE)
            .min()?;
        let turns = self.under_way.values().map(|since| *since + TURN);
        Some(turns.fold(late, Instant::min))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::pool::id::{Generation, SessionId, SlotId};
    use std::path::PathBuf;

    fn place(slot: u32) -> Place {
        Place {
            slot: SlotId(slot),
            generation: Generation(1),
        }
    }

    fn start(slot: u32, is_wanted: bool) -> Start {
        let task = Task {
            place: place(slot),
            cwd: PathBuf::from("/"),
            resume: None,
            session: is_wanted.then(|| SessionId::from_bits(1)),
        };
        (task, None)
    }

    fn next(turns: &mut Turns, now: Instant) -> Vec<u32> {
        let all = std::iter::from_fn(|| turns.next(now));
        all.map(|(task, _)| task.place.slot.0).collect()
    }

    #[test]
    fn as_many_as_there_are_cores_start_at_once_and_more_once_there_is_one() {
        let now = Instant::now();
        let mut turns = Turns::new(1);
        (1..=9).for_each(|slot| turns.ask(start(slot, false), now));
        assert_eq!(next(&mut turns, now), [1, 2]);
        assert!(!turns.over(place(2)));
        assert_eq!(next(&mut turns, now), [3, 4, 5, 6, 7]);
        turns.ask(start(10, true), now);
        turns.ask(start(11, true), now);
        assert!(turns.over(place(8)), "it never began");
        assert!(next(&mut turns, now).is_empty());
        turns.over(place(1));
        turns.over(place(3));
        assert_eq!(next(&mut turns, now), [10, 11], "somebody waits for these");
        turns.over(place(4));
        assert_eq!(next(&mut turns, now), [9]);
        assert_eq!(turns.deadline(), None, "nobody waits");
        for slot in [5, 6, 7, 9, 10, 11] {
            turns.over(place(slot));
        }
        (1..=7).for_each(|slot| turns.ask(start(slot, false), now));
        assert_eq!(next(&mut turns, now), [1, 2], "from the beginning");
    }

    #[test]
    fn one_that_hangs_holds_nobody_back_for_long() {
        let now = Instant::now();
        let mut turns = Turns::new(2);
        (1..=5).for_each(|slot| turns.ask(start(slot, false), now));
        assert_eq!(next(&mut turns, now), [1, 2]);
        let later = now + TURN;
        assert_eq!(turns.deadline(), Some(later));
        assert_eq!(next(&mut turns, later), [3, 4]);
        let mut turns = Turns::new(2);
        (0..100).for_each(|slot| turns.ask(start(slot, false), now));
        let late = now + PATIENCE;
        assert_eq!(next(&mut turns, late).len(), 100);
    }
}
