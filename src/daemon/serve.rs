//! A daemon's life: take the lock, listen, work, end. Says to the command that started it how that went; prints
//! nothing itself.

use super::conditions::Conditions;
use super::endpoint::{BindError, Guard, Socket, read_note};
use super::kept;
use super::log::Log;
use super::main_loop::{self, Event, Inlets, Progress};
use super::prober;
use super::server::Server;
use crate::adapters::procs::pipes::survive_broken_pipes;
use crate::adapters::procs::{self, limits};
use crate::adapters::{clock, files};
use crate::contract::paths::Home;
use crate::contract::proto::note::{Found, Note};
use crate::contract::proto::{Health, Request, Response};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::net::UnixListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::LocalSet;

pub use main_loop::Places;

/// Events that wait for the loop at most; clients over it are told that there is too much to do.
const MAX_EVENTS: usize = 1_024;
/// How long a daemon that was asked to step down may take: what it writes, and a probe that is under way.
const STEP_DOWN: Duration = Duration::from_secs(30);
/// How long it may take after it was asked by a signal.
const AFTER_SIGNAL: Duration = Duration::from_secs(10);
/// How long a daemon that is just starting may take to listen.
const FIRST_ANSWER: Duration = Duration::from_secs(3);
/// How long an end waits for the threads: a question to claude is broken off, but not where it renews its login, and a
/// direct renewal is finished.
const LAST_WORK: Duration = Duration::from_secs(28);
/// Between two looks at the lock, and at the owner of a test's daemon.
const LOOK: Duration = Duration::from_secs(1);
/// Between two looks at somebody who is to end.
const POLL: Duration = Duration::from_millis(20);

/// What tests may change.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The protocol to speak; [`crate::contract::proto::PROTO`] but in tests.
    pub proto: u32,
    /// The daemon ends when this process does.
    pub owner: Option<u32>,
}

/// How it went.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// It ran, and was told to end.
    Ran,
    /// Another daemon runs already.
    RunsAlready {
        /// Its process; none when it did not say in time.
        pid: Option<u32>,
    },
}

/// Why there was no daemon.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It cannot listen.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The older daemon stays.
    #[error("the older daemon, process {pid}, does not step down")]
    Stays {
        /// Its process.
        pid: u32,
    },
    /// The system refuses.
    #[error("cannot run: {0}")]
    Io(#[from] io::Error),
}

