//! Where conversations are written down, and what is looked up in them for the pool.

use crate::adapters::clock;
use crate::adapters::files;
use crate::adapters::transcripts::{self as on_disk, Captured};
use crate::contract::pool::{Code, PoolError};
use crate::core::pool::action::{Content, Detail};
use crate::core::pool::event::InTranscript;
use crate::core::pool::id::ClaudeUuid;
use crate::core::time::Timestamp;
use crate::core::transcript::{self, Wanted};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the end of a turn may take to reach the transcript after the hook told of it.
const SETTLES: Duration = Duration::from_millis(1_500);
/// Between two looks whether it has.
const LOOK: Duration = Duration::from_millis(10);
/// Paths that are remembered; those of others are found again.
const MOST_KNOWN: usize = 20_000;

/// What the end of a transcript is to have before it is read: it is written a moment after hooks and claude's own file
/// tell of it.
#[derive(Debug)]
pub(super) enum Awaited {
    /// Whatever it has.
    Nothing,
    /// The end of the last turn.
    End,
    /// This text, with which the last turn ended.
    Text(String),
}

/// The transcripts of one configuration directory.
#[derive(Debug)]
pub(super) struct Transcripts {
    config_dir: PathBuf,
    /// What hooks said.
    known: Mutex<BTreeMap<String, PathBuf>>,
}

impl Transcripts {
    /// Those below this configuration directory.
    pub(super) fn new(config_dir: PathBuf) -> Self {
        Self {
            config_dir,
            known: Mutex::default(),
        }
    }

    /// A hook named the transcript of a conversation.
    pub(super) fn learn(&self, uuid: &str, path: &Path) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(uuid.to_owned(), path.to_owned());
    }

    /// The transcript of a conversation that began in this directory; of the one that began last, where none is named.
    pub(super) fn find(&self, cwd: &Path, uuid: Option<&ClaudeUuid>) -> Option<PathBuf> {
        let Some(uuid) = uuid else {
            return newest(on_disk::path_of(&self.config_dir, cwd, "").parent()?);
        };
        let told = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(uuid.as_str()).cloned()
        };
        let usual = on_disk::path_of(&self.config_dir, cwd, uuid.as_str());
        told.into_iter()
            .chain([usual])
            .find(|path| path.is_file())
            .or_else(|| on_disk::find(&self.config_dir, uuid.as_str()))
    }

    /// How long the transcript of a conversation is; 0 where there is none.
    pub(super) fn length(&self, cwd: Option<&Path>, uuid: Option<&ClaudeUuid>) -> u64 {
        let Some(uuid) = uuid else { return 0 };
        let path = self.find(cwd.unwrap_or(Path::new("")), Some(uuid));
        path.and_then(|path| on_disk::length(&path).ok())
            .unwrap_or(0)
    }

    /// What a conversation says of a prompt that was typed when its transcript was this long.
    pub(super) fn search(
        &self,
        cwd: &Path,
        uuid: Option<&ClaudeUuid>,
        beyond: u64,
        typed: &str,
    ) -> InTranscript {
        let Some(path) = self.find(cwd, uuid) else {
            return InTranscript::Absent;
        };
        match on_disk::has_prompt(&path, beyond, typed) {
            Ok(true) => {}
            Ok(false) | Err(_) => return InTranscript::Absent,
        }
        match on_disk::last_turn(&path) {
            Ok(turn) if turn.finished => InTranscript::Answered,
            Ok(turn) => InTranscript::Taken {
                followed: turn.followed,
            },
            Err(_) => InTranscript::Taken { followed: true },
        }
    }

    /// What a client wants to read; none where nothing was written. What is awaited may come a moment later.
    pub(super) fn content(
        &self,
        cwd: &Path,
        uuid: Option<&ClaudeUuid>,
        content: Content,
        awaited: &Awaited,
    ) -> Result<Option<Captured>, PoolError> {
        let Some(path) = uuid.and_then(|uuid| self.find(cwd, Some(uuid))) else {
            return Ok(None);
        };
        settle(&path, awaited);
        let wanted = Wanted {
            turns: usize::try_from(content.turns).unwrap_or(usize::MAX),
            detail: match content.detail {
                Detail::Last => transcript::Detail::Last,
                Detail::Assistant => transcript::Detail::Assistant,
                Detail::Tools => transcript::Detail::Tools,
                Detail::Raw => transcript::Detail::Raw,
            },
        };
        on_disk::capture(&path, wanted)
            .map(Some)
            .map_err(|error| PoolError::new(Code::Internal, error.to_string()))
    }
}

/// Waits, within a bound, until a transcript has what it is to have.
fn settle(path: &Path, awaited: &Awaited) {
    let since = Instant::now();
    let is_there = || {
        let Ok(turn) = on_disk::last_turn(path) else {
            return false;
        };
        match awaited {
            Awaited::Nothing => true,
            Awaited::End => turn.finished || !was_written_lately(path),
            Awaited::Text(expected) => {
                let text = turn.last_text.as_deref().map(str::trim);
                text == Some(expected.trim())
            }
        }
    };
    while !is_there() && since.elapsed() < SETTLES {
        files::pause(LOOK);
    }
}

/// One that has not been written to for longer gets nothing more of the turn that ended last.
fn was_written_lately(path: &Path) -> bool {
    let Ok(metadata) = fs::metadata(path) else {
        return false;
    };
    let written_ms = metadata.mtime() * 1000 + metadata.mtime_nsec() / 1_000_000;
    let age = clock::now().since(Timestamp::from_unix_ms(written_ms));
    age < SETTLES
}

fn newest(dir: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(dir).ok()?.flatten();
    let transcripts = entries.filter(|e| e.path().extension().is_some_and(|e| e == "jsonl"));
    let dated = transcripts.filter_map(|e| Some((e.metadata().ok()?.modified().ok()?, e.path())));
    dated.max().map(|(_, path)| path)
}
