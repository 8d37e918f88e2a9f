//! Removing an account directory: what is the person's own goes back to the base first, and nothing outside the
//! directory can be reached from what is deleted then.

use super::report::SyncReport;
use super::{Options, listing, sync_locked};
use crate::adapters::files::{Lock, PRIVATE_DIR};
use crate::contract::paths::{Base, Home};
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, chmodat, fchmod, fstat, openat, statat, unlinkat,
};
use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// How deep a directory may be nested to be deleted: each level keeps a descriptor open.
const MOST_DEPTH: usize = 200;

/// The most directories that wait to be deleted under one account's name.
const MOST_TRASH: u32 = 1000;

/// Why an account directory is still there, whole or in part.
#[derive(Debug, Error)]
pub enum RemoveError {
    /// Something in it could not be folded back into the base; nothing was removed.
    #[error("cannot remove {dir:?}: {} entries cannot go back to the base", report.left.len() + report.failed.len())]
    Unhealed {
        /// The account directory.
        dir: PathBuf,
        /// What was left, and why.
        report: Box<SyncReport>,
    },
    /// A sync of the account is at work.
    #[error("cannot remove {0:?}: it is being synced")]
    Busy(PathBuf),
    /// A file system is mounted in it.
    #[error("cannot remove {dir:?}: something is mounted at {mount:?}")]
    Mounted {
        /// The directory.
        dir: PathBuf,
        /// Where the mount is.
        mount: PathBuf,
    },
    /// It is not on the file system of the home, or is no directory.
    #[error("cannot remove {0:?}: it is not a directory of this home")]
    Foreign(PathBuf),
    /// The operating system refused.
    #[error("cannot remove {path:?}: {source}")]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> RemoveError + '_ {
    move |source| RemoveError::Io {
        path: path.to_owned(),
        source,
    }
}

/// Removes the directory of account `id`, after its strays went back to the base. One that is gone already is no error.
/// The report says what went back. From the moment the directory has its new name, claude cannot find it any more; what
/// an interrupted removal leaves is for [`remove_trash`].
pub fn remove_account_dir(
    home: &Home,
    id: AccountId,
    base: &Base,
    now: Timestamp,
    options: Options,
) -> Result<SyncReport, RemoveError> {
    let dir = home.account(id);
    let mut report = SyncReport::default();
    let metadata = match fs::symlink_metadata(&dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(report),
        metadata => metadata.map_err(failed(&dir))?,
    };
    if !metadata.is_dir() || metadata.dev() != device_of(home)? {
        return Err(RemoveError::Foreign(dir));
    }
    must_hold_no_mount(&dir)?;
    let lock_path = listing::sync_lock(&dir).unwrap_or_default();
    let lock = Lock::acquire(&lock_path, options.sync_wait).map_err(failed(&lock_path))?;
    let Some(_lock) = lock else {
        return Err(RemoveError::Busy(dir));
    };
    sync_locked(base, &dir, now, options, &mut report);
    if !report.is_complete() {
        let report = Box::new(report);
        return Err(RemoveError::Unhealed { dir, report });
    }
    let trash = rename_to_trash(home, id, &dir)?;
    delete(&trash, metadata.dev())?;
    // The number may be given to another account, which must not inherit what this one merged last.
    for file in [listing::merge_record(&dir), listing::sync_lock(&dir)] {
        let _ = file.map(fs::remove_file);
    }
    Ok(report)
}

/// Deletes what interrupted removals left. Returns what is gone.
pub fn remove_trash(home: &Home) -> Result<Vec<PathBuf>, RemoveError> {
    let accounts = home.accounts();
    let entries = match listing::list(&accounts) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed(&accounts))?,
    };
    let device = device_of(home)?;
    let mut gone = Vec::new();
    for (name, kind) in entries {
        if kind.is_dir() && name.as_bytes().starts_with(b"trash-acct-") {
            let path = accounts.join(name);
            must_hold_no_mount(&path)?;
            delete(&path, device)?;
            gone.push(path);
        }
    }
    Ok(gone)
}

/// Deletes one file, link or directory of the home, wherever it lies in it; false when it is gone already.
pub fn remove_entry(home: &Home, path: &Path) -> Result<bool, RemoveError> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        metadata => metadata.map_err(failed(path))?,
    };
    let device = device_of(home)?;
    if !path.starts_with(home.path()) || path == home.path() {
        return Err(RemoveError::Foreign(path.to_owned()));
    }
    if metadata.is_dir() {
        must_hold_no_mount(path)?;
        delete(path, device)?;
    } else {
        fs::remove_file(path).map_err(failed(path))?;
    }
    Ok(true)
}

fn device_of(home: &Home) -> Result<u64, RemoveError> {
    let metadata = fs::metadata(home.path()).map_err(failed(home.path()))?;
    Ok(metadata.dev())
}

fn rename_to_trash(home: &Home, id: AccountId, dir: &Path) -> Result<PathBuf, RemoveError> {
    for number in 1..=MOST_TRASH {
        let trash = home.accounts().join(format!("trash-{id}-{number}"));
        if fs::symlink_metadata(&trash).is_err() {
            fs::rename(dir, &trash).map_err(failed(dir))?;
            return Ok(trash);
        }
    }
    Err(RemoveError::Io {
        path: dir.to_owned(),
        source: io::ErrorKind::AlreadyExists.into(),
    })
}

