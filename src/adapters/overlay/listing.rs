//! The names in a directory and what they are, without a look at each.

use std::ffi::{OsStr, OsString};
use std::fs::{self, FileType};
use std::io;
use std::path::{Path, PathBuf};

/// The entries of a directory in no order. A directory that stops to be readable in the middle is an error: half a
/// listing would make whole entries look vanished.
pub(super) fn list(dir: &Path) -> io::Result<Vec<(OsString, FileType)>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        entries.push((entry.file_name(), entry.file_type()?));
    }
    Ok(entries)
}

/// The entry of the base that `account_dir` lies in, where it lies in the base: sharing that one would put every
/// account inside itself.
pub(super) fn entry_around(base_dir: &Path, account_dir: &Path) -> Option<OsString> {
    let inner = fs::canonicalize(account_dir).ok()?;
    let outer = fs::canonicalize(base_dir).ok()?;
    let mut rest = inner.strip_prefix(outer).ok()?.components();
    Some(rest.next()?.as_os_str().to_owned())
}

/// A file of ours beside an account directory, hidden, and no account by its name.
pub(super) fn beside_account(account_dir: &Path, suffix: &str) -> Option<PathBuf> {
    let mut name = OsString::from(".");
    name.push(account_dir.file_name()?);
    name.push(OsStr::new(suffix));
    Some(account_dir.with_file_name(name))
}

/// Held while an account directory is synced or removed.
pub(super) fn sync_lock(account_dir: &Path) -> Option<PathBuf> {
    beside_account(account_dir, ".sync")
}

/// What the last merge of `.claude.json` left for the next.
pub(super) fn merge_record(account_dir: &Path) -> Option<PathBuf> {
    beside_account(account_dir, ".merged")
}

/// Held while anything is folded into the base, by whichever account: two newcomers must not judge one entry at once.
pub(super) fn heal_lock(account_dir: &Path) -> PathBuf {
    account_dir.with_file_name(".healing")
}
