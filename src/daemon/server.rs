//! The socket: lets clients in, reads their lines, writes the answers. Never does the work itself, so that it answers
//! `health` whatever else is going on; everything has a bound, so that no client can hold up another.

use super::conditions::Conditions;
use super::log::Log;
use super::main_loop::{Event, Progress};
use crate::contract::proto::{Code, ErrorBody, Health, MAX_LINE, Phase, Request, Response, Unread};
use crate::core::time::Timestamp;
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{oneshot, watch};
use tokio::task::spawn_local;
use tokio::time::timeout;

/// So many clients are served at a time: each costs a descriptor, and up to two lines of memory.
const MAX_CONNECTIONS: u32 = 256;
/// So many more are told that there are too many; the rest is closed without a word.
const MAX_TURNED_AWAY: u32 = 64;
/// How long what a client still sends is read and thrown away, so that it gets to see why it was refused.
const DRAIN: Duration = Duration::from_secs(5);
/// The longest that an answer may take: a refresh has its own bound, shorter than this.
const ANSWER: Duration = Duration::from_secs(60);
/// After a failed accept: no descriptors are left, and trying again at once would only burn time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What every connection needs.
pub(super) struct Server {
    /// To the loop that does the work.
    pub(super) events: SyncSender<Event>,
    /// How that is getting on.
    pub(super) progress: watch::Receiver<Progress>,
    /// Says that somebody wants the daemon to end.
    pub(super) stop: watch::Sender<bool>,
    /// The protocol spoken.
    pub(super) proto: u32,
    /// When the daemon started.
    pub(super) started_at: Timestamp,
    /// The user that is served.
    pub(super) user: u32,
    /// How long silent and slow clients are borne with.
    pub(super) conditions: Conditions,
    /// Where refused clients are noted.
    pub(super) log: Log,
    connections: Cell<u32>,
    turned_away: Cell<u32>,
}

impl Server {
    /// A server without clients.
    pub(super) fn new(
        events: SyncSender<Event>,
        progress: watch::Receiver<Progress>,
        stop: watch::Sender<bool>,
        proto: u32,
        user: u32,
        conditions: Conditions,
        log: Log,
    ) -> Self {
        Self {
            events,
            progress,
            stop,
            proto,
            started_at: crate::adapters::clock::now(),
            user,
            conditions,
            log,
            connections: Cell::new(0),
            turned_away: Cell::new(0),
        }
    }