/// A mount below shows as another device.
fn must_hold_no_mount(dir: &Path) -> Result<(), RemoveError> {
    let metadata = fs::symlink_metadata(dir).map_err(failed(dir))?;
    let mount = match listed_mount(dir)? {
        None => foreign_below(dir, metadata.dev(), 0),
        listed => listed,
    };
    match mount {
        None => Ok(()),
        Some(mount) => Err(RemoveError::Mounted {
            dir: dir.to_owned(),
            mount,
        }),
    }
}

/// The first directory below that is on another device. What cannot be entered is for the deletion, which looks again.
fn foreign_below(dir: &Path, device: u64, depth: usize) -> Option<PathBuf> {
    if depth > MOST_DEPTH {
        return None;
    }
    for (name, kind) in listing::list(dir).ok()? {
        if !kind.is_dir() {
            continue;
        }
        let path = dir.join(name);
        if fs::symlink_metadata(&path).is_ok_and(|m| m.dev() != device) {
            return Some(path);
        }
        let below = foreign_below(&path, device, depth + 1);
        if below.is_some() {
            return below;
        }
    }
    None
}

/// A mount at or below `dir` in the kernel's own list, which has also those of the same device put there once more.
#[cfg(target_os = "linux")]
fn listed_mount(dir: &Path) -> Result<Option<PathBuf>, RemoveError> {
    let real = fs::canonicalize(dir).map_err(failed(dir))?;
    let list = Path::new("/proc/self/mountinfo");
    let text = fs::read(list).map_err(failed(list))?;
    let mounts = text.split(|b| *b == b'\n').filter_map(|line| {
        // Field 5 is the mount point, blanks and the like as octal escapes (proc_pid_mountinfo(5)).
        let field = line.split(|b| *b == b' ').nth(4)?;
        Some(PathBuf::from(std::ffi::OsStr::from_bytes(&unescaped(
            field,
        ))))
    });
    Ok(mounts.into_iter().find(|mount| mount.starts_with(&real)))
}

/// Elsewhere a directory cannot be mounted a second time, and devices tell.
#[cfg(not(target_os = "linux"))]
fn listed_mount(_dir: &Path) -> Result<Option<PathBuf>, RemoveError> {
    Ok(None)
}

#[cfg(target_os = "linux")]
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((byte, tail)) = rest.split_first() {
        let octal = rest.get(1..4).and_then(|digits| {
            let text = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(text, 8).ok()
        });
        match octal.filter(|_| *byte == b'\\') {
            Some(value) => {
                out.push(value);
                rest = &rest[4..];
            }
            None => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
    out
}

/// Deletes a directory by descriptors: a link is removed and never followed, and another device is never entered,
/// whatever is renamed in between.
fn delete(dir: &Path, device: u64) -> Result<(), RemoveError> {
    let as_error = |e: rustix::io::Errno| RemoveError::Io {
        path: dir.to_owned(),
        source: e.into(),
    };
    let name = CString::new(dir.as_os_str().as_bytes())
        .map_err(|_| RemoveError::Foreign(dir.to_owned()))?;
    let opened = open_directory(CWD, &name).map_err(as_error)?;
    delete_inside(opened, device, 0).map_err(as_error)?;
    unlinkat(CWD, &*name, AtFlags::REMOVEDIR).map_err(as_error)
}

fn delete_inside(dir: OwnedFd, device: u64, depth: usize) -> rustix::io::Result<()> {
    let metadata = fstat(&dir)?;
    if device_number(&metadata) != device {
        return Err(rustix::io::Errno::XDEV);
    }
    if !Mode::from_raw_mode(metadata.st_mode).contains(owner_rights()) {
        // Without them its entries cannot go; where it does not help, that shows at once.
        let _ = fchmod(&dir, owner_rights());
    }
    if depth > MOST_DEPTH {
        return Err(rustix::io::Errno::LOOP);
    }
    let mut first = Ok(());
    for entry in Dir::read_from(&dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        // One that cannot go does not keep the others.
        first = first.and(delete_entry(&dir, name, entry.file_type(), device, depth));
    }
    first
}

/// As `std` counts devices; the raw type differs between platforms.
#[allow(
    clippy::unnecessary_cast,
    reason = "the raw type is signed and shorter on macOS"
)]
fn device_number(metadata: &rustix::fs::Stat) -> u64 {
    metadata.st_dev as u64
}

fn delete_entry(
    dir: &OwnedFd,
    name: &CStr,
    kind: FileType,
    device: u64,
    depth: usize,
) -> rustix::io::Result<()> {
    let kind = if kind == FileType::Unknown {
        FileType::from_raw_mode(statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode)
    } else {
        kind
    };
    if kind != FileType::Directory {
        return unlinkat(dir, name, AtFlags::empty());
    }
    delete_inside(open_directory(dir, name)?, device, depth + 1)?;
    unlinkat(dir, name, AtFlags::REMOVEDIR)
}

fn open_directory(dir: impl std::os::fd::AsFd, name: &CStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(&dir, name, flags, Mode::empty()) {
        Err(rustix::io::Errno::ACCESS) => {
            // A directory of one's own that has lost its rights.
            let metadata = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(metadata.st_mode) != FileType::Directory {
                return Err(rustix::io::Errno::ACCESS);
            }
            chmodat(&dir, name, owner_rights(), AtFlags::empty())?;
            openat(&dir, name, flags, Mode::empty())
        }
        opened => opened,
    }
}

fn owner_rights() -> Mode {
    Mode::from_raw_mode(PRIVATE_DIR as rustix::fs::RawMode)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::unescaped;

    #[test]
    fn mount_points_are_read_with_their_escapes() {
        assert_eq!(unescaped(b"/a\\040b\\134c"), b"/a b\\c");
        assert_eq!(unescaped(b"/a\\04"), b"/a\\04");
    }
}
