//! What a model gets to read: answers out of transcripts, sessions as a list, errors with the next step.

use super::conversation::Outcome;
use crate::cli::failure::Failure;
use crate::contract::pool::{Code, Detail, Excerpt, PoolError, Session, Source, Status};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// How much of a session is handed to a model at once, in bytes: far more than one reads, and no client chokes on it.
const MAX_TEXT: usize = 256 * 1024;

/// A prompt was accepted.
pub fn started(session_id: &str, status: Status) -> Outcome {
    Outcome::Done {
        text: format!("session {session_id} is {status}"),
        structured: json!({"sessionId": session_id, "status": status}),
    }
}

/// A turn was interrupted.
pub fn stopped(session_id: &str) -> Outcome {
    Outcome::Done {
        text: format!("session {session_id} is stopped"),
        structured: json!({"sessionId": session_id}),
    }
}

/// What a session said.
pub fn said(session_id: &str, content: &str, excerpt: Excerpt) -> Outcome {
    let as_it_is =
        excerpt.source == Source::Buffer || matches!(excerpt.detail, Detail::Tools | Detail::Raw);
    let text = if as_it_is {
        content.to_owned()
    } else {
        answers(content)
    };
    let (left_out, text) = end_of(&text);
    let mut structured = json!({"sessionId": session_id, "text": text});
    let mut shown = format!("session {session_id}");
    if left_out > 0 {
        structured["truncated"] = json!(true);
        let _ = write!(
            shown,
            " (the first {left_out} bytes are left out: ask for fewer turns, or less detail)"
        );
    }
    shown.push_str("\n\n");
    shown.push_str(if text.is_empty() {
        "(it has said nothing yet)"
    } else {
        text
    });
    Outcome::Done {
        text: shown,
        structured,
    }
}

/// The sessions of a list.
pub fn listed(sessions: &[Session]) -> Outcome {
    let mut text = String::new();
    for session in sessions {
        branch(&mut text, session, 0);
    }
    if text.is_empty() {
        text.push_str("no sessions");
    }
    let sessions: Vec<Value> = sessions.iter().map(row).collect();
    Outcome::Done {
        text: text.trim_end().to_owned(),
        structured: json!({"sessions": sessions}),
    }
}

/// Something outside the pool went wrong.
pub fn failed(failure: &Failure) -> Outcome {
    with_next(&failure.error, failure.hint.as_deref())
}

/// The pool cannot do it. `session` is the one that it was about, where that has to be told.
pub fn refused(error: &PoolError, session: Option<&str>) -> Outcome {
    let text = match session {
        Some(session) => format!("session {session}: {}", error.text),
        None => error.text.clone(),
    };
    with_next(&text, next(&error.code))
}

fn with_next(error: &str, next: Option<&str>) -> Outcome {
    Outcome::Failed(match next {
        Some(next) => format!("{error}\nnext step: {next}"),
        None => error.to_owned(),
    })
}

fn next(code: &Code) -> Option<&'static str> {
    Some(match code {
        Code::NotInitialized => "run `ccp pool init`",
        Code::SessionNotFound => "`ls` with all: true lists every session",
        Code::AmbiguousSession => "give more of the id",
        Code::SessionBusy => "`wait` for it, or `stop` it",
        Code::SessionArchived => "run `ccp pool unarchive SESSION` first",
        Code::NoBusySessions => {
            "nothing is left to wait for: `ls` lists the sessions, `capture` reads one"
        }
        Code::Timeout => "it goes on: `wait` again, or `stop` it",
        Code::SessionDied => "`capture` reads what it said, `followup` resumes it",
        Code::SessionGone => "`ls` with archived: true shows it, unless it was deleted",
        Code::NoContent => "`wait` for it: it waits for a slot",
        Code::NotLiveBuffer => "use source jsonl",
        Code::NotStoppable => "it does nothing: `capture` reads what it said",
        Code::StopFailed => "try again, or look at its terminal: `ccp pool attach SESSION`",
        Code::ReservedPrompt => "say it in other words",
        Code::NotDelivered => "`followup` tries again",
        Code::BadCwd => "give the absolute path of a directory that is there, or none",
        Code::BadAccount => "give no account, or one of `ccp list`",
        Code::OpenElsewhere => "end the other process, then `followup`",
        Code::ShuttingDown => "run `ccp pool init`",
        Code::Unavailable => "try again in a moment; `ccp pool health` shows how the pool does",
        _ => return None,
    })
}

/// The text of the assistant in lines of a transcript.
fn answers(lines: &str) -> String {
    let mut texts: Vec<String> = Vec::new();
    for line in lines.lines() {
        let Ok(record) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        if record["type"] != "assistant" {
            continue;
        }
        match &record["message"]["content"] {
            Value::String(text) => texts.push(text.clone()),
            Value::Array(blocks) => {
                let text = blocks.iter().filter(|block| block["type"] == "text");
                texts.extend(text.filter_map(|block| block["text"].as_str().map(str::to_owned)));
            }
            _ => {}
        }
    }
    texts.join("\n\n")
}

