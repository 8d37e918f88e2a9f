//! Records as rows, and back.

use crate::core::account::AccountId;
use crate::core::pool::id::{
    Build, ClaudeUuid, DeliveryNumber, Generation, Place, SessionId, SlotId,
};
use crate::core::pool::record::{Delivery, Metadata, PromptRecord, Rest, Seat, SessionRecord};
use crate::core::pool::status::Disposition;
use crate::core::time::Timestamp;
use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

type Sql<T> = rusqlite::Result<T>;

/// SQLite has signed integers only; the bits are what counts.
pub(super) const fn signed(number: u64) -> i64 {
    number.cast_signed()
}

const fn unsigned(number: i64) -> u64 {
    number.cast_unsigned()
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

/// What no version writes.
fn senseless(column: &str, what: impl Into<String>) -> rusqlite::Error {
    let why = format!("{column}: {}", what.into());
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, why.into())
}

fn session_id(column: &str, row: &Row<'_>) -> Sql<SessionId> {
    let text: String = row.get(column)?;
    SessionId::parse(&text).ok_or_else(|| senseless(column, text))
}

fn path(column: &str, row: &Row<'_>) -> Sql<PathBuf> {
    match row.get_ref(column)? {
        ValueRef::Blob(bytes) => Ok(PathBuf::from(OsString::from_vec(bytes.to_vec()))),
        _ => Err(senseless(column, "not a path")),
    }
}

fn instant(column: &str, row: &Row<'_>) -> Sql<Option<Timestamp>> {
    Ok(row
        .get::<_, Option<i64>>(column)?
        .map(Timestamp::from_unix_ms))
}

fn place(slot: Option<u32>, process: Option<i64>) -> Option<Place> {
    Some(Place {
        slot: SlotId(slot?),
        generation: Generation(unsigned(process?)),
    })
}

fn rest(row: &Row<'_>) -> Sql<Rest> {
    let word: String = row.get("rest")?;
    match word.as_str() {
        "offloaded" => Ok(Rest::Offloaded),
        "failed" => Ok(Rest::Failed(
            row.get::<_, Option<String>>("problem")?.unwrap_or_default(),
        )),
        "archived" => instant("archived_at", row)?
            .map(Rest::Archived)
            .ok_or_else(|| senseless("archived_at", "missing")),
        _ => Err(senseless("rest", word)),
    }
}

/// Metadata is one object whose values are JSON already.
fn metadata_text(metadata: &Metadata) -> String {
    let mut object = serde_json::Map::new();
    for (key, value) in metadata {
        let value = serde_json::from_str(value).unwrap_or(serde_json::Value::Null);
        object.insert(key.clone(), value);
    }
    serde_json::Value::Object(object).to_string()
}

fn metadata(row: &Row<'_>) -> Sql<Metadata> {
    let text: String = row.get("metadata")?;
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&text).map_err(|e| senseless("metadata", e.to_string()))?;
    Ok(object
        .into_iter()
        .map(|(key, value)| (key, value.to_string()))
        .collect())
}

/// Every session.
pub(super) fn sessions(connection: &Connection) -> Sql<Vec<SessionRecord>> {
    let mut statement = connection.prepare("SELECT * FROM sessions ORDER BY created_at, id")?;
    let rows = statement.query_map([], session)?;
    rows.collect()
}

fn session(row: &Row<'_>) -> Sql<SessionRecord> {
    let seat = place(row.get("seat_slot")?, row.get("seat_process")?);
    let loaded: Option<bool> = row.get("seat_loaded")?;
    let account: Option<u16> = row.get("account")?;
    Ok(SessionRecord {
        id: session_id("id", row)?,
        uuid: row
            .get::<_, Option<String>>("claude_uuid")?
            .map(|text| ClaudeUuid::new(&text)),
        has_transcript: row.get("has_transcript")?,
        rest: rest(row)?,
        seat: seat.map(|place| Seat {
            place,
            loaded: loaded.unwrap_or(false),
        }),
        order: row.get::<_, Option<i64>>("place_in_queue")?.map(unsigned),
        priority: row.get("priority")?,
        pinned_until: instant("pinned_until", row)?,
        parent: row.get("parent")?,
        cwd: path("cwd", row)?,
        spawn_cwd: path("spawn_cwd", row)?,
        created_at: instant("created_at", row)?.unwrap_or_default(),
        last_used_at: instant("last_used_at", row)?.unwrap_or_default(),
        metadata: metadata(row)?,
        account: account.and_then(AccountId::new),
        model: row.get("model")?,
        saved_input: row.get("saved_input")?,
        was_live: row.get("was_live")?,
    })
}

/// Every prompt that is owed.
pub(super) fn prompts(connection: &Connection) -> Sql<Vec<PromptRecord>> {
    let mut statement = connection.prepare("SELECT * FROM prompts ORDER BY session")?;
    let rows = statement.query_map([], |row| {
        let place = place(row.get("slot")?, row.get("process")?);
        let number: Option<i64> = row.get("number")?;
        let text: String = row.get("text")?;
        Ok(PromptRecord {
            session: session_id("session", row)?,
            text: Arc::from(text),
            delivery: place.zip(number).map(|(place, number)| Delivery {
                place,
                number: DeliveryNumber(unsigned(number)),
            }),
            redelivered: row.get("redelivered")?,
            taken: row.get("taken")?,
            accepted_at: instant("accepted_at", row)?.unwrap_or_default(),
            conversations: conversations(row)?,
        })
    })?;
    rows.collect()
}

