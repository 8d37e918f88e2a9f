//! The pool's log: `daemon.log`, one JSON object a line (`ts`, `category`, `sessionId` where there is one, `message`), kept
//! for 30 days, rotated by size. No prompt and no output of claude gets in.

use crate::adapters::clock;
use crate::core::calendar::rfc3339;
use crate::core::pool::id::SessionId;
use crate::core::redaction::redacted;
use crate::core::time::Timestamp;
use crate::daemon::log_file::{Bounds, LogFile};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;

/// The file, and the one before it, for 30 days.
const BOUNDS: Bounds = Bounds {
    file: 8 * 1024 * 1024,
    older: 1,
    age: Duration::from_secs(30 * 24 * 3600),
};
/// A message is cut after so many characters: foreign text does not fill the log.
const MAX_MESSAGE: usize = 2_000;
/// Lines that somebody who follows the log may be behind.
const FOLLOWED: usize = 256;
/// The most that is read for the last lines, in bytes.
const MAX_READ: u64 = 1024 * 1024;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Category {
    /// Clients.
    Api,
    /// Sessions, and the pool itself.
    State,
    /// Processes.
    Slot,
    /// Sessions that leave their slot.
    Eviction,
    /// What went wrong.
    Error,
}

impl Category {
    const fn word(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::State => "state",
            Self::Slot => "slot",
            Self::Eviction => "eviction",
            Self::Error => "error",
        }
    }
}

/// The log. Every thread has a handle; a line is written whole.
#[derive(Clone, Debug)]
pub(super) struct Log {
    file: Arc<Mutex<LogFile>>,
    added: broadcast::Sender<String>,
}

impl Log {
    /// The log at this path.
    pub(super) fn open(path: PathBuf, now: Timestamp) -> Self {
        Self {
            file: Arc::new(Mutex::new(LogFile::new(path, BOUNDS, now))),
            added: broadcast::channel(FOLLOWED).0,
        }
    }

    /// Writes a line.
    pub(super) fn write(&self, category: Category, session: Option<SessionId>, message: &str) {
        let line = line(clock::now(), category, session, message);
        {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            // Where the log cannot be written, there is nobody to tell.
            let _ = file.write(line.as_bytes());
        }
        // Nobody may be listening.
        let _ = self.added.send(line.trim_end().to_owned());
    }

    /// The last lines, oldest first, and what comes after them.
    pub(super) fn last(&self, lines: u32) -> (Vec<String>, broadcast::Receiver<String>) {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let added = self.added.subscribe();
        (last_lines(file.path(), lines).unwrap_or_default(), added)
    }
}

fn last_lines(path: &Path, lines: u32) -> io::Result<Vec<String>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let begin = length.saturating_sub(MAX_READ);
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    file.take(MAX_READ).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // The first line may be cut.
    let all: Vec<&str> = text.lines().skip(usize::from(begin > 0)).collect();
    let wanted = usize::try_from(lines).unwrap_or(usize::MAX);
    let skipped = all.len().saturating_sub(wanted);
    Ok(all[skipped..]
        .iter()
        .map(|line| (*line).to_owned())
        .collect())
}

fn line(now: Timestamp, category: Category, session: Option<SessionId>, message: &str) -> String {
    let message = redacted(message);
    let cut = message.char_indices().nth(MAX_MESSAGE).map(|(at, _)| at);
    let message = cut.map_or(&*message, |at| &message[..at]);
    let mut object = serde_json::Map::new();
    object.insert("ts".to_owned(), rfc3339(now).into());
    object.insert("category".to_owned(), category.word().into());
    if let Some(session) = session {
        object.insert("sessionId".to_owned(), session.to_string().into());
    }
    object.insert("message".to_owned(), message.into());
    format!("{}\n", serde_json::Value::Object(object))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::log_file::numbered;

    #[test]
    fn lines_are_json_without_tokens_and_the_last_ones_are_found() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("daemon.log");
        let log = Log::open(path, clock::now());
        for number in 0..5 {
            log.write(Category::Api, None, &format!("line {number}"));
        }
        let (lines, mut added) = log.last(2);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].contains("line 3"), "{lines:?}");
        let session = SessionId::from_bits(10);
        log.write(
            Category::Slot,
            Some(session),
            "it said sk-ant-oat01-Ab_c-9\nand more",
        );
        let line = added.try_recv().expect("is told");
        let value: serde_json::Value = serde_json::from_str(&line).expect("is JSON");
        assert_eq!(value["category"], "slot");
        assert_eq!(value["sessionId"], "00000000000a");
        assert_eq!(value["message"], "it said (hidden)\nand more");
    }

    #[test]
    fn a_long_log_is_rotated() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("daemon.log");
        let log = Log::open(path.clone(), clock::now());
        let long = "x".repeat(MAX_MESSAGE * 2);
        let lines = usize::try_from(BOUNDS.file).expect("fits") / MAX_MESSAGE + 10;
        for _ in 0..lines {
            log.write(Category::Error, None, &long);
        }
        assert!(numbered(&path, 1).exists());
        assert!(std::fs::metadata(&path).expect("is there").len() < BOUNDS.file / 2);
        assert_eq!(log.last(3).0.len(), 3);
    }
}
