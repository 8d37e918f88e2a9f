//! Who subscribed to what, and what happened lately. Belongs to the one thread that talks to clients.

use super::outbox::Outbox;
use crate::contract::pool::{Event, Subscribe};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Events from so long before a connection are told to it when it subscribes, so that none is missed in between.
const BEFORE: Duration = Duration::from_millis(100);
/// Events are kept for so long …
const KEPT: Duration = Duration::from_secs(60);
/// … and so many of them at most.
const MOST: usize = 8_192;
/// … and bytes: metadata may be long, and no client is handed as much as this at once.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// An event with its line, made once for all subscribers.
#[derive(Debug)]
struct Told {
    at: Instant,
    event: Event,
    line: Rc<str>,
}

/// One connection that subscribed.
#[derive(Debug)]
struct Subscriber {
    connection: u64,
    wish: Subscribe,
    outbox: Rc<Outbox>,
}

/// The subscribers, and the events of the last minute.
#[derive(Debug, Default)]
pub(super) struct Hub {
    subscribers: Vec<Subscriber>,
    recent: VecDeque<Told>,
    /// Of the lines of these.
    bytes: usize,
}

impl Hub {
    /// Tells an event to everybody who wants it. Nobody is waited for.
    pub(super) fn tell(&mut self, event: Event) {
        let told = Told {
            at: Instant::now(),
            line: Rc::from(event.line()),
            event,
        };
        for subscriber in &self.subscribers {
            if subscriber.wish.lets_through(&told.event) {
                subscriber.outbox.push_event(&told.line);
            }
        }
        let over = |oldest: &Told| told.at.duration_since(oldest.at) > KEPT;
        self.bytes += told.line.len();
        while self.recent.front().is_some_and(over)
            || self.recent.len() >= MOST
            || self.bytes > MOST_BYTES
        {
            let Some(oldest) = self.recent.pop_front() else {
                break;
            };
            self.bytes -= oldest.line.len();
        }
        self.recent.push_back(told);
    }

    /// Subscribes a connection that was accepted then, or replaces what it asked for before. The first time it is told
    /// what happened since it connected.
    pub(super) fn subscribe(
        &mut self,
        connection: u64,
        accepted: Instant,
        wish: Subscribe,
        outbox: &Rc<Outbox>,
    ) {
        let known = |s: &&mut Subscriber| s.connection == connection;
        if let Some(subscriber) = self.subscribers.iter_mut().find(known) {
            subscriber.wish = wish;
            return;
        }
        let since = accepted.checked_sub(BEFORE).unwrap_or(accepted);
        for told in self.recent.iter().filter(|told| told.at >= since) {
            if wish.lets_through(&told.event) {
                outbox.push_event(&told.line);
            }
        }
        self.subscribers.push(Subscriber {
            connection,
            wish,
            outbox: Rc::clone(outbox),
        });
    }

    /// Whether this connection subscribed.
    pub(super) fn knows(&self, connection: u64) -> bool {
        self.subscribers.iter().any(|s| s.connection == connection)
    }

    /// Forgets a connection.
    pub(super) fn forget(&mut self, connection: u64) {
        self.subscribers.retain(|s| s.connection != connection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::pool::Status;

    fn status(id: &str, status: Status) -> Event {
        Event::Status {
            session_id: id.to_owned(),
            status,
            prev_status: Status::Queued,
        }
    }

    #[test]
    fn what_is_kept_for_later_subscribers_has_a_bound() {
        let mut hub = Hub::default();
        let long = "x".repeat(MOST_BYTES / 10);
        for _ in 0..50 {
            hub.tell(status(&long, Status::Idle));
        }
        let kept: usize = hub.recent.iter().map(|told| told.line.len()).sum();
        assert!(
            kept <= MOST_BYTES + long.len() * 2 && hub.recent.len() > 5,
            "{kept}"
        );
        hub.tell(status(&"y".repeat(2 * MOST_BYTES), Status::Idle));
        hub.tell(status("aa", Status::Idle));
        assert_eq!(
            hub.recent.len(),
            1,
            "one that is too long for all goes with the next"
        );
    }

    #[test]
    fn what_happened_between_connect_and_subscribe_is_told_once() {
        let mut hub = Hub::default();
        let accepted = Instant::now();
        hub.tell(status("aa", Status::Idle));
        let outbox = Outbox::new();
        hub.subscribe(1, accepted, Subscribe::default(), &outbox);
        hub.subscribe(1, accepted, Subscribe::default(), &outbox);
        hub.tell(status("bb", Status::Idle));
        let text = String::from_utf8(outbox.take()).expect("is text");
        assert_eq!(text.lines().count(), 2, "{text}");
        hub.forget(1);
        hub.tell(status("cc", Status::Idle));
        assert!(outbox.take().is_empty());
    }
}
