//! A pool daemon's life: take the lock, listen, load, work, end.

use super::hosts;
use super::hub::Hub;
use super::importing;
use super::keeper;
use super::log::{Category, Log};
use super::main_loop::{Event, Ground, Order, Pool};
use super::server::Server;
use super::settings::{Configured, Surroundings};
use super::spawning;
use super::transcripts::Transcripts;
use crate::adapters::files::{self, Lock};
use crate::adapters::pool_store::{PoolStore, PoolStoreError};
use crate::adapters::procs::pipes::survive_broken_pipes;
use crate::adapters::procs::{self, limits};
use crate::adapters::{clock, short_path};
use crate::contract::paths::pool::PoolDir;
use crate::contract::pool::PoolError;
use crate::core::pool::event::Known;
use std::cell::RefCell;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::time::{Duration, Instant};
use tokio::net::UnixListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::{LocalSet, spawn_local};

/// Events that wait for the loop at most; clients over it are told that there is too much to do.
const MAX_EVENTS: usize = 8_192;
/// Writes that wait for the disk at most; the machine never has more than one under way.
const MAX_JOBS: usize = 1_024;
/// How often the socket's path is looked at: whoever unlinks it finds it again within a tenth of a second.
const LOOK_AT_SOCKET: Duration = Duration::from_millis(80);
/// How often the owner of a test's daemon is looked for.
const LOOK_AT_OWNER: Duration = Duration::from_secs(1);
/// How long an end waits for the threads.
const LAST_WORK: Duration = Duration::from_secs(20);
/// Whoever looks whether the lock is held has it for an instant.
const LOOKERS: Duration = Duration::from_millis(300);
/// Between two looks at a thread that is to end.
const POLL: Duration = Duration::from_millis(5);

/// What the daemon stands on, as the command that started it knows it.
pub struct Places {
    /// The pool's directory.
    pub dir: PoolDir,
    /// What it is started with and finds around it.
    pub surroundings: Surroundings,
    /// The daemon ends, slots and all, when this process does.
    pub owner: Option<u32>,
}

