//! The pool's socket: lets clients in, reads their lines, hands out answers and events. Never does the work itself;
//! everything has a bound, so that no client holds up another.

use super::hub::Hub;
use super::log::{Category, Log};
use super::long::Long;
use super::outbox::Outbox;
use super::serve::first;
use crate::adapters::procs::peer;
use crate::contract::pool::{
    Code, Incoming, Line, Lines, PROTOCOL, PoolError, Reply, Request, Subscribe,
};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{broadcast, oneshot};
use tokio::task::{spawn_local, yield_now};
use tokio::time::timeout;

/// So many clients are served at a time: each costs a descriptor and some kilobytes.
const MAX_CONNECTIONS: u32 = 4_096;
/// After a failed accept: no descriptors are left, and trying again at once would only burn time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a client that was refused may take to read why, and to stop sending.
const PARTING: Duration = Duration::from_secs(5);
/// How long connections get to turn what they were told last into lines.
const LAST_ANSWERS: Duration = Duration::from_millis(20);
/// How often it is looked whether a client that waits is still there.
const LOOK_AT_CLIENT: Duration = Duration::from_secs(1);
/// How much is read at a time.
const CHUNK: usize = 64 * 1024;

/// A request on its way to the loop, and where its answer goes.
#[derive(Debug)]
pub(super) struct Ask {
    /// What is asked.
    pub(super) request: Request,
    /// To the connection.
    pub(super) reply: ReplyTo,
}

/// What is answered.
pub(super) type Answer = Result<Reply, PoolError>;

/// An answer on its way to a connection.
#[derive(Debug)]
enum Said {
    /// All of it.
    All(Answer),
    /// It comes in pieces.
    Long(Long),
}

/// Where an answer goes. The client may be gone.
#[derive(Debug)]
pub(super) struct ReplyTo(oneshot::Sender<Said>);

impl ReplyTo {
    /// No client.
    pub(super) fn nobody() -> Self {
        Self(oneshot::channel().0)
    }

    /// Answers.
    pub(super) fn send(self, answer: Answer) {
        let _ = self.0.send(Said::All(answer));
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Answers with what comes in pieces.
    pub(super) fn send_long(self, long: Long) {
        let _ = self.0.send(Said::Long(long));
    }
}

/// What every connection needs.
pub(super) struct Server<E> {
    /// To the loop that does the work.
    events: SyncSender<E>,
    wrap: fn(Ask) -> E,
    hub: Rc<RefCell<Hub>>,
    /// Everything on its way to clients.
    outboxes: RefCell<BTreeMap<u64, Rc<Outbox>>>,
    /// The user that is served.
    user: u32,
    log: Log,
    connections: Cell<u32>,
    next_connection: Cell<u64>,
}

impl<E: 'static> Server<E> {
    /// A server without clients. `wrap` makes a request an event of the loop.
    pub(super) fn new(events: SyncSender<E>, wrap: fn(Ask) -> E, user: u32, log: Log) -> Rc<Self> {
        Rc::new(Self {
            events,
            wrap,
            hub: Rc::default(),
            outboxes: RefCell::default(),
            user,
            log,
            connections: Cell::new(0),
            next_connection: Cell::new(0),
        })
    }

    /// Where events are told.
    pub(super) fn hub(&self) -> Rc<RefCell<Hub>> {
        Rc::clone(&self.hub)
    }

