//! A host's beginning: what to start, where to listen, the record that outlives everything, and only then claude.

use super::picture::Picture;
use super::socket::{Listening, SocketError};
use crate::adapters::files::{self, PRIVATE_FILE};
use crate::adapters::procs::interrupt::Interrupts;
use crate::adapters::procs::{self, memory, pipes};
use crate::adapters::pty::{Child, Program, Pty, PtyError};
use crate::contract::proto::host::{
    ERROR_FILE, HostRecord, LAUNCH_FILE, Launch, Process, RECORD_FILE, Unread, VERSION,
};
use crate::contract::vars::{CCP_HOOK_SOCKET, CCP_HOOK_TOKEN};
use rustix::fs::Mode;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The longest description of a launch that is read: environments have a limit of their own below.
const MAX_LAUNCH: u64 = 16 * 1024 * 1024;

/// Why a host did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file of the slot cannot be read, written or removed.
    #[error("cannot use {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// What to start is not said rightly.
    #[error("{path}: {source}")]
    Launch {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Unread,
    },
    /// It cannot be listened.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// Claude does not start.
    #[error(transparent)]
    Pty(#[from] PtyError),
    /// The system has no thread, pipe or signal for us.
    #[error("cannot prepare the host: {0}")]
    Prepare(io::Error),
    /// The process that a test named as the owner does not run.
    #[error("process {0}, named as the owner, does not run")]
    NoOwner(u32),
}

/// What a host has once claude runs.
pub(super) struct Started {
    pub launch: Launch,
    pub pty: Pty,
    pub child: Child,
    pub picture: Picture,
    pub listening: Listening,
    pub record: Record,
    pub interrupts: Interrupts,
    pub wake: Wake,
    pub owner: Option<Process>,
}

/// The two ends by which threads wake the loop.
pub(super) struct Wake {
    pub reads: UnixStream,
    pub writes: UnixStream,
}

/// The host's record and where it is.
#[derive(Debug)]
pub(super) struct Record {
    pub path: PathBuf,
    pub is: HostRecord,
}

impl Record {
    /// Makes it durable.
    pub fn write(&self) -> Result<(), StartError> {
        let written = files::replace(&self.path, &self.is.text(), PRIVATE_FILE);
        written.map_err(|source| StartError::File {
            path: self.path.clone(),
            source,
        })
    }

    /// Whether the file is there.
    pub fn is_there(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok()
    }
}

/// Starts claude as the slot's directory says.
pub(super) fn start(slot_dir: &Path, owner: Option<u32>) -> Result<Started, StartError> {
    memory::stay_small();
    pipes::survive_broken_pipes();
    let owner = owner.map(owner_of).transpose()?;
    let launch = take_launch(&slot_dir.join(LAUNCH_FILE))?;
    // For the sockets; claude gets the one back that it should have.
    let inherited = rustix::process::umask(Mode::from_bits_truncate(0o077));
    let interrupts = Interrupts::catch().map_err(StartError::Prepare)?;
    procs::leave_session();
    let listening = Listening::at(&launch.socket)?;
    let mut record = Record {
        path: slot_dir.join(RECORD_FILE),
        is: describe(&launch),
    };
    record.write()?;
    let wake = wake().map_err(StartError::Prepare)?;
    let (pty, terminal) = Pty::open(launch.size.cols, launch.size.rows)?;
    #[allow(clippy::useless_conversion, reason = "a mode has 16 bits on macOS")]
    let program = program(&launch, inherited.as_raw_mode().into());
    let child = Child::start(&program, terminal).inspect_err(|_| {
        // Nothing runs that it would lead to.
        let _ = fs::remove_file(&record.path);
    })?;
    record.is.agent = Some(Process {
        pid: child.pid(),
        start: child.start_time(),
    });
    // Without it a daemon asks the host itself.
    let _ = record.write();
    let writes = wake.writes.try_clone().map_err(StartError::Prepare)?;
    let picture = Picture::start(launch.size, writes).map_err(StartError::Prepare)?;
    Ok(Started {
        launch,
        pty,
        child,
        picture,
        listening,
        record,
        interrupts,
        wake,
        owner,
    })
}

/// Leaves a word for the daemon, which has no other way to learn it.
pub(super) fn leave_error(slot_dir: &Path, error: &StartError) {
    let text = format!("{error}\n");
    let _ = files::replace_rebuildable(&slot_dir.join(ERROR_FILE), text.as_bytes(), PRIVATE_FILE);
}

fn take_launch(path: &Path) -> Result<Launch, StartError> {
    let failed = |source| StartError::File {
        path: path.to_owned(),
        source,
    };
    let mut text = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(MAX_LAUNCH)
        .read_to_end(&mut text)
        .map_err(failed)?;
    // It holds secrets, and is of no use a second time.
    fs::remove_file(path).map_err(failed)?;
    Launch::parse(&text).map_err(|source| StartError::Launch {
        path: path.to_owned(),
        source,
    })
}

fn owner_of(pid: u32) -> Result<Process, StartError> {
    let start = procs::start_time(pid).ok_or(StartError::NoOwner(pid))?;
    Ok(Process { pid, start })
}

fn describe(launch: &Launch) -> HostRecord {
    let pid = std::process::id();
    HostRecord {
        version: VERSION,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        host: Process {
            pid,
            start: procs::start_time(pid).unwrap_or(0),
        },
        machine: procs::machine().hash,
        socket: launch.socket.clone(),
        token: launch.token.clone(),
        agent: None,
        session: launch.session.clone(),
        ended: None,
    }
}

fn program(launch: &Launch, inherited_umask: u32) -> Program {
    let mut env = launch.env.clone();
    env.retain(|(name, _)| name != CCP_HOOK_SOCKET && name != CCP_HOOK_TOKEN);
    env.push((CCP_HOOK_SOCKET.into(), launch.socket.clone().into()));
    env.push((CCP_HOOK_TOKEN.into(), launch.token.clone().into()));
    Program {
        argv: launch.argv.clone(),
        env,
        cwd: launch.cwd.clone(),
        umask: Some(launch.umask.unwrap_or(inherited_umask)),
    }
}

fn wake() -> io::Result<Wake> {
    let (reads, writes) = UnixStream::pair()?;
    reads.set_nonblocking(true)?;
    writes.set_nonblocking(true)?;
    Ok(Wake { reads, writes })
}
