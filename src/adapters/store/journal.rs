//! Which journal the database keeps: a write-ahead log, or a rollback journal where the file system cannot share memory
//! between processes (NFS and its like).

use crate::adapters::files::mount::is_remote;
use rusqlite::Connection;
use std::path::Path;
use std::time::Instant;

/// Switches to the write-ahead log where that is safe, and to the rollback journal elsewhere.
pub(super) fn choose(connection: &Connection, path: &Path) -> rusqlite::Result<()> {
    let shares_memory = path.parent().is_none_or(|dir| !is_remote(dir));
    choose_for(connection, shares_memory)
}

/// See [`choose`]; `shares_memory` tells whether processes on this file system can.
pub(super) fn choose_for(connection: &Connection, shares_memory: bool) -> rusqlite::Result<()> {
    let wanted = if shares_memory { "wal" } else { "delete" };
    let present: String = connection.pragma_query_value(None, "journal_mode", |r| r.get(0))?;
    let mode = if present.eq_ignore_ascii_case(wanted) {
        present
    } else {
        switch(connection, wanted)?
    };
    // In a write-ahead log NORMAL keeps the database whole after a power cut and loses at most the last changes, which
    // can all be measured again; the rollback journal needs FULL for the same.
    let level = if mode.eq_ignore_ascii_case("wal") {
        "NORMAL"
    } else {
        "FULL"
    };
    connection.pragma_update(None, "synchronous", level)
}

/// Returns the mode that the database has afterwards. A file system without what the log needs answers with the old
/// one, and then that one serves.
fn switch(connection: &Connection, wanted: &str) -> rusqlite::Result<String> {
    let started = Instant::now();
    loop {
        let answer = connection
            .pragma_update_and_check(None, "journal_mode", wanted, |r| r.get::<_, String>(0));
        match answer {
            // SQLite does not always wait here: two processes that both switch would wait for each other.
            Err(error) if is_busy(&error) && started.elapsed() < super::PATIENCE => {
                crate::adapters::files::pause(std::time::Duration::from_millis(5));
            }
            Err(error) if is_busy(&error) => return Err(error),
            Err(_) => {
                return connection.pragma_query_value(None, "journal_mode", |r| r.get(0));
            }
            Ok(mode) => return Ok(mode),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
    )
}
