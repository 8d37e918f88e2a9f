//! The emulated screen, on a thread of its own: following every byte takes longer than handing it on, and nobody who is
//! attached should wait for that. Work is done in the order it was given, so a repaint shows exactly what was handed on
//! before it was asked for.

use crate::contract::proto::host::{Look, Size};
use crate::core::screen::Screen;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// Bytes are gathered for this long, so that many small writes are one.
const GATHER: Duration = Duration::from_millis(5);
/// And up to so many: a flood of plain text is then mostly passed over.
const GATHERED: usize = 1024 * 1024;
/// Between two looks at the input box while it changes.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How much of what claude wrote is kept as it came.
const TAIL: usize = 64 * 1024;
/// Bytes that may wait to be followed; claude has to wait then.
const MAX_BACKLOG: usize = 8 * 1024 * 1024;
/// A buffer that a flood made larger is given back.
const KEPT_BUFFER: usize = 64 * 1024;

/// What is to be done.
pub(super) enum Work {
    Bytes(Arc<[u8]>),
    Resize(Size),
    /// For this client, and its request of this number.
    Repaint(u64, u64),
    Look(u64, Look),
}

/// What came of it.
pub(super) enum Seen {
    Repaint {
        client: u64,
        request: u64,
        bytes: Vec<u8>,
    },
    Look {
        ticket: u64,
        bytes: Vec<u8>,
    },
    Pending(String),
    Dialog(Option<&'static str>, String),
}

/// The way to the thread and back.
pub(super) struct Picture {
    work: Sender<Work>,
    seen: Receiver<Seen>,
    backlog: Arc<AtomicUsize>,
}

impl Picture {
    /// Starts the thread; it writes a byte to `wake` when there is something to see.
    pub fn start(size: Size, wake: UnixStream) -> std::io::Result<Self> {
        let (work, to_do) = channel();
        let (tell, seen) = channel();
        let backlog = Arc::new(AtomicUsize::new(0));
        let painter = Painter {
            screen: Screen::new(size.cols, size.rows),
            tail: Vec::new(),
            to_do,
            tell,
            wake,
            backlog: Arc::clone(&backlog),
            pending: String::new(),
            dialog: None,
        };
        std::thread::Builder::new()
            .name("screen".to_owned())
            .spawn(move || painter.run())?;
        Ok(Self {
            work,
            seen,
            backlog,
        })
    }

    /// Gives it something to do.
    pub fn give(&self, work: Work) {
        if let Work::Bytes(bytes) = &work {
            self.backlog.fetch_add(bytes.len(), Ordering::Relaxed);
        }
        // It ends only with us.
        let _ = self.work.send(work);
    }

    /// The lowest rows as text, once everything before was followed; nothing when that takes too long. What else was seen
    /// meanwhile is lost: only for the end.
    pub fn bottom(&self, rows: u16, patience: Duration) -> String {
        const TICKET: u64 = u64::MAX;
        self.give(Work::Look(TICKET, Look::Bottom(rows)));
        let until = Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.seen.recv_timeout(left) {
                Ok(Seen::Look {
                    ticket: TICKET,
                    bytes,
                }) => {
                    return String::from_utf8_lossy(&bytes).trim().to_owned();
                }
                Ok(_) => {}
                Err(_) => return String::new(),
            }
        }
    }

    /// Whether so much waits that nothing more should be read for now. There is a wake when that is over.
    pub fn is_behind(&self) -> bool {
        self.backlog.load(Ordering::Relaxed) > MAX_BACKLOG
    }

    /// What came of the work since.
    pub fn seen(&self) -> impl Iterator<Item = Seen> {
        self.seen.try_iter()
    }
}

struct Painter {
    screen: Screen,
    tail: Vec<u8>,
    to_do: Receiver<Work>,
    tell: Sender<Seen>,
    wake: UnixStream,
    backlog: Arc<AtomicUsize>,
    pending: String,
    dialog: Option<&'static str>,
}

impl Painter {
    fn run(mut self) {
        let mut last_look = Instant::now();
        let mut has_changed = false;
        loop {
            let next = if has_changed {
                let left = (last_look + LOOK_EVERY).saturating_duration_since(Instant::now());
                self.to_do.recv_timeout(left)
            } else {
                self.to_do
                    .recv()
                    .map_err(|_| RecvTimeoutError::Disconnected)
            };
            match next {
                Ok(work) => {
                    self.work(work);
                    has_changed = true;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if has_changed && last_look.elapsed() >= LOOK_EVERY {
                self.look_at_box();
                last_look = Instant::now();
                has_changed = false;
            }
        }
    }

    fn work(&mut self, work: Work) {
        let mut next = Some(work);
        while let Some(work) = next.take() {
            match work {
                Work::Bytes(bytes) => next = self.follow(&bytes),
                Work::Resize(size) => self.screen.resize(size.cols, size.rows),
                Work::Repaint(client, request) => {
                    let bytes = self.screen.repaint();
                    self.tell(Seen::Repaint {
                        client,
                        request,
                        bytes,
                    });
                }
                Work::Look(ticket, what) => {
                    let bytes = self.look(what);
                    self.tell(Seen::Look { ticket, bytes });
                }
            }
        }
    }

    /// Follows these bytes and those that come soon after; the work that came between, which has to wait for them.
    fn follow(&mut self, first: &[u8]) -> Option<Work> {
        let mut gathered = first.to_vec();
        let until = Instant::now() + GATHER;
        let mut other = None;
        while gathered.len() < GATHERED {
            let left = until.saturating_duration_since(Instant::now());
            match self.to_do.recv_timeout(left) {
                Ok(Work::Bytes(more)) => gathered.extend_from_slice(&more),
                Ok(work) => {
                    other = Some(work);
                    break;
                }
                Err(_) => break,
            }
        }
        self.screen.feed(&gathered);
        self.keep_tail(&gathered);
        let before = self.backlog.fetch_sub(gathered.len(), Ordering::Relaxed);
        if before > MAX_BACKLOG {
            self.wake();
        }
        other
    }

    fn keep_tail(&mut self, bytes: &[u8]) {
        let new = &bytes[bytes.len().saturating_sub(TAIL)..];
        let excess = (self.tail.len() + new.len()).saturating_sub(TAIL);
        self.tail.drain(..excess.min(self.tail.len()));
        self.tail.extend_from_slice(new);
        self.tail.shrink_to(KEPT_BUFFER);
    }

    fn look(&self, what: Look) -> Vec<u8> {
        match what {
            Look::Text => self.screen.text().into_bytes(),
            Look::Bottom(rows) => self.screen.bottom(rows).into_bytes(),
            Look::Tail => self.tail.clone(),
        }
    }

    fn look_at_box(&mut self) {
        let pending = self.screen.pending();
        if pending != self.pending {
            self.pending.clone_from(&pending);
            self.tell(Seen::Pending(pending));
        }
        let dialog = self.screen.dialog().map(|dialog| dialog.name());
        if dialog != self.dialog {
            self.dialog = dialog;
            let text = dialog.map_or_else(String::new, |_| self.screen.bottom(u16::MAX));
            self.tell(Seen::Dialog(dialog, text));
        }
    }

    fn tell(&self, seen: Seen) {
        let _ = self.tell.send(seen);
        self.wake();
    }

    fn wake(&self) {
        use std::io::Write as _;
        // When the pipe is full the loop is going to wake anyway.
        let _ = (&self.wake).write(b"!");
    }
}
