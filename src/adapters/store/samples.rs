//! Usage samples: what is taken in, what is shown, and how fast an account is being used up.

use super::{KEPT, Outcome, Store, StoreError, accounts, instant};
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use crate::core::usage::{
    Acceptance, BURN_HORIZON, Burn, ExtraUsage, Sample, Source, Used, Window, WindowKind, accept,
    burn, carry_over,
};
use rusqlite::{Connection, OptionalExtension, params};
use std::time::Duration;

/// A sample measured later than this after now was measured before the clock was set back: it must not stand in the way
/// of every later one.
const CLOCK_SLACK: Duration = Duration::from_secs(300);

impl Store {
    /// Offers a sample of an account. It is kept when [`accept`] says so, with the windows that its source leaves out
    /// carried over; the caller has made sure that it is the account's own. Prunes what is older than [`KEPT`].
    pub fn offer_sample(
        &mut self,
        id: AccountId,
        sample: &Sample,
        now: Timestamp,
    ) -> Outcome<Acceptance> {
        let mut new = sample.clone();
        // Somebody's clock is ahead of ours: measured now at the latest.
        new.measured_at = new.measured_at.min(now);
        self.change(|t| {
            if !accounts::exists(t, id)? {
                return Err(StoreError::NoAccount(id).into());
            }
            t.execute(
                "DELETE FROM samples WHERE account = ?1 AND measured_at > ?2",
                params![id.number(), now.plus(CLOCK_SLACK).unix_ms()],
            )?;
            let held = latest(t, id)?;
            let verdict = accept(held.as_ref(), &new);
            if verdict == Acceptance::Accepted {
                insert(t, id, &carry_over(held.as_ref(), new))?;
                t.execute(
                    "DELETE FROM samples WHERE measured_at < ?1",
                    [now.minus(KEPT).unix_ms()],
                )?;
            }
            Ok(verdict)
        })
    }

    /// The newest sample of an account.
    pub fn latest_sample(&self, id: AccountId) -> Outcome<Option<Sample>> {
        self.read(|c| latest(c, id))
    }

    /// Samples of an account measured since `since`, oldest first.
    pub fn samples_since(&self, id: AccountId, since: Timestamp) -> Outcome<Vec<Sample>> {
        self.read(|c| {
            let mut statement = c.prepare(
                "SELECT id FROM samples WHERE account = ?1 AND measured_at >= ?2 ORDER BY measured_at, id",
            )?;
            let ids = statement
                .query_map(params![id.number(), since.unix_ms()], |r| r.get::<_, i64>(0))?
                .collect::<rusqlite::Result<Vec<i64>>>()?;
            let samples = ids.into_iter().map(|row| load(c, row));
            samples.filter_map(Result::transpose).collect()
        })
    }

    /// The pace of an account's five-hour window at `now`.
    pub fn burn(&self, id: AccountId, now: Timestamp) -> Outcome<Burn> {
        self.read(|c| pace(c, id, now))
    }
}

/// The newest sample of an account.
pub(super) fn latest(connection: &Connection, id: AccountId) -> rusqlite::Result<Option<Sample>> {
    let row = connection
        .query_row(
            "SELECT id FROM samples WHERE account = ?1 ORDER BY measured_at DESC, id DESC LIMIT 1",
            [id.number()],
            |r| r.get::<_, i64>(0),
        )
        .optional()?;
    row.map_or(Ok(None), |row| load(connection, row))
}

/// The pace over the last samples.
pub(super) fn pace(
    connection: &Connection,
    id: AccountId,
    now: Timestamp,
) -> rusqlite::Result<Burn> {
    let mut statement = connection.prepare(
        "SELECT s.measured_at, w.used FROM samples s JOIN windows w ON w.sample = s.id
         WHERE s.account = ?1 AND s.measured_at >= ?2 AND w.kind = 'five_hour'",
    )?;
    let rows = statement.query_map(
        params![id.number(), now.minus(BURN_HORIZON).unix_ms()],
        |r| Ok((Timestamp::from_unix_ms(r.get(0)?), r.get::<_, f64>(1)?)),
    )?;
    let mut points = Vec::new();
    for row in rows {
        let (at, percent) = row?;
        points.extend(Used::from_percent(percent).map(|used| (at, used)));
    }
    Ok(burn(&points, now))
}

fn insert(connection: &Connection, id: AccountId, sample: &Sample) -> rusqlite::Result<()> {
    let extra = sample.extra.as_ref();
    connection.execute(
        "INSERT INTO samples (account, measured_at, source, extra_enabled, extra_used, extra_limit, extra_currency)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            id.number(),
            sample.measured_at.unix_ms(),
            sample.source.name(),
            extra.map(|e| e.enabled),
            extra.and_then(|e| e.used),
            extra.and_then(|e| e.limit),
            extra.and_then(|e| e.currency.as_deref()),
        ],
    )?;
    let row = connection.last_insert_rowid();
    for window in &sample.windows {
        let (kind, model) = names(&window.kind);
        connection.execute(
            "INSERT OR REPLACE INTO windows (sample, kind, model, used, resets_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                row,
                kind,
                model,
                window.used.percent(),
                window.resets_at.map(Timestamp::unix_ms)
            ],
        )?;
    }
    Ok(())
}

/// A sample by its row; none when it is of a source that this version does not know.
fn load(connection: &Connection, row: i64) -> rusqlite::Result<Option<Sample>> {
    let (measured_at, source, extra) = connection.query_row(
        "SELECT measured_at, source, extra_enabled, extra_used, extra_limit, extra_currency FROM samples WHERE id = ?1",
        [row],
        |r| {
            let extra = match r.get::<_, Option<bool>>(2)? {
                None => None,
                Some(enabled) => Some(ExtraUsage {
                    enabled,
                    used: r.get(3)?,
                    limit: r.get(4)?,
                    currency: r.get(5)?,
                }),
            };
            Ok((r.get::<_, i64>(0)?, r.get::<_, String>(1)?, extra))
        },
    )?;
    let Some(source) = Source::from_name(&source) else {
        return Ok(None);
    };
    let mut statement =
        connection.prepare("SELECT kind, model, used, resets_at FROM windows WHERE sample = ?1")?;
    let rows = statement.query_map([row], |r| {
        let kind = kind(&r.get::<_, String>(0)?, r.get(1)?);
        let used = Used::from_percent(r.get(2)?);
        let resets_at = instant(r.get(3)?);
        Ok(kind.zip(used).map(|(kind, used)| Window {
            kind,
            used,
            resets_at,
        }))
    })?;
    let mut windows: Vec<Window> = rows
        .filter_map(Result::transpose)
        .collect::<rusqlite::Result<_>>()?;
    windows.sort_by(|a, b| a.kind.cmp(&b.kind));
    Ok(Some(Sample {
        measured_at: Timestamp::from_unix_ms(measured_at),
        source,
        windows,
        extra,
    }))
}

fn names(kind: &WindowKind) -> (&'static str, &str) {
    match kind {
        WindowKind::FiveHour => ("five_hour", ""),
        WindowKind::SevenDay => ("seven_day", ""),
        WindowKind::WeeklyScoped(model) => ("weekly_scoped", model),
    }
}

fn kind(name: &str, model: String) -> Option<WindowKind> {
    match name {
        "five_hour" => Some(WindowKind::FiveHour),
        "seven_day" => Some(WindowKind::SevenDay),
        "weekly_scoped" => Some(WindowKind::WeeklyScoped(model)),
        _ => None,
    }
}