/// Why there is no daemon.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another one holds the lock.
    #[error("another daemon runs in {0}")]
    Held(PathBuf),
    /// Another implementation's daemon has the pool.
    #[error("another program's daemon listens at {0}; end it first, with its own destroy")]
    Foreign(PathBuf),
    /// Something that is no socket is where the socket would be.
    #[error("{0} is in the way: it is no socket")]
    InTheWay(PathBuf),
    /// The directory belongs to somebody else, or others may write in it.
    #[error("{0} is not private; run: chmod 700 {0}")]
    NotPrivate(PathBuf),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] PoolStoreError),
    /// The configuration cannot be used.
    #[error("{path}: {error}")]
    Config {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        error: PoolError,
    },
    /// The system refuses.
    #[error("{path}: {source}")]
    Io {
        /// What was to be used.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// Becomes the daemon of a pool, until it is told to end.
///
/// # Errors
/// When it cannot be: nothing was touched then that another daemon uses.
pub fn run(places: Places) -> Result<(), ServeError> {
    survive_broken_pipes();
    let dir = places.dir;
    let root = dir.path().to_owned();
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| ServeError::Io { path, source }
    };
    files::create_private_dir(dir.path()).map_err(at(dir.path()))?;
    check_private(dir.path())?;
    let lock = Lock::acquire(&dir.lock(), LOOKERS).map_err(at(&dir.lock()))?;
    let Some(lock) = lock else {
        return Err(ServeError::Held(root));
    };
    let _ = lock.note(format!("{}\n", std::process::id()).as_bytes());
    // From here on this is the pool's only daemon.
    let log = Log::open(dir.log(), clock::now());
    let mut store = PoolStore::open(&dir.database())?;
    let mut contents = store.load()?;
    let configured =
        Configured::load(&dir, places.surroundings).map_err(|error| ServeError::Config {
            path: dir.config(),
            error,
        })?;
    let listening = Listening::at(&dir)?;
    let _ = fs::remove_file(dir.ended());
    log.write(
        Category::State,
        None,
        &format!("started, pid {}", std::process::id()),
    );
    if let Err(error) = limits::raise_descriptors() {
        let message = format!("descriptors not raised: {error}");
        log.write(Category::Error, None, &message);
    }
    let found = spawning::find(&dir, &log);
    spawning::end_strays(&dir, &found.living, configured.config_dir(), &log);
    let (events, heard) = mpsc::sync_channel(MAX_EVENTS);
    let (orders, ordered) = unbounded_channel();
    let (jobs, given) = mpsc::sync_channel(MAX_JOBS);
    let transcripts = Arc::new(Transcripts::new(configured.config_dir().to_owned()));
    let blueprint = configured.blueprint_or_none();
    importing::import_once(&dir, &mut store, &mut contents, blueprint.dir(), &log)?;
    let known = Known {
        size: configured.size(),
        settings: blueprint.settings(),
        standing: None,
        sessions: contents.sessions,
        prompts: contents.prompts,
        baseline: contents.baseline,
        hosts: Vec::new(),
        generation: found.generation,
    };
    let ground = Ground {
        name: dir.name(),
        dir,
        user: procs::user_id(),
        configured: Arc::new(configured),
        transcripts: Arc::clone(&transcripts),
        events: events.clone(),
        orders,
        jobs,
        log: log.clone(),
    };
    let writer = thread("writer", {
        let events = events.clone();
        move || keeper::work(store, &transcripts, &given, &events)
    })
    .map_err(at(&root))?;
    let decider = thread("pool", move || {
        let mut pool = Pool::new(ground, blueprint);
        pool.run(&heard, known, found.living);
        let _ = pool.ground.orders.send(Order::Stop);
    })
    .map_err(at(&root))?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(at(&root))?;
    let why = runtime
        .block_on(LocalSet::new().run_until(listen(listening, events, ordered, places.owner, &log)))
        .map_err(at(&root))?;
    let deadline = Instant::now() + LAST_WORK;
    for thread in [decider, writer] {
        while !thread.is_finished() && Instant::now() < deadline {
            files::pause(POLL);
        }
    }
    log.write(Category::State, None, &format!("ended: {why}"));
    drop(lock);
    Ok(())
}

fn thread(
    name: &str,
    job: impl FnOnce() + Send + 'static,
) -> io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(job)
}

/// The directory is this user's, and nobody else may come in.
fn check_private(dir: &Path) -> Result<(), ServeError> {
    let found = fs::metadata(dir).map_err(|source| ServeError::Io {
        path: dir.to_owned(),
        source,
    })?;
    if found.uid() != procs::user_id() || found.permissions().mode() & 0o077 != 0 {
        return Err(ServeError::NotPrivate(dir.to_owned()));
    }
    Ok(())
}

/// The pool's socket.
struct Listening {
    path: PathBuf,
    listener: Option<StdListener>,
    /// Device and inode of what this process made.
    made: (u64, u64),
}

impl Listening {
    /// Listens, once what a dead daemon left is out of the way. Only for whoever holds the lock.
    fn at(dir: &PoolDir) -> Result<Self, ServeError> {
        let fail = |source| ServeError::Io {
            path: dir.socket(),
            source,
        };
        let path = short_path::usable(&dir.socket()).map_err(fail)?;
        match fs::symlink_metadata(&path) {
            Ok(found) if found.file_type().is_socket() => {
                // Whoever answers does not know our lock, and its socket is not ours to remove.
                if StdStream::connect(&path).is_ok() {
                    return Err(ServeError::Foreign(dir.socket()));
                }
                fs::remove_file(&path).map_err(fail)?;
            }
            Ok(_) => return Err(ServeError::InTheWay(dir.socket())),
            Err(_) => {}
        }
        Self::bind(path).map_err(fail)
    }

