//! What a daemon notes in `daemon.lock`: who it is, and where it listens.

use crate::contract::path_text;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The note of a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Its process.
    pub pid: u32,
    /// Start time of the process, in the platform's own unit.
    pub start: Option<u64>,
    /// Version of the program.
    pub version: String,
    /// The protocol it speaks.
    pub proto: u32,
    /// Where it listens.
    pub socket: PathBuf,
}

/// What a lock file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing: there is none, or it is empty.
    Nothing,
    /// A daemon's note; it may have ended since.
    Note(Note),
    /// Something that no daemon of ccp wrote.
    Foreign,
}

impl Note {
    /// Reads the text of a lock file.
    #[must_use]
    pub fn parse(text: &[u8]) -> Found {
        if text.iter().all(u8::is_ascii_whitespace) {
            return Found::Nothing;
        }
        let Ok(value) = serde_json::from_slice::<Value>(text) else {
            return Found::Foreign;
        };
        if value.get("program").and_then(Value::as_str) != Some("ccp") {
            return Found::Foreign;
        }
        let number = |name| value.get(name).and_then(Value::as_u64);
        let word = |name| value.get(name).and_then(Value::as_str);
        let small = |name| number(name).and_then(|n| u32::try_from(n).ok());
        Found::Note(Self {
            pid: small("pid").unwrap_or(0),
            start: number("start"),
            version: word("version").unwrap_or_default().to_owned(),
            proto: small("proto").unwrap_or(0),
            socket: word("socket")
                .and_then(path_text::decode)
                .unwrap_or_default(),
        })
    }

    /// The text for the lock file.
    #[must_use]
    pub fn line(&self) -> String {
        let value = json!({
            "program": "ccp", "pid": self.pid, "start": self.start, "version": self.version,
            "proto": self.proto, "socket": path_text::encode(Path::new(&self.socket)),
        });
        format!("{value}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written_and_others_are_told_from_it() {
        let note = Note {
            pid: 4711,
            start: Some(9),
            version: "1.2.3".to_owned(),
            proto: 1,
            socket: PathBuf::from("/h/daemon.sock"),
        };
        assert_eq!(Note::parse(note.line().as_bytes()), Found::Note(note));
        assert_eq!(Note::parse(b""), Found::Nothing);
        assert_eq!(Note::parse(b"\n"), Found::Nothing);
        for other in ["4711\n", "{}", "{\"program\":\"other\"}", "\0\0"] {
            assert_eq!(Note::parse(other.as_bytes()), Found::Foreign, "{other}");
        }
    }
}
