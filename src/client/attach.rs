//! A session's terminal, joined to two streams of bytes: what is typed goes there, what it shows comes back. `~.` at the
//! beginning of a line leaves, `~~` there types one `~`. Knows no terminal of its own: modes and sizes are the caller's.

use super::pool::{PoolClientError, connect};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What ended an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// `~.` was typed.
    ByChoice,
    /// The session left its slot, or the pool ended.
    Ended,
}

/// A connection to a session's terminal.
#[derive(Debug)]
pub struct Attachment {
    stream: UnixStream,
    closer: Closer,
}

impl Attachment {
    /// Connects to the socket that `attach` answered.
    pub fn connect(socket: &Path) -> Result<Self, PoolClientError> {
        let stream = connect(socket, super::pool::CONNECT)?;
        let other = stream.try_clone()?;
        Ok(Self {
            stream,
            closer: Closer::of(other),
        })
    }

    /// What ends the attachment from elsewhere.
    #[must_use]
    pub fn closer(&self) -> Closer {
        self.closer.clone()
    }

    /// Joins the terminal to `input` and `output` until either side ends it. The end of `input` ends nothing: what the
    /// terminal shows goes on. A thread goes on reading `input` after this returned, until something comes.
    ///
    /// When the other side ends it, `next` is asked for where the session goes on; none: it does not. What is typed
    /// meanwhile reaches nobody.
    pub fn join(
        self,
        input: impl Read + Send + 'static,
        mut output: impl Write,
        mut next: impl FnMut(&Closer, &mut dyn Write) -> Option<Attachment>,
    ) -> io::Result<Left> {
        let closer = self.closer;
        let typing = closer.clone();
        std::thread::spawn(move || {
            if matches!(send_typed(input, &typing), Ok(Typing::Leave)) {
                // Ends the reading below.
                typing.close();
            }
        });
        let mut stream = self.stream;
        loop {
            copy(&mut stream, &mut output)?;
            if closer.is_closed() {
                return Ok(Left::ByChoice);
            }
            match next(&closer, &mut output) {
                Some(attachment) => {
                    stream = attachment.stream;
                    closer.turn_to(stream.try_clone()?);
                }
                None if closer.is_closed() => return Ok(Left::ByChoice),
                None => return Ok(Left::Ended),
            }
        }
    }
}

/// Copies until the stream ends.
fn copy(stream: &mut UnixStream, output: &mut impl Write) -> io::Result<()> {
    let mut chunk = [0; 64 * 1024];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                output.write_all(&chunk[..count])?;
                output.flush()?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Ends an attachment, wherever its session is by then.
#[derive(Clone, Debug)]
pub struct Closer {
    stream: Arc<Mutex<Arc<UnixStream>>>,
    is_closed: Arc<AtomicBool>,
}

impl Closer {
    fn of(stream: UnixStream) -> Self {
        Self {
            stream: Arc::new(Mutex::new(Arc::new(stream))),
            is_closed: Arc::default(),
        }
    }

    /// Ends it. One that has ended stays so.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        let _ = self.now().shutdown(Shutdown::Both);
    }

    /// Whether it was ended by [`Closer::close`].
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    fn now(&self) -> Arc<UnixStream> {
        let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&stream)
    }

    fn turn_to(&self, stream: UnixStream) {
        *self.stream.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(stream);
        if self.is_closed() {
            self.close();
        }
    }
}

/// How the input ended.
enum Typing {
    Leave,
    Over,
}

fn send_typed(mut input: impl Read, to: &Closer) -> io::Result<Typing> {
    let mut escapes = Escapes::default();
    let mut chunk = [0; 16 * 1024];
    let mut typed = Vec::new();
    loop {
        let count = match input.read(&mut chunk) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        typed.clear();
        if count == 0 {
            escapes.end(&mut typed);
            let _ = to.now().as_ref().write_all(&typed);
            return Ok(Typing::Over);
        }
        let leave = escapes.filter(&chunk[..count], &mut typed);
        // A session that is on its way elsewhere takes nothing.
        let _ = to.now().as_ref().write_all(&typed);
        if leave {
            return Ok(Typing::Leave);
        }
    }
}

/// Finds `~.` and `~~` in what is typed.
#[derive(Debug, Default)]
pub struct Escapes {
    at: At,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// The beginning of a line.
    #[default]
    Begin,
    /// Behind a `~` at the beginning of a line, which is held back.
    Tilde,
    /// Anywhere else.
    Middle,
}

impl Escapes {
    /// Appends to `typed` what of `bytes` is meant for the session. True: the person leaves, and nothing after it counts.
    pub fn filter(&mut self, bytes: &[u8], typed: &mut Vec<u8>) -> bool {
        for byte in bytes {
            match (self.at, byte) {
                (At::Tilde, b'.') => return true,
                (At::Begin, b'~') => {
                    self.at = At::Tilde;
                    continue;
                }
                (At::Tilde, b'~') | (At::Begin | At::Middle, _) => {}
                (At::Tilde, _) => typed.push(b'~'),
            }
            typed.push(*byte);
            self.at = match byte {
                b'\r' | b'\n' => At::Begin,
                _ => At::Middle,
            };
        }
        false
    }

    /// The input is over: what was held back is meant for the session.
    pub fn end(&mut self, typed: &mut Vec<u8>) {
        if self.at == At::Tilde {
            typed.push(b'~');
        }
        self.at = At::Middle;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What goes to the session, with `|` where the person leaves; the same however the input is cut.
    fn check(input: &str, expected: &str) {
        for step in 1..=input.len() {
            let mut escapes = Escapes::default();
            let mut typed = Vec::new();
            let left = input
                .as_bytes()
                .chunks(step)
                .any(|chunk| escapes.filter(chunk, &mut typed));
            if left {
                typed.push(b'|');
            } else {
                escapes.end(&mut typed);
            }
            assert_eq!(
                String::from_utf8_lossy(&typed),
                expected,
                "{input:?} by {step}"
            );
        }
    }

    #[test]
    fn a_tilde_means_something_at_the_beginning_of_a_line_only() {
        check("~.", "|");
        check("ls\r~.more", "ls\r|");
        check("ls\n~.", "ls\n|");
        check("ls ~.", "ls ~.");
        check("~~.", "~.");
        check("~~~.", "~~.");
        check("~x~.", "~x~.");
        check("~\r~.", "~\r|");
        check("~", "~");
        check("a~", "a~");
        check("~~\r~~\r~.", "~\r~\r|");
    }
}
