//! Asking the daemon: one request, one answer, every wait with a bound. There may be no daemon; that is no error, and
//! whoever asks does the work itself then. Starts nothing.

pub mod attach;
pub mod pool;

use crate::contract::paths::Home;
use crate::contract::proto::note::{Found, Note};
use crate::contract::proto::{MAX_LINE, Request, Response};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a connection may take: a daemon that lives accepts at once.
pub const CONNECT: Duration = Duration::from_millis(200);
/// The largest note that is read, in bytes.
const MAX_NOTE: u64 = 64 * 1024;

/// Why there is no answer.
#[derive(Debug)]
pub enum ClientError {
    /// No daemon runs, as far as can be seen.
    NotRunning,
    /// It did not answer in time.
    Late(Duration),
    /// The connection broke.
    Io(io::Error),
    /// It answered something that is no answer.
    Unread(String),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning => f.write_str("no daemon runs"),
            Self::Late(patience) => {
                let seconds = patience.as_secs_f32();
                write!(f, "the daemon did not answer within {seconds:.1} s")
            }
            Self::Io(error) => write!(f, "cannot talk to the daemon: {error}"),
            Self::Unread(why) => write!(f, "the daemon's answer cannot be read: {why}"),
        }
    }
}

impl std::error::Error for ClientError {}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    /// What came after the end of the last answer.
    rest: Vec<u8>,
}

impl Client {
    /// Connects to the daemon of this home.
    pub fn connect(home: &Home) -> Result<Self, ClientError> {
        let Found::Note(note) = read_note(home) else {
            return Err(ClientError::NotRunning);
        };
        // Outside the home the directory has to be as private as the home is.
        let in_home = note.socket == home.daemon_socket();
        if !in_home && !is_private(home, &note.socket) {
            return Err(ClientError::NotRunning);
        }
        Self::connect_to(note)
    }

    fn connect_to(note: Note) -> Result<Self, ClientError> {
        let (send, receive) = mpsc::channel();
        // Connecting has no bound of its own: it waits while the queue of a daemon that hangs is full.
        std::thread::spawn(move || send.send(UnixStream::connect(&note.socket)));
        match receive.recv_timeout(CONNECT) {
            Ok(Ok(stream)) => Ok(Self {
                stream,
                rest: Vec::new(),
            }),
            Ok(Err(_)) => Err(ClientError::NotRunning),
            Err(_) => Err(ClientError::Late(CONNECT)),
        }
    }

    /// Asks, and waits at most `patience` for the answer.
    pub fn ask(&mut self, request: &Request, patience: Duration) -> Result<Response, ClientError> {
        let deadline = Instant::now() + patience;
        let late = |error: io::Error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::Late(patience),
            _ => ClientError::Io(error),
        };
        self.stream
            .set_write_timeout(Some(at_least_a_moment(deadline)))?;
        self.stream
            .write_all(request.line().as_bytes())
            .map_err(late)?;
        let mut chunk = [0; 16 * 1024];
        loop {
            if let Some(end) = self.rest.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Response::parse(&line).map_err(ClientError::Unread);
            }
            if self.rest.len() > MAX_LINE {
                return Err(ClientError::Unread("it is too long".to_owned()));
            }
            if Instant::now() >= deadline {
                return Err(ClientError::Late(patience));
            }
            self.stream
                .set_read_timeout(Some(at_least_a_moment(deadline)))?;
            match self.stream.read(&mut chunk).map_err(late)? {
                0 => return Err(ClientError::Io(io::ErrorKind::UnexpectedEof.into())),
                count => self.rest.extend_from_slice(&chunk[..count]),
            }
        }
    }
}

/// One question to the daemon of this home.
pub fn ask(home: &Home, request: &Request, patience: Duration) -> Result<Response, ClientError> {
    Client::connect(home)?.ask(request, patience)
}

/// What the lock file says of the daemon that runs, or ran last.
#[must_use]
pub fn read_note(home: &Home) -> Found {
    let mut text = Vec::new();
    let read = File::open(home.daemon_lock()).and_then(|f| f.take(MAX_NOTE).read_to_end(&mut text));
    read.map_or(Found::Nothing, |_| Note::parse(&text))
}

/// A time-out of zero would mean none.
fn at_least_a_moment(deadline: Instant) -> Duration {
    let left = deadline.saturating_duration_since(Instant::now());
    left.max(Duration::from_millis(1))
}

fn is_private(home: &Home, socket: &Path) -> bool {
    let owner = |path: &Path| fs::symlink_metadata(path).map(|m| (m.uid(), m.mode()));
    let (Ok((home_owner, _)), Some(dir)) = (owner(home.path()), socket.parent()) else {
        return false;
    };
    owner(dir).is_ok_and(|(uid, mode)| uid == home_owner && mode & 0o077 == 0)
}
