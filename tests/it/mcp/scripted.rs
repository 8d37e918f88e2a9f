//! A pool that answers as a pool does, works on nothing, and tells what it was asked.

use ccp::contract::pool::{PoolError, Reply, Request, Status};
use serde_json::json;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine.
pub const BOUND: Duration = Duration::from_secs(60);
/// The session that every `start` makes.
pub const SESSION: &str = "0b5f3c9d2a17";

#[derive(Default)]
struct Seen {
    asked: Vec<Request>,
    /// Connections that wait for a session.
    waiting: Vec<UnixStream>,
    /// How many of them were given up.
    given_up: usize,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
    over: AtomicBool,
}

/// The pool; gone when dropped.
pub struct Scripted {
    shared: Arc<Shared>,
    socket: PathBuf,
    accepting: Option<JoinHandle<()>>,
}

impl Scripted {
    /// The pool of this name in the default place of a home.
    pub fn start(home: &Path, name: &str) -> Self {
        let dir = home.join(".claude-pool").join(name);
        fs::create_dir_all(&dir).expect("makes");
        let socket = dir.join("api.sock");
        let listener = UnixListener::bind(&socket).expect("listens");
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let accepting = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if of_thread.over.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&of_thread);
                thread::spawn(move || shared.serve(&stream));
            }
        });
        Self {
            shared,
            socket,
            accepting: Some(accepting),
        }
    }

    /// The first request, made or still to be made, for which `wanted` finds something.
    #[track_caller]
    pub fn asked<T>(&self, what: &str, wanted: impl Fn(&Request) -> Option<T>) -> T {
        self.until(what, |seen| seen.asked.iter().find_map(&wanted))
    }

    /// All that was asked so far.
    pub fn so_far(&self) -> Vec<Request> {
        self.shared.lock().asked.clone()
    }

    /// Waits until so many connections wait for a session.
    #[track_caller]
    pub fn wait_for_waiting(&self, count: usize) {
        self.until("waiting", |seen| {
            (seen.waiting.len() >= count).then_some(())
        });
    }

    /// Waits until so many of them were given up.
    #[track_caller]
    pub fn wait_for_given_up(&self, count: usize) {
        self.until("given up", |seen| (seen.given_up >= count).then_some(()));
    }

    /// Answers everybody who waits.
    pub fn finish(&self, said: &str) {
        let waiting = std::mem::take(&mut self.shared.lock().waiting);
        for mut stream in waiting {
            // One that was given up reads nothing.
            let _ = stream.write_all(result(said).line(None).as_bytes());
        }
    }

    #[track_caller]
    fn until<T>(&self, what: &str, found: impl Fn(&Seen) -> Option<T>) -> T {
        let deadline = Instant::now() + BOUND;
        let mut seen = self.shared.lock();
        loop {
            if let Some(found) = found(&seen) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {what}: {:#?}", seen.asked);
            seen = self
                .shared
                .changed
                .wait_timeout(seen, left)
                .expect("unpoisoned")
                .0;
        }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        if UnixStream::connect(&self.socket).is_ok()
            && let Some(accepting) = self.accepting.take()
        {
            let _ = accepting.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("unpoisoned")
    }

    fn serve(&self, stream: &UnixStream) {
        let mut waits = false;
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let incoming = Request::parse(line.as_bytes()).expect("a request");
            let request = incoming.request;
            let is_wait = matches!(request, Request::Wait(_));
            let answer = answer(&request);
            let mut seen = self.lock();
            seen.asked.push(request);
            if is_wait {
                waits = true;
                seen.waiting
                    .push(stream.try_clone().expect("another handle"));
            }
            drop(seen);
            self.changed.notify_all();
            let mut writer = stream;
            if !is_wait && writer.write_all(answer.as_bytes()).is_err() {
                break;
            }
        }
        if waits {
            self.lock().given_up += 1;
            self.changed.notify_all();
        }
    }
}

/// What a turn comes to: a prompt and an answer, as a transcript has them.
fn result(said: &str) -> Reply {
    let prompt = json!({"type": "user", "message": {"role": "user", "content": "asked"}});
    let answer = json!({"type": "assistant", "message": {"role": "assistant", "content": [{"type": "text", "text": said}]}});
    Reply::Result {
        session_id: Some(SESSION.to_owned()),
        content: format!("{prompt}\n{answer}"),
    }
}

fn answer(request: &Request) -> String {
    let reply = match request {
        Request::Start(_) => Reply::Started {
            session_id: SESSION.to_owned(),
            status: Status::Processing,
        },
        Request::Followup { .. } => return PoolError::session_busy(Status::Processing).line(None),
        Request::Capture { .. } => result("so far"),
        Request::Ls(_) => {
            let session = json!({
                "sessionId": SESSION, "status": "processing", "priority": 0, "pinned": false, "children": [], "parent": "",
                "cwd": "/w", "claudeUUID": null, "spawnCwd": "/w", "createdAt": "2026-11-21T10:00:00Z", "pid": null,
                "metadata": {"name": "parser"},
            });
            return format!("{}\n", json!({"type": "sessions", "sessions": [session]}));
        }
        Request::Stop { session_id } if session_id == SESSION => Reply::Ok,
        Request::Stop { session_id } => {
            return PoolError::session_not_found(session_id).line(None);
        }
        _ => return PoolError::not_initialized().line(None),
    };
    reply.line(None)
}
