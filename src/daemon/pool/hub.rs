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

/// Which events a subscriber wants.
#[derive(Clone, Debug, Default)]
struct Filter {
    wish: Subscribe,
}

impl Filter {
    fn wants(&self, event: &Event) -> bool {
        let Subscribe {
            sessions,
            events,
            statuses,
            fields,
            ack: _,
        } = &self.wish;
        let of_session = sessions.as_ref().is_none_or(|wanted| {
            let id = event.session();
            id.is_some_and(|id| wanted.iter().any(|w| !w.is_empty() && id.starts_with(w.as_str())))
        });
        let of_name = events
            .as_ref()
            .is_none_or(|wanted| wanted.iter().any(|name| name == event.name()));
        // Each of the two speaks of one kind of event; with either, no other kind comes through.
        let of_kind = match event {
            _ if statuses.is_none() && fields.is_none() => true,
            Event::Status { status, .. } => statuses.as_ref().is_some_and(|s| s.contains(status)),
            Event::Updated { changes, .. } => fields.as_ref().is_some_and(|wanted| {
                let names = changes.names();
                wanted.iter().any(|name| names.contains(&name.as_str()))
            }),
            _ => false,
        };
        of_session && of_name && of_kind
    }
}

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
    filter: Filter,
    outbox: Rc<Outbox>,
}

/// The subscribers, and the events of the last minute.
#[derive(Debug, Default)]
pub(super) struct Hub {
    subscribers: Vec<Subscriber>,
    recent: VecDeque<Told>,
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
            if subscriber.filter.wants(&told.event) {
                subscriber.outbox.push_event(&told.line);
            }
        }
        let over = |oldest: &Told| told.at.duration_since(oldest.at) > KEPT;
        while self.recent.front().is_some_and(over) || self.recent.len() >= MOST {
            self.recent.pop_front();
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
        let filter = Filter { wish };
        let known = |s: &&mut Subscriber| s.connection == connection;
        if let Some(subscriber) = self.subscribers.iter_mut().find(known) {
            subscriber.filter = filter;
            return;
        }
        let since = accepted.checked_sub(BEFORE).unwrap_or(accepted);
        for told in self.recent.iter().filter(|told| told.at >= since) {
            if filter.wants(&told.event) {
                outbox.push_event(&told.line);
            }
        }
        self.subscribers.push(Subscriber {
            connection,
            filter,
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
    use crate::contract::pool::{Changes, PoolChange, Status};

    fn status(id: &str, status: Status) -> Event {
        Event::Status {
            session_id: id.to_owned(),
            status,
            prev_status: Status::Queued,
        }
    }

    fn pending(id: &str) -> Event {
        Event::Updated {
            session_id: id.to_owned(),
            changes: Changes {
                pending_input: Some("half".to_owned()),
                ..Changes::default()
            },
        }
    }

    fn lines(wish: Subscribe, told: &[Event]) -> Vec<String> {
        let mut hub = Hub::default();
        let outbox = Outbox::new();
        hub.subscribe(1, Instant::now(), wish, &outbox);
        told.iter().cloned().for_each(|event| hub.tell(event));
        let text = String::from_utf8(outbox.take()).expect("is text");
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn filters_hold_all_together() {
        let all = [
            status("aa", Status::Idle),
            status("aa", Status::Processing),
            status("bb", Status::Idle),
            pending("aa"),
            Event::Pool(PoolChange::Destroy),
        ];
        let words = |words: &[&str]| Some(words.iter().map(|w| (*w).to_owned()).collect());
        let rows: Vec<(Subscribe, usize)> = vec![
            (Subscribe::default(), 5),
            (Subscribe { sessions: words(&["aa"]), ..Subscribe::default() }, 3),
            (Subscribe { events: words(&["status"]), ..Subscribe::default() }, 3),
            (Subscribe { statuses: Some(vec![Status::Idle]), ..Subscribe::default() }, 2),
            (Subscribe { fields: words(&["pendingInput"]), ..Subscribe::default() }, 1),
            (Subscribe { fields: words(&["cwd"]), ..Subscribe::default() }, 0),
            (
                Subscribe {
                    sessions: words(&["aa"]),
                    statuses: Some(vec![Status::Idle]),
                    fields: words(&["pendingInput"]),
                    ..Subscribe::default()
                },
                2,
            ),
            (Subscribe { sessions: words(&[""]), ..Subscribe::default() }, 0),
        ];
        for (wish, count) in rows {
            assert_eq!(lines(wish.clone(), &all).len(), count, "{wish:?}");
        }
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
