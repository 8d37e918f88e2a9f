//! `<config dir>/sessions/<pid>.json`, which claude writes in place at each change of its state (2.1.197 and 2.1.329
//! alike): idle, busy, or waiting for something. It catches what no hook reports, such as an interrupted turn.

use super::text;
use crate::core::time::Timestamp;
use serde_json::Value;
use std::path::PathBuf;

/// How ready a claude is for a prompt, by its own word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Its file is there, but says no state yet: what is typed now is lost.
    Starting,
    /// It takes a prompt.
    Idle,
    /// It works on a turn.
    Busy,
    /// A question of its own is open; the text says of what kind (`permission prompt`, `dialog open`, `input needed`).
    /// Keys go to the question, not to the prompt.
    Waiting(String),
}

/// What kind of process wrote the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One with a terminal; a `claude -p` calls itself so too, and differs by its entry point.
    Interactive,
    /// One that claude's own daemon runs.
    Background,
    /// A kind that came later, by its own name; empty where it gives none.
    Other(String),
}

/// A session file, as far as it says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionFile {
    /// The process that wrote it.
    pub pid: u32,
    /// Start time of that process in the platform's own unit and spelling: on Linux field 22 of `/proc/<pid>/stat`.
    pub process_start: Option<String>,
    /// The conversation that is open now. It changes with `/clear` and `/resume`.
    pub session: Option<String>,
    /// Its working directory.
    pub cwd: Option<PathBuf>,
    /// Version of claude.
    pub version: Option<String>,
    /// What kind of process it is.
    pub kind: Kind,
    /// `cli` for one with a terminal, `sdk-cli` for `claude -p`.
    pub entrypoint: Option<String>,
    /// What it is doing.
    pub readiness: Readiness,
    /// When the process began.
    pub started_at: Option<Timestamp>,
    /// Since when it is in this state; a file is written at changes alone.
    pub status_at: Option<Timestamp>,
}

/// Why a text is not a session file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Not one whole JSON value: it was read in the middle of a write, so look again.
    Torn,
    /// Whole, but nothing that names a process: looking again does not help.
    Foreign,
}

impl SessionFile {
    /// Parses the text of a session file.
    ///
    /// # Errors
    /// When it is half written, or whole and something else.
    pub fn parse(bytes: &[u8]) -> Result<Self, Unreadable> {
        let value: Value = serde_json::from_slice(bytes).map_err(|_| Unreadable::Torn)?;
        let pid = value["pid"]
            .as_u64()
            .and_then(|pid| u32::try_from(pid).ok());
        let pid = pid.filter(|pid| *pid > 0).ok_or(Unreadable::Foreign)?;
        Ok(Self {
            pid,
            process_start: process_start(&value),
            session: text(&value, "sessionId"),
            cwd: text(&value, "cwd").map(PathBuf::from),
            version: text(&value, "version"),
            kind: kind(&value),
            entrypoint: text(&value, "entrypoint"),
            readiness: readiness(&value),
            started_at: instant(&value, "startedAt"),
            status_at: instant(&value, "statusUpdatedAt").or_else(|| instant(&value, "updatedAt")),
        })
    }

    /// Whether a person could sit in front of it: a `claude -p` writes a file as well, and is no session of a pool.
    #[must_use]
    pub fn has_terminal(&self) -> bool {
        self.kind == Kind::Interactive && self.entrypoint.as_deref() != Some("sdk-cli")
    }
}

fn readiness(value: &Value) -> Readiness {
    match value["status"].as_str() {
        Some("idle") => Readiness::Idle,
        Some("busy") => Readiness::Busy,
        Some("waiting") => Readiness::Waiting(text(value, "waitingFor").unwrap_or_default()),
        // A state that came later is no invitation to type.
        Some(other) if !other.is_empty() => Readiness::Waiting(other.to_owned()),
        _ => Readiness::Starting,
    }
}

fn kind(value: &Value) -> Kind {
    match value["kind"].as_str().unwrap_or_default() {
        "interactive" => Kind::Interactive,
        "bg" => Kind::Background,
        other => Kind::Other(other.to_owned()),
    }
}

