//! Pins of directories. A directory may have a manual one and an automatic one side by side: the first is an order, the
//! second a memory of the last activity.

use super::{Outcome, Store, StoreError, accounts};
use crate::core::account::AccountId;
use crate::core::select::pin::AUTO_PIN_TTL;
use crate::core::time::Timestamp;
use rusqlite::{Connection, params};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A pin of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryPin {
    /// The exact directory.
    pub dir: PathBuf,
    /// The pinned account.
    pub account: AccountId,
    /// Ordered by the person; otherwise remembered from the last activity.
    pub manual: bool,
    /// When it was ordered, or the last activity.
    pub at: Timestamp,
}

impl Store {
    /// All pins, by directory.
    pub fn pins(&self) -> Outcome<Vec<DirectoryPin>> {
        self.read(list)
    }

    /// Pins a directory by order, in place of an earlier order.
    pub fn pin(&mut self, dir: &Path, id: AccountId, now: Timestamp) -> Outcome<()> {
        self.change(|t| {
            if !accounts::exists(t, id)? {
                return Err(StoreError::NoAccount(id).into());
            }
            t.execute(
                "INSERT INTO pins (dir, manual, account, at) VALUES (?1, 1, ?2, ?3)
                 ON CONFLICT (dir, manual) DO UPDATE SET account = excluded.account, at = excluded.at",
                params![dir.as_os_str().as_bytes(), id.number(), now.unix_ms()],
            )?;
            Ok(())
        })
    }

    /// Forgets the pins of a directory, the automatic one too. Returns what was forgotten.
    pub fn unpin(&mut self, dir: &Path) -> Outcome<Vec<DirectoryPin>> {
        self.change(|t| {
            let mut found = list(t)?;
            found.retain(|p| p.dir == dir);
            t.execute(
                "DELETE FROM pins WHERE dir = ?1",
                [dir.as_os_str().as_bytes()],
            )?;
            Ok(found)
        })
    }

    /// Remembers activity of an account in a directory; older activity than what is known changes nothing.
    pub fn note_activity(&mut self, dir: &Path, id: AccountId, at: Timestamp) -> Outcome<()> {
        self.change(|t| Ok(note(t, dir, id, at)?))
    }

    /// Drops automatic pins that have run out.
    pub fn prune_pins(&mut self, now: Timestamp) -> Outcome<()> {
        self.change(|t| {
            t.execute(
                "DELETE FROM pins WHERE manual = 0 AND at < ?1",
                [now.minus(AUTO_PIN_TTL).unix_ms()],
            )?;
            Ok(())
        })
    }
}

/// See [`Store::note_activity`].
pub(super) fn note(
    connection: &Connection,
    dir: &Path,
    id: AccountId,
    at: Timestamp,
) -> rusqlite::Result<()> {
    if !accounts::exists(connection, id)? {
        return Ok(());
    }
    connection.execute(
        "INSERT INTO pins (dir, manual, account, at) VALUES (?1, 0, ?2, ?3)
         ON CONFLICT (dir, manual) DO UPDATE SET account = excluded.account, at = excluded.at
         WHERE excluded.at >= pins.at",
        params![dir.as_os_str().as_bytes(), id.number(), at.unix_ms()],
    )?;
    Ok(())
}

/// All pins, by directory.
pub(super) fn list(connection: &Connection) -> rusqlite::Result<Vec<DirectoryPin>> {
    let mut statement = connection
        .prepare("SELECT dir, account, manual, at FROM pins ORDER BY dir, manual DESC")?;
    let rows = statement.query_map([], |r| {
        let Some(account) = AccountId::new(r.get(1)?) else {
            return Ok(None);
        };
        Ok(Some(DirectoryPin {
            dir: PathBuf::from(OsString::from_vec(r.get(0)?)),
            account,
            manual: r.get(2)?,
            at: Timestamp::from_unix_ms(r.get(3)?),
        }))
    })?;
    rows.filter_map(Result::transpose).collect()
}
