//! `state.db`: accounts, samples, pins, picks, events. One SQLite file that several processes use at once; every change
//! is one transaction, so that a process that dies in the middle leaves nothing half done.
//!
//! Knows how things are kept and which of them exclude each other; it does not know where samples come from, who is
//! picked, or what is published. No secret ever gets here.

mod accounts;
mod error;
mod health;
mod history;
mod journal;
mod open;
mod overlay;
mod picture;
mod pins;
mod samples;
mod schema;
#[cfg(test)]
mod tests;

pub use accounts::{Account, LabelWish};
pub use error::StoreError;
pub use health::{Health, Problem};
pub use history::{Ended, Event, StoredPick};
pub use overlay::{Held, Meta, OverlayState};
pub use picture::{Picture, PicturedAccount};
pub use pins::DirectoryPin;

use crate::contract::paths::Home;
use crate::core::time::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::path::PathBuf;
use std::time::Duration;

/// How long a statement waits for other processes. They hold the database for milliseconds; who waits longer is told.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// How long samples, picks and events are kept: a month, and some days to compare with.
pub const KEPT: Duration = Duration::from_secs(35 * 24 * 3600);
/// The most picks and the most events that are kept, whatever their age.
pub const KEPT_ROWS: u32 = 5_000;

/// The open database.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    home: Home,
}

type Outcome<T> = Result<T, StoreError>;

impl Store {
    /// The home that this database belongs to.
    #[must_use]
    pub const fn home(&self) -> &Home {
        &self.home
    }

    /// Checks the whole file; a damaged one is an error that says what was found.
    pub fn check_integrity(&self) -> Outcome<()> {
        let answer: String =
            self.read(|c| c.query_row("PRAGMA quick_check(1)", [], |r| r.get(0)))?;
        if answer == "ok" {
            return Ok(());
        }
        Err(StoreError::Corrupt {
            path: self.path.clone(),
            detail: answer,
        })
    }

    /// Reads outside a transaction.
    fn read<T>(&self, job: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Outcome<T> {
        job(&self.connection).map_err(|e| StoreError::from_sql(&self.path, e))
    }

    /// Changes inside one transaction that excludes every other writer from its start, so that what is read in it
    /// still holds when it is written.
    fn change<T>(
        &mut self,
        job: impl FnOnce(&Transaction<'_>) -> Result<T, Refusal>,
    ) -> Outcome<T> {
        let path = &self.path;
        let fail = |e| StoreError::from_sql(path, e);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(fail)?;
        let value = job(&transaction).map_err(|refusal| match refusal {
            Refusal::Sql(error) => fail(error),
            Refusal::Because(error) => error,
        })?;
        transaction.commit().map_err(fail)?;
        Ok(value)
    }
}

/// Why a transaction was given up.
enum Refusal {
    Sql(rusqlite::Error),
    Because(StoreError),
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Because(error)
    }
}

/// A column of milliseconds since the Unix epoch.
fn instant(ms: Option<i64>) -> Option<Timestamp> {
    ms.map(Timestamp::from_unix_ms)
}