/// Becomes the daemon of this home, until somebody wants it to end.
pub fn run(places: Places, options: Options) -> Result<Ended, ServeError> {
    survive_broken_pipes();
    let guard = match Guard::acquire(&places.home, Duration::ZERO) {
        Ok(guard) => guard,
        Err(BindError::Held) => match succeed(&places.home, options)? {
            Ok(guard) => guard,
            Err(pid) => return Ok(Ended::RunsAlready { pid }),
        },
        Err(error) => return Err(error.into()),
    };
    // Clients are heard from here on; everything slow comes later.
    let conditions = Conditions::of_environment();
    let mut socket = guard.listen(&places.home, options.proto, conditions.remote_home)?;
    let log = Log::open(&places.home, clock::now());
    let version = env!("CARGO_PKG_VERSION");
    let path = socket.path().display().to_string();
    log.info(
        "started",
        &[
            ("pid", &std::process::id()),
            ("version", &version),
            ("socket", &path),
        ],
    );
    if let Err(error) = limits::raise_descriptors() {
        log.warn("descriptors not raised", &[("why", &error)]);
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let threads = Threads::start(Arc::new(places), &conditions, &log)?;
    let why = runtime.block_on(LocalSet::new().run_until(listen(
        &guard,
        &mut socket,
        &threads,
        options,
        &conditions,
        &log,
    )))?;
    log.info("ending", &[("why", &why)]);
    finish(runtime, socket, threads, &log);
    drop(guard);
    Ok(Ended::Ran)
}

/// The threads that work, and how to reach them.
struct Threads {
    events: SyncSender<Event>,
    progress: watch::Receiver<Progress>,
    main_loop: JoinHandle<()>,
    prober: JoinHandle<()>,
    /// Keeps the configured pools.
    keeper: JoinHandle<()>,
    /// For that one's end.
    to_keeper: mpsc::Sender<kept::Told>,
    /// Set when the prober is to break off.
    stop: Arc<AtomicBool>,
}

impl Threads {
    fn start(places: Arc<Places>, conditions: &Conditions, log: &Log) -> io::Result<Self> {
        let (sender, events) = mpsc::sync_channel(MAX_EVENTS);
        // The roster machine never has two jobs under way.
        let (jobs, work) = mpsc::sync_channel(2);
        let (progress, seen) = watch::channel(Progress::starting());
        let inlets = Inlets {
            events,
            sender: sender.clone(),
            jobs,
            progress,
            conditions: conditions.clone(),
        };
        let stop = Arc::new(AtomicBool::new(false));
        let prober = {
            let (places, sender) = (Arc::clone(&places), sender.clone());
            let stop = Arc::clone(&stop);
            let job = move || prober::work(&places, &work, &sender, &stop);
            std::thread::Builder::new()
                .name("prober".to_owned())
                .spawn(job)?
        };
        let (to_keeper, told) = mpsc::channel();
        let keeper = {
            let (places, sender, log) = (Arc::clone(&places), to_keeper.clone(), log.clone());
            let job = move || kept::work(&places, &told, &sender, &log);
            std::thread::Builder::new()
                .name("pools".to_owned())
                .spawn(job)?
        };
        let log = log.clone();
        let job = move || main_loop::run(&places, inlets, &log);
        let main_loop = std::thread::Builder::new()
            .name("roster".to_owned())
            .spawn(job)?;
        Ok(Self {
            events: sender,
            progress: seen,
            main_loop,
            prober,
            keeper,
            to_keeper,
            stop,
        })
    }
}

/// Serves until there is a reason to end; says which.
async fn listen(
    guard: &Guard,
    socket: &mut Socket,
    threads: &Threads,
    options: Options,
    conditions: &Conditions,
    log: &Log,
) -> io::Result<&'static str> {
    let listener = socket
        .take_listener()
        .ok_or_else(|| io::Error::other("the socket is gone"))?;
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    let (stop, mut stopped) = watch::channel(false);
    let server = Rc::new(Server::new(
        threads.events.clone(),
        threads.progress.clone(),
        stop,
        options.proto,
        procs::user_id(),
        conditions.clone(),
        log.clone(),
    ));
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let owner = options.owner.map(|pid| (pid, procs::start_time(pid)));
    let accepting = tokio::task::spawn_local(server.accept(listener));
    let why = loop {
        let look = tokio::time::sleep(LOOK);
        let reason = first_of(
            async { stopped.changed().await.is_ok().then_some("a client asked") },
            async { terminated.recv().await.map(|()| "a signal") },
            async { interrupted.recv().await.map(|()| "a signal") },
            look,
        )
        .await;
        if let Some(reason) = reason {
            break reason;
        }
        if guard.is_lost() {
            break "the home is gone";
        }
        if owner.is_some_and(|(pid, start)| start.is_none() || procs::start_time(pid) != start) {
            break "its owner ended";
        }
        if threads.main_loop.is_finished() {
            break "the roster's thread ended";
        }
    };
    accepting.abort();
    Ok(why)
}

/// The first reason of three, or none when the time is over.
async fn first_of(
    a: impl Future<Output = Option<&'static str>>,
    b: impl Future<Output = Option<&'static str>>,
    c: impl Future<Output = Option<&'static str>>,
    time: impl Future<Output = ()>,
) -> Option<&'static str> {
    use std::task::Poll;
    let (mut a, mut b, mut c) = (Box::pin(a), Box::pin(b), Box::pin(c));
    let mut time = Box::pin(time);
    std::future::poll_fn(move |context| {
        for reason in [
            a.as_mut().poll(context),
            b.as_mut().poll(context),
            c.as_mut().poll(context),
        ] {
            if let Poll::Ready(Some(reason)) = reason {
                return Poll::Ready(Some(reason));
            }
        }
        time.as_mut().poll(context).map(|()| None)
    })
    .await
}

