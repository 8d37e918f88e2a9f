//! Bytes on their way to a connection that takes them when it can.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// Pieces that are written with one call.
const AT_ONCE: usize = 16;

/// A queue of pieces; one may be written in part.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    pieces: VecDeque<Arc<[u8]>>,
    /// Bytes of the first piece that were written.
    written: usize,
    bytes: usize,
}

impl Outgoing {
    pub fn push(&mut self, piece: Arc<[u8]>) {
        self.bytes += piece.len();
        self.pieces.push_back(piece);
    }

    /// Puts a piece before all others. Only while none is written in part.
    pub fn push_first(&mut self, piece: Arc<[u8]>) {
        self.bytes += piece.len();
        self.pieces.push_front(piece);
    }

    /// What waits, in bytes.
    pub const fn len(&self) -> usize {
        self.bytes
    }

    pub const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Writes what the connection takes. An error means that it is of no more use.
    pub fn flush(&mut self, stream: &UnixStream) -> io::Result<()> {
        while !self.pieces.is_empty() {
            let slices: Vec<IoSlice<'_>> = self
                .pieces
                .iter()
                .take(AT_ONCE)
                .enumerate()
                .map(|(at, piece)| IoSlice::new(&piece[if at == 0 { self.written } else { 0 }..]))
                .collect();
            match (&*stream).write_vectored(&slices) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.took(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn took(&mut self, count: usize) {
        self.bytes -= count;
        self.written += count;
        while let Some(first) = self.pieces.front().map(|piece| piece.len()) {
            if self.written < first {
                return;
            }
            self.written -= first;
            self.pieces.pop_front();
        }
    }
}
