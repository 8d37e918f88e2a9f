//! Moving an entry without ever overwriting or losing one, across file systems too.

use crate::adapters::files::PRIVATE_DIR;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::ffi::OsString;
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// How deep a directory may go; deeper ones are left alone rather than running out of stack.
pub(super) const MOST_DEPTH: usize = 128;

/// The most copies kept of one name.
const MOST_CONFLICTS: u32 = 10_000;

/// Moves `from` to `to`, where nothing may be. `AlreadyExists` when something is.
pub(super) fn move_new(from: &Path, to: &Path) -> io::Result<()> {
    match rename_new(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let part = part_of(to);
            // What a killed process of the same number left, and nobody's only copy.
            let _ = remove_copy(&part);
            let copied = copy(from, &part, 0).and_then(|()| rename_new(&part, to));
            if let Err(error) = copied {
                let _ = remove_copy(&part);
                return Err(error);
            }
            remove_copied(from, to)
        }
        result => result,
    }
}

/// Puts the file `from` in the place of the file `to`.
pub(super) fn move_over(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let part = part_of(to);
            // What a killed process of the same number left, and nobody's only copy.
            let _ = remove_copy(&part);
            let copied = copy(from, &part, 0).and_then(|()| fs::rename(&part, to));
            if let Err(error) = copied {
                let _ = remove_copy(&part);
                return Err(error);
            }
            remove_copied(from, to)
        }
        result => result,
    }
}

/// Lets two files change names in one step: neither is without a name at any time. False where the file system cannot.
pub(super) fn swap(one: &Path, other: &Path) -> io::Result<bool> {
    match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).map_err(io::Error::from) {
        Ok(()) => Ok(true),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput
                    | io::ErrorKind::Unsupported
                    | io::ErrorKind::CrossesDevices
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Gives the file `of` a second name: the first free `NAME.conflict-N` in `dir`. It keeps its own name.
pub(super) fn keep_beside(of: &Path, dir: &Path, name: &std::ffi::OsStr) -> io::Result<PathBuf> {
    first_free(dir, name, |free| match fs::hard_link(of, free) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // File systems without hard links, and links that lead to another one.
        Err(_) => copy_new_file(of, free),
        Ok(()) => Ok(()),
    })
}

/// Moves `from` to the first free `NAME.conflict-N` in `dir`.
pub(super) fn move_beside(from: &Path, dir: &Path, name: &std::ffi::OsStr) -> io::Result<PathBuf> {
    first_free(dir, name, |free| move_new(from, free))
}

fn first_free(
    dir: &Path,
    name: &std::ffi::OsStr,
    mut take: impl FnMut(&Path) -> io::Result<()>,
) -> io::Result<PathBuf> {
    for number in 1..=MOST_CONFLICTS {
        let mut free = OsString::from(name);
        free.push(format!(".conflict-{number}"));
        let free = dir.join(free);
        match take(&free) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return result.map(|()| free),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    let result = renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE);
    match result.map_err(io::Error::from) {
        // File systems that cannot promise it get the look beforehand.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            match fs::symlink_metadata(to) {
                Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                Err(missing) if missing.kind() == io::ErrorKind::NotFound => fs::rename(from, to),
                Err(other) => Err(other),
            }
        }
        result => result,
    }
}

/// Where a copy grows; the name is private in every overlay.
fn part_of(to: &Path) -> PathBuf {
    let mut name = OsString::from(to.file_name().unwrap_or_default());
    name.push(format!(".tmp.{}.moving", std::process::id()));
    to.with_file_name(name)
}

fn copy(from: &Path, to: &Path, depth: usize) -> io::Result<()> {
    if depth > MOST_DEPTH {
        return Err(io::Error::other("nested too deep to be moved"));
    }
    let metadata = fs::symlink_metadata(from)?;
    if metadata.is_symlink() {
        symlink(fs::read_link(from)?, to)
    } else if metadata.is_dir() {
        fs::DirBuilder::new().mode(PRIVATE_DIR).create(to)?;
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            copy(&from.join(&name), &to.join(&name), depth + 1)?;
        }
        fs::set_permissions(to, metadata.permissions())
    } else if metadata.is_file() {
        copy_new_file(from, to)
    } else {
        Err(io::Error::other("neither file nor directory nor link"))
    }
}

fn copy_new_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let metadata = source.metadata()?;
    let mut target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)?;
    let written = io::copy(&mut source, &mut target)
        .and_then(|_| {
            target.set_permissions(fs::Permissions::from_mode(
                metadata.permissions().mode() & 0o7777,
            ))
        })
        .and_then(|()| target.set_times(FileTimes::new().set_modified(metadata.modified()?)))
        .and_then(|()| target.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(to);
    }
    written
}

/// Removes what was copied to `to`, and only that: what changed in between stays where it is.
fn remove_copied(from: &Path, to: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    if metadata.is_dir() {
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            remove_copied(&from.join(&name), &to.join(&name))?;
        }
        return fs::remove_dir(from);
    }
    let same = if metadata.is_symlink() {
        fs::read_link(from)? == fs::read_link(to)?
    } else {
        same_content(from, to)?
    };
    if same {
        fs::remove_file(from)
    } else {
        Err(io::Error::other("changed while it was being moved"))
    }
}

/// Removes a half-made copy of ours.
fn remove_copy(part: &Path) -> io::Result<()> {
    if fs::symlink_metadata(part)?.is_dir() {
        fs::remove_dir_all(part)
    } else {
        fs::remove_file(part)
    }
}

/// Whether two files hold the same bytes.
pub(super) fn same_content(one: &Path, other: &Path) -> io::Result<bool> {
    let (one, other) = (File::open(one)?, File::open(other)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    Ok(starts_with(one, other)? == Some(true))
}

/// Whether the file `long` begins with all of the file `short`.
pub(super) fn continues(long: &Path, short: &Path) -> io::Result<bool> {
    Ok(starts_with(File::open(long)?, File::open(short)?)? == Some(true))
}

fn starts_with(long: File, short: File) -> io::Result<Option<bool>> {
    const CHUNK: usize = 64 * 1024;
    let (mut long, mut short) = (BufReader::with_capacity(CHUNK, long), short);
    let (mut theirs, mut ours) = (vec![0; CHUNK], vec![0; CHUNK]);
    loop {
        let length = short.read(&mut ours)?;
        if length == 0 {
            return Ok(Some(true));
        }
        match long.read_exact(&mut theirs[..length]) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            result => result?,
        }
        if theirs[..length] != ours[..length] {
            return Ok(Some(false));
        }
    }
}
