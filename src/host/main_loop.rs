//! The host's loop: one thread, one wait for everything, nobody waited for. What claude writes is handed on first and
//! followed by the emulator afterwards.

use super::attach::Attachments;
use super::connection::{Connection, GREETING, Role};
use super::ending::Ending;
use super::keyboard::{ENOUGH, Keyboard};
use super::picture::{Picture, Seen, Work};
use super::reports::Reports;
use super::socket::Listening;
use super::start::{Record, Started, Wake};
use super::wait::{Interest, Place, Ready, Waits};
use crate::adapters::procs::children::wait_for_end;
use crate::adapters::procs::interrupt::Interrupts;
use crate::adapters::procs::tree::Member;
use crate::adapters::procs::{memory, start_time};
use crate::adapters::pty::{Child, Pty, Read};
use crate::contract::proto::host::{Ended, FromHost, Launch, Process, Size, State, VERSION};
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Between two looks at what nobody tells us: the record, the owner, strangers who do not say who they are.
const LOOK: Duration = Duration::from_secs(1);
/// After so long without a byte of the terminal the host has nothing to do for a while.
const QUIET: Duration = Duration::from_secs(5);
/// What is read of the terminal before it is handed on.
const CHUNK: usize = 64 * 1024;
/// From being told to end to force: claude takes 0.1 to 0.6 s.
const GRACE: Duration = Duration::from_secs(5);
/// Rows of the screen that tell why claude ended by itself.
const WORDS: u16 = 12;
/// What is still on its way when claude has ended is waited for so long.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Connections that may be open at once; others wait until one is closed.
const MAX_CONNECTIONS: usize = 32;

/// Everything a host has.
pub(super) struct Host {
    pub(super) token: String,
    pub(super) agent: Process,
    pub(super) config_dir: PathBuf,
    pub(super) keyboard: Keyboard,
    pub(super) reports: Reports,
    pub(super) attachments: Attachments,
    pub(super) picture: Picture,
    pub(super) pty: Pty,
    pub(super) record: Record,
    pub(super) ending: Option<Ending>,
    pub(super) was_asked: bool,
    pub(super) size: Size,
    pub(super) pending: String,
    pub(super) dialog: Option<&'static str>,
    pub(super) is_handled: bool,
    pub(super) connections: Vec<Connection>,
    child: Child,
    listening: Listening,
    interrupts: Interrupts,
    wake: Wake,
    owner: Option<Process>,
    /// The far end of the terminal is closed, for now.
    terminal_rests: bool,
    agent_ended: Arc<AtomicBool>,
    told_clients: usize,
    next_connection: u64,
    next_look: Instant,
    /// When the terminal was heard of last, until that is long ago.
    worked_at: Option<Instant>,
    buffer: Box<[u8]>,
}

/// Runs a host to its end.
pub(super) fn run(started: Started) {
    let mut host = Host::new(started);
    host.watch_agent();
    while host.turn() {}
    host.finish();
}

impl Host {
    fn new(started: Started) -> Self {
        let Started {
            launch,
            pty,
            child,
            picture,
            listening,
            record,
            interrupts,
            wake,
            owner,
        } = started;
        let agent = Process {
            pid: child.pid(),
            start: child.start_time(),
        };
        Self {
            config_dir: config_dir(&launch),
            token: launch.token,
            agent,
            keyboard: Keyboard::default(),
            reports: Reports::default(),
            attachments: Attachments::default(),
            picture,
            pty,
            record,
            ending: None,
            was_asked: false,
            size: launch.size,
            pending: String::new(),
            dialog: None,
            is_handled: false,
            connections: Vec::new(),
            child,
            listening,
            interrupts,
            wake,
            owner,
            terminal_rests: false,
            agent_ended: Arc::new(AtomicBool::new(false)),
            told_clients: 0,
            next_connection: 0,
            next_look: Instant::now() + LOOK,
            worked_at: Some(Instant::now()),
            buffer: vec![0; CHUNK].into_boxed_slice(),
        }
    }

