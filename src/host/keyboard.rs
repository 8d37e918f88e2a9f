//! What is typed into the terminal, in which order: scripts of the daemon, each once, and between them what people type.
//! Knows neither the terminal nor the clock.

use crate::contract::proto::host::{HOLD_MS, Script, Step};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long a script may wait for the terminal to take the next byte. Claude reads at once unless it is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(10);
/// Scripts that may wait for their turn; a daemon types one at a time.
const MAX_WAITING: usize = 16;
/// How many scripts' ends are remembered for those who ask again.
const REMEMBERED: usize = 64;
/// What people typed that waits for the terminal: from here on nothing more is taken from them.
pub(super) const ENOUGH: usize = 64 * 1024;

/// A script that is done: its number, and whether the terminal took all of it.
pub(super) type Done = (u64, bool);

/// Bytes for the terminal.
#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    written: usize,
    is_script: bool,
}

/// A script under way.
#[derive(Debug)]
struct Running {
    number: u64,
    steps: VecDeque<Step>,
    pause_until: Option<Instant>,
    /// When the terminal took a byte of it last.
    moved: Instant,
    holds_until: Option<Instant>,
}

/// The order of things typed.
#[derive(Debug, Default)]
pub(super) struct Keyboard {
    pieces: VecDeque<Piece>,
    running: Option<Running>,
    waiting: VecDeque<Script>,
    held: Vec<u8>,
    begun: u64,
    done: VecDeque<Done>,
    last_done: u64,
    /// Scripts that are done and were not told yet.
    untold: VecDeque<Done>,
}

