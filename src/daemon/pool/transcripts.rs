//! Where conversations are written down, and what is looked up in them for the pool.

use crate::adapters::clock;
use crate::adapters::files;
use crate::adapters::transcripts::{self as on_disk, Captured};
use crate::contract::pool::{Code, PoolError};
use crate::core::pool::action::{Content, Detail};
use crate::core::pool::event::InTranscript;
use crate::core::pool::id::{ClaudeUuid, SessionId};
use crate::core::time::Timestamp;
use crate::core::transcript::{self, Wanted};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

/// A prompt that its transcript may not have yet.
#[derive(Clone, Debug)]
struct Sent {
    text: Arc<str>,
    /// How long the transcript was before.
    beyond: u64,
}

/// The transcripts of one configuration directory.
#[derive(Debug)]
pub(super) struct Transcripts {
    config_dir: PathBuf,
    /// What hooks said.
    known: Mutex<BTreeMap<String, PathBuf>>,
    /// The last prompts of sessions that nobody has read the answer to.
    sent: Mutex<BTreeMap<SessionId, Sent>>,
}

impl Transcripts {
    /// Those below this configuration directory.
    pub(super) fn new(config_dir: PathBuf) -> Self {
        Self {
            config_dir,
            known: Mutex::default(),
            sent: Mutex::default(),
        }
    }

    /// A hook named the transcript of a conversation.
    pub(super) fn learn(&self, uuid: &str, path: &Path) {
        let mut known = lock(&self.known);
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(uuid.to_owned(), path.to_owned());
    }

    /// A session is going to get this prompt, and its transcript is this long.
    pub(super) fn will_have(&self, session: SessionId, text: Arc<str>, beyond: u64) {
        let mut sent = lock(&self.sent);
        if sent.len() >= MOST_KNOWN {
            sent.clear();
        }
        sent.insert(session, Sent { text, beyond });
    }

    /// The transcript of a conversation that began in this directory; of the one that began last, where none is named.
    pub(super) fn find(&self, cwd: &Path, uuid: Option<&ClaudeUuid>) -> Option<PathBuf> {
        let Some(uuid) = uuid else {
            return newest(on_disk::path_of(&self.config_dir, cwd, "").parent()?);
        };
        let told = {
            let known = lock(&self.known);
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
            Ok(turn) if turn.failure.as_ref().is_some_and(|f| f.is_plan_limit) => {
                InTranscript::Refused {
                    followed: turn.followed,
                    until: turn.failure.and_then(|failure| failure.resets_at),
                }
            }
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
        session: SessionId,
        cwd: &Path,
        uuid: Option<&ClaudeUuid>,
        content: Content,
        awaited: &Awaited,
    ) -> Result<Option<Captured>, PoolError> {
        let find = || uuid.and_then(|uuid| self.find(cwd, Some(uuid)));
        if !matches!(awaited, Awaited::Nothing) {
            // It is waited for once: what did not come then is not going to.
            let sent = lock(&self.sent).remove(&session);
            settle(find, sent.as_ref(), awaited);
        }
        let Some(path) = find() else {
            return Ok(None);
        };
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

/// Waits, within a bound, until a transcript has what it is to have: the prompt that was sent last, and what is awaited
/// after it. Without the prompt the turn before would pass for the last one.
fn settle(find: impl Fn() -> Option<PathBuf>, sent: Option<&Sent>, awaited: &Awaited) {
    let since = Instant::now();
    let mut has_prompt = sent.is_none();
    let mut is_there = || {
        let Some(path) = find() else {
            return sent.is_none();
        };
        has_prompt = has_prompt
            || sent.is_some_and(|sent| {
                on_disk::has_prompt(&path, sent.beyond, &sent.text).unwrap_or(false)
            });
        if !has_prompt {
            return false;
        }
        let Ok(turn) = on_disk::last_turn(&path) else {
            return false;
        };
        match awaited {
            Awaited::Nothing => true,
            Awaited::End => turn.finished || !was_written_lately(&path),
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::pool::action::ContentSource;
    use std::fs::OpenOptions;
    use std::io::Write;

    const LAST: Content = Content {
        source: ContentSource::Transcript,
        turns: 1,
        detail: Detail::Last,
    };

    fn append(path: &Path, lines: &[&str]) {
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).open(path);
        let text = lines.join("\n") + "\n";
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .expect("writes");
    }

    const PROMPT: &str = r#"{"type":"user","message":{"role":"user","content":"same"}}"#;

    fn answer(text: &str) -> String {
        format!(
            r#"{{"type":"assistant","message":{{"content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn"}}}}"#
        )
    }

    #[test]
    fn the_turn_before_does_not_pass_for_the_one_that_is_on_its_way_to_the_disk() {
        let home = tempfile::tempdir().expect("a directory");
        let cwd = Path::new("/pool");
        let uuid = ClaudeUuid::new("7c9e6679-7425-40de-944b-e07fc1f90ae7");
        let path = on_disk::path_of(home.path(), cwd, uuid.as_str());
        fs::create_dir_all(path.parent().expect("a directory")).expect("creates");
        append(&path, &[PROMPT, &answer("before")]);
        let session = SessionId::from_bits(1);
        let transcripts = Transcripts::new(home.path().to_owned());
        let length = transcripts.length(Some(cwd), Some(&uuid));
        transcripts.will_have(session, "same".into(), length);
        let read = || transcripts.content(session, cwd, Some(&uuid), LAST, &Awaited::End);
        let content = std::thread::scope(|scope| {
            let reader = scope.spawn(read);
            append(&path, &[PROMPT]);
            append(&path, &[&answer("after")]);
            reader.join().expect("reads")
        });
        let content = content.expect("reads").expect("is there");
        assert!(content.text().expect("reads").contains("after"));
        // It is waited for once.
        assert!(lock(&transcripts.sent).is_empty());
    }
}
