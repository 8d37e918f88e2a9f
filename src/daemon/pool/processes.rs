//! The processes that are in slots, as this daemon knows them: where their host listens, what it said last, what claude's
//! own file says. Turns what is heard into events of the machine; decides nothing.

use super::hosts::Line;
use super::server::ReplyTo;
use super::spawning::Origin;
use crate::adapters::clock;
use crate::adapters::registry::Stamp;
use crate::contract::lease::LeaseName;
use crate::contract::paths::pool::ProcessDir;
use crate::contract::pool::{Code, PoolError, Reply};
use crate::contract::proto::host::{self, Ended, FromHost, Look, Size, State, ToHost};
use crate::core::pool::event::{InBox, Inspection, LivingHost};
use crate::core::pool::id::{ClaudeUuid, DeliveryNumber, Place};
use crate::core::pool::status::Readiness;
use crate::core::prompt;
use crate::core::registry::{self as file, SessionFile};
use crate::core::time::Timestamp;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// What is typed into the box is seen on the screen within this time.
const SHOWS: Duration = Duration::from_secs(2);
/// Rows at the bottom of the screen in which the box is looked for.
const BOX_ROWS: u16 = 60;

/// For whom the screen was looked at.
pub(super) enum LookFor {
    /// The machine, which wants the box of the prompt.
    Box {
        /// As in the action.
        number: DeliveryNumber,
        /// What the pool typed last.
        ours: Option<Arc<str>>,
    },
    /// A client, which wants so many turns of the terminal's text.
    Client {
        /// Its answer.
        reply: ReplyTo,
        /// The session; none for a look at a slot.
        session: Option<String>,
        /// How many turns from the end; 0 for all.
        turns: u32,
    },
}

/// What claude's own file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// What it is doing.
    pub(super) readiness: Readiness,
    /// Since when.
    pub(super) since: Timestamp,
    /// The conversation.
    pub(super) uuid: Option<ClaudeUuid>,
    /// This claude takes Enter at once behind a prompt.
    is_quick: bool,
}

/// One process of one slot.
pub(super) struct Process {
    pub(super) place: Place,
    pub(super) dir: ProcessDir,
    pub(super) origin: Origin,
    /// Ours to wait for, when this daemon started it.
    pub(super) child: Option<Child>,
    /// The claim on its account, until claude holds it.
    pub(super) lease: Option<LeaseName>,
    /// To its host.
    orders: UnboundedSender<ToHost>,
    /// What its host said of it; nothing before its first word.
    pub(super) state: Option<State>,
    /// The machine was told that it is there.
    pub(super) announced: bool,
    /// It is to end, as soon as its host can be told.
    ending: Option<u64>,
    /// How claude ended.
    pub(super) ended: Option<Ended>,
    /// What claude's file said last.
    pub(super) seen: Option<Seen>,
    /// The stamp it had then, once a later write to it shows.
    stamp: Option<Stamp>,
    looks: BTreeMap<u64, LookFor>,
    next_look: u64,
    attaching: Vec<(PathBuf, ReplyTo)>,
    /// What was put back into the box last, and when.
    put_back: Option<(String, Instant)>,
}

impl Process {
    /// A process whose host nobody talks to yet.
    pub(super) fn new(place: Place, dir: ProcessDir, origin: Origin) -> Self {
        // Until there is a line to its host, nobody hears.
        let (orders, _) = unbounded_channel();
        Self {
            place,
            dir,
            origin,
            child: None,
            lease: None,
            orders,
            state: None,
            announced: false,
            ending: None,
            ended: None,
            seen: None,
            stamp: None,
            looks: BTreeMap::new(),
            next_look: 0,
            attaching: Vec::new(),
            put_back: None,
        }
    }

    /// A new line to its host.
    pub(super) fn line(&mut self, user: u32) -> Line {
        let (orders, taken) = unbounded_channel();
        self.orders = orders;
        self.state = None;
        Line {
            place: self.place,
            socket: self.origin.socket.clone(),
            user,
            orders: taken,
        }
    }

    /// Tells the host something, if it is there.
    pub(super) fn tell(&self, order: ToHost) {
        // A host that is gone is heard of in another way.
        let _ = self.orders.send(order);
    }

    /// Claude's number, once it is known.
    pub(super) fn agent_pid(&self) -> Option<u32> {
        let agent = self.state.as_ref()?.agent;
        (agent.pid != 0).then_some(agent.pid)
    }

    /// Its host answered.
    pub(super) fn greeted(&mut self, state: State) {
        self.state = Some(state);
        if let Some(grace_ms) = self.ending {
            self.tell(ToHost::End { grace_ms });
        }
    }

