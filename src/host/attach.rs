//! People who are attached: each gets a repaint and then everything claude writes, in order. One who does not keep up
//! loses what waits and gets a fresh repaint when there is room again; nobody waits for anybody.

use super::outgoing::Outgoing;
use super::socket::{Listening, SocketError};
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How far behind a client may be, in bytes.
const MAX_BEHIND: usize = 4 * 1024 * 1024;
/// Who comes after so many is turned away.
const MAX_CLIENTS: usize = 64;
/// What is read of a client's input at once.
const INPUT: usize = 16 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The repaint of this number was asked for; what comes meanwhile is queued behind it.
    Waits(u64),
    Live,
    /// It lost its backlog, and nothing is queued until it takes bytes again.
    Behind,
}

/// One who is attached.
#[derive(Debug)]
pub(super) struct Client {
    pub id: u64,
    pub stream: UnixStream,
    /// The socket it came by.
    path: PathBuf,
    out: Outgoing,
    state: State,
    /// Its input has ended; it may still look.
    pub is_silent: bool,
    is_gone: bool,
}

impl Client {
    /// Whether it should be told of room for more bytes.
    pub fn wants_room(&self) -> bool {
        match self.state {
            State::Waits(_) => false,
            State::Live => !self.out.is_empty(),
            State::Behind => true,
        }
    }

    fn flush(&mut self) {
        if self.state == State::Live && self.out.flush(&self.stream).is_err() {
            self.is_gone = true;
        }
    }
}

/// Sockets that are listened at, and those who came.
#[derive(Debug, Default)]
pub(super) struct Attachments {
    pub listeners: Vec<Listening>,
    pub clients: Vec<Client>,
    next: u64,
    requests: u64,
}

impl Attachments {
    /// Listens at a path, if nobody does yet.
    pub fn open(&mut self, path: &Path) -> Result<(), SocketError> {
        if !self.listeners.iter().any(|l| l.path() == path) {
            self.listeners.push(Listening::at(path)?);
        }
        Ok(())
    }

    /// Stops listening at a path and lets those go who came by it.
    pub fn close(&mut self, path: &Path) {
        self.listeners.retain(|listening| listening.path() != path);
        self.clients.retain(|client| client.path != path);
    }

    /// Lets everybody in who waits at a listener; the clients and numbers of repaints that are needed.
    pub fn accept(&mut self, listener: usize) -> Vec<(u64, u64)> {
        let mut needed = Vec::new();
        let Some(listening) = self.listeners.get(listener) else {
            return needed;
        };
        while let Some((stream, _)) = listening.accept() {
            if self.clients.len() >= MAX_CLIENTS {
                continue;
            }
            self.next += 1;
            self.requests += 1;
            self.clients.push(Client {
                id: self.next,
                stream,
                path: listening.path().to_owned(),
                out: Outgoing::default(),
                state: State::Waits(self.requests),
                is_silent: false,
                is_gone: false,
            });
            needed.push((self.next, self.requests));
        }
        needed
    }

    /// Hands on what claude wrote.
    pub fn deliver(&mut self, bytes: &Arc<[u8]>) {
        for client in &mut self.clients {
            if client.state == State::Behind {
                continue;
            }
            client.out.push(Arc::clone(bytes));
            client.flush();
            if client.out.len() > MAX_BEHIND {
                client.out.clear();
                client.state = State::Behind;
            }
        }
    }

    /// A repaint that was asked for. One that is not wanted any more is passed over.
    pub fn repaint(&mut self, id: u64, request: u64, bytes: Vec<u8>) {
        let client = self.clients.iter_mut().find(|client| client.id == id);
        if let Some(client) = client.filter(|client| client.state == State::Waits(request)) {
            client.out.push_first(bytes.into());
            client.state = State::Live;
            client.flush();
        }
    }

    /// A client has room for more; the number of the repaint that it needs, if it does.
    pub fn has_room(&mut self, id: u64) -> Option<u64> {
        let client = self.clients.iter_mut().find(|client| client.id == id)?;
        if client.state == State::Behind {
            self.requests += 1;
            client.state = State::Waits(self.requests);
            return Some(self.requests);
        }
        client.flush();
        None
    }

    /// What a client typed.
    pub fn read(&mut self, id: u64) -> Vec<u8> {
        let Some(client) = self.clients.iter_mut().find(|client| client.id == id) else {
            return Vec::new();
        };
        let mut buffer = [0; INPUT];
        match client.stream.read(&mut buffer) {
            Ok(0) => client.is_silent = true,
            Ok(count) => return buffer[..count].to_vec(),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Err(_) => client.is_gone = true,
        }
        Vec::new()
    }

    /// A client has hung up.
    pub fn hang_up(&mut self, id: u64) {
        if let Some(client) = self.clients.iter_mut().find(|client| client.id == id) {
            client.is_gone = true;
        }
    }

    /// Lets those go who are gone.
    pub fn sweep(&mut self) {
        self.clients.retain(|client| !client.is_gone);
    }

    /// Whether nobody waits any more for bytes that are on their way.
    pub fn is_flushed(&self) -> bool {
        let flushed = |client: &Client| match client.state {
            State::Waits(_) => client.is_gone,
            State::Live => client.is_gone || client.out.is_empty(),
            State::Behind => true,
        };
        self.clients.iter().all(flushed)
    }

    /// Where it listens.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.listeners.iter().map(|l| l.path().to_owned()).collect()
    }
}
