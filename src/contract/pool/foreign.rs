//! `pool.json`: the sessions that another implementation of the protocol left in a pool's directory. It is read once and
//! never written. Its shape is nobody's promise, so it is read for what is wanted, and what cannot be used is told.

use super::fields::integer;
use serde_json::{Map, Value};

/// A session of another implementation: offloaded, and resumable by its conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// 12 lower-case hexadecimal characters.
    pub session_id: String,
    /// Its conversation.
    pub claude_uuid: String,
    /// The directory it was in; empty when that is not told.
    pub cwd: String,
    /// The directory it began in; the same as `cwd` when that is not told.
    pub spawn_cwd: String,
    /// The id of the session or conversation that started it; empty when there is none.
    pub parent: String,
    /// Its priority.
    pub priority: i64,
    /// RFC 3339; empty when it is not told.
    pub created_at: String,
    /// `name`, `description`, and tags beside them.
    pub metadata: Map<String, Value>,
    /// It was archived.
    pub archived: bool,
}

/// The sessions of a `pool.json`, in its order, and what could not be used of it, each with its reason.
#[must_use]
pub fn import(text: &[u8]) -> (Vec<Imported>, Vec<String>) {
    let mut problems = Vec::new();
    let value: Value = match serde_json::from_slice(text) {
        Ok(value) => value,
        Err(error) => return (Vec::new(), vec![format!("it is no JSON: {error}")]),
    };
    // A list of objects, or an object by id.
    let entries: Vec<(String, &Value)> = match value.get("sessions") {
        Some(Value::Array(list)) => list.iter().map(|entry| (String::new(), entry)).collect(),
        Some(Value::Object(map)) => map.iter().map(|(id, entry)| (id.clone(), entry)).collect(),
        _ => return (Vec::new(), vec!["it has no `sessions`".to_owned()]),
    };
    let mut sessions: Vec<Imported> = Vec::new();
    for (key, entry) in entries {
        match session(&key, entry) {
            Ok(session) if sessions.iter().any(|s| s.session_id == session.session_id) => {
                problems.push(format!("session {} is there twice", session.session_id));
            }
            Ok(session) => sessions.push(session),
            Err(why) => problems.push(why),
        }
    }
    (sessions, problems)
}

fn session(key: &str, entry: &Value) -> Result<Imported, String> {
    let text = |names: &[&str]| {
        let found = names.iter().find_map(|name| entry.get(*name)?.as_str());
        found.unwrap_or_default().to_owned()
    };
    let mut session_id = text(&["sessionId", "id"]);
    if session_id.is_empty() {
        key.clone_into(&mut session_id);
    }
    if !is_session_id(&session_id) {
        return Err(format!(
            "`{}` is no id of a session",
            session_id.escape_debug()
        ));
    }
    let claude_uuid = text(&["claudeUUID", "claudeUuid", "claude_uuid"]);
    if claude_uuid.is_empty() {
        return Err(format!("session {session_id} has no conversation yet"));
    }
    let cwd = text(&["cwd"]);
    let mut spawn_cwd = text(&["spawnCwd", "spawn_cwd"]);
    if spawn_cwd.is_empty() {
        spawn_cwd.clone_from(&cwd);
    }
    let metadata = entry.get("metadata").and_then(Value::as_object);
    let archived = entry.get("archived").and_then(Value::as_bool);
    Ok(Imported {
        session_id,
        claude_uuid,
        cwd,
        spawn_cwd,
        parent: text(&["parent", "parentId"]),
        priority: entry.get("priority").and_then(integer).unwrap_or(0),
        created_at: text(&["createdAt", "created_at"]),
        metadata: metadata.cloned().unwrap_or_default(),
        archived: archived.unwrap_or(false) || text(&["status"]) == "archived",
    })
}

/// Whether a session may have this id.
#[must_use]
pub fn is_session_id(text: &str) -> bool {
    let digit = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
    text.len() == 12 && text.bytes().all(digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_can_be_resumed_is_taken_and_the_rest_is_told() {
        let one = json!({"sessionId": "0123456789ab", "claudeUUID": "u1", "cwd": "/w", "priority": 2.0,
            "metadata": {"name": "n"}, "status": "archived", "slot": 3});
        let list = json!({"sessions": [one, {"id": "0123456789ac"}, {"id": "XYZ", "claudeUUID": "u"}, 7, one]});
        let (sessions, problems) = import(list.to_string().as_bytes());
        assert_eq!(sessions.len(), 1);
        assert_eq!(problems.len(), 4, "{problems:?}");
        let session = &sessions[0];
        assert_eq!((session.spawn_cwd.as_str(), session.priority), ("/w", 2));
        assert!(session.archived);
        let by_id = json!({"sessions": {"0123456789ab": {"claudeUuid": "u1", "parentId": "p"}}});
        let (sessions, problems) = import(by_id.to_string().as_bytes());
        assert_eq!((sessions[0].parent.as_str(), problems.len()), ("p", 0));
    }

    #[test]
    fn what_is_no_such_file_is_told() {
        for text in ["", "[]", "{}", "{\"sessions\":7}", "\u{0}"] {
            let (sessions, problems) = import(text.as_bytes());
            assert_eq!((sessions.len(), problems.len()), (0, 1), "{text}");
        }
    }
}