    /// A thread that waits for claude's end and wakes the loop. It does not reap: until that is done, the number and
    /// the session stay claude's.
    fn watch_agent(&self) {
        let (pid, ended) = (self.agent.pid, Arc::clone(&self.agent_ended));
        let Ok(wake) = self.wake.writes.try_clone() else {
            return;
        };
        let watch = move || {
            wait_for_end(pid);
            ended.store(true, Ordering::Relaxed);
            let _ = (&wake).write(b"!");
        };
        // Without the thread the regular look sees it.
        let _ = std::thread::Builder::new()
            .name("agent".to_owned())
            .spawn(watch);
    }

    /// Waits once and does what follows; false when everything is over.
    fn turn(&mut self) -> bool {
        let until = self.deadline();
        let ready = self.wait(until.saturating_duration_since(Instant::now()));
        for (place, ready) in ready {
            self.happened(place, ready);
        }
        // A signal also interrupts the wait, which then tells of nothing.
        if self.interrupts.seen().is_some() && self.ending.is_none() {
            self.end(GRACE);
        }
        self.see();
        self.type_on();
        self.tidy();
        let now = Instant::now();
        if self.next_look <= now {
            self.look(now);
        }
        self.go_on_ending(now)
    }

    fn deadline(&self) -> Instant {
        let ending = self.ending.as_ref().map(Ending::deadline);
        let deadlines = [self.keyboard.deadline(), ending];
        deadlines
            .into_iter()
            .flatten()
            .fold(self.next_look, Instant::min)
    }

    fn wait(&self, bound: Duration) -> Vec<(Place, Ready)> {
        let input = Interest {
            input: true,
            room: false,
        };
        let mut waits = Waits::default();
        waits.add(Place::Wake, self.wake.reads.as_fd(), input);
        if self.interrupts.seen().is_none() {
            waits.add(Place::Signal, self.interrupts.wakes(), input);
        }
        if !self.terminal_rests {
            let interest = Interest {
                input: !self.picture.is_behind(),
                room: self.keyboard.next().is_some(),
            };
            waits.add(Place::Terminal, self.pty.as_fd(), interest);
        }
        if self.connections.len() < MAX_CONNECTIONS {
            waits.add(Place::Socket, self.listening.listener.as_fd(), input);
        }
        for (at, listening) in self.attachments.listeners.iter().enumerate() {
            waits.add(Place::Listener(at), listening.listener.as_fd(), input);
        }
        // What people type waits with them while the terminal does not take it.
        let may_type = self.keyboard.backlog() < ENOUGH;
        for client in &self.attachments.clients {
            let interest = Interest {
                input: may_type && !client.is_silent,
                room: client.wants_room(),
            };
            waits.add(Place::Client(client.id), client.stream.as_fd(), interest);
        }
        for connection in &self.connections {
            let interest = Interest {
                input: true,
                room: connection.wants_room(),
            };
            waits.add(
                Place::Connection(connection.id),
                connection.stream.as_fd(),
                interest,
            );
        }
        waits.wait(bound)
    }

    fn happened(&mut self, place: Place, ready: Ready) {
        match place {
            Place::Wake => {
                let mut bytes = [0; 256];
                let _ = (&self.wake.reads).read(&mut bytes);
            }
            // Seen at the end of the turn.
            Place::Signal => {}
            Place::Terminal if ready.input || ready.hung_up => self.read_terminal(),
            // Written at the end of the turn.
            Place::Terminal => {}
            Place::Socket => self.accept(),
            Place::Listener(at) => {
                for (client, request) in self.attachments.accept(at) {
                    self.picture.give(Work::Repaint(client, request));
                }
            }
            Place::Client(id) => self.client_ready(id, ready),
            Place::Connection(id) => self.connection_ready(id, ready),
        }
    }

    fn read_terminal(&mut self) {
        let mut filled = 0;
        while filled < self.buffer.len() {
            match self.pty.read(&mut self.buffer[filled..]) {
                Ok(Read::Bytes(count)) => filled += count,
                Ok(Read::Nothing) => break,
                Ok(Read::Ended) | Err(_) => {
                    self.terminal_rests = true;
                    break;
                }
            }
        }
        if filled > 0 {
            self.worked_at = Some(Instant::now());
            let bytes: Arc<[u8]> = Arc::from(&self.buffer[..filled]);
            self.attachments.deliver(&bytes);
            self.picture.give(Work::Bytes(bytes));
        }
    }

