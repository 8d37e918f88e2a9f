//! Starting a process for a slot, finding those that outlived a daemon, and burying those that are over. What takes long
//! runs on threads of its own; the loop waits for none of it.

use super::accounts::{Wanted, Why};
use super::handoff::open_elsewhere;
use super::hosts::clean_up;
use super::log::{Category, Log};
use super::main_loop::{Event, Ground, Pool};
use super::processes::{Process, lives};
use crate::adapters::procs;
use crate::adapters::procs::children::Signal;
use crate::adapters::procs::environment;
use crate::adapters::procs::tree::{Member, tree};
use crate::adapters::registry::Registry;
use crate::adapters::{clock, files, short_path};
use crate::contract::lease::LeaseName;
use crate::contract::path_text;
use crate::contract::paths::CLAUDE_REFRESH_LOCK;
use crate::contract::paths::pool::{PoolDir, ProcessDir};
use crate::contract::pool::PoolError;
use crate::contract::proto::host::{self, Ended, HostRecord, Launch, Size};
use crate::contract::vars;
use crate::core::account::AccountId;
use crate::core::pool::event::End;
use crate::core::pool::id::{Build, ClaudeUuid, Generation, Place, SessionId, SlotId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

/// The size of a terminal that nobody looks at yet: wide enough that claude breaks few lines.
const SIZE: Size = Size {
    cols: 120,
    rows: 40,
};
/// How long what a dead host leaves behind may take to end by itself: its terminal is gone, and claude ends with that.
const BY_ITSELF: Duration = Duration::from_secs(3);
/// How long it may take after it was asked.
const AFTER_REQUEST: Duration = Duration::from_secs(5);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// Renewing a login takes no longer than this, or its lock is stale (claude takes it for that after a minute).
const RENEWAL: Duration = Duration::from_secs(60);

/// What a daemon writes down of a process that it starts, for itself and those after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    /// What it was started from.
    build: u64,
    /// Where.
    #[serde(with = "path_text")]
    pub(super) cwd: PathBuf,
    /// On whose login.
    account: Option<u16>,
    /// Where claude keeps its state.
    #[serde(with = "path_text")]
    state_dir: PathBuf,
    /// Where its host listens.
    #[serde(with = "path_text")]
    pub(super) socket: PathBuf,
}

impl Origin {
    /// Where claude's own files about running sessions are.
    pub(super) fn registry(&self) -> Registry {
        Registry::of(&self.state_dir)
    }

    /// On whose login.
    pub(super) fn account(&self) -> Option<AccountId> {
        self.account.and_then(AccountId::new)
    }

    /// What it was started from.
    pub(super) const fn build(&self) -> Build {
        Build(self.build)
    }
}

/// A process whose host lives.
pub(super) struct Living {
    pub(super) place: Place,
    pub(super) dir: ProcessDir,
    pub(super) origin: Origin,
}

/// What the slots' directories tell.
pub(super) struct Found {
    /// Processes whose host lives.
    pub(super) living: Vec<Living>,
    /// The highest number that any process had.
    pub(super) generation: u64,
}

/// What claude is started for.
#[derive(Clone, Debug)]
pub(super) struct Task {
    /// In which slot, and as which of its processes.
    pub(super) place: Place,
    /// Where.
    pub(super) cwd: PathBuf,
    /// With this conversation.
    pub(super) resume: Option<ClaudeUuid>,
    /// For this session.
    pub(super) session: Option<SessionId>,
}

/// A host that was started.
#[derive(Debug)]
pub(super) struct Started {
    /// The host.
    pub(super) child: Child,
    /// What is known of the process.
    pub(super) origin: Origin,
    /// The claim on its account, to be held by claude.
    pub(super) lease: Option<LeaseName>,
}

/// Starts those whose turn it is.
pub(super) fn start_next(pool: &mut Pool) {
    while let Some((task, account)) = pool.turns.next(Instant::now()) {
        spawn(pool, task, account);
    }
}

