//! Replies and events in words for people. Colour never says anything that the words do not.

use super::places::Seen;
use crate::contract::pool::{
    Config, Event, Full, Health, PoolChange, Reply, Session, SlotInfo, SlotState, Status,
};
use std::fmt::Write as _;

/// How much of a text of somebody else is shown in a line, in characters.
const SHOWN: usize = 60;

/// A reply, each line ended.
pub(super) fn reply(reply: &Reply, colour: bool) -> String {
    match reply {
        Reply::Ok | Reply::Subscribed => "ok\n".to_owned(),
        Reply::Pong { version, .. } => format!("pong {}\n", plain(version)).replace(" \n", "\n"),
        Reply::Health { health } => self::health(health),
        Reply::Config { config } => self::config(config),
        Reply::Pool { pool } => format!("{}\n", counted(pool.size, "slot")),
        Reply::Started { session_id, status } => {
            format!("{}  {}\n", plain(session_id), painted(*status, 0, colour))
        }
        Reply::Result { content, .. } if content.is_empty() || content.ends_with('\n') => {
            content.clone()
        }
        Reply::Result { content, .. } => format!("{content}\n"),
        Reply::Sessions { sessions } => list(sessions, colour),
        Reply::Session { session } => self::session(session, colour),
        Reply::Attached {
            socket_path,
            cols,
            rows,
        } => format!("{}  {cols}x{rows}\n", plain(socket_path)),
        Reply::Slots { slots } => slots.iter().map(slot).collect(),
        Reply::Logs { lines } => lines.iter().map(|line| format!("{line}\n")).collect(),
        Reply::Log { line } => format!("{line}\n"),
    }
}

/// An event, its line ended.
pub(super) fn event(event: &Event) -> String {
    let subject = event.session().map(plain).unwrap_or_default();
    let text = match event {
        Event::Status {
            status,
            prev_status,
            ..
        } => format!("{prev_status} -> {status}"),
        Event::Created { status, parent, .. } if parent.is_empty() => format!("created, {status}"),
        Event::Created { status, parent, .. } => {
            format!("created by {}, {status}", plain(parent))
        }
        Event::Updated { changes, .. } => {
            let value = serde_json::to_string(changes).unwrap_or_default();
            format!("updated {value}")
        }
        Event::Archived { .. } | Event::Unarchived { .. } | Event::Deleted { .. } => {
            event.name().to_owned()
        }
        Event::Pool(PoolChange::Init { size }) => {
            format!("pool began with {}", counted(*size, "slot"))
        }
        Event::Pool(PoolChange::Resize { size }) => format!("pool has {}", counted(*size, "slot")),
        Event::Pool(PoolChange::Destroy) => "pool ended".to_owned(),
        Event::Pool(PoolChange::Handoff { to, until, .. }) => match (to, until) {
            (Some(to), _) => format!("goes on with account {}", plain(&to.label)),
            (None, Some(until)) => format!("waits for an account until {}", plain(until)),
            (None, None) => "waits for an account".to_owned(),
        },
        Event::Lagged { dropped } => format!("{dropped} events were lost: too slow"),
        Event::Other => "something that this version does not know".to_owned(),
    };
    let text = format!("{subject}  {text}\n");
    text.trim_start().to_owned()
}

/// The pools, a line each.
pub(super) fn pools(seen: &[Seen], colour: bool) -> String {
    let width = seen.iter().map(|seen| seen.name.chars().count()).max();
    let width = width.unwrap_or(0);
    let mut text = String::new();
    for seen in seen {
        let (state, code) = match &seen.answer {
            Ok(version) if version.is_empty() => ("runs".to_owned(), 32),
            Ok(version) => (format!("runs {}", plain(version)), 32),
            Err(why) if why.starts_with("no pool listens") => ("stopped".to_owned(), 2),
            Err(why) => (plain(why), 31),
        };
        let state = paint(&format!("{state:12}"), code, colour);
        let (name, place) = (plain(&seen.name), plain(&seen.place));
        let _ = writeln!(text, "{name:width$}  {state}  {place}");
    }
    text
}

