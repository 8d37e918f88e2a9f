//! Opening: whose file it is, which format it has, and the steps to the present one.

use super::schema::{APPLICATION_ID, STEPS, known_format};
use super::{Outcome, PATIENCE, Store, StoreError, journal};
use crate::adapters::files::{self, PRIVATE_FILE};
use crate::contract::paths::Home;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Every SQLite file starts with this (sqlite.org/fileformat2.html, "Magic Header String").
const MAGIC: &[u8] = b"SQLite format 3\0";
/// Between two tries of a lock: short, so that many writers take turns instead of starving one.
const RETRY: Duration = Duration::from_millis(3);

impl Store {
    /// Opens the database of this home, creates it (0600, its directory 0700) when it is missing, and brings it to the
    /// present format. A database of a later version, of another program, or a damaged one is left untouched.
    pub fn open(home: &Home) -> Outcome<Self> {
        let path = home.state_db();
        files::create_private_dir(home.path()).map_err(|e| StoreError::from_io(home.path(), e))?;
        prepare_file(&path)?;
        refuse_by_header(&path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let fail = |e| StoreError::from_sql(&path, e);
        let mut connection = Connection::open_with_flags(&path, flags).map_err(fail)?;
        be_patient(&mut connection).map_err(fail)?;
        refuse_by_contents(&path, &connection)?;
        journal::choose(&connection, &path).map_err(fail)?;
        connection
            .pragma_update(None, "foreign_keys", true)
            .map_err(fail)?;
        migrate(&path, &mut connection)?;
        Ok(Self {
            connection,
            path,
            home: home.clone(),
        })
    }
}

/// Makes an empty private file, which SQLite takes for an empty database, so that no moment exists in which others
/// could read it; its companions (`-wal`, `-shm`) inherit the mode.
fn prepare_file(path: &Path) -> Outcome<()> {
    match files::write_new(path, b"", PRIVATE_FILE, false) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(StoreError::from_io(path, error)),
    }
    let mode = fs::metadata(path)
        .map_err(|e| StoreError::from_io(path, e))?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(PRIVATE_FILE))
            .map_err(|e| StoreError::from_io(path, e))?;
    }
    Ok(())
}

/// Looks at the first hundred bytes before SQLite does: opening would already recover, check-point or lock the file.
fn refuse_by_header(path: &Path) -> Outcome<()> {
    let mut header = Vec::with_capacity(100);
    File::open(path)
        .and_then(|f| f.take(100).read_to_end(&mut header))
        .map_err(|e| StoreError::from_io(path, e))?;
    if header.is_empty() {
        return Ok(());
    }
    if header.len() < 100 || !header.starts_with(MAGIC) {
        return Err(StoreError::Corrupt {
            path: path.to_owned(),
            detail: "it is no database".to_owned(),
        });
    }
    let number = |at: usize| {
        let bytes = header[at..at + 4].try_into().expect("four of a hundred");
        i64::from(u32::from_be_bytes(bytes))
    };
    judge(path, number(68), number(60))
}

/// The same through SQLite, which also sees what is still in the write-ahead log. A refused file is not even
/// check-pointed when it is closed.
fn refuse_by_contents(path: &Path, connection: &Connection) -> Outcome<()> {
    let fail = |e| StoreError::from_sql(path, e);
    let (application, format, tables) = fingerprint(connection).map_err(fail)?;
    let verdict = if tables > 0 && application != APPLICATION_ID {
        Err(StoreError::Foreign {
            path: path.to_owned(),
        })
    } else {
        judge(path, application, format)
    };
    if verdict.is_err() {
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .map_err(fail)?;
    }
    verdict
}

/// Application, format and number of tables, at one instant: another process may be creating them right now.
fn fingerprint(connection: &Connection) -> rusqlite::Result<(i64, i64, i64)> {
    let transaction = connection.unchecked_transaction()?;
    let number = |name| transaction.pragma_query_value(None, name, |r| r.get::<_, i64>(0));
    let tables = transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))?;
    Ok((number("application_id")?, number("user_version")?, tables))
}

fn judge(path: &Path, application: i64, format: i64) -> Outcome<()> {
    let path = path.to_owned();
    if application != APPLICATION_ID {
        // A new file has neither number before its first transaction is through; see `refuse_by_contents`.
        return if application == 0 && format == 0 {
            Ok(())
        } else {
            Err(StoreError::Foreign { path })
        };
    }
    let known = known_format();
    if format > known {
        return Err(StoreError::Future {
            path,
            found: format,
            known,
        });
    }
    Ok(())
}

fn be_patient(connection: &mut Connection) -> rusqlite::Result<()> {
    let mut started = Instant::now();
    connection.busy_handler(Some(move |tries| {
        if tries == 0 {
            started = Instant::now();
        }
        files::pause(RETRY);
        started.elapsed() < PATIENCE
    }))
}

/// Takes every missing step in one transaction; of several processes that open an old file, one does it.
fn migrate(path: &Path, connection: &mut Connection) -> Outcome<()> {
    let fail = |e| StoreError::from_sql(path, e);
    let format = |c: &Connection| {
        c.pragma_query_value(None, "user_version", |r| r.get::<_, i64>(0))
            .map_err(fail)
    };
    if format(connection)? == known_format() {
        return Ok(());
    }
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(fail)?;
    // Another process may have been faster, or newer.
    let found = format(&transaction)?;
    if found > known_format() {
        return judge(path, APPLICATION_ID, found);
    }
    let done = usize::try_from(found).unwrap_or(0);
    for step in &STEPS[done.min(STEPS.len())..] {
        transaction.execute_batch(step).map_err(fail)?;
    }
    transaction
        .pragma_update(None, "application_id", APPLICATION_ID)
        .and_then(|()| transaction.pragma_update(None, "user_version", known_format()))
        .map_err(fail)?;
    transaction.commit().map_err(fail)?;
    // The numbers belong into the file's header at once: that is where others look first. Readers may stand in the
    // way of it, and then it happens a little later.
    let _ = connection.pragma_update_and_check(None, "wal_checkpoint", "PASSIVE", |_| Ok(()));
    Ok(())
}
