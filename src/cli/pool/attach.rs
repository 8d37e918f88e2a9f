//! `ccp pool attach`: a session's terminal in this one. Without a terminal the bytes go through as they are.

use super::stand::Stand;
use super::{Exchange, SOON};
use crate::adapters::files::pause;
use crate::adapters::ssh::Forward;
use crate::cli::failure::{Failure, Outcome};
use crate::client::attach::{Attachment, Closer, Left};
use crate::client::pool::PoolClient;
use crate::contract::exit;
use crate::contract::pool::{Info, Reply, Request, Status, Verbosity};
use crossterm::terminal;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// A person who drags a window changes its size many times; the session hears of it when this long nothing changed.
const SETTLED: Duration = Duration::from_millis(100);
/// A session that moves to another account is there within this time, or is not waited for.
const ARRIVES: Duration = Duration::from_secs(60);
/// Between two looks whether it is.
const LOOK: Duration = Duration::from_millis(50);
/// What a person is told meanwhile.
const MOVES: &[u8] = b"\x1b[0m\r\n[the session moves to another account]\r\n";
/// Ends what a program may have switched on and this terminal's shell does not expect: bracketed paste, mouse, focus,
/// keyboard protocols; shows the cursor, and ends colours.
const USUAL: &[u8] = b"\x1b[?2004l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1004l\x1b[<u\x1b[>4m\x1b[?25h\x1b[0m";

/// Runs `ccp pool attach`.
pub(super) fn run(stand: &Stand, session: &str) -> Outcome {
    let exchange = Exchange::open(stand)?;
    // The forward keeps the socket of another machine here while it is used.
    let (attachment, forward) = reach(&exchange, session)?;
    let mut resizer = Resizer {
        client: exchange.link.connect()?,
        session: session.to_owned(),
        last: None,
    };
    resizer.follow();
    let closer = attachment.closer();
    let raw = RawTerminal::enter()?;
    std::thread::spawn(move || watch(resizer, &closer));
    let mut forward = Some(forward);
    let next = |closer: &Closer, output: &mut dyn io::Write| {
        let (attachment, reached) = follow(&exchange, session, closer, output)?;
        forward.replace(reached);
        Some(attachment)
    };
    let left = attachment.join(io::stdin(), io::stdout().lock(), next);
    drop(raw);
    match left.map_err(failed)? {
        Left::ByChoice => eprintln!("left; the session goes on"),
        Left::Ended => eprintln!("the session left its slot"),
    }
    Ok(exit::OK)
}

/// Connects to the session's terminal.
fn reach(exchange: &Exchange, session: &str) -> Result<(Attachment, Option<Forward>), Failure> {
    let request = Request::Attach {
        session_id: session.to_owned(),
    };
    let answer = exchange.ask(&request, SOON)?;
    let Reply::Attached { socket_path, .. } = &answer.reply else {
        return Err(Failure::new("the pool answered with something else"));
    };
    let (socket, forward) = exchange.link.reach(socket_path)?;
    let attachment = Attachment::connect(&socket).map_err(|error| exchange.failure(error))?;
    Ok((attachment, forward))
}

/// A session that left its slot may be on its way to another account: it is followed there.
fn follow(
    exchange: &Exchange,
    session: &str,
    closer: &Closer,
    output: &mut dyn io::Write,
) -> Option<(Attachment, Option<Forward>)> {
    let since = Instant::now();
    let mut told = false;
    while !closer.is_closed() && since.elapsed() < ARRIVES {
        let request = Request::Info(Info {
            session_id: session.to_owned(),
            verbosity: Verbosity::Full,
        });
        let Reply::Session { session: seen } = exchange.ask(&request, SOON).ok()?.reply else {
            return None;
        };
        match seen.status {
            Status::Queued if seen.limited_until.is_none() => {
                if !std::mem::replace(&mut told, true) {
                    let _ = output.write_all(MOVES).and_then(|()| output.flush());
                }
            }
            Status::Idle | Status::Processing if told => {
                if let Ok(reached) = reach(exchange, session) {
                    // The terminal there is new, and knows nothing of this one.
                    if let Some(request) = size_of_this(session) {
                        let _ = exchange.ask(&request, SOON);
                    }
                    return Some(reached);
                }
            }
            _ => return None,
        }
        pause(LOOK);
    }
    None
}

fn failed(error: io::Error) -> Failure {
    Failure::new(format!("the session's terminal is lost: {error}"))
}

/// This terminal without line editing and signals, until dropped. Nothing without a terminal.
struct RawTerminal(bool);

impl RawTerminal {
    fn enter() -> Result<Self, Failure> {
        let wanted = io::stdin().is_terminal();
        if wanted {
            terminal::enable_raw_mode().map_err(|error| {
                Failure::new(format!("cannot change the terminal's mode: {error}"))
            })?;
        }
        Ok(Self(wanted))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if !self.0 {
            return;
        }
        let mut stdout = io::stdout();
        if stdout.is_terminal() {
            let _ = stdout
                .write_all(USUAL)
                .and_then(|()| stdout.write_all(b"\r\n"));
            let _ = stdout.flush();
        }
        let _ = terminal::disable_raw_mode();
    }
}

/// Tells the session how large this terminal is.
struct Resizer {
    client: PoolClient,
    session: String,
    last: Option<Request>,
}

impl Resizer {
    /// Tells the size when it is another one. Without a terminal there is none.
    fn follow(&mut self) {
        let request = size_of_this(&self.session);
        let Some(request) = request.filter(|request| self.last.as_ref() != Some(request)) else {
            return;
        };
        self.last = Some(request.clone());
        // A session that just left its slot has no size; the attachment ends by itself.
        let _ = self.client.call(&request, SOON);
    }
}

/// Makes a session's terminal as large as this one. Without a terminal there is no size.
fn size_of_this(session: &str) -> Option<Request> {
    let size = io::stdout().is_terminal().then(terminal::size);
    let (cols, rows) = size?.ok().filter(|size| matches!(size, (1.., 1..)))?;
    Some(Request::PtyResize {
        session_id: session.to_owned(),
        cols,
        rows,
    })
}

/// Follows the window's size, and ends the attachment in order when this process is told to end.
fn watch(mut resizer: Resizer, closer: &Closer) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else { return };
    runtime.block_on(async {
        for kind in [SignalKind::terminate(), SignalKind::hangup()] {
            let Ok(mut end) = signal(kind) else { continue };
            let closer = closer.clone();
            tokio::spawn(async move {
                end.recv().await;
                closer.close();
            });
        }
        let Ok(mut window) = signal(SignalKind::window_change()) else {
            return;
        };
        loop {
            // Also at first: it may have changed before anybody listened.
            resizer.follow();
            if window.recv().await.is_none() {
                return;
            }
            while tokio::time::timeout(SETTLED, window.recv()).await.is_ok() {}
        }
    });
}
