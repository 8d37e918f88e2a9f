//! The loop that owns the roster and the database: everything that happens comes in as an [`Event`], one after the
//! other. It is a thread of its own, so that the socket answers while a disk is slow.

mod due;

use super::conditions::Conditions;
use super::log::Log;
use super::perform::Performer;
use super::prober::{Done, Job};
use super::renew::Renewed;
use super::requests;
use super::strays::{Look, Stray};
use super::watchers::{Seen, Watchers};
use super::{fold, overlays};
use crate::adapters::stamp::file_stamp;
use crate::adapters::store::{Meta, Store};
use crate::adapters::{clock, power};
use crate::contract::paths::{Base, Home};
use crate::contract::proto::{Phase, Request, Response};
use crate::contract::settings::Settings;
use crate::contract::snapshot::FileStamp;
use crate::core::account::AccountId;
use crate::core::accounts::event::{Event as Happened, KnownAccount, ProbeOutcome};
use crate::core::accounts::machine::Machine;
use crate::core::time::Timestamp;
use due::{Due, is_due, soon};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// The longest that leases, reports and overlays wait for housekeeping, whatever was or was not noticed.
const HOUSEKEEPING: Duration = Duration::from_secs(30);
/// Changes come in bursts: this long after the first of them, all are looked at together.
const COALESCE: Duration = Duration::from_millis(60);
/// An overlay that could not be put in order is tried again no sooner than this, however much changes around it.
const OVERLAY_RETRY: Duration = Duration::from_millis(200);
/// Between two attempts to open a database that cannot be opened.
const OPEN_RETRY: Duration = Duration::from_secs(2);
/// A computer that slept for less than this did not sleep.
const NAP: Duration = Duration::from_secs(5);
/// The longest the loop sleeps: the clock may be moved under it.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// What the daemon stands on, as the command that started it knows it.
pub struct Places {
    /// Where ccp keeps its state.
    pub home: Home,
    /// The person's home directory.
    pub user_home: PathBuf,
    /// The environment that claude is started with.
    pub inherited: Vec<(OsString, OsString)>,
    /// Finds claude, as a launch would.
    pub find_claude: Box<dyn Fn() -> Option<PathBuf> + Send + Sync>,
    /// Reads the settings.
    pub settings: Box<dyn Fn() -> Result<Settings, String> + Send + Sync>,
    /// Opens the database.
    pub open_store: Box<dyn Fn() -> Result<Store, String> + Send + Sync>,
}

/// What can happen.
pub(super) enum Event {
    /// A client asks.
    Request {
        /// What.
        request: Request,
        /// Where its answer goes.
        reply: oneshot::Sender<Response>,
    },
    /// Something changed on disk.
    Seen(Seen),
    /// The prober is done.
    Done(Done),
    /// It is time to end.
    Stop,
}

/// How the loop is getting on, for `health`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// How far it is.
    pub(super) phase: Phase,
    /// What keeps it from its work.
    pub(super) problem: Option<String>,
    /// The roster was loaded once: requests can be taken, even while something else is wrong.
    pub(super) loaded: bool,
    /// Accounts in the roster.
    pub(super) accounts: u32,
    /// When the last sweep was completed.
    pub(super) swept_at: Option<Timestamp>,
}

impl Progress {
    /// Before anything was done.
    pub(super) const fn starting() -> Self {
        Self {
            phase: Phase::Starting,
            problem: None,
            loaded: false,
            accounts: 0,
            swept_at: None,
        }
    }
}

/// What the thread of the loop is given.
pub(super) struct Inlets {
    /// What happens.
    pub(super) events: Receiver<Event>,
    /// For the watchers, who make events.
    pub(super) sender: SyncSender<Event>,
    /// To the prober.
    pub(super) jobs: SyncSender<Job>,
    /// For `health`.
    pub(super) progress: watch::Sender<Progress>,
    /// What is taken for given.
    pub(super) conditions: Conditions,
}

/// Runs until [`Event::Stop`].
pub(super) fn run(places: &Arc<Places>, inlets: Inlets, log: &Log) {
    let Some((store, settings)) = open(places, &inlets, log) else {
        return;
    };
    let base = settings.base(&places.user_home);
    let seed = clock::now().unix_ms().unsigned_abs() ^ u64::from(std::process::id());
    let mut state = Loop {
        machine: Machine::new(&settings.sources, seed),
        performer: Performer::new(store, inlets.jobs, inlets.progress, log.clone()),
        watchers: Watchers::new(inlets.sender, log.clone()),
        places: Arc::clone(places),
        config_seen: settings.file,
        settings,
        base,
        published: requests::Published::default(),
        loaded: None,
        leases: BTreeMap::new(),
        strays: None,
        due: Due::at_start(),
        slept: inlets.conditions.slept(),
        conditions: inlets.conditions,
        saves: false,
        unsettled: BTreeMap::new(),
        log: log.clone(),
    };
    state.start();
    state.turn(&inlets.events);
}

