//! Reaching a pool: by its socket on this machine, or by one that OpenSSH forwards.

use super::places;
use super::stand::Stand;
use crate::adapters::procs;
use crate::adapters::short_path;
use crate::adapters::ssh::Forward;
use crate::cli::failure::Failure;
use crate::client::pool::{PoolClient, PoolClientError};
use crate::contract::pool::{Place, Remote};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long OpenSSH may take to listen.
const SSH_BOUND: Duration = Duration::from_secs(30);

/// A way to a pool. What it forwards ends with it.
#[derive(Debug)]
pub enum Link {
    /// On this machine.
    Here {
        /// As it can be connected to.
        socket: PathBuf,
    },
    /// On another one.
    Remote {
        /// Where.
        remote: Remote,
        /// Its socket on this machine.
        forward: Forward,
    },
}

impl Link {
    /// The way to the pool that the command names.
    pub fn open(stand: &Stand) -> Result<Self, Failure> {
        Self::to(&places::place(stand)?)
    }

    /// The way to a place.
    pub fn to(place: &Place) -> Result<Self, Failure> {
        match place {
            Place::Here(socket) => Ok(Self::Here {
                socket: usable(socket)?,
            }),
            Place::Remote(remote) => Ok(Self::Remote {
                remote: remote.clone(),
                forward: forward(remote)?,
            }),
        }
    }

    /// A new connection.
    pub fn connect(&self) -> Result<PoolClient, Failure> {
        self.client().map_err(|error| self.failure(error))
    }

    /// The same for somebody who knows what to do about an error.
    pub fn client(&self) -> Result<PoolClient, PoolClientError> {
        PoolClient::connect(self.socket())
    }

    /// The path on this machine of another socket of the pool, as its daemon named it, and what keeps it there.
    pub fn reach(&self, named: &str) -> Result<(PathBuf, Option<Forward>), Failure> {
        match self {
            Self::Here { .. } => Ok((usable(Path::new(named))?, None)),
            Self::Remote { remote, .. } => {
                let sibling = remote.sibling(named).map_err(Failure::new)?;
                let forward = forward(&sibling)?;
                Ok((forward.socket().to_owned(), Some(forward)))
            }
        }
    }

    /// What went wrong, in words that name the pool.
    pub fn failure(&self, error: PoolClientError) -> Failure {
        match (self, error) {
            (Self::Here { .. }, error @ PoolClientError::NotRunning(_)) => Failure::new(error)
                .hint("`ccp pool init` starts a pool, `ccp pool pools` lists them"),
            // OpenSSH listens whether or not somebody does at the other end.
            (
                Self::Remote { remote, .. },
                PoolClientError::Closed | PoolClientError::NotRunning(_),
            ) => Failure::new(format!("no pool listens at {remote}"))
                .hint("start it there with `ccp pool init`"),
            (_, error) => Failure::new(error),
        }
    }

    fn socket(&self) -> &Path {
        match self {
            Self::Here { socket } => socket,
            Self::Remote { forward, .. } => forward.socket(),
        }
    }
}

/// A path by which the socket can be connected to. One of another user is nobody's to talk to: what is typed and asked
/// would be theirs to read.
fn usable(socket: &Path) -> Result<PathBuf, Failure> {
    let path = socket.display();
    let owner = fs::metadata(socket).map(|metadata| metadata.uid());
    if owner.is_ok_and(|owner| owner != procs::user_id()) {
        return Err(Failure::new(format!("{path} belongs to somebody else")));
    }
    short_path::usable(socket).map_err(|error| {
        Failure::new(format!(
            "{path} is too long for a socket, and a short way to it cannot be made: {error}"
        ))
    })
}

fn forward(remote: &Remote) -> Result<Forward, Failure> {
    let dir = short_path::private_runtime_dir().map_err(|error| {
        Failure::new(format!(
            "there is no private directory for sockets: {error}"
        ))
    })?;
    Forward::open(&dir, &remote.destination(), remote.socket(), SSH_BOUND).map_err(|error| {
        Failure::new(error).hint(format!(
            "`ssh {}` has to work without a question",
            remote.destination()
        ))
    })
}