impl Keyboard {
    /// Takes a script. Answers at once when this number is done; none when the answer comes later.
    pub fn script(&mut self, script: Script, now: Instant) -> Result<Option<Done>, &'static str> {
        if script.number <= self.begun {
            let done = self
                .done
                .iter()
                .find(|(number, _)| *number == script.number);
            let long_ago = script.number <= self.last_done && !self.is_pending(script.number);
            return Ok(done.copied().or(long_ago.then_some((script.number, true))));
        }
        if self.waiting.len() >= MAX_WAITING {
            return Err("too many scripts wait for their turn");
        }
        self.begun = script.number;
        self.waiting.push_back(script);
        self.begin_next(now);
        Ok(None)
    }

    fn is_pending(&self, number: u64) -> bool {
        self.typing() == Some(number) || self.waiting.iter().any(|s| s.number == number)
    }

    /// Takes what people type.
    pub fn input(&mut self, bytes: &[u8], now: Instant) {
        let holds = |running: &Running| running.holds_until.is_some_and(|until| now < until);
        if self.running.as_ref().is_some_and(holds) {
            self.held.extend_from_slice(bytes);
        } else {
            self.push(bytes.to_vec(), false);
        }
    }

    /// How much of what people typed has not been taken yet.
    pub fn backlog(&self) -> usize {
        let left = |piece: &Piece| piece.bytes.len() - piece.written;
        let pieces = self.pieces.iter().filter(|piece| !piece.is_script);
        self.held.len() + pieces.map(left).sum::<usize>()
    }

    /// What is to be written now.
    pub fn next(&self) -> Option<&[u8]> {
        let piece = self.pieces.front()?;
        Some(&piece.bytes[piece.written..])
    }

    /// So much of it was taken.
    pub fn wrote(&mut self, count: usize, now: Instant) {
        let Some(piece) = self.pieces.front_mut() else {
            return;
        };
        piece.written += count;
        let (is_script, is_over) = (piece.is_script, piece.written >= piece.bytes.len());
        if is_over {
            self.pieces.pop_front();
        }
        if let Some(running) = self.running.as_mut().filter(|_| is_script) {
            running.moved = now;
            if is_over {
                self.go_on(now);
            }
        }
    }

    /// The next script that is done since, to be told.
    pub fn finished(&mut self) -> Option<Done> {
        self.untold.pop_front()
    }

    /// When something changes by time alone.
    pub fn deadline(&self) -> Option<Instant> {
        let running = self.running.as_ref()?;
        let holds = running.holds_until.filter(|_| !self.held.is_empty());
        let step = running.pause_until.unwrap_or(running.moved + STUCK_AFTER);
        Some(holds.map_or(step, |holds| holds.min(step)))
    }

    /// Does what the time has come for.
    pub fn tick(&mut self, now: Instant) {
        let is_over = |running: &Running| running.holds_until.is_some_and(|until| until <= now);
        if self.running.as_ref().is_some_and(is_over) {
            self.let_go();
        }
        let Some(running) = &mut self.running else {
            return;
        };
        running.holds_until = running.holds_until.filter(|until| *until > now);
        match running.pause_until {
            Some(until) if until <= now => {
                running.pause_until = None;
                running.moved = now;
                self.go_on(now);
            }
            None if running.moved + STUCK_AFTER <= now => self.finish(false, now),
            _ => {}
        }
    }

    /// The terminal is gone: nothing will be typed any more.
    pub fn give_up(&mut self, now: Instant) {
        while self.running.is_some() {
            self.finish(false, now);
        }
        self.pieces.clear();
    }

    /// The last script that is done.
    pub const fn last_done(&self) -> u64 {
        self.last_done
    }

    /// The script under way.
    pub fn typing(&self) -> Option<u64> {
        self.running.as_ref().map(|running| running.number)
    }

    fn push(&mut self, bytes: Vec<u8>, is_script: bool) {
        if !bytes.is_empty() {
            self.pieces.push_back(Piece {
                bytes,
                written: 0,
                is_script,
            });
        }
    }

    fn let_go(&mut self) {
        let held = std::mem::take(&mut self.held);
        self.push(held, false);
    }

    /// Begins the next script if none is under way.
    fn begin_next(&mut self, now: Instant) {
        if self.running.is_some() {
            return;
        }
        let Some(script) = self.waiting.pop_front() else {
            return;
        };
        let hold = Duration::from_millis(HOLD_MS);
        self.running = Some(Running {
            number: script.number,
            steps: script.steps.into(),
            pause_until: None,
            moved: now,
            holds_until: script.hold_input.then(|| now + hold),
        });
        self.go_on(now);
    }

    /// Does the steps up to one that takes time.
    fn go_on(&mut self, now: Instant) {
        let Some(running) = &mut self.running else {
            return;
        };
        match running.steps.pop_front() {
            None => self.finish(true, now),
            Some(Step::Pause(ms)) => {
                running.pause_until = Some(now + Duration::from_millis(ms));
            }
            Some(Step::Write(bytes)) if bytes.is_empty() => self.go_on(now),
            Some(Step::Write(bytes)) => {
                running.moved = now;
                self.push(bytes, true);
            }
        }
    }

    fn finish(&mut self, whole: bool, now: Instant) {
        let Some(running) = self.running.take() else {
            return;
        };
        // What is left of a script that is stuck would arrive out of its time.
        self.pieces.retain(|piece| !piece.is_script);
        self.let_go();
        self.last_done = running.number;
        self.done.push_back((running.number, whole));
        self.untold.push_back((running.number, whole));
        if self.done.len() > REMEMBERED {
            self.done.pop_front();
        }
        self.begin_next(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(number: u64, hold_input: bool, steps: &[Step]) -> Script {
        Script {
            number,
            steps: steps.to_vec(),
            hold_input,
        }
    }

    fn write(text: &str) -> Step {
        Step::Write(text.as_bytes().to_vec())
    }

    /// Lets the terminal take everything that can be taken now.
    fn take(keyboard: &mut Keyboard, now: Instant) -> (String, Vec<Done>) {
        let mut text = String::new();
        while let Some(bytes) = keyboard.next() {
            text.push_str(&String::from_utf8_lossy(bytes));
            let count = bytes.len();
            keyboard.wrote(count, now);
        }
        (text, std::iter::from_fn(|| keyboard.finished()).collect())
    }

    #[test]
    fn a_script_is_done_once_and_answered_as_often_as_it_is_sent() {
        let now = Instant::now();
        let later = now + Duration::from_millis(100);
        let mut keyboard = Keyboard::default();
        let one = script(1, false, &[write("paste"), Step::Pause(100), write("\r")]);
        assert_eq!(keyboard.script(one.clone(), now), Ok(None));
        assert_eq!(take(&mut keyboard, now), ("paste".to_owned(), vec![]));
        assert_eq!(
            (keyboard.deadline(), keyboard.typing()),
            (Some(later), Some(1))
        );
        assert_eq!(
            keyboard.script(one.clone(), now),
            Ok(None),
            "it is under way"
        );
        keyboard.tick(now);
        assert_eq!(keyboard.next(), None);
        keyboard.tick(later);
        assert_eq!(
            take(&mut keyboard, later),
            ("\r".to_owned(), vec![(1, true)])
        );
        assert_eq!(keyboard.script(one.clone(), later), Ok(Some((1, true))));
        assert_eq!(take(&mut keyboard, later).0, "");
        assert_eq!((keyboard.last_done(), keyboard.deadline()), (1, None));
        for number in 2..200 {
            keyboard
                .script(script(number, false, &[write("x")]), later)
                .expect("is taken");
            assert_eq!(take(&mut keyboard, later).1, [(number, true)]);
        }
        assert_eq!(keyboard.script(one, later), Ok(Some((1, true))), "long ago");
    }

    #[test]
    fn what_people_type_waits_for_a_script_but_not_for_long() {
        let now = Instant::now();
        let mut keyboard = Keyboard::default();
        let steps = [write("a"), Step::Pause(50), write("b")];
        keyboard
            .script(script(1, true, &steps), now)
            .expect("is taken");
        keyboard.input(b"xy", now);
        assert_eq!(take(&mut keyboard, now).0, "a");
        assert_eq!(keyboard.backlog(), 2);
        let later = now + Duration::from_millis(50);
        keyboard.tick(later);
        assert_eq!(
            take(&mut keyboard, later),
            ("bxy".to_owned(), vec![(1, true)])
        );

        let long = [write("a"), Step::Pause(5_000), write("b")];
        keyboard
            .script(script(2, true, &long), now)
            .expect("is taken");
        keyboard.input(b"xy", now);
        assert_eq!(take(&mut keyboard, now).0, "a");
        let held = now + Duration::from_millis(HOLD_MS);
        assert_eq!(keyboard.deadline(), Some(held));
        keyboard.tick(held);
        assert_eq!(take(&mut keyboard, held).0, "xy");
        keyboard.input(b"z", held);
        assert_eq!(take(&mut keyboard, held).0, "z", "no more is held");
    }

    #[test]
    fn a_script_that_is_not_taken_ends_and_leaves_nothing_behind() {
        let now = Instant::now();
        let mut keyboard = Keyboard::default();
        keyboard
            .script(script(1, false, &[write("abc")]), now)
            .expect("is taken");
        keyboard
            .script(script(2, false, &[write("d")]), now)
            .expect("is taken");
        keyboard.wrote(1, now);
        let late = now + STUCK_AFTER;
        keyboard.tick(late - Duration::from_millis(1));
        assert_eq!(keyboard.typing(), Some(1));
        keyboard.tick(late);
        let done = vec![(1, false), (2, true)];
        assert_eq!(take(&mut keyboard, late), ("d".to_owned(), done));
        keyboard
            .script(script(3, false, &[write("e")]), late)
            .expect("is taken");
        keyboard.give_up(late);
        assert_eq!(
            (keyboard.finished(), keyboard.next()),
            (Some((3, false)), None)
        );
        keyboard
            .script(script(4, false, &[]), late)
            .expect("is taken");
        assert_eq!(keyboard.finished(), Some((4, true)), "nothing is soon done");
    }
}