/// Starts a host and a claude.
fn spawn(pool: &mut Pool, task: Task, account: Option<AccountId>) {
    let place = task.place;
    let ground = &pool.ground;
    let (slot, generation) = (place.slot.0, place.generation.0);
    let dir = ground.dir.process(slot, generation);
    let socket = dir.socket();
    let socket = short_path::usable(&socket).unwrap_or(socket);
    let mut origin = Origin {
        build: pool.blueprint.settings().build.0,
        cwd: task.cwd.clone(),
        account: account.map(AccountId::number),
        state_dir: pool.blueprint.state_dir().to_owned(),
        socket,
    };
    let process = Process::new(place, dir.clone(), origin.clone());
    pool.processes.insert(place, process);
    let blueprint = pool.blueprint.clone();
    let events = ground.events.clone();
    let program = ground.configured.program().to_owned();
    let pool_dir = ground.dir.path().to_owned();
    let (accounts, configured) = (ground.configured.accounts(), Arc::clone(&ground.configured));
    let start = move || {
        let start = || {
            let (model, claude) = (blueprint.model(), blueprint.claude());
            if let Some(uuid) = &task.resume
                && let Some(pid) = open_elsewhere(&pool_dir, blueprint.state_dir(), uuid.as_str())
            {
                return Err(PoolError::open_elsewhere(pid).text);
            }
            let why = match (account, &task.resume) {
                (Some(_), Some(_)) => Why::Handoff,
                _ => Why::Slot,
            };
            let only = configured.only(&configured.person());
            let wanted = Wanted {
                account,
                only: only.as_ref(),
                dir: &task.cwd,
                why,
            };
            let given = accounts.pick(&wanted, model, claude, clock::now())?;
            if let Some(given) = &given {
                // Elsewhere claude asks whether the directory is trusted, and a person may answer.
                let own = task.cwd == blueprint.dir();
                accounts.prepare(given, own.then_some(task.cwd.as_path()))?;
                origin.account = Some(given.id.number());
                origin.state_dir.clone_from(&given.dir);
            }
            let config_dir = given.as_ref().map(|given| given.dir.as_path());
            let launch = blueprint.launch(&task, config_dir, SIZE, &origin.socket)?;
            Ok(Box::new(Started {
                child: start(&dir, &origin, &launch, &program)?,
                lease: given.and_then(|given| given.lease),
                origin,
            }))
        };
        let _ = events.send(Event::Started(place, start()));
    };
    if let Err(error) = thread("starter", start) {
        let why = format!("no thread: {error}");
        let _ = pool.ground.events.try_send(Event::Started(place, Err(why)));
    }
}

fn start(
    dir: &ProcessDir,
    origin: &Origin,
    launch: &Launch,
    program: &Path,
) -> Result<Child, String> {
    let failed = |what: &Path| {
        let what = what.display().to_string();
        move |error: std::io::Error| format!("{what}: {error}")
    };
    // What an earlier try left.
    clean_up(dir.path());
    files::create_private_dir(dir.path()).map_err(failed(dir.path()))?;
    let text = serde_json::to_vec(origin).map_err(|e| e.to_string())?;
    for (path, text) in [(dir.origin(), text), (dir.launch(), launch.text())] {
        files::write_new(&path, &text, files::PRIVATE_FILE, true).map_err(failed(&path))?;
    }
    let mut command = Command::new(program);
    command
        .arg("host")
        .arg("--slot-dir")
        .arg(dir.path())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().map_err(failed(program))
}

fn thread(name: &str, job: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let builder = std::thread::Builder::new().name(name.to_owned());
    builder.spawn(job).map(|_| ())
}

/// A claude that runs in a slot.
#[derive(Clone, Debug)]
pub struct InSlot {
    /// In which.
    pub slot: u32,
    /// It.
    pub pid: u32,
    /// Where it keeps its state.
    pub state_dir: PathBuf,
}

/// The claudes in the slots of a pool, whether or not its daemon runs, by what lies in its directory.
#[must_use]
pub fn in_slots(dir: &PoolDir) -> Vec<InSlot> {
    let machine = procs::machine().hash;
    let of = |(place, dir): (Place, ProcessDir)| {
        let record = HostRecord::parse(&read(&dir.record())?).ok()?;
        let origin: Origin = serde_json::from_slice(&read(&dir.origin())?).ok()?;
        let agent = record.agent.filter(|agent| lives(*agent))?;
        (record.machine == machine).then_some(InSlot {
            slot: place.slot.0,
            pid: agent.pid,
            state_dir: origin.state_dir,
        })
    };
    directories(dir).into_iter().filter_map(of).collect()
}

/// What earlier daemons started. What is over is buried before anybody begins anew: nothing of it runs afterwards.
pub(super) fn find(dir: &PoolDir, log: &Log) -> Found {
    let mut found = Found {
        living: Vec::new(),
        generation: 0,
    };
    for (place, dir) in directories(dir) {
        found.generation = found.generation.max(place.generation.0);
        let record = read(&dir.record()).and_then(|text| HostRecord::parse(&text).ok());
        let origin = read(&dir.origin()).and_then(|text| serde_json::from_slice(&text).ok());
        let machine = procs::machine().hash;
        let record = record.filter(|record| record.machine == machine);
        match (record, origin) {
            (Some(record), Some(origin)) if lives(record.host) => {
                found.living.push(Living { place, dir, origin });
            }
            (record, origin) => {
                let message = format!("slot {}: its host is gone", place.slot);
                log.write(Category::Slot, None, &message);
                if let Some(record) = record {
                    let state_dir = origin.map(|origin: Origin| origin.state_dir);
                    let state_dir = state_dir.unwrap_or_default();
                    end_all_of(record.agent, &record.token, &state_dir);
                }
                clean_up(dir.path());
            }
        }
    }
    found
}

