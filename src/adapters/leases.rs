//! The lease directory: reading what others wrote, writing and removing one's own.

use super::files::{PRIVATE_FILE, create_private_dir, write_new};
use crate::contract::lease::LeaseName;
use crate::core::accounts::lease::Holder;
use crate::core::time::Timestamp;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// What a lease directory holds.
#[derive(Debug, Default)]
pub struct Listing {
    /// Files whose name is a lease's.
    pub leases: Vec<LeaseName>,
    /// Files whose name is not, except dot-files: garbage, for maintenance to move away.
    pub garbage: Vec<PathBuf>,
}

/// Lists the leases in `dir`. A directory that does not exist holds none.
pub fn list(dir: &Path) -> io::Result<Listing> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Listing::default()),
        entries => entries?,
    };
    let mut listing = Listing::default();
    for entry in entries {
        let name = entry?.file_name();
        match name.to_str().and_then(LeaseName::parse) {
            Some(lease) => listing.leases.push(lease),
            None if name.as_bytes().starts_with(b".") => {}
            None => listing.garbage.push(dir.join(name)),
        }
    }
    Ok(listing)
}

/// The last sign of life that others left on a lease file; none when it is gone.
#[must_use]
pub fn touched_at(dir: &Path, lease: &LeaseName) -> Option<Timestamp> {
    let modified = fs::metadata(dir.join(lease.to_string()))
        .and_then(|m| m.modified())
        .ok()?;
    let ms = modified.duration_since(UNIX_EPOCH).ok()?.as_millis();
    i64::try_from(ms).ok().map(Timestamp::from_unix_ms)
}

/// Writes a lease with the record of its pick. The directory is made when it is missing.
pub fn write(dir: &Path, lease: &LeaseName, record: &[u8]) -> io::Result<()> {
    let path = dir.join(lease.to_string());
    match write_new(&path, record, PRIVATE_FILE, false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_private_dir(dir)?;
            write_new(&path, record, PRIVATE_FILE, false)
        }
        result => result,
    }
}

/// Makes a lease, with the record in it, another holder's. In one step: whoever counts sees one or the other.
pub fn hand_over(dir: &Path, lease: &LeaseName, holder: Holder) -> io::Result<()> {
    let new = LeaseName {
        holder,
        ..lease.clone()
    };
    fs::rename(dir.join(lease.to_string()), dir.join(new.to_string()))
}

/// Removes a lease; one that is gone already is no error.
pub fn remove(dir: &Path, lease: &LeaseName) -> io::Result<()> {
    match fs::remove_file(dir.join(lease.to_string())) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::account::AccountId;
    use crate::core::accounts::lease::Holder;

    #[test]
    fn leases_are_listed_and_everything_else_is_garbage() {
        let home = tempfile::tempdir().expect("a directory");
        let dir = home.path().join("leases");
        assert!(
            list(&dir)
                .expect("a missing directory holds none")
                .leases
                .is_empty()
        );
        let lease = LeaseName {
            account: AccountId::new(1).expect("1"),
            holder: Holder::Reservation { tag: 7 },
            machine: 1,
            directory: 2,
            created_at: Timestamp::from_unix_ms(3),
            beside: false,
        };
        write(&dir, &lease, b"{}").expect("makes the directory and writes");
        fs::File::create(dir.join("rubbish")).expect("creates");
        fs::File::create(dir.join(".lock")).expect("creates");
        let found = list(&dir).expect("lists");
        assert_eq!(found.leases, std::slice::from_ref(&lease));
        assert_eq!(found.garbage, [dir.join("rubbish")]);
        assert!(touched_at(&dir, &lease).is_some());
        remove(&dir, &lease).expect("removes");
        remove(&dir, &lease).expect("is gone already");
        assert!(touched_at(&dir, &lease).is_none());
    }
}
