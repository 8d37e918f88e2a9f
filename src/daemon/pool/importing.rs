//! What another implementation of the protocol left in the pool's directory, taken over once: before anything ever ran
//! here. Its file is never written, so that it is whole whatever becomes of this pool.

use super::log::{Category, Log};
use crate::adapters::clock;
use crate::adapters::pool_store::{Contents, PoolStore, PoolStoreError};
use crate::contract::paths::pool::PoolDir;
use crate::contract::pool::{Imported, import};
use crate::core::pool::id::{ClaudeUuid, SessionId};
use crate::core::pool::record::{Change, Rest, SessionRecord};
use crate::core::time::Timestamp;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The largest file that is read, in bytes: thousands of sessions have a few megabytes.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// So many things that cannot be used are told one by one.
const TOLD: usize = 20;

/// Takes the sessions of a foreign `pool.json` over, if there is one and this pool has held nothing yet; says in the log
/// what was taken and what was not.
///
/// # Errors
/// When they cannot be written down: a pool that began without them would never look for them again.
pub(super) fn import_once(
    dir: &PoolDir,
    store: &mut PoolStore,
    contents: &mut Contents,
    pool_cwd: &Path,
    log: &Log,
) -> Result<(), PoolStoreError> {
    // What fresh claudes are like is known since the first one ran.
    if contents.baseline.is_some() || !contents.sessions.is_empty() {
        return Ok(());
    }
    let path = dir.foreign_state();
    let text = match read(&path) {
        Ok(Some(text)) => text,
        Ok(None) => return Ok(()),
        Err(error) => {
            let message = format!("{} is not taken over: {error}", path.display());
            log.write(Category::Error, None, &message);
            return Ok(());
        }
    };
    let (found, problems) = import(&text);
    let now = clock::now();
    let records = found.iter().filter_map(|one| record(one, pool_cwd, now));
    let records: Vec<SessionRecord> = records.collect();
    let changes: Vec<Change> = records
        .iter()
        .map(|record| Change::Session(Box::new(record.clone())))
        .collect();
    store.write(&changes, |_, _| 0)?;
    let message = format!(
        "{} sessions taken over from {}",
        records.len(),
        path.display()
    );
    log.write(Category::State, None, &message);
    for record in &records {
        log.write(Category::State, Some(record.id), "taken over");
    }
    for problem in problems.iter().take(TOLD) {
        let message = format!("{} is not all taken over: {problem}", path.display());
        log.write(Category::Error, None, &message);
    }
    if let Some(more) = problems.len().checked_sub(TOLD).filter(|more| *more > 0) {
        let message = format!("{}: {more} more of this kind", path.display());
        log.write(Category::Error, None, &message);
    }
    contents.sessions = records;
    Ok(())
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut text = Vec::new();
    match File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut text)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(_) if text.len() as u64 > MAX_BYTES => {
            Err(io::Error::other("it is larger than a pool's state is"))
        }
        Ok(_) => Ok(Some(text)),
    }
}

fn record(one: &Imported, pool_cwd: &Path, now: Timestamp) -> Option<SessionRecord> {
    let place = |text: &str| {
        if text.is_empty() {
            pool_cwd.to_owned()
        } else {
            PathBuf::from(text)
        }
    };
    let created_at = one.created_at.parse::<jiff::Timestamp>();
    let created_at = created_at.map_or(now, |at| Timestamp::from_unix_ms(at.as_millisecond()));
    let metadata = one.metadata.iter();
    Some(SessionRecord {
        id: SessionId::parse(&one.session_id)?,
        uuid: Some(ClaudeUuid::new(&one.claude_uuid)),
        has_transcript: true,
        rest: if one.archived {
            Rest::Archived(now)
        } else {
            Rest::Offloaded
        },
        seat: None,
        order: None,
        priority: one.priority,
        pinned_until: None,
        parent: one.parent.clone(),
        cwd: place(&one.cwd),
        spawn_cwd: place(&one.spawn_cwd),
        created_at,
        last_used_at: created_at,
        metadata: metadata
            .map(|(key, value)| (key.clone(), value.to_string()))
            .collect(),
        account: None,
        model: None,
        saved_input: None,
        was_live: false,
    })
}