/// Opens the database, however long that takes; none when it is time to end before.
fn open(places: &Places, inlets: &Inlets, log: &Log) -> Option<(Store, Settings)> {
    let mut said = None;
    loop {
        let opened = (places.settings)().and_then(|s| Ok(((places.open_store)()?, s)));
        let problem = match opened {
            Ok(opened) => return Some(opened),
            Err(problem) => problem,
        };
        if said.as_ref() != Some(&problem) {
            log.warn("cannot work", &[("why", &problem)]);
            said = Some(problem.clone());
        }
        inlets.progress.send_modify(|p| {
            p.phase = Phase::Degraded;
            p.problem = Some(problem);
        });
        let until = Instant::now() + OPEN_RETRY;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match inlets.events.recv_timeout(left) {
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return None,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => break,
            }
        }
    }
}

/// The loop's own: nobody else touches it.
pub(super) struct Loop {
    pub(super) machine: Machine,
    pub(super) performer: Performer,
    pub(super) places: Arc<Places>,
    pub(super) settings: Settings,
    pub(super) base: Base,
    /// `config.toml` at the last look, whether or not it could be read.
    config_seen: FileStamp,
    /// What launches go by.
    pub(super) published: requests::Published,
    watchers: Watchers,
    /// The roster as the machine was told it last, without sessions; none before the first time.
    loaded: Option<Vec<KnownAccount>>,
    /// Leases that count, and whose they are.
    pub(super) leases: BTreeMap<String, AccountId>,
    /// Sessions without one; none before the first look.
    pub(super) strays: Option<BTreeMap<Stray, AccountId>>,
    due: Due,
    conditions: Conditions,
    /// The battery is saved, as the machine was told.
    saves: bool,
    /// How long the computer had slept at the last look.
    slept: Duration,
    /// Overlays that could not be put in order, and when they are tried again.
    unsettled: BTreeMap<AccountId, Instant>,
    pub(super) log: Log,
}

impl Loop {
    fn start(&mut self) {
        let now = clock::now();
        // So that they can be watched from the first report and the first launch on.
        for dir in [self.places.home.leases(), self.places.home.inbox()] {
            if let Err(error) = crate::adapters::files::create_private_dir(&dir) {
                self.log
                    .warn("no directory", &[("path", &dir.display()), ("why", &error)]);
            }
        }
        self.leases = self.live_leases(now);
        self.look_for_strays(Look::Everywhere, now);
        // Before anybody is asked.
        self.look_at_battery(now);
        self.reload(now);
        let accounts = self.loaded.as_ref().map_or(0, Vec::len);
        self.log.info("ready", &[("accounts", &accounts)]);
    }

    fn turn(&mut self, events: &Receiver<Event>) {
        loop {
            match events.recv_timeout(self.patience()) {
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.do_what_is_due();
        }
    }

    fn patience(&self) -> Duration {
        let own = self.due.next().saturating_duration_since(Instant::now());
        let now = clock::now();
        let deadline = self.machine.next_deadline().map(|at| at.since(now));
        // Rounded up: a timer that fires a moment early would spin.
        let machine = deadline.map_or(LONGEST_SLEEP, |left| left + Duration::from_millis(1));
        own.min(machine).min(LONGEST_SLEEP)
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Request { request, reply } => requests::take(self, request, reply),
            Event::Seen(Seen::Overlay) => soon(&mut self.due.overlays),
            Event::Seen(Seen::Published) => soon(&mut self.due.reload),
            Event::Seen(Seen::Leases) => soon(&mut self.due.leases),
            Event::Seen(Seen::Sessions) => soon(&mut self.due.sessions),
            Event::Seen(Seen::Inbox) => {
                self.due.housekeeping = self.due.housekeeping.min(Instant::now() + COALESCE);
            }
            Event::Seen(Seen::Settings) => self.read_settings(),
            Event::Done(done) => self.probed(done),
            // Seen by whoever receives.
            Event::Stop => {}
        }
    }

    fn do_what_is_due(&mut self) {
        let now = clock::now();
        self.notice_sleep(now);
        if self.due.power <= Instant::now() {
            self.look_at_battery(now);
            self.due.power = Instant::now() + self.conditions.power_every;
        }
        if is_due(&mut self.due.overlays) {
            self.put_overlays_in_order();
        }
        if is_due(&mut self.due.reload) {
            self.reload(now);
        }
        if is_due(&mut self.due.leases) {
            self.count_sessions(now);
        }
        if is_due(&mut self.due.sessions) {
            self.look_for_strays(Look::Listed, now);
        }
        if self.due.housekeeping <= Instant::now() {
            self.keep_house(now);
            self.due.housekeeping = Instant::now() + HOUSEKEEPING;
        }
        if self.machine.next_deadline().is_some_and(|at| at <= now) {
            self.tell(Happened::Tick, now);
        }
    }

