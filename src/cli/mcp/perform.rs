//! Carrying calls out: each on its own connection to the pool, so that one that waits holds up no other.

use super::call::Call;
use super::conversation::Outcome;
use super::shown;
use crate::cli::failure::Failure;
use crate::cli::pool::link::Link;
use crate::cli::pool::stand::Stand;
use crate::cli::pool::{SLOW, SOON, keep, parent};
use crate::client::pool::{HangUp, PoolClient, PoolClientError};
use crate::contract::pool::{Excerpt, Reply, Request, Wait};
use std::env;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What calls are carried out with.
#[derive(Debug)]
pub struct Performer {
    stand: Stand,
    /// A way to another machine takes its time, so it is kept. One on this machine may lead elsewhere tomorrow.
    remote: Mutex<Option<Arc<Link>>>,
}

/// A connection, and the way it goes by.
struct Line {
    link: Arc<Link>,
    client: PoolClient,
}

impl Performer {
    /// Carries out calls to the pool that the command line names.
    pub fn new(stand: Stand) -> Self {
        let remote = Mutex::default();
        Self { stand, remote }
    }

    /// Carries a call out. While it waits for a session, what ends the waiting is handed to `waiting`.
    pub fn perform(&self, call: Call, waiting: impl FnOnce(HangUp)) -> Outcome {
        self.performed(call, waiting).unwrap_or_else(|told| *told)
    }

    fn performed(&self, call: Call, waiting: impl FnOnce(HangUp)) -> Result<Outcome, Box<Outcome>> {
        let begins = matches!(call, Call::Start { .. });
        let mut line = self
            .connect(begins)
            .map_err(|failure| Box::new(shown::failed(&failure)))?;
        match call {
            Call::Start { mut start, block } => {
                start.parent = self.parent(start.parent.as_deref());
                start.cwd = start.cwd.map(absolute);
                line.prompt(&Request::Start(start), block, waiting)
            }
            Call::Followup {
                session_id,
                prompt,
                block,
            } => line.prompt(&Request::Followup { session_id, prompt }, block, waiting),
            Call::Wait(mut wait) => {
                // A session that is named has been found, whoever its parent is.
                wait.parent = match wait.session_id {
                    Some(_) => None,
                    None => self.parent(wait.parent.as_deref()),
                };
                let session = wait.session_id.clone();
                line.wait(wait, session.as_deref(), waiting)
            }
            Call::Capture {
                session_id,
                excerpt,
            } => {
                let request = Request::Capture {
                    session_id,
                    excerpt,
                };
                let reply = line.ask(&request, SLOW)?;
                said(reply, excerpt)
            }
            Call::Ls(mut ls) => {
                ls.parent = match ls.all {
                    true => None,
                    false => self.parent(ls.parent.as_deref()),
                };
                match line.ask(&Request::Ls(ls), SOON)? {
                    Reply::Sessions { sessions } => Ok(shown::listed(&sessions)),
                    _ => Err(surprise()),
                }
            }
            Call::Stop { session_id } => {
                let shown = shown::stopped(&session_id);
                line.ask(&Request::Stop { session_id }, SLOW).map(|_| shown)
            }
        }
    }

    /// A connection. A prompt for a new session begins a pool that may be begun so.
    fn connect(&self, begins: bool) -> Result<Line, Failure> {
        let link = self.link()?;
        let client = match link.client() {
            Err(problem) if begins && keep::may_begin(&self.stand, &problem) => {
                keep::begun(&self.stand)?;
                link.connect()
            }
            client => client.map_err(|error| link.failure(error)),
        };
        match client {
            Ok(client) => Ok(Line { link, client }),
            Err(failure) => {
                // The forwarding may have ended; the next call makes another one.
                self.kept().take_if(|kept| Arc::ptr_eq(kept, &link));
                Err(failure)
            }
        }
    }

    fn link(&self) -> Result<Arc<Link>, Failure> {
        let mut kept = self.kept();
        if let Some(link) = &*kept {
            return Ok(Arc::clone(link));
        }
        let link = Arc::new(Link::open(&self.stand)?);
        if matches!(*link, Link::Remote { .. }) {
            *kept = Some(Arc::clone(&link));
        }
        Ok(link)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<Arc<Link>>> {
        // A way that was being opened when its thread died is not in there.
        self.remote.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As for a command, but the nearest claude is asked first: a server outlives the conversation that its environment
    /// tells of.
    fn parent(&self, given: Option<&str>) -> Option<String> {
        let home = &self.stand.user_home;
        match given {
            None => parent::of_ancestors(home).or_else(|| parent::of(None, home)),
            given => parent::of(given, home),
        }
    }
}

impl Line {
    fn ask(&mut self, request: &Request, patience: Duration) -> Result<Reply, Box<Outcome>> {
        let answer = self.client.call(request, patience);
        let answer = answer.map_err(|error| self.told(error, None))?;
        Ok(answer.reply)
    }

    fn prompt(
        &mut self,
        request: &Request,
        block: Option<u64>,
        waiting: impl FnOnce(HangUp),
    ) -> Result<Outcome, Box<Outcome>> {
        // What is accepted is on disk first, which takes longer on a busy machine.
        let Reply::Started { session_id, status } = self.ask(request, SLOW)? else {
            return Err(surprise());
        };
        let Some(timeout_ms) = block else {
            return Ok(shown::started(&session_id, status));
        };
        let wait = Wait {
            session_id: Some(session_id.clone()),
            timeout_ms,
            ..Wait::default()
        };
        self.wait(wait, Some(&session_id), waiting)
    }

    fn wait(
        &mut self,
        wait: Wait,
        session: Option<&str>,
        waiting: impl FnOnce(HangUp),
    ) -> Result<Outcome, Box<Outcome>> {
        match self.client.hang_up() {
            Ok(hang_up) => waiting(hang_up),
            Err(error) => return Err(self.told(error, session)),
        }
        let excerpt = wait.excerpt;
        let answer = self.client.wait(wait);
        let answer = answer.map_err(|error| self.told(error, session))?;
        said(answer.reply, excerpt)
    }

    fn told(&self, error: PoolClientError, session: Option<&str>) -> Box<Outcome> {
        Box::new(match error {
            PoolClientError::Refused(error, _) => shown::refused(&error, session),
            error => shown::failed(&self.link.failure(error)),
        })
    }
}

fn said(reply: Reply, excerpt: Excerpt) -> Result<Outcome, Box<Outcome>> {
    match reply {
        Reply::Result {
            session_id,
            content,
        } => {
            let session_id = session_id.unwrap_or_default();
            Ok(shown::said(&session_id, &content, excerpt))
        }
        _ => Err(surprise()),
    }
}

fn surprise() -> Box<Outcome> {
    let failure = Failure::new("the pool answered with something else")
        .hint("`ccp pool ping` shows its version");
    Box::new(shown::failed(&failure))
}

/// A relative directory is meant from where this runs.
fn absolute(cwd: String) -> String {
    let path = PathBuf::from(&cwd);
    if path.is_absolute() {
        return cwd;
    }
    let whole = env::current_dir().map(|dir| dir.join(path));
    let text = whole
        .ok()
        .and_then(|path| path.into_os_string().into_string().ok());
    text.unwrap_or(cwd)
}