    /// Lets clients in, for ever.
    pub(super) async fn accept(self: Rc<Self>, listener: UnixListener) {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    let text = format!("accept failed: {error}");
                    self.log.write(Category::Error, None, &text);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // Asked of the kernel for this very connection.
            match stream.peer_cred() {
                Ok(peer) if peer.uid() == self.user => self.let_in(stream),
                Ok(peer) => {
                    let text = format!("refused user {}", peer.uid());
                    self.log.write(Category::Api, None, &text);
                }
                Err(_) => {}
            }
        }
    }

    /// Waits until every client was handed what was made for it.
    pub(super) async fn is_quiet(&self) {
        // Answers that were given up a moment ago are made first.
        tokio::time::sleep(LAST_ANSWERS).await;
        let outboxes: Vec<_> = self.outboxes.borrow().values().cloned().collect();
        for outbox in outboxes {
            outbox.is_empty().await;
        }
    }

    fn let_in(self: &Rc<Self>, stream: UnixStream) {
        let server = Rc::clone(self);
        let is_full = self.connections.get() >= MAX_CONNECTIONS;
        let number = self.next_connection.get();
        self.next_connection.set(number + 1);
        let (reading, writing) = stream.into_split();
        let connection = Connection {
            number,
            accepted: Instant::now(),
            reading,
            outbox: Outbox::new(),
            lines: Lines::of_requests(),
        };
        spawn_local(write_all_of(Rc::clone(&connection.outbox), writing));
        self.connections.set(self.connections.get() + 1);
        let outbox = Rc::clone(&connection.outbox);
        self.outboxes.borrow_mut().insert(number, outbox);
        spawn_local(async move {
            if is_full {
                let text = format!("too many connections: at most {MAX_CONNECTIONS} at a time");
                connection
                    .refuse(&PoolError::new(Code::Unavailable, text))
                    .await;
            } else {
                server.serve(connection).await;
            }
            server.hub.borrow_mut().forget(number);
            server.outboxes.borrow_mut().remove(&number);
            server.connections.set(server.connections.get() - 1);
        });
    }

    /// Answers line after line, until the client has no more.
    async fn serve(&self, mut connection: Connection) {
        let outbox = Rc::clone(&connection.outbox);
        while let Some(line) = connection.line().await {
            let Line::Text(line) = line else {
                return connection.refuse(&PoolError::request_too_large()).await;
            };
            match Request::parse(&line) {
                Ok(Incoming { id, request }) => {
                    let id = id.as_ref();
                    if let Request::Subscribe(wish) = request {
                        self.subscribe(wish, id, &connection);
                        continue;
                    }
                    // Whoever hung up while it waits is not waited for; one that only sends no more is.
                    let answer = async { Some(self.answer(request, &outbox).await) };
                    let gone = async {
                        has_hung_up(connection.reading.as_ref()).await;
                        None
                    };
                    match first(answer, gone).await {
                        Some(Said::All(Ok(reply))) => outbox.push(&reply.line(id)),
                        Some(Said::All(Err(error))) => outbox.push(&error.line(id)),
                        Some(Said::Long(long)) => {
                            if !long.pass_on(id, &outbox).await {
                                return outbox.close();
                            }
                        }
                        None => return outbox.close(),
                    }
                }
                Err(refused) => outbox.push(&refused.error.line(refused.id.as_ref())),
            }
            if !outbox.has_room().await {
                break;
            }
        }
        // Whoever only closed its sending half still gets what it asked for, and its events.
        if self.hub.borrow().knows(connection.number) {
            outbox.is_closed().await;
        } else {
            outbox.is_empty().await;
        }
        outbox.close();
    }

    async fn answer(&self, request: Request, outbox: &Rc<Outbox>) -> Said {
        match request {
            Request::Ping => Said::All(Ok(Reply::Pong {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                protocol: PROTOCOL,
            })),
            Request::DebugLogs { lines, follow } => Said::All(self.logs(lines, follow, outbox)),
            request => self.pass_on(request).await,
        }
    }

    fn subscribe(&self, wish: Subscribe, id: Option<&Value>, connection: &Connection) {
        // Before the events, so that a client knows which came after.
        if wish.ack {
            connection.outbox.push(&Reply::Subscribed.line(id));
        }
        let (number, accepted) = (connection.number, connection.accepted);
        let mut hub = self.hub.borrow_mut();
        hub.subscribe(number, accepted, wish, &connection.outbox);
    }

    fn logs(&self, lines: u32, follow: bool, outbox: &Rc<Outbox>) -> Answer {
        let (lines, added) = self.log.last(lines);
        if follow {
            spawn_local(follow_log(added, Rc::clone(outbox)));
        }
        Ok(Reply::Logs { lines })
    }

    async fn pass_on(&self, request: Request) -> Said {
        let failed = |code, why: &str| Said::All(Err(PoolError::new(code, why)));
        let (sender, answer) = oneshot::channel();
        let reply = ReplyTo(sender);
        let ask = (self.wrap)(Ask { request, reply });
        if self.events.try_send(ask).is_err() {
            let why = "the pool has too much to do; try again";
            return failed(Code::Unavailable, why);
        }
        let ended = |_| failed(Code::ShuttingDown, "the pool is ending");
        answer.await.unwrap_or_else(ended)
    }
}

/// Waits until nobody is at the other end any more.
async fn has_hung_up(stream: &UnixStream) {
    loop {
        tokio::time::sleep(LOOK_AT_CLIENT).await;
        if peer::is_gone(stream) {
            return;
        }
    }
}

/// Lines of the log as they come, until the client is gone.
async fn follow_log(mut added: broadcast::Receiver<String>, outbox: Rc<Outbox>) {
    loop {
        match added.recv().await {
            Ok(line) => outbox.push_event(&Reply::Log { line }.line(None)),
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
        if !outbox.is_open() {
            return;
        }
    }
}

/// Writes what comes into the outbox, until it is closed or the client is gone.
async fn write_all_of(outbox: Rc<Outbox>, mut writing: OwnedWriteHalf) {
    while let Some(bytes) = outbox.next().await {
        if writing.write_all(&bytes).await.is_err() {
            break;
        }
        outbox.written();
    }
    outbox.close();
    let _ = writing.shutdown().await;
}

/// A client.
struct Connection {
    number: u64,
    accepted: Instant,
    reading: OwnedReadHalf,
    outbox: Rc<Outbox>,
    lines: Lines,
}

impl Connection {
    /// The next line; none when no more comes.
    async fn line(&mut self) -> Option<Line> {
        loop {
            if let Some(line) = self.lines.next() {
                return Some(line);
            }
            // A client that says nothing holds no buffer.
            self.reading.readable().await.ok()?;
            let mut chunk = Vec::with_capacity(CHUNK);
            match self.reading.try_read_buf(&mut chunk) {
                Ok(1..) => {
                    self.lines.push(&chunk);
                    if chunk.len() == CHUNK {
                        // Whoever sends that much lets the others have their turn.
                        yield_now().await;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => return None,
            }
        }
    }

    /// Says why, and throws away what the client still sends so that it gets to read it.
    async fn refuse(mut self, error: &PoolError) {
        self.outbox.push(&error.line(None));
        let parting = async {
            self.outbox.is_empty().await;
            let mut chunk = vec![0; CHUNK];
            while matches!(self.reading.read(&mut chunk).await, Ok(1..)) {}
        };
        let _ = timeout(PARTING, parting).await;
        self.outbox.close();
    }
}
