//! Connections to the hosts of slots, one task each, on the thread that talks to clients.

use crate::contract::proto::host::{ERROR_FILE, Frames, FromHost, OLDEST, State, ToHost, VERSION};
use crate::core::pool::id::Place;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::UnboundedReceiver;

/// Between two tries to reach a host that is just starting.
const RETRY: Duration = Duration::from_millis(5);
/// How long a host may take to listen and to say who it is.
const FIRST_WORD: Duration = Duration::from_secs(10);
/// How much is read at a time.
const CHUNK: usize = 64 * 1024;

/// What is heard of a host.
#[derive(Debug)]
pub(super) enum Heard {
    /// It answers: all that it knows.
    Hello(Box<State>),
    /// It says something.
    Says(FromHost),
    /// The connection is over: why, for the log.
    Lost(String),
}

/// A host that is to be talked to.
#[derive(Debug)]
pub(super) struct Line {
    /// Which.
    pub(super) place: Place,
    /// Where it listens.
    pub(super) socket: PathBuf,
    /// The user it has to belong to.
    pub(super) user: u32,
    /// What it is told.
    pub(super) orders: UnboundedReceiver<ToHost>,
}

/// Talks to a host until the connection is over; `hear` gets everything, [`Heard::Lost`] last.
pub(super) async fn talk(mut line: Line, hear: impl Fn(Heard)) {
    let why = match greet(&line).await {
        Ok((state, frames, reading, writing)) => {
            hear(Heard::Hello(Box::new(state)));
            converse(&mut line, frames, reading, writing, &hear).await
        }
        Err(error) => format!("{}: {error}", line.socket.display()),
    };
    hear(Heard::Lost(why));
}

type Greeted = (State, Frames, OwnedReadHalf, OwnedWriteHalf);

async fn greet(line: &Line) -> io::Result<Greeted> {
    let deadline = Instant::now() + FIRST_WORD;
    let stream = loop {
        match UnixStream::connect(&line.socket).await {
            Ok(stream) => break stream,
            Err(error) if Instant::now() >= deadline || !may_come(&error) => return Err(error),
            // It said that it did not start.
            Err(error) if line.socket.with_file_name(ERROR_FILE).exists() => return Err(error),
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    };
    if stream.peer_cred()?.uid() != line.user {
        return Err(io::Error::other("another user listens there"));
    }
    let (mut reading, mut writing) = stream.into_split();
    let hello = ToHost::Hello { version: VERSION };
    writing.write_all(&hello.encode()).await?;
    let mut frames = Frames::default();
    let first = tokio::time::timeout(FIRST_WORD, next(&mut reading, &mut frames));
    match first.await {
        Ok(Ok(Some(FromHost::Hello(state)))) if (OLDEST..=VERSION).contains(&state.version) => {
            Ok((*state, frames, reading, writing))
        }
        Ok(Ok(Some(FromHost::Hello(state)))) => Err(io::Error::other(format!(
            "it speaks version {} of the hosts' protocol",
            state.version
        ))),
        Ok(Ok(_)) => Err(io::Error::other("it does not say who it is")),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// A host that is not there yet may come.
fn may_come(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::WouldBlock
    )
}

/// Both ways, until one is over; says why.
async fn converse(
    line: &mut Line,
    mut frames: Frames,
    mut reading: OwnedReadHalf,
    mut writing: OwnedWriteHalf,
    hear: &impl Fn(Heard),
) -> String {
    let hearing = async {
        loop {
            match next(&mut reading, &mut frames).await {
                Ok(Some(message)) => hear(Heard::Says(message)),
                Ok(None) => return "it hung up".to_owned(),
                Err(error) => return error.to_string(),
            }
        }
    };
    let orders = &mut line.orders;
    let telling = async {
        while let Some(order) = orders.recv().await {
            if let Err(error) = writing.write_all(&order.encode()).await {
                // What it said last is still to be read.
                let _ = error;
                std::future::pending::<()>().await;
            }
        }
        "nobody has anything to say to it any more".to_owned()
    };
    super::serve::first(hearing, telling).await
}

/// The next message; none when no more comes. Messages of later versions are passed over.
async fn next(reading: &mut OwnedReadHalf, frames: &mut Frames) -> io::Result<Option<FromHost>> {
    loop {
        let frame = frames.next_frame().map_err(io::Error::other)?;
        if let Some(frame) = frame {
            match FromHost::decode(frame) {
                Ok(message) => return Ok(Some(message)),
                Err(_) => continue,
            }
        }
        // A host that says nothing holds no buffer.
        reading.readable().await?;
        let mut chunk = Vec::with_capacity(CHUNK);
        match reading.try_read_buf(&mut chunk) {
            Ok(0) => return Ok(None),
            Ok(_) => frames.push(&chunk),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// Removes a process's directory; its socket may be gone already.
pub(super) fn clean_up(dir: &Path) {
    // What cannot be removed is tried again at the next start.
    let _ = std::fs::remove_dir_all(dir);
    if let Some(slot) = dir.parent() {
        let _ = std::fs::remove_dir(slot);
    }
}
