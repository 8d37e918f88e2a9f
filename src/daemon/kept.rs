//! The thread that keeps the configured pools running: it looks whether their daemons hold their locks, reads the settings
//! when their file has changed, and runs `ccpd pool keep` for what the machine decides. Each pool's daemon is a process of
//! its own, which this one neither owns nor ends.

use super::log::Log;
use super::main_loop::Places;
use super::spawn;
use crate::adapters::files::{self, Lock, PRIVATE_FILE, modified_ns, replace_rebuildable};
use crate::adapters::procs::children::{Signal, has_ended, signal_group};
use crate::adapters::{clock, procs};
use crate::contract::kept::{KeptPool, KeptPools, KeptState};
use crate::contract::paths::Home;
use crate::contract::paths::pool::{DEFAULT_POOL_HOME_NAME, PoolDir, PoolHome};
use crate::contract::settings::{PoolSettings, Settings};
use crate::contract::{exit, vars};
use crate::core::calendar::rfc3339;
use crate::core::kept::{Action, Event, Fact, Kept, Outcome, Sight, Standing};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// Between two looks at the locks and at the file of the settings.
const LOOK: Duration = Duration::from_secs(1);
/// How long `ccpd pool keep` may take: a pool begins when the first looks at its slots are done.
const BOUND: Duration = Duration::from_secs(240);
/// How long it has to end once it was asked to.
const GRACE: Duration = Duration::from_secs(2);
/// Between two looks whether it has ended.
const POLL: Duration = Duration::from_millis(20);
/// How much of what it says is read, in bytes.
const MAX_SAID: u64 = 16 * 1024;

/// The largest list that is read, in bytes.
const MAX_TOLD: u64 = 1024 * 1024;

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Told {
    /// What beginning a pool came to.
    Done(String, Outcome),
    /// It is time to end.
    Stop,
}

