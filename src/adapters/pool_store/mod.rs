//! `pool.db`: the sessions of one pool, and the prompts that were accepted and that claude has not taken yet. One SQLite
//! file with one writer. A write is one transaction and on the disk when it returns (WAL, `synchronous = FULL`).
//!
//! Knows rows; what they mean is the pool machine's.

mod rows;
mod schema;
#[cfg(test)]
mod tests;

use crate::adapters::files::{self, PRIVATE_FILE};
use crate::core::pool::id::{Build, ClaudeUuid, SessionId};
use crate::core::pool::record::{Change, Delivery, PromptRecord, SessionRecord};
use crate::core::pool::status::Disposition;
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};
use schema::{APPLICATION_ID, STEPS};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a statement waits for another process: somebody who looks at the file with a tool of their own.
const PATIENCE: Duration = Duration::from_secs(2);

/// What can be wrong with a pool's database.
#[derive(Debug, thiserror::Error)]
pub enum PoolStoreError {
    /// It was written by a later version.
    #[error("{path} has format {found}, and this version knows formats up to {known}; update ccp")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest that is known.
        known: i64,
    },
    /// It is some other program's, or damaged.
    #[error("{path} is not a pool's database: {detail}; move it away to begin anew")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The disk is full.
    #[error("{0} cannot be written: the disk is full")]
    Full(PathBuf),
    /// SQLite or the system refuses.
    #[error("{path}: {source}")]
    Sql {
        /// The file.
        path: PathBuf,
        /// Its answer.
        source: rusqlite::Error,
    },
    /// The file cannot be made.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// Everything in a pool's database.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// Every session.
    pub sessions: Vec<SessionRecord>,
    /// Every prompt that is owed.
    pub prompts: Vec<PromptRecord>,
    /// What fresh claudes are like.
    pub baseline: Option<(Build, Disposition)>,
}

/// The open database.
#[derive(Debug)]
pub struct PoolStore {
    connection: Connection,
    path: PathBuf,
}

impl PoolStore {
    /// Opens the database at `path`, creates it (0600) when it is missing, and brings it to the present format.
    ///
    /// # Errors
    /// When it is another program's, of a later version, damaged, or cannot be written.
    pub fn open(path: &Path) -> Result<Self, PoolStoreError> {
        match files::write_new(path, b"", PRIVATE_FILE, false) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(PoolStoreError::Io {
                    path: path.to_owned(),
                    source: error,
                });
            }
            _ => {}
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed(path))?;
        let mut store = Self {
            connection,
            path: path.to_owned(),
        };
        store.prepare()?;
        Ok(store)
    }

    fn prepare(&mut self) -> Result<(), PoolStoreError> {
        let fail = failed(&self.path);
        let connection = &mut self.connection;
        connection.busy_timeout(PATIENCE).map_err(&fail)?;
        let number = |name: &str| -> rusqlite::Result<i64> {
            connection.pragma_query_value(None, name, |row| row.get(0))
        };
        let application = number("application_id").map_err(&fail)?;
        let format = number("user_version").map_err(&fail)?;
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_master", [], |r| r.get(0))
            .map_err(&fail)?;
        if application != APPLICATION_ID && (application != 0 || format != 0 || tables != 0) {
            return Err(PoolStoreError::Foreign {
                path: self.path.clone(),
                detail: format!("its application id is {application:#x}"),
            });
        }
        let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
        if format > known {
            return Err(PoolStoreError::Newer {
                path: self.path.clone(),
                found: format,
                known,
            });
        }
        let set_up = |connection: &mut Connection| -> rusqlite::Result<()> {
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "foreign_keys", true)?;
            let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for step in STEPS.iter().skip(usize::try_from(format).unwrap_or(0)) {
                begun.execute_batch(step)?;
            }
            begun.pragma_update(None, "application_id", APPLICATION_ID)?;
            begun.pragma_update(None, "user_version", known)?;
            begun.commit()
        };
        set_up(connection).map_err(fail)
    }

    /// Reads everything. Rows that make no sense are an error: nothing is guessed about what people were promised.
    ///
    /// # Errors
    /// When the file cannot be read, or holds what no version wrote.
    pub fn load(&self) -> Result<Contents, PoolStoreError> {
        let read = || -> rusqlite::Result<Contents> {
            Ok(Contents {
                sessions: rows::sessions(&self.connection)?,
                prompts: rows::prompts(&self.connection)?,
                baseline: rows::baseline(&self.connection)?,
            })
        };
        read().map_err(failed(&self.path))
    }

    /// Writes all changes in one transaction, to the disk. `length` tells how long the transcript of a session is now;
    /// it is asked for prompts whose delivery is new.
    ///
    /// # Errors
    /// When it is not on the disk; then none of it is.
    pub fn write(
        &mut self,
        changes: &[Change],
        length: impl Fn(SessionId, Option<&ClaudeUuid>) -> u64,
    ) -> Result<(), PoolStoreError> {
        let fail = failed(&self.path);
        let begun = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(&fail)?;
        for change in changes {
            match change {
                Change::Session(record) => rows::put_session(&begun, record),
                Change::Deleted(id) => rows::delete_session(&begun, *id),
                Change::Prompt(prompt) => rows::put_prompt(&begun, prompt, &length),
                Change::NoPrompt(id) => rows::delete_prompt(&begun, *id),
                Change::Baseline { build, disposition } => {
                    rows::put_baseline(&begun, *build, disposition)
                }
            }
            .map_err(&fail)?;
        }
        begun.commit().map_err(fail)
    }

    /// How long the transcript was when a prompt was about to be typed; none when no such delivery is written down.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn length_before(
        &self,
        session: SessionId,
        delivery: Delivery,
    ) -> Result<Option<u64>, PoolStoreError> {
        let place = delivery.place;
        let found: Option<i64> = self
            .connection
            .query_row(
                "SELECT beyond FROM prompts WHERE session = ?1 AND slot = ?2 AND process = ?3 AND number = ?4",
                params![
                    session.to_string(),
                    place.slot.0,
                    rows::signed(place.generation.0),
                    rows::signed(delivery.number.0),
                ],
                |row| row.get(0),
            )
            .optional()
            .map_err(failed(&self.path))?;
        Ok(found.map(|length| u64::try_from(length).unwrap_or(0)))
    }
}

fn failed(path: &Path) -> impl Fn(rusqlite::Error) -> PoolStoreError + use<> {
    let path = path.to_owned();
    move |source| match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => PoolStoreError::Full(path.clone()),
        Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => {
            PoolStoreError::Foreign {
                path: path.clone(),
                detail: source.to_string(),
            }
        }
        _ => PoolStoreError::Sql {
            path: path.clone(),
            source,
        },
    }
}
