//! A connection to the host's socket: a daemon's or a hook's, which shows with its first message.

use super::outgoing::Outgoing;
use crate::contract::proto::host::{Frames, FromHost, Garbled, MAX_REPORT, ToHost};
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How long somebody may take to say who they are.
pub(super) const GREETING: Duration = Duration::from_secs(5);
/// What waits for a daemon that does not read; one that is so far behind has to connect anew.
const MAX_BEHIND: usize = 64 * 1024 * 1024;
/// What a stranger may say at most: a report, its head and its lengths.
const MAX_STRANGER: usize = MAX_REPORT + 64 * 1024;
/// What is read at once.
const CHUNK: usize = 64 * 1024;

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Stranger,
    Daemon,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub id: u64,
    pub stream: UnixStream,
    pub role: Role,
    pub since: Instant,
    /// The process that connected.
    pub pid: u32,
    frames: Frames,
    out: Outgoing,
    pub is_over: bool,
}

impl Connection {
    pub fn new(id: u64, stream: UnixStream, pid: u32, now: Instant) -> Self {
        Self {
            id,
            stream,
            role: Role::Stranger,
            since: now,
            pid,
            frames: Frames::default(),
            out: Outgoing::default(),
            is_over: false,
        }
    }

    /// Reads once. What was said whole is there with [`Self::next`].
    pub fn read(&mut self) {
        let mut buffer = vec![0; CHUNK];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.is_over = true,
            Ok(count) => self.frames.push(&buffer[..count]),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Err(_) => self.is_over = true,
        }
        if self.role == Role::Stranger && self.frames.waiting() > MAX_STRANGER {
            self.is_over = true;
        }
    }

    /// The next message; an error that is no message of ours leaves the connection usable only when frames still add up.
    pub fn next(&mut self) -> Option<Result<ToHost, Garbled>> {
        match self.frames.next_frame() {
            Ok(frame) => frame.map(ToHost::decode),
            Err(error) => {
                self.is_over = true;
                self.frames = Frames::default();
                Some(Err(error))
            }
        }
    }

    pub fn send(&mut self, message: &FromHost) {
        self.out.push(message.encode().into());
        self.flush();
        if self.out.len() > MAX_BEHIND {
            self.is_over = true;
        }
    }

    pub fn flush(&mut self) {
        if self.out.flush(&self.stream).is_err() {
            self.is_over = true;
        }
    }

    pub const fn wants_room(&self) -> bool {
        !self.out.is_empty()
    }
}
