//! What happened: picks, for `ccp why`, and events, for people.

use super::{KEPT, KEPT_ROWS, Outcome, Store, accounts, pins};
use crate::contract::lease::LeaseName;
use crate::contract::record::PickRecord;
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use rusqlite::{Connection, params};
use std::path::Path;

/// A lease that has ended, as it is folded in.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The lease.
    pub lease: LeaseName,
    /// The record of its pick; none when it could not be read.
    pub record: Option<PickRecord>,
    /// The last sign of life.
    pub ended_at: Timestamp,
}

/// A pick that is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredPick {
    /// Name of the lease it was made for.
    pub lease: String,
    /// Everything that went into it.
    pub record: PickRecord,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// To which account, where it concerns one.
    pub account: Option<AccountId>,
    /// A word for the kind.
    pub kind: String,
    /// What, for people; no secret.
    pub text: String,
}

impl Store {
    /// Keeps the pick of a lease; the same lease twice is one pick.
    pub fn add_pick(&mut self, lease: &LeaseName, record: &PickRecord) -> Outcome<()> {
        self.change(|t| Ok(insert_pick(t, lease, record)?))
    }

    /// Folds ended leases in, all or none: their picks, and their activity for automatic pins (not of those that ran
    /// beside another session). Folding a lease again changes nothing. Leases of accounts that are gone are passed by.
    pub fn fold(&mut self, ended: &[Ended], now: Timestamp) -> Outcome<()> {
        self.change(|t| {
            for lease in ended {
                let Some(record) = &lease.record else {
                    continue;
                };
                insert_pick(t, &lease.lease, record)?;
                if !lease.lease.beside {
                    let at = lease.ended_at.min(now);
                    pins::note(t, Path::new(&record.cwd), lease.lease.account, at)?;
                }
            }
            prune(t, "picks", "lease", now)?;
            Ok(())
        })
    }

    /// The newest picks, newest first.
    pub fn picks(&self, limit: u32) -> Outcome<Vec<StoredPick>> {
        self.read(|c| {
            let mut statement =
                c.prepare("SELECT lease, record FROM picks ORDER BY at DESC, lease DESC LIMIT ?1")?;
            let rows = statement.query_map([limit], |r| {
                let text: String = r.get(1)?;
                // A record that a later version wrote differently is passed by.
                let record = serde_json::from_str(&text).ok();
                let lease = r.get(0)?;
                Ok(record.map(|record| StoredPick { lease, record }))
            })?;
            rows.filter_map(Result::transpose).collect()
        })
    }

    /// Keeps an event. Prunes old ones.
    pub fn add_event(&mut self, event: &Event, now: Timestamp) -> Outcome<()> {
        self.change(|t| {
            let account = match event.account {
                Some(id) if accounts::exists(t, id)? => Some(id.number()),
                _ => None,
            };
            t.execute(
                "INSERT INTO events (at, account, kind, text) VALUES (?1, ?2, ?3, ?4)",
                params![event.at.unix_ms(), account, event.kind, event.text],
            )?;
            prune(t, "events", "id", now)?;
            Ok(())
        })
    }

    /// The newest events, newest first.
    pub fn events(&self, limit: u32) -> Outcome<Vec<Event>> {
        self.read(|c| {
            let mut statement = c.prepare(
                "SELECT at, account, kind, text FROM events ORDER BY at DESC, id DESC LIMIT ?1",
            )?;
            let rows = statement.query_map([limit], |r| {
                Ok(Event {
                    at: Timestamp::from_unix_ms(r.get(0)?),
                    account: r.get::<_, Option<u16>>(1)?.and_then(AccountId::new),
                    kind: r.get(2)?,
                    text: r.get(3)?,
                })
            })?;
            rows.collect()
        })
    }
}

fn insert_pick(
    connection: &Connection,
    lease: &LeaseName,
    record: &PickRecord,
) -> rusqlite::Result<()> {
    if !accounts::exists(connection, lease.account)? {
        return Ok(());
    }
    let text = serde_json::to_string(record).expect("a record has nothing that JSON lacks");
    connection.execute(
        "INSERT INTO picks (lease, account, at, record) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (lease) DO NOTHING",
        params![
            lease.to_string(),
            lease.account.number(),
            record.at_ms,
            text
        ],
    )?;
    Ok(())
}

/// Keeps a table small: nothing older than [`KEPT`], at most [`KEPT_ROWS`] rows.
fn prune(
    connection: &Connection,
    table: &'static str,
    key: &'static str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection.execute(
        &format!("DELETE FROM {table} WHERE at < ?1"),
        [now.minus(KEPT).unix_ms()],
    )?;
    connection.execute(
        &format!(
            "DELETE FROM {table} WHERE {key} IN
                (SELECT {key} FROM {table} ORDER BY at DESC, {key} DESC LIMIT -1 OFFSET {KEPT_ROWS})"
        ),
        [],
    )?;
    Ok(())
}
