//! What tells, without opening a file, that an account's overlay is as it was left.

use super::files::modified_ns;
use crate::contract::paths::{Base, claude_json};
use crate::contract::snapshot::{FileStamp, Stamp};
use crate::core::overlay::{EntryKind, listing_hash};
use crate::core::time::Timestamp;
use std::ffi::OsString;
use std::fs::{self, FileType};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A directory time this close to the moment it was read may hide a later change within the same tick of the file
/// system's clock (up to 10 ms on Linux, 1 s on HFS+), so it is not relied on.
const RACY_MS: i64 = 1_200;

/// Whether the overlay of `account_dir` is as `stamp` says. Two-way settings also look at the account's `.claude.json`.
#[must_use]
pub fn is_current(stamp: &Stamp, base: &Base, account_dir: &Path, two_way: bool) -> bool {
    file_stamp(&base.json) == stamp.base_json
        && (!two_way || file_stamp(&claude_json(account_dir)) == stamp.account_json)
        && directory_is_current(&base.dir, stamp.base_dir_ns, stamp.base_listing, false)
        && directory_is_current(
            account_dir,
            stamp.account_dir_ns,
            stamp.account_listing,
            true,
        )
}

fn directory_is_current(dir: &Path, modified: i64, listing: u64, kinds: bool) -> bool {
    let now = fs::metadata(dir).map(|m| modified_ns(&m));
    match now {
        Ok(ns) if ns == modified && ns != 0 => true,
        Ok(_) => hash_listing(dir, kinds).is_ok_and(|h| h == listing),
        Err(_) => false,
    }
}

/// Takes the stamp of an overlay that is in order at `now`. Times are read before the listings: what changes in between
/// is noticed next time.
pub fn take(base: &Base, account_dir: &Path, now: Timestamp) -> io::Result<Stamp> {
    let base_dir_ns = settled(modified_ns(&fs::metadata(&base.dir)?), now);
    let account_dir_ns = settled(modified_ns(&fs::metadata(account_dir)?), now);
    Ok(Stamp {
        base_dir_ns,
        account_dir_ns,
        base_listing: hash_listing(&base.dir, false)?,
        account_listing: hash_listing(account_dir, true)?,
        base_json: file_stamp(&base.json),
        account_json: file_stamp(&claude_json(account_dir)),
    })
}

fn settled(ns: i64, now: Timestamp) -> i64 {
    if now.unix_ms() - ns / 1_000_000 > RACY_MS {
        ns
    } else {
        0
    }
}

/// Identity and state of a file, links followed; all zero when there is none.
#[must_use]
pub fn file_stamp(path: &Path) -> FileStamp {
    fs::metadata(path)
        .map(|m| FileStamp {
            inode: m.ino(),
            len: m.len(),
            modified_ns: modified_ns(&m),
        })
        .unwrap_or_default()
}

fn hash_listing(dir: &Path, kinds: bool) -> io::Result<u64> {
    let mut entries: Vec<(OsString, EntryKind)> = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        entries.push((entry.file_name(), entry_kind(entry.file_type()?)));
    }
    Ok(listing_hash(
        entries.iter().map(|(name, kind)| (name.as_bytes(), *kind)),
        kinds,
    ))
}

/// What a directory entry is, links not followed.
#[must_use]
pub fn entry_kind(kind: FileType) -> EntryKind {
    if kind.is_symlink() {
        EntryKind::Link
    } else if kind.is_dir() {
        EntryKind::Directory
    } else if kind.is_file() {
        EntryKind::File
    } else {
        EntryKind::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    #[test]
    fn every_change_that_matters_is_seen_and_others_are_not() {
        let home = tempfile::tempdir().expect("a directory");
        let base = Base::default_in(home.path());
        let account = home.path().join("acct-01");
        for dir in [&base.dir, &account] {
            fs::create_dir(dir).expect("creates");
        }
        let file = |path: &Path| drop(fs::File::create(path).expect("creates"));
        file(&base.dir.join("settings.json"));
        symlink(
            base.dir.join("settings.json"),
            account.join("settings.json"),
        )
        .expect("links");
        let now = crate::adapters::clock::now();
        // Once with times too fresh to rely on, once with settled ones.
        for now in [now, now.plus(Duration::from_secs(60))] {
            let stamp = take(&base, &account, now).expect("takes");
            let current = || is_current(&stamp, &base, &account, false);
            assert!(current());
            file(&account.join(".claude.json.tmp.1"));
            assert!(current(), "private litter does not matter");
            fs::remove_file(account.join(".claude.json.tmp.1")).expect("removes");

            file(&base.dir.join("CLAUDE.md"));
            assert!(!current(), "a new entry in the base");
            fs::remove_file(base.dir.join("CLAUDE.md")).expect("removes");
            assert!(current());

            fs::remove_file(account.join("settings.json")).expect("removes");
            file(&account.join("settings.json"));
            assert!(!current(), "a link replaced by a file");
            fs::remove_file(account.join("settings.json")).expect("removes");
            symlink(
                base.dir.join("settings.json"),
                account.join("settings.json"),
            )
            .expect("links");
            assert!(current());

            file(&base.json);
            assert!(!current(), "the base's .claude.json appeared");
            fs::remove_file(&base.json).expect("removes");

            file(&claude_json(&account));
            assert!(
                current() && !is_current(&stamp, &base, &account, true),
                "seen where settings flow both ways"
            );
            fs::remove_file(claude_json(&account)).expect("removes");
        }
    }
}