    /// Writes what the terminal takes of what is to be typed.
    fn type_on(&mut self) {
        let now = Instant::now();
        self.keyboard.tick(now);
        while let Some(bytes) = self.keyboard.next() {
            match self.pty.write(bytes) {
                Ok(0) => break,
                Ok(count) => self.keyboard.wrote(count, now),
                Err(_) => {
                    self.keyboard.give_up(now);
                    break;
                }
            }
        }
        while let Some((number, whole)) = self.keyboard.finished() {
            self.tell(&FromHost::Typed { number, whole });
        }
    }

    fn client_ready(&mut self, id: u64, ready: Ready) {
        if ready.input {
            let bytes = self.attachments.read(id);
            self.people_type(&bytes);
        }
        if ready.room
            && let Some(request) = self.attachments.has_room(id)
        {
            self.picture.give(Work::Repaint(id, request));
        }
        // What was typed before the end of the connection is read first.
        if ready.hung_up && !ready.input {
            self.attachments.hang_up(id);
        }
    }

    /// Hands on what somebody typed who is not the daemon.
    pub(super) fn people_type(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() && !self.is_handled {
            self.is_handled = true;
            self.tell(&FromHost::Handled);
        }
        self.keyboard.input(bytes, Instant::now());
    }

    fn accept(&mut self) {
        while self.connections.len() < MAX_CONNECTIONS {
            let Some((stream, peer)) = self.listening.accept() else {
                return;
            };
            self.next_connection += 1;
            let id = self.next_connection;
            self.connections
                .push(Connection::new(id, stream, peer.pid, Instant::now()));
        }
    }

    fn connection_ready(&mut self, id: u64, ready: Ready) {
        let Some(at) = self.connections.iter().position(|c| c.id == id) else {
            return;
        };
        if ready.room {
            self.connections[at].flush();
        }
        if ready.input || ready.hung_up {
            self.connections[at].read();
            while let Some(at) = self.connections.iter().position(|c| c.id == id) {
                match self.connections[at].next() {
                    Some(Ok(message)) => self.heard(id, message),
                    Some(Err(error)) => self.tell(&FromHost::Refused {
                        what: "frame".to_owned(),
                        why: error.to_string(),
                    }),
                    None => break,
                }
            }
        }
    }

    /// Takes in what the emulator has seen.
    fn see(&mut self) {
        let seen: Vec<Seen> = self.picture.seen().collect();
        for seen in seen {
            match seen {
                Seen::Repaint {
                    client,
                    request,
                    bytes,
                } => self.attachments.repaint(client, request, bytes),
                Seen::Look { ticket, bytes } => self.tell(&FromHost::ScreenIs { ticket, bytes }),
                Seen::Pending(text) => {
                    self.pending.clone_from(&text);
                    self.tell(&FromHost::Pending { text });
                }
                Seen::Dialog(dialog, text) => {
                    self.dialog = dialog;
                    let name = dialog.map(str::to_owned);
                    self.tell(&FromHost::Dialog { name, text });
                }
            }
        }
    }

    fn tidy(&mut self) {
        self.attachments.sweep();
        self.connections.retain(|connection| !connection.is_over);
        let clients = self.attachments.clients.len();
        if clients != self.told_clients {
            self.told_clients = clients;
            let clients = self.clients();
            self.tell(&FromHost::Attached { clients });
        }
    }

    /// The regular look at what nobody tells us.
    fn look(&mut self, now: Instant) {
        self.next_look = now + LOOK;
        // Somebody may have opened the far end again.
        self.terminal_rests = false;
        let too_long = |c: &Connection| c.role == Role::Stranger && c.since + GREETING < now;
        self.connections.retain(|connection| !too_long(connection));
        let runs = |owner: Process| start_time(owner.pid) == Some(owner.start);
        if !self.record.is_there() || self.owner.is_some_and(|owner| !runs(owner)) {
            self.end(GRACE);
        }
        if self.child.has_ended() {
            self.agent_ended.store(true, Ordering::Relaxed);
        }
        if self.worked_at.is_some_and(|at| at + QUIET <= now) {
            self.worked_at = None;
            memory::let_go_of_code();
        }
    }

