//! Paths of sockets that the system takes and that clients can be told. A longer one, or one that is no text, is reached through a short link to its directory, so that the
//! socket itself stays where it belongs, and everybody finds it however they come.

use crate::adapters::files::create_private_dir;
use crate::adapters::procs;
use crate::contract::paths::pool::{MAX_SOCKET_PATH, short_name};
use crate::contract::vars;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The path by which the socket at `path` can be bound and connected to, and which can be told in JSON: itself when it is
/// short enough, and text.
///
/// # Errors
/// When no private directory for the link can be had.
pub fn usable(path: &Path) -> io::Result<PathBuf> {
    if is_plain(path) {
        return Ok(path.to_owned());
    }
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let runtime = private_runtime_dir()?;
    let link = runtime.join(short_name(dir));
    let short = link.join(name);
    if !is_plain(&short) {
        return Err(io::ErrorKind::InvalidFilename.into());
    }
    if fs::read_link(&link).is_ok_and(|target| target == dir) {
        return Ok(short);
    }
    match std::os::unix::fs::symlink(dir, &link) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Another process was faster, or another directory has the same hash.
            let same = fs::read_link(&link).is_ok_and(|target| target == dir);
            same.then_some(short).ok_or(error)
        }
        made => made.map(|()| short),
    }
}

/// A directory for sockets and links that only this user can enter: `ccp` below `XDG_RUNTIME_DIR`, else one in `/tmp`.
///
/// # Errors
/// When neither can be made, or somebody else has them.
pub fn private_runtime_dir() -> io::Result<PathBuf> {
    /// What is added to it has to fit behind it: a slash, the name of a link, and the name of a socket.
    const ROOM: usize = 48;
    let runtime = std::env::var_os(vars::XDG_RUNTIME_DIR).map(PathBuf::from);
    let candidates = runtime
        .into_iter()
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join("ccp"))
        .filter(|dir| dir.as_os_str().as_bytes().len() + ROOM <= MAX_SOCKET_PATH)
        .chain([PathBuf::from(format!("/tmp/ccp-{}", procs::user_id()))]);
    let mut refused = io::Error::from(io::ErrorKind::NotFound);
    for dir in candidates {
        match create_private_dir(&dir).and_then(|()| verify_private(&dir)) {
            Ok(()) => return Ok(dir),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

fn is_plain(path: &Path) -> bool {
    path.as_os_str().as_bytes().len() <= MAX_SOCKET_PATH && path.to_str().is_some()
}

/// A directory that only this user can enter, and that is no link.
fn verify_private(dir: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(dir)?;
    let private = metadata.is_dir()
        && metadata.uid() == procs::user_id()
        && metadata.permissions().mode() & 0o077 == 0;
    private
        .then_some(())
        .ok_or_else(|| io::Error::from(io::ErrorKind::PermissionDenied))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn a_socket_with_a_long_path_is_bound_and_found() {
        let dir = tempfile::tempdir().expect("a directory");
        let deep = dir.path().join("d".repeat(120));
        fs::create_dir(&deep).expect("a directory");
        let path = deep.join("api.sock");
        let short = usable(&path).expect("has a short path");
        assert!(is_plain(&short) && short != path, "{}", short.display());
        assert_eq!(usable(&path).expect("again"), short);
        let listener = UnixListener::bind(&short).expect("binds");
        assert!(path.exists(), "it is where it belongs");
        UnixStream::connect(&short).expect("connects");
        drop(listener);
        let link = short.parent().expect("is a link");
        fs::remove_file(link).expect("goes");
    }

    #[test]
    fn a_socket_below_what_is_no_text_has_a_path_that_is() {
        use std::ffi::OsStr;
        let dir = tempfile::tempdir().expect("a directory");
        let odd = dir.path().join(OsStr::from_bytes(b"caf\xe9"));
        fs::create_dir(&odd).expect("a directory");
        let plain = usable(&odd.join("api.sock")).expect("has a path");
        assert!(plain.to_str().is_some(), "{}", plain.display());
        let _listener = UnixListener::bind(&plain).expect("binds");
        assert!(odd.join("api.sock").exists(), "it is where it belongs");
        fs::remove_file(plain.parent().expect("is a link")).expect("goes");
    }

    #[test]
    fn a_short_path_is_left_alone() {
        let path = Path::new("/x/api.sock");
        assert_eq!(usable(path).expect("is short"), path);
    }
}