/// The end of a text as far as it fits, and how many bytes before it do not.
fn end_of(text: &str) -> (usize, &str) {
    let mut begin = text.len().saturating_sub(MAX_TEXT);
    while !text.is_char_boundary(begin) {
        begin += 1;
    }
    (begin, &text[begin..])
}

fn branch(text: &mut String, session: &Session, depth: usize) {
    let indent = "  ".repeat(depth);
    let _ = write!(text, "{indent}{}  {}", session.session_id, session.status);
    if let Some(name) = name(session) {
        let _ = write!(text, "  {name}");
    }
    if let Some(decision) = &session.waiting_for {
        let _ = write!(text, "  (waits for a person: {decision})");
    }
    text.push('\n');
    for child in session.children.iter().flatten() {
        branch(text, child, depth + 1);
    }
}

fn row(session: &Session) -> Value {
    let mut row = json!({"sessionId": session.session_id, "status": session.status});
    if let Some(name) = name(session) {
        row["name"] = json!(name);
    }
    if let Some(decision) = &session.waiting_for {
        row["waitingFor"] = json!(decision);
    }
    if let Some(full) = &session.full {
        row["cwd"] = json!(full.cwd);
        row["createdAt"] = json!(full.created_at);
        if !full.parent.is_empty() {
            row["parent"] = json!(full.parent);
        }
    }
    let children: Vec<Value> = session.children.iter().flatten().map(self::row).collect();
    if !children.is_empty() {
        row["children"] = json!(children);
    }
    row
}

fn name(session: &Session) -> Option<&str> {
    session.full.as_ref()?.metadata.get("name")?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(outcome: &Outcome) -> &str {
        match outcome {
            Outcome::Done { text, .. } | Outcome::Failed(text) => text,
        }
    }

    fn structured_of(outcome: &Outcome) -> &Value {
        match outcome {
            Outcome::Done { structured, .. } => structured,
            Outcome::Failed(text) => panic!("{text}"),
        }
    }

    #[test]
    fn a_model_reads_the_answer_and_not_the_transcript() {
        let lines = [
            json!({"type": "user", "message": {"role": "user", "content": "ask"}}).to_string(),
            json!({"type": "assistant", "message": {"content": [{"type": "text", "text": "one"}, {"type": "thinking"}]}}).to_string(),
            "torn".to_owned(),
            json!({"type": "assistant", "message": {"content": "two"}}).to_string(),
        ]
        .join("\n");
        let excerpt = Excerpt::default();
        let outcome = said("ab", &lines, excerpt);
        assert_eq!(text_of(&outcome), "session ab\n\none\n\ntwo");
        assert_eq!(
            *structured_of(&outcome),
            json!({"sessionId": "ab", "text": "one\n\ntwo"})
        );
        let raw = said(
            "ab",
            &lines,
            Excerpt {
                detail: Detail::Raw,
                ..excerpt
            },
        );
        assert_eq!(structured_of(&raw)["text"], lines);
        let screen = said(
            "ab",
            "> \n",
            Excerpt {
                source: Source::Buffer,
                ..excerpt
            },
        );
        assert_eq!(structured_of(&screen)["text"], "> \n");
        assert_eq!(
            text_of(&said("ab", "", excerpt)),
            "session ab\n\n(it has said nothing yet)"
        );
    }

    #[test]
    fn of_a_long_text_the_end_is_shown() {
        let excerpt = Excerpt {
            detail: Detail::Raw,
            ..Excerpt::default()
        };
        let long = format!("{}end", "ü".repeat(MAX_TEXT));
        let outcome = said("ab", &long, excerpt);
        let shown = structured_of(&outcome)["text"].as_str().expect("text");
        assert!(shown.len() <= MAX_TEXT && shown.ends_with("üend"));
        assert_eq!(structured_of(&outcome)["truncated"], true);
        assert!(text_of(&outcome).contains("bytes are left out"));
    }

    #[test]
    fn sessions_are_listed_with_their_names_and_children() {
        let full = |id: &str, name: &str, children: Value| {
            json!({
                "sessionId": id, "status": "idle", "parent": "", "cwd": "/w", "claudeUUID": null, "spawnCwd": "/w",
                "createdAt": "2026-11-21T10:00:00Z", "pid": null, "metadata": {"name": name}, "children": children,
            })
        };
        let tree = full("a", "parser", json!([full("b", "tests", json!([]))]));
        let sessions: Vec<Session> = serde_json::from_value(json!([tree])).expect("sessions");
        let outcome = listed(&sessions);
        assert_eq!(text_of(&outcome), "a  idle  parser\n  b  idle  tests");
        let row = &structured_of(&outcome)["sessions"][0];
        assert_eq!(
            (&row["name"], &row["children"][0]["sessionId"]),
            (&json!("parser"), &json!("b"))
        );
        assert_eq!(text_of(&listed(&[])), "no sessions");
    }

    #[test]
    fn an_error_names_the_next_step() {
        let outcome = refused(&PoolError::timeout(), Some("ab"));
        assert_eq!(
            text_of(&outcome),
            "session ab: timeout\nnext step: it goes on: `wait` again, or `stop` it"
        );
        let unknown = PoolError::new(Code::Internal, "broke");
        assert_eq!(text_of(&refused(&unknown, None)), "broke");
    }
}
