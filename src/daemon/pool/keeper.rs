//! The thread that owns the pool's database: writes what the machine wants kept, one write at a time, and looks prompts up
//! in transcripts. The loop never waits for a disk.

use super::main_loop::Event;
use super::transcripts::Transcripts;
use crate::adapters::pool_store::PoolStore;
use crate::core::pool::event::{Event as Happened, InTranscript};
use crate::core::pool::id::{ClaudeUuid, SessionId, Token};
use crate::core::pool::record::{Change, Delivery};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

/// What it is asked.
#[derive(Debug)]
pub(super) enum Job {
    /// Write all of this, in one transaction, to the disk.
    Write {
        /// Names the write.
        token: Token,
        /// What.
        changes: Vec<Change>,
    },
    /// Whether a prompt is in its conversation.
    Check {
        /// Whose.
        session: SessionId,
        /// Where it can be: the conversation whose length was written down, then those that followed it; none: the one
        /// that began last in that directory.
        conversations: Vec<ClaudeUuid>,
        /// As which command it was typed.
        delivery: Delivery,
        /// The prompt.
        text: Arc<str>,
        /// Where the conversation began.
        cwd: PathBuf,
    },
}

/// Works until nobody has a job any more.
pub(super) fn work(
    mut store: PoolStore,
    transcripts: &Transcripts,
    jobs: &Receiver<Job>,
    events: &SyncSender<Event>,
) {
    while let Ok(job) = jobs.recv() {
        let happened = match job {
            Job::Write { token, changes } => write(&mut store, transcripts, token, &changes),
            Job::Check {
                session,
                conversations,
                delivery,
                text,
                cwd,
            } => {
                // What is not written down was never typed under this number: the whole transcript counts.
                let beyond = store.length_before(session, delivery).ok().flatten();
                let beyond = beyond.unwrap_or(0);
                let found = if conversations.is_empty() {
                    transcripts.search(&cwd, None, beyond, &text)
                } else {
                    let all = conversations.iter().enumerate();
                    all.map(|(at, uuid)| {
                        // What followed was begun after the prompt was on its way.
                        let beyond = if at == 0 { beyond } else { 0 };
                        transcripts.search(&cwd, Some(uuid), beyond, &text)
                    })
                    .find(|found| *found != InTranscript::Absent)
                    .unwrap_or(InTranscript::Absent)
                };
                Happened::TranscriptChecked {
                    session,
                    delivery,
                    found,
                }
            }
        };
        if events.send(Event::Happened(Box::new(happened))).is_err() {
            return;
        }
    }
}

fn write(
    store: &mut PoolStore,
    transcripts: &Transcripts,
    token: Token,
    changes: &[Change],
) -> Happened {
    // Where a session's conversation began: in this very write, or told before.
    let lengths = RefCell::new(BTreeMap::new());
    let length = |session: SessionId, uuid: Option<&ClaudeUuid>| {
        let cwd = changes.iter().find_map(|change| match change {
            Change::Session(record) if record.id == session => Some(record.spawn_cwd.clone()),
            _ => None,
        });
        let length = transcripts.length(cwd.as_deref(), uuid);
        lengths.borrow_mut().insert(session, length);
        length
    };
    match store.write(changes, length) {
        Ok(()) => {
            expect(transcripts, changes, &lengths.take());
            Happened::Persisted { token }
        }
        Err(error) => Happened::PersistFailed {
            token,
            why: error.to_string(),
        },
    }
}

/// Whoever reads a session from now on is to see the prompt that it is given now.
fn expect(transcripts: &Transcripts, changes: &[Change], lengths: &BTreeMap<SessionId, u64>) {
    for change in changes {
        if let Change::Prompt(prompt) = change
            && let Some(beyond) = lengths.get(&prompt.session)
        {
            transcripts.will_have(prompt.session, Arc::clone(&prompt.text), *beyond);
        }
    }
}
