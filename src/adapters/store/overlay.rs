//! What the overlay left behind for its next run, and single facts about this home.

use super::{Outcome, Store, StoreError, accounts};
use crate::contract::snapshot::Stamp;
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

/// What is known of an account's overlay.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OverlayState {
    /// What it looked like when it was last in order.
    pub stamp: Option<Stamp>,
    /// Hashes of the keys that were merged last, as JSON; the overlay's own.
    pub merged: Option<String>,
    /// What is held back in the flow of settings, since it does not look as if a person had wanted it.
    pub held: Option<Held>,
}

/// Changes of settings that wait for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What, and why, for people.
    pub text: String,
    /// Since when.
    pub since: Timestamp,
}

/// Single facts about this home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meta {
    /// Another tool's files may stay: since when.
    ForeignFilesMayStay,
    /// Since when sampling is paused on purpose, in milliseconds since the Unix epoch.
    PausedSince,
    /// When the last sweep over the accounts was completed, in milliseconds since the Unix epoch.
    LastSweep,
}

impl Meta {
    const fn key(self) -> &'static str {
        match self {
            Self::ForeignFilesMayStay => "foreign_files_may_stay",
            Self::PausedSince => "paused_since",
            Self::LastSweep => "last_sweep",
        }
    }
}

impl Store {
    /// What is known of an account's overlay; nothing when it was never recorded.
    pub fn overlay_state(&self, id: AccountId) -> Outcome<OverlayState> {
        self.read(|c| load(c, id))
    }

    /// Records the stamp of an overlay that is in order; none when it has to be looked at.
    pub fn set_stamp(&mut self, id: AccountId, stamp: Option<&Stamp>) -> Outcome<()> {
        let text = stamp.map(|s| serde_json::to_string(s).expect("a stamp is numbers"));
        self.set_overlay(id, "stamp", text)
    }

    /// Records the hashes of the keys that were merged last.
    pub fn set_merged(&mut self, id: AccountId, merged: Option<&str>) -> Outcome<()> {
        self.set_overlay(id, "merged", merged.map(str::to_owned))
    }

    /// Records what is held back in the flow of settings; none when nothing is. The start is kept while it lasts. Whether
    /// that is news.
    pub fn set_held(&mut self, id: AccountId, held: Option<&str>, now: Timestamp) -> Outcome<bool> {
        let before = self.overlay_state(id)?.held;
        if before.as_ref().map(|h| h.text.as_str()) == held {
            return Ok(false);
        }
        let since = before.map_or(now, |held| held.since);
        let since = held.map(|_| since.unix_ms());
        self.change(|t| {
            if !accounts::exists(t, id)? {
                return Err(StoreError::NoAccount(id).into());
            }
            t.execute(
                "INSERT INTO overlay_state (account, held, held_since) VALUES (?1, ?2, ?3)
                 ON CONFLICT (account) DO UPDATE SET held = excluded.held, held_since = excluded.held_since",
                params![id.number(), held, since],
            )?;
            Ok(true)
        })
    }

    /// A fact about this home; none when it was never recorded.
    pub fn meta(&self, key: Meta) -> Outcome<Option<String>> {
        self.read(|c| meta(c, key))
    }

    /// Records a fact about this home; none forgets it.
    pub fn set_meta(&mut self, key: Meta, value: Option<&str>) -> Outcome<()> {
        self.change(|t| {
            match value {
                Some(value) => t.execute(
                    "INSERT INTO meta (key, value) VALUES (?1, ?2)
                     ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                    params![key.key(), value],
                )?,
                None => t.execute("DELETE FROM meta WHERE key = ?1", [key.key()])?,
            };
            Ok(())
        })
    }

    fn set_overlay(
        &mut self,
        id: AccountId,
        column: &'static str,
        value: Option<String>,
    ) -> Outcome<()> {
        self.change(|t| {
            if !accounts::exists(t, id)? {
                return Err(StoreError::NoAccount(id).into());
            }
            t.execute(
                &format!(
                    "INSERT INTO overlay_state (account, {column}) VALUES (?1, ?2)
                     ON CONFLICT (account) DO UPDATE SET {column} = excluded.{column}"
                ),
                params![id.number(), value],
            )?;
            Ok(())
        })
    }
}

/// See [`Store::overlay_state`]. A stamp that this version cannot read is none: the overlay is looked at again.
pub(super) fn load(connection: &Connection, id: AccountId) -> rusqlite::Result<OverlayState> {
    let found = connection
        .query_row(
            "SELECT stamp, merged, held, held_since FROM overlay_state WHERE account = ?1",
            [id.number()],
            |r| {
                let stamp: Option<String> = r.get(0)?;
                let held: Option<String> = r.get(2)?;
                let since: Option<i64> = r.get(3)?;
                Ok(OverlayState {
                    stamp: stamp.and_then(|s| serde_json::from_str(&s).ok()),
                    merged: r.get(1)?,
                    held: held.zip(since).map(|(text, since)| Held {
                        text,
                        since: Timestamp::from_unix_ms(since),
                    }),
                })
            },
        )
        .optional()?;
    Ok(found.unwrap_or_default())
}

/// See [`Store::meta`].
pub(super) fn meta(connection: &Connection, key: Meta) -> rusqlite::Result<Option<String>> {
    connection
        .query_row("SELECT value FROM meta WHERE key = ?1", [key.key()], |r| {
            r.get(0)
        })
        .optional()
}