/// Ends what runs for a slot of this pool that nothing on disk tells of: somebody removed the directory of a slot, or
/// restored an older one. It is found by the environment that every slot gives to what runs in it. How many slots that
/// were.
pub(super) fn end_strays(dir: &PoolDir, living: &[Living], state_dir: &Path, log: &Log) -> usize {
    let known: Vec<String> = living.iter().filter_map(|l| token_of(&l.dir)).collect();
    let own = fs::canonicalize(dir.path()).ok();
    let is_own = |value: &Path| {
        value == dir.path() || (own.is_some() && fs::canonicalize(value).ok() == own)
    };
    let having = environment::having(vars::CLAUDE_POOL_DIR).unwrap_or_default();
    let of_pool = having
        .into_iter()
        .filter(|running| running.value.as_ref().is_some_and(|v| is_own(Path::new(v))));
    let token = |pid| {
        let [token] = environment::of_process(pid, [vars::CCP_HOOK_TOKEN]).ok()??;
        token?.into_string().ok().filter(|token| !token.is_empty())
    };
    let mut strays: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for running in of_pool {
        if let Some(token) = token(running.pid).filter(|token| !known.contains(token)) {
            strays.entry(token).or_default().push(running.pid);
        }
    }
    for (token, pids) in &strays {
        let message = format!("processes of a slot that is not known are ended: {pids:?}");
        log.write(Category::Slot, None, &message);
        end_all_of(None, token, state_dir);
    }
    strays.len()
}

fn token_of(dir: &ProcessDir) -> Option<String> {
    let text = read(&dir.record())?;
    HostRecord::parse(&text).ok().map(|record| record.token)
}

fn read(path: &Path) -> Option<Vec<u8>> {
    fs::read(path).ok()
}

/// `slots/<slot>/<process>`; anything else is not ours.
fn directories(dir: &PoolDir) -> Vec<(Place, ProcessDir)> {
    let number = |entry: &fs::DirEntry| entry.file_name().to_str()?.parse::<u64>().ok();
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    let mut all = Vec::new();
    for slot in entries(&dir.slots()) {
        let Some(number_of_slot) = number(&slot).and_then(|n| u32::try_from(n).ok()) else {
            continue;
        };
        for process in entries(&slot.path()) {
            if let Some(generation) = number(&process) {
                let place = Place {
                    slot: SlotId(number_of_slot),
                    generation: Generation(generation),
                };
                all.push((place, ProcessDir::new(process.path())));
            }
        }
    }
    all
}

/// Sees to it that nothing of a process runs any more, and says so; on a thread of its own.
pub(super) fn bury(ground: &Ground, mut process: Process, tell: Option<SyncSender<Event>>) {
    let place = process.place;
    let record = read(&process.dir.record()).and_then(|text| HostRecord::parse(&text).ok());
    let ended = process.ended.take();
    let log = ground.log.clone();
    let job = move || {
        if let Some(child) = &mut process.child {
            // It hung up; what it still does takes a moment.
            let _ = child.wait();
        }
        let ended = ended.or_else(|| record.as_ref().and_then(|r| r.ended.clone()));
        let error = read(&process.dir.error());
        let error = error.map(|text| String::from_utf8_lossy(&text).trim().to_owned());
        if let Some(record) = &record {
            end_all_of(record.agent, &record.token, &process.origin.state_dir);
        }
        clean_up(process.dir.path());
        let how = match error {
            Some(why) if process.state.is_none() => End::SpawnFailed(why),
            _ => how(ended.as_ref()),
        };
        if let Some(events) = tell {
            let _ = events.send(Event::Gone(place, how));
        }
    };
    if let Err(error) = thread("undertaker", job) {
        log.write(Category::Error, None, &format!("no thread: {error}"));
    }
}

/// Ends what is left of a host's claude and of all that it started: it gets time, a request, and force in the end, but
/// no force while a login is being renewed.
fn end_all_of(agent: Option<host::Process>, token: &str, state_dir: &Path) {
    let all = || {
        let living = agent.filter(|agent| lives(*agent));
        // What descends from a later process of that number is somebody else's. While any of claude's session runs, the
        // system gives its number to nobody.
        let root = agent.filter(|agent| living.is_some() || procs::start_time(agent.pid).is_none());
        let root = root.map_or(0, |agent| agent.pid);
        // A table that cannot be read shows nothing: what is there then ends with its terminal.
        let mut all = tree(root, vars::CCP_HOOK_TOKEN, token).unwrap_or_default();
        all.extend(living.map(|agent| Member {
            pid: agent.pid,
            start: agent.start,
        }));
        all
    };
    if are_gone_within(BY_ITSELF, &all) {
        return;
    }
    all()
        .iter()
        .for_each(|member| member.signal(Signal::Terminate));
    if are_gone_within(AFTER_REQUEST, &all) {
        return;
    }
    let renewal = state_dir.join(CLAUDE_REFRESH_LOCK);
    let since = Instant::now();
    while renewal.exists() && since.elapsed() < RENEWAL {
        files::pause(LOOK);
    }
    all().iter().for_each(|member| member.signal(Signal::Kill));
    are_gone_within(AFTER_REQUEST, &all);
}

fn are_gone_within(patience: Duration, all: &impl Fn() -> Vec<Member>) -> bool {
    let since = Instant::now();
    loop {
        if all().is_empty() {
            return true;
        }
        if since.elapsed() >= patience {
            return false;
        }
        files::pause(LOOK);
    }
}

fn how(ended: Option<&Ended>) -> End {
    match ended {
        None => End::HostGone,
        Some(ended) => End::Exited(ended.to_string()),
    }
}
