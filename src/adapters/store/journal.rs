//! Which journal the database keeps: a write-ahead log, or a rollback journal where the file system cannot share memory
//! between processes (NFS and its like).

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

/// Whether `dir` lies on a file system that another machine may write, too. Unknown counts as local.
#[cfg(target_os = "linux")]
fn is_remote(dir: &Path) -> bool {
    // linux/magic.h and the file systems' own headers: NFS, SMB, SMB2, CIFS, AFS, Coda, Ceph, 9P, FUSE (sshfs).
    const REMOTE: [u32; 9] = [
        0x6969,
        0x517b,
        0xfe53_4d42,
        0xff53_4d42,
        0x5346_414f,
        0x7375_7245,
        0x00c3_6400,
        0x0102_1997,
        0x6573_5546,
    ];
    let Some(found) = statfs(dir) else {
        return false;
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "magic numbers have 32 bits, whatever the width of the field"
    )]
    let magic = found.f_type as u32;
    REMOTE.contains(&magic)
}

/// Whether `dir` lies on a file system that another machine may write, too (`MNT_LOCAL` in sys/mount.h).
#[cfg(target_os = "macos")]
fn is_remote(dir: &Path) -> bool {
    const LOCAL: u32 = 0x0000_1000;
    statfs(dir).is_some_and(|found| found.f_flags & LOCAL == 0)
}

fn statfs(dir: &Path) -> Option<libc::statfs> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(dir.as_os_str().as_bytes()).ok()?;
    let mut found = std::mem::MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the path is a C string and the buffer is a statfs of ours.
    let rc = unsafe { libc::statfs(path.as_ptr(), found.as_mut_ptr()) };
    // SAFETY: zeroed at first and filled by the kernel; every bit pattern of these integers is valid.
    (rc == 0).then(|| unsafe { found.assume_init() })
}