    /// The computer slept since the last look. (The machine takes this and the clock's jump for one.)
    fn notice_sleep(&mut self, now: Timestamp) {
        let slept = self.conditions.slept();
        let more = slept.saturating_sub(self.slept);
        self.slept = slept;
        if more >= NAP {
            self.log.info("woke up", &[("slept_s", &more.as_secs())]);
            self.tell(Happened::Woke, now);
            // Who sleeps hears nothing of what others do meanwhile.
            self.due.housekeeping = Instant::now();
            self.due.power = Instant::now();
        }
    }

    fn look_at_battery(&mut self, now: Timestamp) {
        let on = power::saves(&self.conditions.sys);
        if on != self.saves {
            self.saves = on;
            self.log.info("battery saver", &[("on", &on)]);
            self.tell(Happened::Saver { on }, now);
        }
    }

    /// Tells the machine, and does what it decides.
    pub(super) fn tell(&mut self, happened: Happened, now: Timestamp) {
        let actions = self.machine.handle(happened, now);
        for action in actions {
            self.performer
                .perform(action, &self.settings, &self.base, now);
        }
        self.adopt_own_changes(now);
    }

    /// What the machine itself had written is no news to it.
    pub(super) fn adopt_own_changes(&mut self, now: Timestamp) {
        let touched = self.performer.take_touched();
        let (false, Some(loaded)) = (touched.is_empty(), &mut self.loaded) else {
            return;
        };
        let Ok(picture) = self.performer.store.picture(now) else {
            return;
        };
        for account in picture.accounts.iter().map(known) {
            let is_same = |other: &&mut KnownAccount| other.id == account.id;
            if touched.contains(&account.id)
                && let Some(place) = loaded.iter_mut().find(is_same)
            {
                *place = account;
            }
        }
    }

    /// Folds in what has ended or was handed in, publishes, and looks at everything once: nothing that was not noticed
    /// stays unnoticed for longer than this.
    pub(super) fn keep_house(&mut self, now: Timestamp) {
        self.notice_settings();
        let tidied = fold::tidy(&mut self.performer.store, &self.settings, &self.base, now);
        match tidied {
            Ok((folded, _)) => {
                self.performer.well();
                if folded != fold::Folded::default() {
                    self.log.info(
                        "kept house",
                        &[
                            ("leases", &folded.leases),
                            ("reports", &folded.reports),
                            ("samples", &folded.samples),
                            ("moved", &folded.moved),
                        ],
                    );
                }
            }
            Err(error) => self.performer.ill(&error),
        }
        self.count_sessions(now);
        self.look_for_strays(Look::Everywhere, now);
        self.reload(now);
        self.put_overlays_in_order();
    }

    /// Reads the roster from the database, and tells the machine when it is not as it was told.
    pub(super) fn reload(&mut self, now: Timestamp) {
        let store = &self.performer.store;
        let picture = match store.picture(now) {
            Ok(picture) => picture,
            Err(error) => return self.performer.ill(&error),
        };
        let accounts: Vec<KnownAccount> = picture.accounts.iter().map(known).collect();
        let dirs = picture
            .accounts
            .iter()
            .map(|a| a.account.config_dir.clone());
        self.watchers
            .watch(&self.places.home, &self.base, dirs.collect());
        let swept_at = store.meta(Meta::LastSweep).ok().flatten();
        let swept_at = swept_at
            .and_then(|text| text.parse().ok())
            .map(Timestamp::from_unix_ms);
        self.performer.show(accounts.len(), swept_at);
        if self.loaded.as_ref() == Some(&accounts) {
            return;
        }
        let last_launch = self.last_launch();
        self.loaded = Some(accounts.clone());
        let with_sessions = accounts.into_iter().map(|account| KnownAccount {
            sessions: self.sessions_of(account.id),
            ..account
        });
        let event = Happened::Loaded {
            accounts: with_sessions.collect(),
            last_launch,
            paused_since: picture.paused_since,
        };
        self.tell(event, now);
    }

    fn last_launch(&self) -> Option<Timestamp> {
        let picks = self.performer.store.picks(1).unwrap_or_default();
        let picked = picks
            .first()
            .map(|p| Timestamp::from_unix_ms(p.record.at_ms));
        let names = self.leases.keys();
        let leased = names.filter_map(|n| crate::contract::lease::LeaseName::parse(n));
        leased.map(|l| l.created_at).chain(picked).max()
    }

