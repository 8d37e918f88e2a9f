//! The pool's log: `daemon.log`, one JSON object a line (`ts`, `category`, `sessionId` where there is one, `message`), kept
//! for 30 days, rotated by size. No prompt and no output of claude gets in.

use crate::adapters::clock;
use crate::adapters::files::PRIVATE_FILE;
use crate::core::calendar::rfc3339;
use crate::core::pool::id::SessionId;
use crate::core::redaction::redacted;
use crate::core::time::Timestamp;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};
use tokio::sync::broadcast;

/// The file is at most this long, in bytes; the one before is kept beside it.
const MAX_FILE: u64 = 8 * 1024 * 1024;
/// How long the older file is kept.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
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

#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    open: Option<(File, u64)>,
}

impl Log {
    /// The log at this path.
    pub(super) fn open(path: PathBuf, now: Timestamp) -> Self {
        drop_old(&older(&path), now);
        Self {
            file: Arc::new(Mutex::new(LogFile { path, open: None })),
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
        (last_lines(&file.path, lines).unwrap_or_default(), added)
    }
}

impl LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.open.as_ref().is_some_and(|(_, len)| *len >= MAX_FILE) {
            self.open = None;
            let _ = fs::rename(&self.path, older(&self.path));
        }
        if self.open.is_none() {
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(PRIVATE_FILE)
                .open(&self.path)?;
            let len = file.metadata()?.len();
            self.open = Some((file, len));
        }
        let Some((file, len)) = &mut self.open else {
            return Ok(());
        };
        *len += line.len() as u64;
        file.write_all(line)
    }
}

fn older(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    PathBuf::from(name)
}

fn drop_old(path: &Path, now: Timestamp) {
    let modified = fs::metadata(path).and_then(|m| m.modified()).ok();
    let at = modified
        .and_then(|m| m.duration_since(UNIX_EPOCH).ok())
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .map(Timestamp::from_unix_ms);
    if at.is_some_and(|at| now.since(at) > KEPT) {
        let _ = fs::remove_file(path);
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
        let lines = usize::try_from(MAX_FILE).expect("fits") / MAX_MESSAGE + 10;
        for _ in 0..lines {
            log.write(Category::Error, None, &long);
        }
        assert!(older(&path).exists());
        assert!(fs::metadata(&path).expect("is there").len() < MAX_FILE / 2);
        assert_eq!(log.last(3).0.len(), 3);
    }
}