    /// Begins to end claude.
    pub(super) fn end(&mut self, grace: Duration) {
        let now = Instant::now();
        self.was_asked = true;
        if let Some(ending) = &mut self.ending {
            return ending.hurry(grace, now);
        }
        let config_dir = self.config_dir.clone();
        self.ending = Some(Ending::ask(
            self.member(),
            &self.token,
            config_dir,
            grace,
            now,
        ));
    }

    /// Goes on ending; false when everything has ended.
    fn go_on_ending(&mut self, now: Instant) -> bool {
        if self.agent_ended.load(Ordering::Relaxed) {
            let member = self.member();
            match &mut self.ending {
                Some(ending) => ending.sweep(now),
                None => {
                    let dir = self.config_dir.clone();
                    self.ending = Some(Ending::of_ended(member, &self.token, dir, now));
                }
            }
        }
        let Some(ending) = &mut self.ending else {
            return true;
        };
        ending.tick(now);
        !ending.is_over()
    }

    /// Hands on the last words, says how claude ended, and lets everybody go.
    fn finish(&mut self) {
        let (code, signal) = self.child.reap();
        self.terminal_rests = false;
        while !self.terminal_rests && self.has_more() {
            self.read_terminal();
        }
        let words = (!self.was_asked).then(|| self.picture.bottom(WORDS, LAST_WORDS));
        let ended = Ended {
            code,
            signal,
            was_asked: self.was_asked,
            words: words.unwrap_or_default(),
        };
        self.keyboard.give_up(Instant::now());
        self.type_on();
        self.record.is.ended = Some(ended.clone());
        if self.record.is_there() {
            // The daemon learns it from us as well, when there is one.
            let _ = self.record.write();
        }
        self.tell(&FromHost::Exited(ended));
        let until = Instant::now() + LAST_WORDS;
        while Instant::now() < until && !self.is_flushed() {
            let left = until.saturating_duration_since(Instant::now());
            for (place, ready) in self.wait(left) {
                if !matches!(place, Place::Listener(_) | Place::Socket) {
                    self.happened(place, ready);
                }
            }
            self.see();
            self.tidy();
        }
    }

    fn has_more(&self) -> bool {
        let input = Interest {
            input: true,
            room: false,
        };
        let mut waits = Waits::default();
        waits.add(Place::Terminal, self.pty.as_fd(), input);
        waits
            .wait(Duration::ZERO)
            .iter()
            .any(|(_, ready)| ready.input)
    }

    fn is_flushed(&self) -> bool {
        self.attachments.is_flushed() && !self.connections.iter().any(Connection::wants_room)
    }

    /// Says something to the daemon, if one is there.
    pub(super) fn tell(&mut self, message: &FromHost) {
        let daemon = self.connections.iter_mut().find(|c| c.role == Role::Daemon);
        if let Some(daemon) = daemon {
            daemon.send(message);
        }
    }

    pub(super) fn clients(&self) -> u32 {
        u32::try_from(self.attachments.clients.len()).unwrap_or(u32::MAX)
    }

    /// What a daemon has to know first.
    pub(super) fn state(&self) -> State {
        State {
            version: VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            host: self.record.is.host,
            agent: self.agent,
            typed: self.keyboard.last_done(),
            typing: self.keyboard.typing(),
            size: self.size,
            session: self.record.is.session.clone(),
            pending: self.pending.clone(),
            dialog: self.dialog.map(str::to_owned),
            clients: self.clients(),
            is_handled: self.is_handled,
            attach: self.attachments.paths(),
            next_report: self.reports.next(),
            dropped_reports: self.reports.dropped(),
            is_ending: self.ending.is_some(),
        }
    }

    fn member(&self) -> Member {
        let Process { pid, start } = self.agent;
        Member { pid, start }
    }
}

/// Where this claude keeps its login: what the launch says, else plain claude's own place.
fn config_dir(launch: &Launch) -> PathBuf {
    let home = launch.env.iter().find(|(name, _)| name == "HOME");
    let plain = home.map_or_else(PathBuf::new, |(_, home)| {
        PathBuf::from(home).join(".claude")
    });
    launch.config_dir.clone().unwrap_or(plain)
}