    /// Lets clients in, for ever.
    pub(super) async fn accept(self: Rc<Self>, listener: UnixListener) {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    self.log.warn("accept failed", &[("why", &error)]);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // Asked of the kernel for this very connection.
            match stream.peer_cred() {
                Ok(peer) if peer.uid() == self.user => {}
                Ok(peer) => {
                    self.log
                        .warn("refused another user", &[("uid", &peer.uid())]);
                    continue;
                }
                Err(_) => continue,
            }
            self.let_in(stream);
        }
    }

    fn let_in(self: &Rc<Self>, stream: UnixStream) {
        let server = Rc::clone(self);
        if let Some(place) = Place::take(&self.connections, MAX_CONNECTIONS) {
            self.connections.set(place);
            spawn_local(async move {
                let mut connection = Connection::new(stream, &server.conditions);
                // A connection that breaks concerns its client alone.
                let _ = server.serve(&mut connection).await;
                server.connections.set(server.connections.get() - 1);
            });
        } else if let Some(place) = Place::take(&self.turned_away, MAX_TURNED_AWAY) {
            self.turned_away.set(place);
            spawn_local(async move {
                let text = format!("too many connections: at most {MAX_CONNECTIONS} at a time");
                let error = ErrorBody::new(Code::TooManyConnections, text);
                let mut connection = Connection::new(stream, &server.conditions);
                let _ = connection.refuse(error).await;
                server.turned_away.set(server.turned_away.get() - 1);
            });
        }
    }

    /// Answers line after line, until the client has no more.
    async fn serve(&self, connection: &mut Connection) -> io::Result<()> {
        loop {
            let response = match connection.line().await? {
                Line::End => return Ok(()),
                Line::TooLong => return connection.refuse(ErrorBody::too_long()).await,
                Line::Text(line) if line.iter().all(u8::is_ascii_whitespace) => continue,
                Line::Text(line) => match Request::parse(&line, self.proto) {
                    Ok(request) => self.answer(request).await,
                    Err(Unread(error)) => Response::Error(error),
                },
            };
            let stopping = response == Response::Shutdown;
            connection.write(&response).await?;
            if stopping {
                let _ = self.stop.send(true);
            }
        }
    }

    async fn answer(&self, request: Request) -> Response {
        match request {
            Request::Health => Response::Health(self.health()),
            Request::Shutdown { for_proto } => self.shutdown(for_proto),
            request => self.pass_on(request).await,
        }
    }

    fn health(&self) -> Health {
        let progress = self.progress.borrow();
        Health {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            speaks: self.proto,
            pid: std::process::id(),
            phase: if *self.stop.borrow() {
                Phase::Stopping
            } else {
                progress.phase
            },
            problem: progress.problem.clone(),
            started_at_ms: self.started_at.unix_ms(),
            accounts: progress.accounts,
            connections: self.connections.get(),
            swept_at_ms: progress.swept_at.map(Timestamp::unix_ms),
        }
    }

    fn shutdown(&self, for_proto: Option<u32>) -> Response {
        match for_proto {
            Some(other) if other <= self.proto => {
                let text = format!(
                    "this daemon speaks protocol {}, which is not older",
                    self.proto
                );
                Response::Error(ErrorBody::new(Code::NotNewer, text))
            }
            _ => {
                let by = for_proto.map_or("a person".to_owned(), |p| format!("protocol {p}"));
                self.log.info("asked to end", &[("by", &by)]);
                Response::Shutdown
            }
        }
    }

    async fn pass_on(&self, request: Request) -> Response {
        let unavailable = |why: &str| Response::Error(ErrorBody::new(Code::Unavailable, why));
        {
            let progress = self.progress.borrow();
            if !progress.loaded {
                let problem = progress.problem.as_deref();
                return unavailable(problem.unwrap_or("the daemon is starting"));
            }
        }
        let (reply, answer) = oneshot::channel();
        if self
            .events
            .try_send(Event::Request { request, reply })
            .is_err()
        {
            return unavailable("the daemon has too much to do");
        }
        match timeout(ANSWER, answer).await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => unavailable("the daemon is stopping"),
            Err(_) => unavailable("the daemon did not get to it in time"),
        }
    }
}

/// Counting with a bound.
struct Place;

impl Place {
    fn take(count: &Cell<u32>, most: u32) -> Option<u32> {
        (count.get() < most).then(|| count.get() + 1)
    }
}

/// What a client said next.
enum Line {
    Text(Vec<u8>),
    TooLong,
    End,
}

struct Connection {
    stream: UnixStream,
    buffer: Vec<u8>,
    idle: Duration,
    slow: Duration,
}

impl Connection {
    const fn new(stream: UnixStream, conditions: &Conditions) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            idle: conditions.idle,
            slow: conditions.slow,
        }
    }

    async fn line(&mut self) -> io::Result<Line> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.buffer[searched..].iter().position(|b| *b == b'\n') {
                let rest = self.buffer.split_off(searched + at + 1);
                return Ok(Line::Text(std::mem::replace(&mut self.buffer, rest)));
            }
            searched = self.buffer.len();
            if searched > MAX_LINE {
                return Ok(Line::TooLong);
            }
            let mut chunk = [0; 4096];
            let read = timeout(self.idle, self.stream.read(&mut chunk)).await;
            match read.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? {
                // A line without its end, and a client that will send no more: it may still read.
                0 if !self.buffer.is_empty() => {
                    return Ok(Line::Text(std::mem::take(&mut self.buffer)));
                }
                0 => return Ok(Line::End),
                count => self.buffer.extend_from_slice(&chunk[..count]),
            }
        }
    }

    async fn write(&mut self, response: &Response) -> io::Result<()> {
        let line = response.line();
        let written = timeout(self.slow, self.stream.write_all(line.as_bytes())).await;
        written.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// Says why, and waits until the client has seen it: closing with bytes unread would take the answer back.
    async fn refuse(&mut self, error: ErrorBody) -> io::Result<()> {
        self.write(&Response::Error(error)).await?;
        self.stream.shutdown().await?;
        let mut chunk = [0; 4096];
        let drain = async {
            while self.stream.read(&mut chunk).await? > 0 {}
            Ok(())
        };
        timeout(DRAIN, drain).await.unwrap_or(Ok(()))
    }
}
