//! What slots tell of their accounts: numbers of their status lines, and that the plan's limit refused a turn. It goes to
//! the accounts' daemon, or into its inbox while there is none, on a thread of its own: the pool's loop waits for none of
//! it. A host keeps what it was told until this is done, so that nothing is lost with a daemon of the pool.

use super::log::{Category, Log};
use super::main_loop::{Event, Pool};
use super::settings::Configured;
use crate::adapters::agent::identity;
use crate::adapters::{clock, files, inbox, transcripts};
use crate::contract::paths::Home;
use crate::contract::proto::host::{LimitsSeen, ToHost};
use crate::contract::report::Report;
use crate::contract::snapshot::WindowEntry;
use crate::core::account::AccountId;
use crate::core::accounts::live::{Live, Shown};
use crate::core::pool::id::Place;
use crate::core::registry::{HookReport, Reported, TurnError};
use crate::core::time::Timestamp;
use crate::core::usage::Source;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What waits for the thread at most. Each waits for a second or so when the accounts' daemon hangs; what does not fit any
/// more is left out, and the next one says the same or more.
const MAX_JOBS: usize = 256;
/// The record of a failure is written at about the time when its hook runs.
const LOOKS: u32 = 25;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
/// How long a daemon that ends waits for what is still to be handed in.
const LAST_JOBS: Duration = Duration::from_secs(3);
/// Between two looks at the thread.
const POLL: Duration = Duration::from_millis(5);

/// Tells the accounts' daemon; false when it did not take it.
pub type TellAccounts = Box<dyn Fn(&Report) -> bool + Send + Sync>;

/// A report of a host, by which it is acknowledged.
#[derive(Clone, Copy, Debug)]
struct Receipt {
    place: Place,
    seq: u64,
}

#[derive(Debug)]
struct Job {
    account: AccountId,
    at: Timestamp,
    what: What,
    receipt: Option<Receipt>,
}

#[derive(Debug)]
enum What {
    Numbers(Vec<WindowEntry>),
    Limit(Timestamp),
    /// A turn was refused; its transcript tells whether by the plan's limit, and until when.
    Refused(PathBuf),
}

/// Reports of one host.
#[derive(Debug, Default)]
struct Receipts {
    /// The last one that came.
    last: u64,
    /// Those of which something is still to be handed in.
    open: BTreeSet<u64>,
}

impl Receipts {
    /// Up to where the host need not keep them any more.
    fn done(&self) -> u64 {
        self.open.first().map_or(self.last, |first| first - 1)
    }
}

/// The loop's side.
pub(super) struct Usage {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    live: Live<Place>,
    receipts: BTreeMap<Place, Receipts>,
}

impl Usage {
    /// Starts the thread. Without one nothing is told.
    pub(super) fn start(configured: Arc<Configured>, events: SyncSender<Event>, log: Log) -> Self {
        let (jobs, given) = sync_channel(MAX_JOBS);
        let failed = log.clone();
        let work = move || work(&configured, &given, &events, &log);
        let thread = std::thread::Builder::new().name("usage".to_owned());
        let thread = thread.spawn(work);
        if let Err(error) = &thread {
            let message = format!("usage is not reported, no thread: {error}");
            failed.write(Category::Error, None, &message);
        }
        Self {
            jobs: Some(jobs),
            thread: thread.ok(),
            live: Live::default(),
            receipts: BTreeMap::new(),
        }
    }

    /// False when there is no room.
    fn give(&mut self, job: Job) -> bool {
        let receipt = job.receipt;
        let given = self.jobs.as_ref().is_some_and(|j| j.try_send(job).is_ok());
        if let Some(Receipt { place, seq }) = receipt.filter(|_| given) {
            self.receipts.entry(place).or_default().open.insert(seq);
        }
        given
    }

    /// A process is over.
    pub(super) fn forget(&mut self, place: Place) {
        self.live.forget(&place);
        self.receipts.remove(&place);
    }
}

impl Drop for Usage {
    fn drop(&mut self) {
        self.jobs = None;
        let Some(thread) = self.thread.take() else {
            return;
        };
        let since = Instant::now();
        while !thread.is_finished() && since.elapsed() < LAST_JOBS {
            files::pause(POLL);
        }
    }
}

/// Takes in what a slot's status line was given; false when the report is one of a hook.
pub(super) fn status(pool: &mut Pool, place: Place, seq: u64, at: Timestamp, json: &[u8]) -> bool {
    let Some(seen) = LimitsSeen::parse(json) else {
        return false;
    };
    let process = pool.processes.get(&place);
    let Some(account) = process.and_then(|process| process.origin.account()) else {
        return true;
    };
    let shown = Shown {
        windows: seen.windows(),
        conversation: seen.session_id,
        prompted: seen.prompted,
        answered_ms: seen.answered_ms,
    };
    if let Some(sample) = pool.usage.live.heard(place, account, shown, at) {
        let windows = sample.windows.iter().map(WindowEntry::from).collect();
        give(
            pool,
            account,
            at,
            What::Numbers(windows),
            Some((place, seq)),
        );
    }
    true
}

