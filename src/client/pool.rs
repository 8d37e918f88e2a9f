//! Asking a session pool: blocking, every wait with a bound that the caller chooses. Replies have any size. Knows how to
//! talk, not where: whoever asks says which socket. Starts nothing.

use crate::contract::pool::{Line, Lines, Message, PoolError, Reply, Request, Subscribe, Wait};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a connection may take: a daemon that lives accepts at once, also on a machine that is busy.
pub const CONNECT: Duration = Duration::from_secs(5);
/// How much longer than its own timeout a `wait` is waited for: reading a long transcript takes its time.
pub const WAIT_MARGIN: Duration = Duration::from_secs(30);

/// A message that has begun to come is waited for as long as more of it comes within this time: it may have a hundred
/// megabytes, and come by a slow line.
const STALLED: Duration = Duration::from_secs(30);

/// Why there is no reply.
#[derive(Debug)]
pub enum PoolClientError {
    /// Nobody listens at this socket.
    NotRunning(PathBuf),
    /// It did not answer in time.
    Late(Duration),
    /// The pool closed the connection.
    Closed,
    /// The connection broke.
    Io(io::Error),
    /// It answered something that is no message.
    Unread(String),
    /// It answered that it cannot: the error, and its line as it came.
    Refused(PoolError, String),
}

impl fmt::Display for PoolClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning(socket) => write!(f, "no pool listens at {}", socket.display()),
            Self::Late(patience) => {
                let seconds = patience.as_secs_f32();
                write!(f, "the pool did not answer within {seconds:.1} s")
            }
            Self::Closed => f.write_str("the pool closed the connection"),
            Self::Io(error) => write!(f, "cannot talk to the pool: {error}"),
            Self::Unread(why) => write!(f, "the pool's answer cannot be read: {why}"),
            Self::Refused(error, _) => error.fmt(f),
        }
    }
}

impl std::error::Error for PoolClientError {}

impl From<io::Error> for PoolClientError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A reply, and its line as it came: one JSON object without the end of the line.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// What it says.
    pub reply: Reply,
    /// As it came.
    pub raw: String,
}

/// A message, and its line as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// What it says.
    pub message: Message,
    /// As it came.
    pub raw: String,
}

/// A connection to a pool.
#[derive(Debug)]
pub struct PoolClient {
    stream: UnixStream,
    lines: Lines,
}

/// Ends a connection from another thread.
#[derive(Debug)]
pub struct HangUp(UnixStream);

impl HangUp {
    /// Ends it: what waits for a reply on it is told that it is closed.
    pub fn now(&self) {
        // One that is closed already is what was wanted.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

impl PoolClient {
    /// What ends this connection from another thread.
    pub fn hang_up(&self) -> Result<HangUp, PoolClientError> {
        Ok(HangUp(self.stream.try_clone()?))
    }

    /// Connects to the pool that listens at this path, which has to be short enough for the system.
    pub fn connect(socket: &Path) -> Result<Self, PoolClientError> {
        let stream = connect(socket, CONNECT)?;
        let lines = Lines::of_replies();
        Ok(Self { stream, lines })
    }

    /// Asks, and waits at most `patience` for the reply. Events that come in between are passed over.
    pub fn call(
        &mut self,
        request: &Request,
        patience: Duration,
    ) -> Result<Answer, PoolClientError> {
        let deadline = Instant::now() + patience;
        self.send(request, patience)?;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let received = match self.receive(Some(left)) {
                Err(PoolClientError::Late(_)) => return Err(PoolClientError::Late(patience)),
                other => other?.ok_or(PoolClientError::Closed)?,
            };
            match received.message {
                Message::Reply(reply) => {
                    let raw = received.raw;
                    return Ok(Answer { reply, raw });
                }
                Message::Error(error) => return Err(PoolClientError::Refused(error, received.raw)),
                Message::Event(_) => {}
            }
        }
    }

    /// Waits for the end of a turn. The bound is the request's own timeout with a margin.
    pub fn wait(&mut self, wait: Wait) -> Result<Answer, PoolClientError> {
        let patience = Duration::from_millis(wait.timeout_ms).saturating_add(WAIT_MARGIN);
        // Longer than a year is for ever, and an instant that far away may not exist.
        let patience = patience.min(Duration::from_secs(365 * 24 * 3600));
        self.call(&Request::Wait(wait), patience)
    }

    /// Subscribes; [`PoolClient::receive`] brings the events. `ack` should be set: then this returns when events flow.
    pub fn subscribe(
        &mut self,
        subscribe: Subscribe,
        patience: Duration,
    ) -> Result<(), PoolClientError> {
        let ack = subscribe.ack;
        let request = Request::Subscribe(subscribe);
        if ack {
            self.call(&request, patience).map(drop)
        } else {
            self.send(&request, patience)
        }
    }

    /// The next message; none when the pool closed the connection. Without patience it waits for ever.
    pub fn receive(
        &mut self,
        patience: Option<Duration>,
    ) -> Result<Option<Received>, PoolClientError> {
        let mut deadline = patience.map(|patience| Instant::now() + patience);
        let mut chunk = [0; 64 * 1024];
        loop {
            match self.lines.next() {
                Some(Line::Text(line)) => return received(line).map(Some),
                // There is no bound to replies.
                Some(Line::TooLarge) => {
                    return Err(PoolClientError::Unread("it is too long".to_owned()));
                }
                None => {}
            }
            self.stream
                .set_read_timeout(deadline.map(at_least_a_moment))?;
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(None),
                Ok(count) => {
                    self.lines.push(&chunk[..count]);
                    let stalled = Instant::now() + STALLED;
                    deadline = deadline.map(|deadline| deadline.max(stalled));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(late(error, patience.unwrap_or_default())),
            }
        }
    }

    fn send(&mut self, request: &Request, patience: Duration) -> Result<(), PoolClientError> {
        self.stream
            .set_write_timeout(Some(patience.max(Duration::from_millis(1))))?;
        let line = request.line(None);
        match self.stream.write_all(line.as_bytes()) {
            // It may have said why before it closed: a line that was too long, say.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                ) =>
            {
                Ok(())
            }
            Err(error) => Err(late(error, patience)),
            Ok(()) => Ok(()),
        }
    }
}

/// Connects within a bound.
pub(super) fn connect(socket: &Path, bound: Duration) -> Result<UnixStream, PoolClientError> {
    let (send, receive) = mpsc::channel();
    let path = socket.to_owned();
    // Connecting has no bound of its own: it waits while the queue of a daemon that hangs is full.
    std::thread::spawn(move || send.send(UnixStream::connect(&path)));
    match receive.recv_timeout(bound) {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                PoolClientError::NotRunning(socket.to_owned())
            }
            _ => PoolClientError::Io(error),
        }),
        Err(_) => Err(PoolClientError::Late(bound)),
    }
}

fn received(line: Vec<u8>) -> Result<Received, PoolClientError> {
    let message = Message::parse(&line).map_err(PoolClientError::Unread)?;
    let raw = String::from_utf8(line).map_err(|e| PoolClientError::Unread(e.to_string()))?;
    Ok(Received { message, raw })
}

fn late(error: io::Error, patience: Duration) -> PoolClientError {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => PoolClientError::Late(patience),
        _ => PoolClientError::Io(error),
    }
}

/// A time-out of zero would mean none.
fn at_least_a_moment(deadline: Instant) -> Duration {
    let left = deadline.saturating_duration_since(Instant::now());
    left.max(Duration::from_millis(1))
}
