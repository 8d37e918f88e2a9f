//! `ccp mcp`: a pool as an MCP server over standard input and output. One loop owns the conversation; a thread reads lines,
//! and each call has one of its own. stdout carries the protocol and nothing else.

mod call;
mod conversation;
mod perform;
mod rpc;
mod shown;
mod tools;

use super::failure::{Failure, Outcome as CommandOutcome};
use super::pool::stand::Stand;
use crate::adapters::procs::pipes::survive_broken_pipes;
use crate::client::pool::HangUp;
use crate::contract::exit;
use crate::contract::pool::{Line, Lines, MAX_REQUEST};
use call::Call;
use conversation::{Action, Conversation, Outcome};
use perform::Performer;
use serde_json::Value;
use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

/// What may wait for the loop; whoever has more waits too.
const QUEUE: usize = 16;
/// How often a client hears that its call still runs: the shortest patience among clients is a minute.
const PROGRESS: Duration = Duration::from_secs(15);
/// How long calls that wait for nobody have after the client has gone.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// What comes to the loop.
enum Event {
    /// A line from the client.
    Line(Vec<u8>),
    /// A line over the bound; no more can be read.
    TooLarge,
    /// The client has gone.
    End,
    /// A call waits for a session from now on.
    Waiting(u64, HangUp),
    /// A call came to its end.
    Done(u64, Box<Outcome>),
}

/// Runs `ccp mcp` until its input ends.
pub fn run(pool: &str) -> CommandOutcome {
    survive_broken_pipes();
    let stand = Stand::new(pool, false)?;
    let (sender, receiver) = mpsc::sync_channel(QUEUE);
    let lines = sender.clone();
    thread::spawn(move || read(&lines));
    let server = Server {
        conversation: Conversation::default(),
        performer: Arc::new(Performer::new(stand)),
        waiting: HashMap::new(),
        sender,
        began: Instant::now(),
    };
    server.run(&receiver)
}

struct Server {
    conversation: Conversation,
    performer: Arc<Performer>,
    /// What ends the waiting of calls that wait for a session.
    waiting: HashMap<u64, HangUp>,
    sender: SyncSender<Event>,
    began: Instant,
}

impl Server {
    fn run(mut self, receiver: &Receiver<Event>) -> CommandOutcome {
        let mut progress = Instant::now() + PROGRESS;
        loop {
            let left = progress.saturating_duration_since(Instant::now());
            let actions = match receiver.recv_timeout(left) {
                Ok(Event::End) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(Event::TooLarge) => {
                    let text = format!("a message has at most {MAX_REQUEST} bytes");
                    let wrong = rpc::Wrong::new(Value::Null, rpc::INVALID_REQUEST, text.as_str());
                    say(&wrong.answer())?;
                    self.end(receiver)?;
                    return Err(Failure::new(text));
                }
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => {
                    progress = Instant::now() + PROGRESS;
                    self.conversation.progress(self.began.elapsed())
                }
            };
            self.perform(actions)?;
        }
        self.end(receiver)?;
        Ok(exit::OK)
    }

    fn take(&mut self, event: Event) -> Vec<Action> {
        match event {
            Event::Line(line) => self.conversation.line(&line, self.began.elapsed()),
            Event::Waiting(key, hang_up) => {
                if self.conversation.wants(key) {
                    self.waiting.insert(key, hang_up);
                } else {
                    hang_up.now();
                }
                Vec::new()
            }
            Event::Done(key, outcome) => {
                self.waiting.remove(&key);
                self.conversation.done(key, &outcome)
            }
            Event::TooLarge | Event::End => Vec::new(),
        }
    }

    fn perform(&mut self, actions: Vec<Action>) -> Result<(), Failure> {
        for action in actions {
            match action {
                Action::Say(line) => say(&line)?,
                Action::Abandon(key) => {
                    if let Some(hang_up) = self.waiting.remove(&key) {
                        hang_up.now();
                    }
                }
                Action::Begin(key, call) => {
                    if let Err(error) = self.begin(key, call) {
                        let failure = Failure::new(format!("cannot start a thread: {error}"));
                        let outcome = shown::failed(&failure);
                        let actions = self.conversation.done(key, &outcome);
                        self.perform(actions)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn begin(&self, key: u64, call: Call) -> io::Result<()> {
        let (performer, sender) = (Arc::clone(&self.performer), self.sender.clone());
        let work = move || {
            // Nobody listens any more once the client has gone.
            let waiting = |hang_up| drop(sender.send(Event::Waiting(key, hang_up)));
            let outcome = performer.perform(call, waiting);
            let _ = sender.send(Event::Done(key, Box::new(outcome)));
        };
        thread::Builder::new().spawn(work).map(drop)
    }

    /// The client has gone: whatever waits for a session ends, and what the pool answers at once is still passed on, to
    /// whoever closed one direction only.
    fn end(mut self, receiver: &Receiver<Event>) -> Result<(), Failure> {
        let deadline = Instant::now() + LAST_ANSWERS;
        for (key, hang_up) in self.waiting.drain() {
            self.conversation.forget(key);
            hang_up.now();
        }
        while self.conversation.is_busy() {
            let left = deadline.saturating_duration_since(Instant::now());
            match receiver.recv_timeout(left) {
                Ok(Event::Waiting(key, hang_up)) => {
                    self.conversation.forget(key);
                    hang_up.now();
                }
                Ok(event @ Event::Done(..)) => {
                    let actions = self.take(event);
                    self.perform(actions)?;
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
        Ok(())
    }
}

fn read(events: &SyncSender<Event>) {
    let mut lines = Lines::of_requests();
    let mut chunk = [0; 64 * 1024];
    let mut input = io::stdin().lock();
    loop {
        while let Some(line) = lines.next() {
            let event = match line {
                Line::Text(line) => Event::Line(line),
                Line::TooLarge => Event::TooLarge,
            };
            if events.send(event).is_err() {
                return;
            }
        }
        match input.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => lines.push(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    // The loop may have ended already.
    let _ = events.send(Event::End);
}

/// Writes a line at once.
fn say(value: &Value) -> Result<(), Failure> {
    let line = format!("{value}\n");
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(line.as_bytes())
        .and_then(|()| stdout.flush());
    written.map_err(|error| Failure::new(format!("the client does not read any more: {error}")))
}
