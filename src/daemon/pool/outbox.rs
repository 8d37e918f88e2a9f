//! What is on its way to one client: answers, which whoever makes them waits to get rid of, and events, which are
//! dropped and counted when the client does not read.

use crate::contract::pool::Event;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use tokio::sync::Notify;

/// Events that wait for a client at most, in bytes: some thousands.
const MOST_EVENTS: usize = 1024 * 1024;
/// With more than this on its way, the client's next request waits.
const MOST_ANSWERS: usize = 256 * 1024;

/// The bytes for one client.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: RefCell<Vec<u8>>,
    dropped: Cell<u64>,
    /// Some were taken and are being written.
    writing: Cell<bool>,
    /// An answer is handed over in pieces: events wait here for its end.
    held: RefCell<Option<Vec<u8>>>,
    /// There are bytes, or no more will come.
    filled: Notify,
    emptied: Notify,
    closed: Cell<bool>,
}

impl Outbox {
    /// An empty one.
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self::default())
    }

    /// Adds an answer, whatever else waits.
    pub(super) fn push(&self, line: &str) {
        if !self.closed.get() {
            self.bytes.borrow_mut().extend_from_slice(line.as_bytes());
            self.filled.notify_one();
        }
    }

    /// Adds an event, or counts it as dropped when the client is too far behind.
    pub(super) fn push_event(&self, line: &str) {
        let held = self.held.borrow().as_ref().map(Vec::len);
        let waiting = held.unwrap_or_else(|| self.bytes.borrow().len());
        if waiting + line.len() > MOST_EVENTS {
            self.dropped.set(self.dropped.get() + 1);
            return;
        }
        if let Some(held) = &mut *self.held.borrow_mut() {
            return held.extend_from_slice(line.as_bytes());
        }
        self.tell_dropped();
        self.push(line);
    }

    /// Adds the beginning of an answer that comes in pieces.
    pub(super) fn begin_long(&self, head: &str) {
        self.push(head);
        *self.held.borrow_mut() = Some(Vec::new());
    }

    /// Adds a piece of it.
    pub(super) fn push_piece(&self, piece: &[u8]) {
        if !self.closed.get() {
            self.bytes.borrow_mut().extend_from_slice(piece);
            self.filled.notify_one();
        }
    }

    /// Adds its end, and the events that came meanwhile.
    pub(super) fn end_long(&self, tail: &str) {
        let held = self.held.take().unwrap_or_default();
        self.push(tail);
        self.push_piece(&held);
        self.tell_dropped();
    }

    fn tell_dropped(&self) {
        if self.held.borrow().is_some() {
            return;
        }
        let dropped = self.dropped.take();
        if dropped > 0 {
            self.push(&Event::Lagged { dropped }.line());
        }
    }

    /// Waits until the client has read enough that it may ask for more. False when it is gone.
    pub(super) async fn has_room(&self) -> bool {
        while !self.closed.get() && self.bytes.borrow().len() > MOST_ANSWERS {
            self.emptied.notified().await;
        }
        !self.closed.get()
    }

    /// Waits until everything was handed over. False when the client is gone.
    pub(super) async fn is_empty(&self) -> bool {
        while !self.closed.get() && self.has_some() {
            self.emptied.notified().await;
        }
        !self.closed.get()
    }

    fn has_some(&self) -> bool {
        self.writing.get() || self.held.borrow().is_some() || !self.bytes.borrow().is_empty()
    }

    /// Whether the client is there.
    pub(super) fn is_open(&self) -> bool {
        !self.closed.get()
    }

    /// Waits until the client is gone.
    pub(super) async fn is_closed(&self) {
        while !self.closed.get() {
            self.emptied.notified().await;
        }
    }

    /// Waits for bytes and takes all of them; none once it is closed and empty. They count as waiting until
    /// [`Self::written`].
    pub(super) async fn next(&self) -> Option<Vec<u8>> {
        loop {
            let bytes = self.take();
            if !bytes.is_empty() {
                self.writing.set(true);
                return Some(bytes);
            }
            if self.closed.get() {
                return None;
            }
            self.filled.notified().await;
        }
    }

    /// Takes all bytes.
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.bytes.borrow_mut())
    }

    /// What was taken has been written.
    pub(super) fn written(&self) {
        self.writing.set(false);
        self.tell_dropped();
        self.emptied.notify_waiters();
    }

    /// No more comes, or goes.
    pub(super) fn close(&self) {
        self.closed.set(true);
        self.filled.notify_one();
        self.emptied.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_dropped_counted_and_told_when_there_is_room_again() {
        let outbox = Outbox::new();
        let line = format!("{}\n", "x".repeat(1000));
        for _ in 0..2_000 {
            outbox.push_event(&line);
        }
        let kept = outbox.take().len() / line.len();
        assert!((1_000..2_000).contains(&kept), "{kept}");
        outbox.written();
        let text = String::from_utf8(outbox.take()).expect("is text");
        let told: serde_json::Value = serde_json::from_str(&text).expect("is JSON");
        assert_eq!(told["event"], "lagged");
        assert_eq!(told["dropped"], 2_000 - kept);
        outbox.push_event("more\n");
        assert_eq!(outbox.take(), b"more\n");
    }

    #[test]
    fn events_wait_for_the_end_of_an_answer_that_comes_in_pieces() {
        let outbox = Outbox::new();
        outbox.push_event("before\n");
        outbox.begin_long("<");
        outbox.push_event("first\n");
        outbox.push_piece(b"piece");
        for _ in 0..3 {
            outbox.push_event(&"x".repeat(MOST_EVENTS / 2));
        }
        assert_eq!(outbox.take(), b"before\n<piece");
        outbox.written();
        assert!(outbox.take().is_empty(), "nothing is told in between");
        outbox.end_long(">\n");
        let text = String::from_utf8(outbox.take()).expect("is text");
        assert!(text.starts_with(">\nfirst\nxx"), "{}", &text[..20]);
        assert!(text.ends_with("\"dropped\":2}\n"));
    }

    #[test]
    fn an_answer_is_never_dropped() {
        let outbox = Outbox::new();
        let long = "y".repeat(2 * MOST_EVENTS);
        outbox.push(&long);
        outbox.push("z");
        assert_eq!(outbox.take().len(), long.len() + 1);
        outbox.close();
        outbox.push("late");
        assert!(outbox.take().is_empty());
    }
}