fn health(health: &Health) -> String {
    let mut text = format!(
        "{}: {}, {} queued\n",
        plain(&health.name),
        counted(health.size, "slot"),
        health.queue_depth
    );
    let mut slots = health.slots;
    let slots = SlotState::ALL
        .iter()
        .map(|state| (*slots.of(*state), state.word()));
    line(&mut text, "slots", &counts(slots));
    let mut sessions = health.sessions;
    let sessions = Status::ALL
        .iter()
        .map(|status| (*sessions.of(*status), status.word()));
    line(&mut text, "sessions", &counts(sessions));
    let accounts = health
        .accounts
        .iter()
        .map(|a| format!("{} on {}", a.slots, plain(&a.label)));
    let accounts: Vec<String> = accounts.collect();
    line(&mut text, "accounts", &accounts.join(", "));
    if let Some(readopted) = health.readopted {
        line(
            &mut text,
            "kept",
            &format!("{} of an earlier daemon", counted(readopted, "slot")),
        );
    }
    text
}

/// Those that are not zero.
fn counts(counts: impl Iterator<Item = (u32, &'static str)>) -> String {
    let counts: Vec<String> = counts
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    match counts.is_empty() {
        true => "none".to_owned(),
        false => counts.join(", "),
    }
}

fn config(config: &Config) -> String {
    let value = serde_json::to_value(config).unwrap_or_default();
    let mut text = String::new();
    for (key, value) in value.as_object().into_iter().flatten() {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        let _ = writeln!(text, "{} = {}", plain(key), plain(&value));
    }
    text
}

fn list(sessions: &[Session], colour: bool) -> String {
    let mut text = String::new();
    for session in sessions {
        branch(&mut text, session, 0, colour);
    }
    text
}

fn branch(text: &mut String, session: &Session, depth: usize, colour: bool) {
    let indent = "  ".repeat(depth);
    let mut notes = notes(session);
    if let Some(full) = &session.full {
        notes.extend(name(full));
        notes.push(plain(&full.cwd));
        let account = full.account.as_ref();
        notes.extend(account.map(|account| format!("on {}", plain(&account.label))));
    }
    let status = painted(session.status, 10, colour);
    let id = plain(&session.session_id);
    let row = format!("{indent}{id}  {status}  {}", notes.join("  "));
    let _ = writeln!(text, "{}", row.trim_end());
    for child in session.children.iter().flatten() {
        branch(text, child, depth + 1, colour);
    }
}

fn notes(session: &Session) -> Vec<String> {
    let mut notes = Vec::new();
    if session.priority != 0 {
        notes.push(format!("priority {}", session.priority));
    }
    if session.pinned {
        notes.push("pinned".to_owned());
    }
    if let Some(what) = &session.waiting_for {
        notes.push(format!("waits for {}", plain(what)));
    }
    if let Some(until) = &session.limited_until {
        notes.push(format!("no account has headroom until {}", plain(until)));
    }
    if let Some(input) = session
        .pending_input
        .as_deref()
        .filter(|input| !input.is_empty())
    {
        notes.push(format!("typed \"{}\"", plain(input)));
    }
    notes
}

fn name(full: &Full) -> Option<String> {
    let name = full.metadata.get("name").and_then(|name| name.as_str());
    name.map(plain)
}

fn session(session: &Session, colour: bool) -> String {
    let mut text = format!(
        "{}  {}\n",
        plain(&session.session_id),
        painted(session.status, 0, colour)
    );
    line(&mut text, "notes", &notes(session).join(", "));
    if let Some(full) = &session.full {
        line(&mut text, "parent", &full.parent);
        line(&mut text, "cwd", &full.cwd);
        if full.spawn_cwd != full.cwd {
            line(&mut text, "began in", &full.spawn_cwd);
        }
        line(
            &mut text,
            "claude",
            full.claude_uuid.as_deref().unwrap_or_default(),
        );
        line(
            &mut text,
            "pid",
            &full.pid.map(|pid| pid.to_string()).unwrap_or_default(),
        );
        let account = full.account.as_ref().map(|account| account.label.as_str());
        line(&mut text, "account", account.unwrap_or_default());
        line(
            &mut text,
            "model",
            full.model.as_deref().unwrap_or_default(),
        );
        line(&mut text, "created", &full.created_at);
        line(
            &mut text,
            "used",
            full.last_used_at.as_deref().unwrap_or_default(),
        );
        for (key, value) in &full.metadata {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            line(&mut text, key, &value);
        }
    }
    for child in session.children.iter().flatten() {
        branch(&mut text, child, 1, colour);
    }
    text
}

/// A line with a name in front; none for nothing.
fn line(text: &mut String, name: &str, value: &str) {
    if !value.is_empty() {
        let _ = writeln!(text, "  {:9} {}", plain(name), safe(value));
    }
}

fn slot(slot: &SlotInfo) -> String {
    let session = slot.session_id.as_deref().map(plain);
    let pid = slot.pid.map(|pid| format!("pid {pid}"));
    let host = slot.host_pid.map(|pid| format!("host {pid}"));
    let account = slot.account.map(|account| format!("account {account}"));
    let problem = slot.problem.as_deref().map(safe);
    let notes = [session, pid, host, account, problem];
    let notes: Vec<String> = notes.into_iter().flatten().collect();
    let text = format!("{:3}  {:10}  {}", slot.slot, slot.state, notes.join("  "));
    format!("{}\n", text.trim_end())
}

fn counted(count: u32, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// A status, filled up to a width.
fn painted(status: Status, width: usize, colour: bool) -> String {
    let code = match status {
        Status::Idle => 32,
        Status::Processing => 33,
        Status::Queued => 36,
        Status::Error => 31,
        Status::Offloaded | Status::Archived => 2,
    };
    paint(&format!("{status:width$}"), code, colour)
}

fn paint(text: &str, code: u8, colour: bool) -> String {
    if colour {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// Foreign text without what would move a cursor.
fn safe(text: &str) -> String {
    let shown = |c: char| match c {
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(shown).collect()
}

/// The same, no longer than fits in a line.
fn plain(text: &str) -> String {
    let text = safe(text);
    match text.char_indices().nth(SHOWN) {
        // Paths end with what tells them apart.
        Some(_) if text.starts_with('/') => text,
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {

    use crate::contract::pool::Message;

    /// What is shown of a line from a pool.
    fn shown(raw: &str, colour: bool) -> String {
        match Message::parse(raw.as_bytes()).expect("is a message") {
            Message::Reply(reply) => super::reply(&reply, colour),
            Message::Event(event) => super::event(&event),
            Message::Error(error) => error.text,
        }
    }

    #[test]
    fn replies_are_short() {
        let rows = [
            (r#"{"type":"ok"}"#, "ok\n"),
            (r#"{"type":"pong"}"#, "pong\n"),
            (r#"{"type":"pong","version":"1.2"}"#, "pong 1.2\n"),
            (r#"{"type":"pool","pool":{"size":1}}"#, "1 slot\n"),
            (
                r#"{"type":"started","sessionId":"0123456789ab","status":"queued"}"#,
                "0123456789ab  queued\n",
            ),
            (r#"{"type":"result","sessionId":"a","content":""}"#, ""),
            (r#"{"type":"result","sessionId":"a","content":"x"}"#, "x\n"),
            (
                r#"{"type":"sessions","sessions":[{"sessionId":"a","status":"idle","pinned":true,"children":[{"sessionId":"b","status":"error","pendingInput":"x\u001b[2Jy"}]}]}"#,
                "a  idle        pinned\n  b  error       typed \"x\\u{1b}[2Jy\"\n",
            ),
            (
                r#"{"type":"config","config":{"flags":"-x","size":2,"mine":[1]}}"#,
                "flags = -x\nmine = [1]\nsize = 2\n",
            ),
            (
                r#"{"type":"event","event":"status","sessionId":"a","status":"idle","prevStatus":"queued"}"#,
                "a  queued -> idle\n",
            ),
            (
                r#"{"type":"event","event":"pool","action":"destroy"}"#,
                "pool ended\n",
            ),
            (
                r#"{"type":"slots","slots":[{"slot":0,"state":"fresh","pid":12}]}"#,
                "  0  fresh       pid 12\n",
            ),
        ];
        for (raw, expected) in rows {
            assert_eq!(shown(raw, false), expected, "{raw}");
        }
    }

    #[test]
    fn colours_come_when_wanted() {
        let raw = r#"{"type":"started","sessionId":"a","status":"idle"}"#;
        assert_eq!(shown(raw, true), "a  \u{1b}[32midle\u{1b}[0m\n");
    }

    #[test]
    fn health_leaves_out_what_is_zero() {
        let raw = r#"{"type":"health","health":{"name":"default","size":2,"queueDepth":1,"slots":{"fresh":1,"idle":1},"sessions":{"idle":1},"config":{},"accounts":[{"id":1,"label":"work","slots":2}],"readopted":2}}"#;
        assert_eq!(
            shown(raw, false),
            "default: 2 slots, 1 queued\n  slots     1 fresh, 1 idle\n  sessions  1 idle\n  accounts  2 on work\n  kept      2 slots of an earlier daemon\n"
        );
    }
}
