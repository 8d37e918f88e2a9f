//! Which events a subscriber gets.

use super::event::Event;
use super::request::Subscribe;

impl Subscribe {
    /// Whether the event is one that was asked for. `sessions` leaves out what is about no session or about another one,
    /// `events` goes by the name, `statuses` by the new status of `status` events, `fields` by what changed in `updated`
    /// events; all have to hold. That events were lost is told in any case.
    #[must_use]
    pub fn lets_through(&self, event: &Event) -> bool {
        if matches!(event, Event::Lagged { .. }) {
            return true;
        }
        let session = self.sessions.as_ref().is_none_or(|wanted| {
            let session = event.session();
            session.is_some_and(|id| wanted.iter().any(|wanted| is_prefix(wanted, id)))
        });
        let name = self.events.as_ref();
        let name = name.is_none_or(|wanted| wanted.iter().any(|wanted| wanted == event.name()));
        let what = match event {
            Event::Status { status, .. } => {
                let wanted = self.statuses.as_ref();
                wanted.is_none_or(|wanted| wanted.contains(status))
            }
            Event::Updated { changes, .. } => {
                let changed = changes.names();
                let wanted = self.fields.as_ref();
                wanted.is_none_or(|wanted| wanted.iter().any(|w| changed.contains(&w.as_str())))
            }
            _ => true,
        };
        session && name && what
    }
}

fn is_prefix(wanted: &str, id: &str) -> bool {
    !wanted.is_empty() && id.starts_with(wanted)
}

#[cfg(test)]
mod tests {

    use crate::contract::pool::{Message, Request};
    use serde_json::{Value, json};

    fn check(filter: &Value, event: &Value, passes: bool) {
        let mut filter = filter.clone();
        filter["type"] = "subscribe".into();
        let parsed = Request::parse(filter.to_string().as_bytes()).expect("is a request");
        let Request::Subscribe(subscribe) = parsed.request else {
            panic!("is a subscribe")
        };
        let mut event = event.clone();
        event["type"] = "event".into();
        let Ok(Message::Event(parsed)) = Message::of(event.clone()) else {
            panic!("{event} is an event")
        };
        assert_eq!(subscribe.lets_through(&parsed), passes, "{filter} {event}");
    }

    #[test]
    fn filters_hold_all_together() {
        let idle = json!({"event": "status", "sessionId": "abc", "status": "idle", "prevStatus": "queued"});
        let updated = json!({"event": "updated", "sessionId": "abc", "changes": {"cwd": "/", "account": null}});
        let pool = json!({"event": "pool", "action": "destroy"});
        let lagged = json!({"event": "lagged", "dropped": 1});
        let rows = [
            (json!({}), [true, true, true]),
            (json!({"sessions": ["ab"]}), [true, true, false]),
            (json!({"sessions": ["x", ""]}), [false, false, false]),
            (json!({"sessions": []}), [true, true, true]),
            (json!({"events": ["status", "pool"]}), [true, false, true]),
            (json!({"statuses": ["idle"]}), [true, true, true]),
            (json!({"statuses": ["queued"]}), [false, true, true]),
            (json!({"fields": ["account"]}), [true, true, true]),
            (json!({"fields": ["priority"]}), [true, false, true]),
            (
                json!({"events": ["status"], "statuses": ["queued"]}),
                [false, false, false],
            ),
            (
                json!({"events": ["updated"], "fields": ["cwd"], "sessions": ["abc"]}),
                [false, true, false],
            ),
        ];
        for (filter, [first, second, third]) in rows {
            check(&filter, &idle, first);
            check(&filter, &updated, second);
            check(&filter, &pool, third);
            check(&filter, &lagged, true);
        }
    }
}