/// How the pools stand, as the daemon of this home tells; nothing while none runs.
#[must_use]
pub fn told(home: &Home) -> KeptPools {
    let mut text = Vec::new();
    if spawn::running(home).is_some() {
        let file = File::open(home.kept_pools());
        let _ = file.and_then(|file| file.take(MAX_TOLD).read_to_end(&mut text));
    }
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Keeps the pools until it is told to stop.
pub(super) fn work(places: &Arc<Places>, told: &Receiver<Told>, sender: &Sender<Told>, log: &Log) {
    let Some(pool_home) = pool_home(places) else {
        return log.warn(
            "no pools are kept",
            &[("why", &"CLAUDE_POOL_HOME is not absolute")],
        );
    };
    let mut keeper = Keeper {
        places: Arc::clone(places),
        pool_home,
        sender: sender.clone(),
        log: log.clone(),
        machine: Kept::default(),
        read: None,
        children: Vec::new(),
        published: KeptPools::default(),
    };
    keeper.publish();
    loop {
        keeper.read_settings();
        keeper.look();
        keeper.publish();
        match told.recv_timeout(LOOK) {
            Ok(Told::Done(name, outcome)) => keeper.tell(Event::Done(name, outcome)),
            Ok(Told::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
    keeper.end();
}

/// Where pools are, for the environment that this daemon was started in.
fn pool_home(places: &Places) -> Option<PoolHome> {
    let mut variables = places.inherited.iter();
    let set = variables.find(|(name, value)| name == vars::CLAUDE_POOL_HOME && !value.is_empty());
    let path = set.map_or_else(
        || places.user_home.join(DEFAULT_POOL_HOME_NAME),
        |(_, value)| PathBuf::from(value),
    );
    PoolHome::new(&path)
}

/// By what a file is known to be as it was: device, inode, size, time.
type Identity = (u64, u64, u64, i64);

struct Keeper {
    places: Arc<Places>,
    pool_home: PoolHome,
    sender: Sender<Told>,
    log: Log,
    machine: Kept<PoolSettings>,
    /// The file of the settings as it was read last; none before the first time.
    read: Option<Option<Identity>>,
    /// Groups of what runs for a pool.
    children: Vec<u32>,
    published: KeptPools,
}

impl Keeper {
    fn read_settings(&mut self) {
        let identity = identity(&self.places.home);
        if self.read == Some(identity) {
            return;
        }
        self.read = Some(identity);
        // The loop of the accounts says what is wrong with the file; until it is right, everything stays as it is.
        if let Ok(settings) = (self.places.settings)() {
            self.tell(Event::Wanted(wanted(&settings)));
        }
    }

    fn look(&mut self) {
        let watched: Vec<String> = self.machine.watched().map(str::to_owned).collect();
        for name in watched {
            if let Some(sight) = self.pool_home.pool(&name).and_then(|dir| sight(&dir)) {
                self.tell(Event::Saw(name, sight));
            }
        }
    }

    fn tell(&mut self, event: Event<PoolSettings>) {
        for action in self.machine.handle(event, clock::now()) {
            match action {
                Action::Keep(name) => self.keep(name),
                Action::Say(name, fact) => say(&self.log, &name, &fact),
            }
        }
    }

    fn keep(&mut self, name: String) {
        let child = match self.start(&name) {
            Ok(child) => child,
            Err(why) => {
                let why = format!("cannot start ccpd: {why}");
                let _ = self.sender.send(Told::Done(name, Outcome::Failed(why)));
                return;
            }
        };
        self.children.retain(|leader| !has_ended(*leader));
        self.children.push(child.id());
        let (sender, of) = (self.sender.clone(), name.clone());
        let thread = std::thread::Builder::new().name("pool".to_owned());
        if let Err(error) = thread.spawn(move || sender.send(Told::Done(of, outcome(child)))) {
            let why = format!("no thread: {error}");
            let _ = self.sender.send(Told::Done(name, Outcome::Failed(why)));
        }
    }

    fn start(&self, name: &str) -> io::Result<Child> {
        // What was left of an earlier end says nothing about the next one.
        if let Some(dir) = self.pool_home.pool(name) {
            let _ = fs::remove_file(dir.ended());
        }
        let own = std::env::current_exe()?;
        let own = fs::canonicalize(&own).unwrap_or(own);
        let mut command = Command::new(own.with_file_name("ccpd"));
        command
            .args(["pool", "--pool", name, "keep"])
            .current_dir(&self.places.user_home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        vars::of_one_session().for_each(|name| _ = command.env_remove(name));
        procs::background::in_own_session(&mut command);
        command.spawn()
    }

    /// Tells commands how the pools stand.
    fn publish(&mut self) {
        let standings = self.machine.standings();
        let pools = standings.map(|(name, standing)| (name.to_owned(), shown(standing)));
        let now = KeptPools {
            pools: pools.collect(),
        };
        let path = self.places.home.kept_pools();
        if now == self.published && (now.pools.is_empty() || path.exists()) {
            return;
        }
        if now.pools.is_empty() {
            let _ = fs::remove_file(path);
        } else if let Ok(text) = serde_json::to_vec(&now) {
            // Where it cannot be written, commands say less.
            let _ = replace_rebuildable(&path, &text, PRIVATE_FILE);
        }
        self.published = now;
    }

    /// What is under way is broken off: the pools go on, and the next daemon looks after them.
    fn end(&mut self) {
        let leaders = self.children.iter().filter(|leader| !has_ended(**leader));
        leaders.for_each(|leader| signal_group(*leader, Signal::Terminate));
        let _ = fs::remove_file(self.places.home.kept_pools());
    }
}

fn identity(home: &Home) -> Option<Identity> {
    // Whatever links lead to it.
    let found = fs::metadata(home.config()).ok()?;
    Some((found.dev(), found.ino(), found.size(), modified_ns(&found)))
}

fn wanted(settings: &Settings) -> BTreeMap<String, PoolSettings> {
    let names = settings.pools.named.keys();
    let pools = names.map(|name| (name.clone(), settings.pool(name)));
    pools.filter(|(_, pool)| pool.autostart).collect()
}

/// Whether the pool's daemon runs; none where that cannot be told.
fn sight(dir: &PoolDir) -> Option<Sight> {
    match Lock::is_held(&dir.lock()) {
        Ok(true) => Some(Sight::Runs),
        Ok(false) if dir.ended().exists() => Some(Sight::Ended),
        Ok(false) => Some(Sight::Absent),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Sight::Absent),
        Err(_) => None,
    }
}

/// What `ccpd pool keep` came to, once it has ended.
fn outcome(mut child: Child) -> Outcome {
    let deadline = Instant::now() + BOUND;
    while !has_ended(child.id()) {
        if Instant::now() >= deadline {
            signal_group(child.id(), Signal::Terminate);
            files::pause(GRACE);
            signal_group(child.id(), Signal::Kill);
            let _ = child.wait();
            return Outcome::Failed(format!("it took longer than {} s", BOUND.as_secs()));
        }
        files::pause(POLL);
    }
    let mut said = Vec::new();
    if let Some(pipe) = child.stderr.take() {
        let _ = pipe.take(MAX_SAID).read_to_end(&mut said);
    }
    let said = String::from_utf8_lossy(&said);
    let mut lines = said.lines().filter_map(|line| line.strip_prefix("error: "));
    let why = lines.next().unwrap_or("it did not say why").to_owned();
    match child.wait().map(|status| status.code()) {
        Ok(Some(0)) => Outcome::Runs,
        Ok(Some(code)) if code == i32::from(exit::UNAVAILABLE) => Outcome::NotOurs(why),
        _ => Outcome::Failed(why),
    }
}

fn shown(standing: &Standing) -> KeptPool {
    let (state, why, until) = match standing {
        Standing::Beginning => (KeptState::Beginning, None, None),
        Standing::Runs => (KeptState::Runs, None, None),
        Standing::Failing(why) => (KeptState::Failing, Some(why.clone()), None),
        Standing::Resting(until, why) => (KeptState::Resting, why.clone(), Some(rfc3339(*until))),
        Standing::Ended => (KeptState::Ended, None, None),
        Standing::NotOurs(why) => (KeptState::NotOurs, Some(why.clone()), None),
    };
    KeptPool { state, why, until }
}

fn say(log: &Log, name: &str, fact: &Fact) {
    match fact {
        Fact::Kept => log.info("pool kept", &[("pool", &name)]),
        Fact::Died => log.warn("pool died", &[("pool", &name)]),
        Fact::Failed(why) => log.warn("pool not begun", &[("pool", &name), ("why", why)]),
        Fact::Rests(until) => {
            let until = rfc3339(*until);
            log.warn("pool rests", &[("pool", &name), ("until", &until)]);
        }
        Fact::Ended => log.info("pool ended by a person", &[("pool", &name)]),
        Fact::NotOurs(why) => log.warn("pool left alone", &[("pool", &name), ("why", why)]),
        Fact::Released => log.info("pool no longer kept; it goes on", &[("pool", &name)]),
    }
}