    fn bind(path: PathBuf) -> io::Result<Self> {
        let listener = StdListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(files::PRIVATE_FILE))?;
        listener.set_nonblocking(true)?;
        let found = fs::symlink_metadata(&path)?;
        Ok(Self {
            path,
            listener: Some(listener),
            made: (found.dev(), found.ino()),
        })
    }

    /// Whether its path still leads to it; none when something else is there.
    fn is_there(&self) -> Option<bool> {
        match fs::symlink_metadata(&self.path) {
            Ok(found) if (found.dev(), found.ino()) == self.made => Some(true),
            Ok(_) => None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(false),
            Err(_) => None,
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if self.is_there() == Some(true) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Serves until there is a reason to end; says which.
async fn listen(
    mut listening: Listening,
    events: SyncSender<Event>,
    ordered: UnboundedReceiver<Order>,
    owner: Option<u32>,
    log: &Log,
) -> io::Result<&'static str> {
    let server = Server::new(events.clone(), Event::Ask, procs::user_id(), log.clone());
    let listener = listening.listener.take();
    let listener = listener.ok_or_else(|| io::Error::other("the socket is gone"))?;
    let mut accepting = spawn_local(Rc::clone(&server).accept(UnixListener::from_std(listener)?));
    let carrying = carry_out(ordered, server.hub(), events.clone());
    let mut carrying = spawn_local(carrying);
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let owner = owner.map(|pid| (pid, procs::start_time(pid)));
    let mut looked = Instant::now();
    let mut told = None;
    loop {
        let signalled = first(
            async { terminated.recv().await.map(|()| "a signal") },
            async { interrupted.recv().await.map(|()| "a signal") },
        );
        let ended = async {
            let _ = (&mut carrying).await;
            Some("everything is over")
        };
        let turn = async {
            tokio::time::sleep(LOOK_AT_SOCKET).await;
            None
        };
        match first(first(signalled, ended), turn).await {
            Some("everything is over") => break,
            Some(why) => {
                told = told.or(Some(why));
                let _ = events.try_send(Event::Leave);
            }
            None => {}
        }
        if listening.is_there() == Some(false) {
            accepting.abort();
            listening = Listening::bind(listening.path.clone())?;
            let listener = listening.listener.take();
            let listener = listener.ok_or_else(|| io::Error::other("the socket is gone"))?;
            let listener = UnixListener::from_std(listener)?;
            accepting = spawn_local(Rc::clone(&server).accept(listener));
            log.write(Category::Api, None, "the socket was gone; listening again");
        }
        if looked.elapsed() >= LOOK_AT_OWNER {
            looked = Instant::now();
            let gone = |(pid, start): (u32, Option<u64>)| {
                start.is_none() || procs::start_time(pid) != start
            };
            if told.is_none() && owner.is_some_and(gone) {
                told = Some("its owner ended");
                let _ = events.try_send(Event::EndAll);
            }
        }
    }
    // Whoever was promised an answer gets to read it.
    tokio::time::timeout(Duration::from_secs(1), server.is_quiet())
        .await
        .ok();
    accepting.abort();
    Ok(told.unwrap_or("a client asked"))
}

/// Does what the loop says, until it says that everything is over.
async fn carry_out(
    mut ordered: UnboundedReceiver<Order>,
    hub: Rc<RefCell<Hub>>,
    events: SyncSender<Event>,
) {
    while let Some(order) = ordered.recv().await {
        match order {
            Order::Tell(event) => hub.borrow_mut().tell(event),
            Order::Talk(line) => {
                let (place, events) = (line.place, events.clone());
                spawn_local(hosts::talk(line, move |heard| {
                    // A loop that is full is heard by nobody else either: what a host says must not be lost.
                    let _ = events.send(Event::Host(place, heard));
                }));
            }
            Order::Stop => return,
        }
    }
}

/// Whichever is done first.
pub(super) async fn first<T>(a: impl Future<Output = T>, b: impl Future<Output = T>) -> T {
    use std::task::Poll;
    let (mut a, mut b) = (Box::pin(a), Box::pin(b));
    std::future::poll_fn(move |context| {
        if let Poll::Ready(value) = a.as_mut().poll(context) {
            return Poll::Ready(value);
        }
        b.as_mut().poll(context)
    })
    .await
}