/// A list of ids, as JSON.
fn conversations(row: &Row<'_>) -> Sql<Vec<ClaudeUuid>> {
    let text: String = row.get("conversations")?;
    let ids: Vec<String> =
        serde_json::from_str(&text).map_err(|e| senseless("conversations", e.to_string()))?;
    Ok(ids.iter().map(|id| ClaudeUuid::new(id)).collect())
}

/// What fresh claudes are like.
pub(super) fn baseline(connection: &Connection) -> Sql<Option<(Build, Disposition)>> {
    connection
        .query_row("SELECT build, mode, model FROM baseline", [], |row| {
            let disposition = Disposition {
                mode: row.get("mode")?,
                model: row.get("model")?,
            };
            Ok((Build(unsigned(row.get("build")?)), disposition))
        })
        .optional()
}

/// Writes a session's row.
pub(super) fn put_session(to: &Transaction<'_>, record: &SessionRecord) -> Sql<()> {
    let (word, problem, archived_at) = match &record.rest {
        Rest::Offloaded => ("offloaded", None, None),
        Rest::Failed(why) => ("failed", Some(why.as_str()), None),
        Rest::Archived(at) => ("archived", None, Some(at.unix_ms())),
    };
    let seat = record.seat;
    // Not `INSERT OR REPLACE`, which would delete the row first, and the prompt with it.
    to.prepare(
        "INSERT INTO sessions (id, claude_uuid, has_transcript, rest, problem, archived_at, seat_slot, seat_process,
             seat_loaded, place_in_queue, priority, pinned_until, parent, cwd, spawn_cwd, created_at, last_used_at,
             metadata, account, model, saved_input, was_live)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)
         ON CONFLICT (id) DO UPDATE SET claude_uuid = ?2, has_transcript = ?3, rest = ?4, problem = ?5,
             archived_at = ?6, seat_slot = ?7, seat_process = ?8, seat_loaded = ?9, place_in_queue = ?10,
             priority = ?11, pinned_until = ?12, parent = ?13, cwd = ?14, spawn_cwd = ?15, created_at = ?16,
             last_used_at = ?17, metadata = ?18, account = ?19, model = ?20, saved_input = ?21, was_live = ?22",
    )?
    .execute(params![
        record.id.to_string(),
        record.uuid.as_ref().map(ClaudeUuid::as_str),
        record.has_transcript,
        word,
        problem,
        archived_at,
        seat.map(|s| s.place.slot.0),
        seat.map(|s| signed(s.place.generation.0)),
        seat.map(|s| s.loaded),
        record.order.map(signed),
        record.priority,
        record.pinned_until.map(Timestamp::unix_ms),
        record.parent,
        bytes(&record.cwd),
        bytes(&record.spawn_cwd),
        record.created_at.unix_ms(),
        record.last_used_at.unix_ms(),
        metadata_text(&record.metadata),
        record.account.map(AccountId::number),
        record.model,
        record.saved_input,
        record.was_live,
    ])?;
    Ok(())
}

/// Writes a prompt's row. The transcript's length goes with a delivery that is new.
pub(super) fn put_prompt(
    to: &Transaction<'_>,
    prompt: &PromptRecord,
    length: &impl Fn(SessionId, Option<&ClaudeUuid>) -> u64,
) -> Sql<()> {
    let id = prompt.session.to_string();
    let delivery = prompt.delivery;
    let slot = delivery.map(|d| d.place.slot.0);
    let process = delivery.map(|d| signed(d.place.generation.0));
    let number = delivery.map(|d| signed(d.number.0));
    let known: Option<i64> = to
        .prepare(
            "SELECT beyond FROM prompts WHERE session = ?1 AND slot IS ?2 AND process IS ?3 AND number IS ?4",
        )?
        .query_row(params![id, slot, process, number], |row| row.get(0))
        .optional()?;
    let beyond = match (known, delivery) {
        (Some(length), _) => length,
        (None, None) => 0,
        (None, Some(_)) => signed(length(prompt.session, prompt.conversations.first())),
    };
    let ids: Vec<&str> = prompt
        .conversations
        .iter()
        .map(ClaudeUuid::as_str)
        .collect();
    let conversations = serde_json::Value::from(ids).to_string();
    to.prepare(
        "INSERT OR REPLACE INTO prompts (session, text, slot, process, number, beyond, redelivered,
             accepted_at, conversations, taken)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        id,
        &*prompt.text,
        slot,
        process,
        number,
        beyond,
        prompt.redelivered,
        prompt.accepted_at.unix_ms(),
        conversations,
        prompt.taken,
    ])?;
    Ok(())
}

/// The session is gone, its prompt with it.
pub(super) fn delete_session(from: &Transaction<'_>, id: SessionId) -> Sql<()> {
    from.execute("DELETE FROM sessions WHERE id = ?1", [id.to_string()])
        .map(|_| ())
}

/// The session has no prompt.
pub(super) fn delete_prompt(from: &Transaction<'_>, id: SessionId) -> Sql<()> {
    from.execute("DELETE FROM prompts WHERE session = ?1", [id.to_string()])
        .map(|_| ())
}

/// What fresh claudes of this build are like.
pub(super) fn put_baseline(
    to: &Transaction<'_>,
    build: Build,
    disposition: &Disposition,
) -> Sql<()> {
    to.execute(
        "INSERT OR REPLACE INTO baseline (only, build, mode, model) VALUES (1, ?1, ?2, ?3)",
        params![signed(build.0), disposition.mode, disposition.model],
    )
    .map(|_| ())
}