/// The socket goes first, so that nobody new comes; then what is being written is finished; the lock goes last.
fn finish(runtime: Runtime, socket: Socket, threads: Threads, log: &Log) {
    drop(socket);
    let Threads {
        events,
        main_loop,
        prober,
        keeper,
        to_keeper,
        stop,
        ..
    } = threads;
    stop.store(true, Ordering::Relaxed);
    let deadline = Instant::now() + LAST_WORK;
    // A full queue is worked off before long, unless a disk hangs.
    while let Err(TrySendError::Full(_)) = events.try_send(Event::Stop)
        && Instant::now() < deadline
    {
        files::pause(POLL);
    }
    drop(events);
    let _ = to_keeper.send(kept::Told::Stop);
    let threads = [("roster", main_loop), ("prober", prober), ("pools", keeper)];
    for (name, thread) in threads {
        while !thread.is_finished() && Instant::now() < deadline {
            files::pause(POLL);
        }
        if !thread.is_finished() {
            log.warn("not waited for", &[("thread", &name)]);
        } else if thread.join().is_err() {
            log.warn("a thread broke off", &[("thread", &name)]);
        }
    }
    runtime.shutdown_timeout(Duration::from_millis(100));
    log.info("ended", &[]);
}

/// The lock, once an older daemon has stepped down; or the pid of the one that stays with good reason.
fn succeed(home: &Home, options: Options) -> Result<Result<Guard, Option<u32>>, ServeError> {
    let deadline = Instant::now() + FIRST_ANSWER;
    let (note, health) = loop {
        // It may have ended meanwhile.
        match Guard::acquire(home, Duration::ZERO) {
            Ok(guard) => return Ok(Ok(guard)),
            Err(BindError::Held) => {}
            Err(error) => return Err(error.into()),
        }
        if let Found::Note(note) = read_note(&home.daemon_lock())
            && let Some(Response::Health(health)) = ask(&note, &Request::Health)
        {
            break (note, health);
        }
        if Instant::now() >= deadline {
            let pid = match read_note(&home.daemon_lock()) {
                Found::Note(note) => Some(note.pid),
                _ => None,
            };
            return Ok(Err(pid));
        }
        files::pause(POLL);
    };
    if health.speaks >= options.proto {
        return Ok(Err(Some(health.pid)));
    }
    step_down(home, &note, &health, options).map(Ok)
}

/// Asks the older daemon to go, first with a request, then with a signal to exactly that process.
fn step_down(
    home: &Home,
    note: &Note,
    health: &Health,
    options: Options,
) -> Result<Guard, ServeError> {
    let for_proto = Some(options.proto);
    let asked = ask(note, &Request::Shutdown { for_proto });
    if asked == Some(Response::Shutdown) {
        match Guard::acquire(home, STEP_DOWN) {
            Err(BindError::Held) => {}
            result => return Ok(result?),
        }
    }
    let is_it = note.pid == health.pid;
    if let (true, Some(start)) = (is_it, note.start)
        && procs::ask_to_end(note.pid, start)
    {
        match Guard::acquire(home, AFTER_SIGNAL) {
            Err(BindError::Held) => {}
            result => return Ok(result?),
        }
    }
    Err(ServeError::Stays { pid: health.pid })
}

/// One question to the daemon of this note; the process at the other end has to be that of the note.
fn ask(note: &Note, request: &Request) -> Option<Response> {
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
    let runtime = Builder::new_current_thread().enable_all().build().ok()?;
    let conversation = async {
        let stream = tokio::net::UnixStream::connect(&note.socket).await.ok()?;
        let peer = stream.peer_cred().ok()?;
        let is_it = peer.pid().and_then(|pid| u32::try_from(pid).ok()) == Some(note.pid);
        if !is_it || peer.uid() != procs::user_id() {
            return None;
        }
        let (read, mut write) = stream.into_split();
        write.write_all(request.line().as_bytes()).await.ok()?;
        let mut line = Vec::new();
        let most = crate::contract::proto::MAX_LINE as u64;
        let mut read = BufReader::new(read.take(most));
        read.read_until(b'\n', &mut line).await.ok()?;
        Response::parse(&line).ok()
    };
    runtime
        .block_on(async { tokio::time::timeout(FIRST_ANSWER, conversation).await })
        .ok()?
}