/// Takes in what a hook reported, as far as it is a turn that was refused.
pub(super) fn hook(pool: &mut Pool, place: Place, seq: u64, at: Timestamp, report: &HookReport) {
    let Reported::TurnFailed {
        error: TurnError::RateLimit,
        resets_at,
        ..
    } = &report.what
    else {
        return;
    };
    let process = pool.processes.get(&place);
    let Some(account) = process.and_then(|process| process.origin.account()) else {
        return;
    };
    if let Some(until) = resets_at {
        return limited(pool, account, *until);
    }
    if let Some(transcript) = &report.transcript {
        let what = What::Refused(transcript.clone());
        give(pool, account, at, what, Some((place, seq)));
    }
}

/// The plan's limit refuses this account until then: launches and other pools know within a moment.
pub(super) fn limited(pool: &mut Pool, account: AccountId, until: Timestamp) {
    give(pool, account, clock::now(), What::Limit(until), None);
}

fn give(
    pool: &mut Pool,
    account: AccountId,
    at: Timestamp,
    what: What,
    receipt: Option<(Place, u64)>,
) {
    let job = Job {
        account,
        at,
        what,
        receipt: receipt.map(|(place, seq)| Receipt { place, seq }),
    };
    if !pool.usage.give(job) {
        let message = format!("{account}: too much to report, a report is left out");
        pool.ground.log.write(Category::Error, None, &message);
    }
}

/// A host need not keep what was taken care of. What is still to be handed in stays with it.
pub(super) fn acknowledge(pool: &mut Pool, place: Place, seq: u64) {
    let receipts = pool.usage.receipts.entry(place).or_default();
    receipts.last = receipts.last.max(seq);
    let up_to = receipts.done();
    if let Some(process) = pool.processes.get(&place) {
        process.tell(ToHost::AckReports { up_to });
    }
}

/// What this report said of an account was handed in.
pub(super) fn handed_in(pool: &mut Pool, place: Place, seq: u64) {
    if let Some(receipts) = pool.usage.receipts.get_mut(&place) {
        receipts.open.remove(&seq);
        acknowledge(pool, place, seq);
    }
}

/// The thread's whole life.
fn work(configured: &Configured, jobs: &Receiver<Job>, events: &SyncSender<Event>, log: &Log) {
    let home = configured.accounts().home;
    while let Ok(job) = jobs.recv() {
        let receipt = job.receipt;
        if let Some(report) = report(&home, job)
            && let Err(error) = hand_in(configured, &home, &report)
        {
            let message = format!("account {}: not reported: {error}", report.account);
            log.write(Category::Error, None, &message);
        }
        if let Some(Receipt { place, seq }) = receipt {
            let _ = events.send(Event::HandedIn(place, seq));
        }
    }
}

/// None where there is nothing to say.
fn report(home: &Home, job: Job) -> Option<Report> {
    let (windows, limited_until) = match job.what {
        What::Numbers(windows) => (windows, None),
        What::Limit(until) => (Vec::new(), Some(until)),
        What::Refused(transcript) => (Vec::new(), Some(refused_until(&transcript)?)),
    };
    let identity = identity::load(&home.account(job.account)).identity;
    Some(Report {
        account: job.account.number(),
        account_uuid: identity.map(|identity| identity.account_uuid),
        measured_at_ms: job.at.unix_ms(),
        source: Source::Live.name().to_owned(),
        windows,
        extra: None,
        limited_until_ms: limited_until.map(Timestamp::unix_ms),
    })
}

/// Until when the plan's limit refuses. None where it does not: a throttle that outlasted every retry has the same name.
fn refused_until(transcript: &Path) -> Option<Timestamp> {
    for look in 0..LOOKS {
        if look > 0 {
            files::pause(BETWEEN_LOOKS);
        }
        let turn = transcripts::last_turn(transcript).ok()?;
        if let Some(failure) = turn.failure {
            return failure.resets_at.filter(|_| failure.is_plan_limit);
        }
    }
    None
}

/// In the order in which it happened: behind what waits in the inbox already.
fn hand_in(configured: &Configured, home: &Home, report: &Report) -> io::Result<()> {
    let dir = home.inbox();
    if !inbox::waits(&dir) && configured.tell_accounts(report) {
        return Ok(());
    }
    inbox::hand_in(&dir, report)
}