    /// Ends claude and its host, now or as soon as the host can be told.
    pub(super) fn end(&mut self, grace_ms: u64) {
        self.ending = Some(grace_ms);
        if self.state.is_some() {
            self.tell(ToHost::End { grace_ms });
        }
    }

    /// What stands in claude's box.
    pub(super) fn pending(&self) -> &str {
        self.state.as_ref().map_or("", |state| &state.pending)
    }

    /// This is being typed into the box and left there; the screen shows it a moment later.
    pub(super) fn expect_in_box(&mut self, text: &str) {
        self.put_back = Some((text.to_owned(), Instant::now()));
    }

    /// What has to be taken out of the box before something is typed.
    pub(super) fn in_the_way(&self) -> &str {
        let put_back = self.put_back.as_ref();
        let expected = put_back.filter(|(_, since)| since.elapsed() < SHOWS);
        match (self.pending(), expected) {
            ("", Some((text, _))) => text,
            (pending, _) => pending,
        }
    }

    /// The terminal's size.
    pub(super) fn size(&self) -> Size {
        self.state.as_ref().map_or_else(Size::default, |s| s.size)
    }

    /// Asks for the screen.
    pub(super) fn look(&mut self, what: Look, whom: LookFor) {
        let ticket = self.next_look;
        self.next_look += 1;
        self.looks.insert(ticket, whom);
        self.tell(ToHost::Screen { ticket, what });
    }

    /// Asks for what the machine wants to know of the box.
    pub(super) fn look_at_box(&mut self, number: DeliveryNumber, ours: Option<Arc<str>>) {
        self.look(Look::Bottom(BOX_ROWS), LookFor::Box { number, ours });
    }

    /// Who waits for this look.
    pub(super) fn looked(&mut self, ticket: u64) -> Option<LookFor> {
        self.looks.remove(&ticket)
    }

    /// Opens a socket for people.
    pub(super) fn attach(&mut self, path: PathBuf, reply: ReplyTo) {
        self.tell(ToHost::OpenAttach { path: path.clone() });
        self.attaching.push((path, reply));
    }

    /// The host listens there.
    pub(super) fn attached(&mut self, path: &PathBuf) {
        let Size { cols, rows } = self.size();
        let waiting = self.attaching.extract_if(.., |(wanted, _)| wanted == path);
        for (path, reply) in waiting {
            let socket_path = path.to_string_lossy().into_owned();
            reply.send(Ok(Reply::Attached {
                socket_path,
                cols,
                rows,
            }));
        }
    }

    /// Ends the attachments.
    pub(super) fn close_attach(&mut self) {
        let open = self.state.as_mut().map(|s| std::mem::take(&mut s.attach));
        for path in open.unwrap_or_default() {
            self.tell(ToHost::CloseAttach { path });
        }
    }

    /// Nobody will answer those who wait for its host any more. Returns what the machine waits for.
    pub(super) fn give_up(&mut self, why: &str) -> Vec<DeliveryNumber> {
        let lost = || {
            PoolError::new(
                Code::NotLive,
                format!("the session's terminal is gone: {why}"),
            )
        };
        for (_, reply) in self.attaching.drain(..) {
            reply.send(Err(lost()));
        }
        let mut numbers = Vec::new();
        for (_, look) in std::mem::take(&mut self.looks) {
            match look {
                LookFor::Box { number, .. } => numbers.push(number),
                LookFor::Client { reply, .. } => {
                    reply.send(Err(lost()));
                }
            }
        }
        numbers
    }

    /// Takes in what changes the host's state.
    pub(super) fn note(&mut self, message: &FromHost) {
        let Some(state) = &mut self.state else { return };
        match message {
            FromHost::Typed { number, .. } => state.typed = state.typed.max(*number),
            FromHost::Pending { text } => state.pending.clone_from(text),
            FromHost::Dialog { name, .. } => state.dialog.clone_from(name),
            FromHost::Attached { clients } => state.clients = *clients,
            FromHost::Handled => state.is_handled = true,
            FromHost::AttachOpen { path } if !state.attach.contains(path) => {
                state.attach.push(path.clone());
            }
            FromHost::Exited(ended) => self.ended = Some(ended.clone()),
            _ => {}
        }
    }

    /// Reads claude's own file. None when there is none, or it is another process's.
    pub(super) fn read_file(&self) -> Option<Seen> {
        let agent = self.state.as_ref().map(|state| state.agent)?;
        if agent.pid == 0 {
            return None;
        }
        // One that stays unreadable says nothing.
        let file = self.origin.registry().load(agent.pid).ok()??;
        Some(seen(file))
    }

