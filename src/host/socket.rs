//! Sockets that nobody but this user can connect to: made under a mask that leaves others out, in a directory of this
//! user alone, and each connection's peer is looked at.

use crate::adapters::procs;
use crate::adapters::procs::peer::{Peer, peer};
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Why nobody listens there.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The directory is not private.
    #[error("{0} is not a directory of this user alone (mode 0700)")]
    NotPrivate(PathBuf),
    /// Something that is no socket is in the way.
    #[error("{0} is in the way: it is no socket")]
    InTheWay(PathBuf),
    /// The system refuses.
    #[error("cannot listen at {path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// A socket that is listened at; removed when dropped, if it is still this one.
#[derive(Debug)]
pub(super) struct Listening {
    pub listener: UnixListener,
    path: PathBuf,
    identity: (u64, u64),
}

impl Listening {
    /// Listens there. A socket that is there already is taken for stale: the pool's directory has one owner.
    pub fn at(path: &Path) -> Result<Self, SocketError> {
        let failed = |source| SocketError::Io {
            path: path.to_owned(),
            source,
        };
        let dir = path.parent().unwrap_or(Path::new("/"));
        if !is_private(dir).map_err(failed)? {
            return Err(SocketError::NotPrivate(dir.to_owned()));
        }
        match fs::symlink_metadata(path) {
            Ok(there) if there.file_type().is_socket() => fs::remove_file(path).map_err(failed)?,
            Ok(_) => return Err(SocketError::InTheWay(path.to_owned())),
            Err(_) => {}
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let made = fs::symlink_metadata(path).map_err(failed)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            identity: (made.dev(), made.ino()),
        })
    }

    /// Where.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next connection of this user; others are closed. None when nobody else waits.
    pub fn accept(&self) -> Option<(UnixStream, Peer)> {
        loop {
            let (stream, _) = match self.listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return None,
            };
            let known = peer(&stream).ok().filter(|p| p.user == procs::user_id());
            if let Some(peer) = known
                && stream.set_nonblocking(true).is_ok()
            {
                return Some((stream, peer));
            }
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let there = fs::symlink_metadata(&self.path).map(|m| (m.dev(), m.ino()));
        if there.is_ok_and(|identity| identity == self.identity) {
            // What stays behind is stale, and is removed by whoever listens there next.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn is_private(dir: &Path) -> io::Result<bool> {
    let metadata = fs::metadata(dir)?;
    let mode = metadata.permissions().mode();
    Ok(metadata.is_dir() && metadata.uid() == procs::user_id() && mode & 0o077 == 0)
}