    fn put_overlays_in_order(&mut self) {
        let accounts = match self.performer.store.accounts() {
            Ok(accounts) => accounts,
            Err(error) => return self.performer.ill(&error),
        };
        let mut changed = false;
        for account in accounts {
            let (store, settings, base) = (&mut self.performer.store, &self.settings, &self.base);
            if overlays::is_in_order(store, settings, base, &account).unwrap_or(false) {
                self.unsettled.remove(&account.id);
                continue;
            }
            let waits = self.unsettled.get(&account.id).copied();
            if let Some(until) = waits.filter(|until| *until > Instant::now()) {
                self.due.overlays.get_or_insert(until);
                continue;
            }
            let make = crate::adapters::overlay::Options::at_launch;
            match overlays::put_in_order(store, settings, base, &account, make, None, clock::now())
            {
                Ok(report) => {
                    changed = true;
                    for line in overlays::news(&account, &report) {
                        self.log.info("overlay", &[("what", &line)]);
                    }
                    if report.is_settled() {
                        self.unsettled.remove(&account.id);
                    } else {
                        let again = Instant::now() + OVERLAY_RETRY;
                        self.unsettled.insert(account.id, again);
                    }
                }
                Err(error) => self.performer.ill(&error),
            }
        }
        if changed {
            self.performer
                .publish(&self.settings, &self.base, false, clock::now());
        }
    }

    /// Reads the settings, if the file is not as it was at the last look.
    pub(super) fn notice_settings(&mut self) {
        if file_stamp(&self.places.home.config()) != self.config_seen {
            self.read_settings();
        }
    }

    fn read_settings(&mut self) {
        self.config_seen = file_stamp(&self.places.home.config());
        let settings = match (self.places.settings)() {
            Ok(settings) if settings == self.settings => return,
            Ok(settings) => settings,
            // The old ones stay in force until the file is right again.
            Err(why) => return self.log.warn("settings not read", &[("why", &why)]),
        };
        let says_the_same = settings.is_same(&self.settings);
        self.settings = settings;
        let now = clock::now();
        if !says_the_same {
            self.base = self.settings.base(&self.places.user_home);
            self.log.info("settings changed", &[]);
            let sources = self.settings.sources.clone();
            self.tell(Happened::SourcesChanged { sources }, now);
        }
        // Launches compare the file with what these were read from.
        self.performer
            .publish(&self.settings, &self.base, false, now);
        if !says_the_same {
            self.reload(now);
            soon(&mut self.due.overlays);
        }
    }

    fn probed(&mut self, done: Done) {
        let now = clock::now();
        let happened = match done {
            Done::Probed {
                account,
                source,
                outcome,
                account_uuid,
                renewed,
            } => {
                self.renewed(&renewed, now);
                Happened::Probed {
                    account,
                    source,
                    outcome: self.own(account, outcome, account_uuid.as_deref()),
                }
            }
            Done::Confirmed(account, verdict) => Happened::LoginChecked { account, verdict },
        };
        self.tell(happened, now);
    }

    /// Logins were renewed, or could not be: the database has it already.
    fn renewed(&mut self, renewed: &[(AccountId, Renewed)], now: Timestamp) {
        if renewed.is_empty() {
            return;
        }
        for (account, renewed) in renewed {
            let problem = renewed.problem();
            match &problem {
                None => self.log.info("login renewed", &[("account", account)]),
                Some(why) => self
                    .log
                    .warn("login not renewed", &[("account", account), ("why", why)]),
            }
            self.performer.waiting.renewed(*account, problem);
        }
        self.reload(now);
        self.performer
            .publish(&self.settings, &self.base, false, now);
    }

    /// Numbers of another person's account, or of another plan, are none.
    fn own(&self, id: AccountId, outcome: ProbeOutcome, uuid: Option<&str>) -> ProbeOutcome {
        let ProbeOutcome::Measured(_) = &outcome else {
            return outcome;
        };
        let account = self.performer.store.account(id).ok().flatten();
        if account.is_some_and(|a| super::refresh::is_another(&a, uuid)) {
            let reason = "the numbers were another account's".to_owned();
            return ProbeOutcome::Failed { reason };
        }
        outcome
    }
}

/// What the machine has to know of an account; its sessions are counted from the leases.
fn known(pictured: &crate::adapters::store::PicturedAccount) -> KnownAccount {
    let account = &pictured.account;
    let health = &account.health;
    let problem = health.problem.as_ref();
    KnownAccount {
        id: account.id,
        signed_in: account.identity.is_some(),
        held: pictured.sample.clone(),
        probed_at: health.probed_at,
        needs_login: health.needs_login,
        logged_out_at: problem
            .filter(|p| p.text == super::refresh::LOGGED_OUT)
            .map(|p| p.since),
        limited_until: health.limited_until,
        sessions: 0,
    }
}