    /// Whether its claude takes Enter at once behind a prompt.
    pub(super) fn is_quick(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.is_quick)
    }

    /// As the machine has to know it, of a process that outlived a daemon.
    pub(super) fn living(&self, place: Place) -> LivingHost {
        let seen = self.seen.clone();
        let typed = self.state.as_ref().map_or(0, |state| state.typed);
        LivingHost {
            place,
            build: self.origin.build(),
            cwd: self.origin.cwd.clone(),
            account: self.origin.account(),
            pid: self.agent_pid(),
            done: DeliveryNumber(typed),
            uuid: seen.as_ref().and_then(|s| s.uuid.clone()),
            readiness: seen
                .as_ref()
                .map_or(Readiness::Starting, |s| s.readiness.clone()),
            since: seen.map_or_else(Timestamp::default, |s| s.since),
            pending: self.pending().to_owned(),
            is_handled: self.state.as_ref().is_some_and(|state| state.is_handled),
        }
    }

    /// Whether claude's own file may have changed since this was asked last. A look at its stamp costs a fraction of
    /// reading it, and wakes nobody who watches it.
    pub(super) fn file_may_have_changed(&mut self) -> bool {
        let stamp = self.agent_pid();
        let stamp = stamp.and_then(|pid| self.origin.registry().stamp(pid));
        let is_as_before = stamp.is_some() && stamp == self.stamp;
        self.stamp = stamp.filter(|stamp| stamp.is_settled(clock::now()));
        !is_as_before
    }

    /// It could not be read: the next look reads it, whatever its stamp.
    pub(super) fn read_again(&mut self) {
        self.stamp = None;
    }

    /// What the machine wants to know, after the host's answer to a look.
    pub(super) fn inspection(&self, ours: Option<&str>) -> Inspection {
        let seen = self.read_file();
        let state = self.state.as_ref();
        let dialog = state.and_then(|s| s.dialog.as_deref());
        Inspection {
            readiness: seen
                .as_ref()
                .map_or(Readiness::Starting, |s| s.readiness.clone()),
            since: seen.as_ref().map_or_else(Timestamp::default, |s| s.since),
            uuid: seen.and_then(|s| s.uuid),
            in_box: match dialog {
                Some(_) => InBox::Hidden,
                None => in_box(self.pending(), ours),
            },
            rewind: dialog == Some("rewind"),
        }
    }
}

fn seen(file: SessionFile) -> Seen {
    // A status may be older than the start that its file names: a file without one is older than any.
    let begun = file.readiness != file::Readiness::Starting;
    let started_at = file.started_at.filter(|_| begun);
    Seen {
        readiness: match file.readiness {
            file::Readiness::Starting => Readiness::Starting,
            file::Readiness::Idle => Readiness::Idle,
            file::Readiness::Busy => Readiness::Busy,
            file::Readiness::Waiting(what) => Readiness::Waiting { what },
        },
        since: file.status_at.or(started_at).unwrap_or_default(),
        is_quick: file
            .version
            .as_deref()
            .is_some_and(prompt::takes_enter_at_once),
        uuid: file.session.map(|uuid| ClaudeUuid::new(&uuid)),
    }
}

/// Whether what stands in the box is what was typed. The client shows a long text by a note, changes tabs and breaks
/// lines where they do not fit: only what is no white space counts.
fn in_box(pending: &str, ours: Option<&str>) -> InBox {
    fn bare(text: &str) -> impl Iterator<Item = char> + '_ {
        text.chars()
            .filter(|c| !c.is_whitespace() && !c.is_control())
    }
    if bare(pending).next().is_none() {
        return InBox::Nothing;
    }
    let Some(ours) = ours else {
        return InBox::Else;
    };
    let note = pending.trim_start().starts_with("[Pasted text");
    // A tall box is shown in part.
    let mut typed = bare(ours);
    let shown = bare(pending).all(|c| typed.any(|o| o == c));
    if note || shown {
        InBox::Ours
    } else {
        InBox::Else
    }
}

/// A host's process, or claude's, that may be another one by now.
pub(super) fn lives(process: host::Process) -> bool {
    process.pid != 0 && crate::adapters::procs::start_time(process.pid) == Some(process.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_box_holds_nothing_ours_or_something_else() {
        let rows = [
            ("", Some("do it"), InBox::Nothing),
            ("\u{a0} ", Some("do it"), InBox::Nothing),
            ("do it", Some("do it"), InBox::Ours),
            ("do\nit", Some("do it"), InBox::Ours),
            ("[Pasted text #1 +20 lines]", Some("long"), InBox::Ours),
            ("rm -rf", Some("do it"), InBox::Else),
            ("do it", None, InBox::Else),
        ];
        for (pending, ours, expected) in rows {
            assert_eq!(in_box(pending, ours), expected, "{pending:?} {ours:?}");
        }
    }
}