fn process_start(value: &Value) -> Option<String> {
    let number = || value["procStart"].as_u64().map(|start| start.to_string());
    text(value, "procStart").or_else(number)
}

fn instant(value: &Value, key: &str) -> Option<Timestamp> {
    value[key].as_i64().map(Timestamp::from_unix_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As claude 2.1.329 wrote it (paths shortened).
    const REAL: &str = r#"{"pid":12525,"sessionId":"60e2e6b1-cc5d-4a43-b265-08731b3f7685","cwd":"/srv/work","startedAt":1795256464011,"procStart":"50307","version":"2.1.329","peerProtocol":1,"peerFeatures":["notify_idle"],"kind":"interactive","entrypoint":"cli","pidDomain":"linux:3d12:pid:[4026531836]","messagingSocketPath":"/run/cc-socks/12525.sock","name":"work-42","nameSource":"derived","status":"idle","updatedAt":1795256464132,"statusUpdatedAt":1795256464132}"#;

    #[test]
    fn a_real_file_is_read() {
        let file = SessionFile::parse(REAL.as_bytes()).expect("is one");
        let expected = SessionFile {
            pid: 12525,
            process_start: Some("50307".to_owned()),
            session: Some("60e2e6b1-cc5d-4a43-b265-08731b3f7685".to_owned()),
            cwd: Some("/srv/work".into()),
            version: Some("2.1.329".to_owned()),
            kind: Kind::Interactive,
            entrypoint: Some("cli".to_owned()),
            readiness: Readiness::Idle,
            started_at: Some(Timestamp::from_unix_ms(1_795_256_464_011)),
            status_at: Some(Timestamp::from_unix_ms(1_795_256_464_132)),
        };
        assert_eq!(file, expected);
        assert!(file.has_terminal());
    }

    #[test]
    fn every_state_has_its_reading() {
        let rows = [
            (r#"{"pid":1}"#, Readiness::Starting),
            (r#"{"pid":1,"status":null}"#, Readiness::Starting),
            (r#"{"pid":1,"status":"idle"}"#, Readiness::Idle),
            (r#"{"pid":1,"status":"busy"}"#, Readiness::Busy),
            (
                r#"{"pid":1,"status":"waiting","waitingFor":"permission prompt"}"#,
                Readiness::Waiting("permission prompt".to_owned()),
            ),
            (
                r#"{"pid":1,"status":"waiting"}"#,
                Readiness::Waiting(String::new()),
            ),
            (
                r#"{"pid":1,"status":"dreaming"}"#,
                Readiness::Waiting("dreaming".to_owned()),
            ),
        ];
        for (text, expected) in rows {
            let file = SessionFile::parse(text.as_bytes());
            assert_eq!(file.map(|file| file.readiness), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_cut_is_torn_and_what_is_foreign_is_not_looked_at_again() {
        for end in 0..REAL.len() {
            let cut = SessionFile::parse(&REAL.as_bytes()[..end]);
            assert_eq!(cut, Err(Unreadable::Torn), "cut at {end}");
        }
        for text in [
            "null",
            "[]",
            "{}",
            r#"{"pid":"1"}"#,
            r#"{"pid":0}"#,
            r#"{"pid":-4}"#,
        ] {
            assert_eq!(
                SessionFile::parse(text.as_bytes()),
                Err(Unreadable::Foreign),
                "{text}"
            );
        }
        assert_eq!(SessionFile::parse(b"\xff\xfe"), Err(Unreadable::Torn));
    }

    #[test]
    fn a_probe_is_no_session_of_a_pool() {
        let printed = r#"{"pid":1,"kind":"interactive","entrypoint":"sdk-cli","status":"busy"}"#;
        let background = r#"{"pid":1,"kind":"bg","entrypoint":"cli","status":"busy"}"#;
        for text in [printed, background] {
            let file = SessionFile::parse(text.as_bytes()).expect("is one");
            assert!(!file.has_terminal(), "{text}");
        }
    }
}
