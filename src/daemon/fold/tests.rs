use super::*;
use crate::adapters::files::{self, PRIVATE_FILE};
use crate::adapters::store::LabelWish;
use crate::contract::snapshot::WindowEntry;
use crate::core::account::AccountId;
use crate::core::hash::hash;
use crate::core::select::pin::AUTO_PIN_TTL;
use crate::daemon::publish;
use std::fs::FileTimes;
use std::time::SystemTime;

/// A home with two accounts, at an instant that the file system's clock has nothing to do with.
struct House {
    _dir: tempfile::TempDir,
    home: Home,
    store: Store,
    base: Base,
    settings: Settings,
    this: Machine,
}

const NOW: Timestamp = Timestamp::from_unix_ms(1_790_000_000_000);

fn before(seconds: u64) -> Timestamp {
    NOW.minus(Duration::from_secs(seconds))
}

fn house() -> House {
    let dir = tempfile::tempdir().expect("a directory");
    let home = Home::new(&dir.path().join("home")).expect("absolute");
    let mut store = Store::open(&home).expect("opens");
    for label in ["a", "b"] {
        let added = store.insert_smallest_free(LabelWish::Exactly(label), |_| false, NOW);
        added.expect("adds");
    }
    House {
        base: Base::default_in(dir.path()),
        _dir: dir,
        home,
        store,
        settings: Settings::default(),
        this: procs::machine(),
    }
}

fn touch(path: &Path, at: Timestamp) {
    let time = SystemTime::UNIX_EPOCH + at.since(Timestamp::from_unix_ms(0));
    let file = File::options().write(true).open(path).expect("opens");
    let times = FileTimes::new().set_modified(time);
    file.set_times(times).expect("sets");
}

impl House {
    /// A lease with its record, created and touched `age` seconds ago.
    fn lease(&self, account: u16, holder: Holder, cwd: &str, age: u64, beside: bool) -> LeaseName {
        let lease = LeaseName {
            account: AccountId::new(account).expect("in range"),
            holder,
            machine: self.this.hash,
            directory: hash(cwd.as_bytes()),
            created_at: before(age),
            beside,
        };
        let record = format!(
            r#"{{"at_ms":{},"account":{account},"label":"l","command":"run","reason":"emptiest","cwd":"{cwd}","machine":"m","ranking":[]}}"#,
            before(age).unix_ms()
        );
        leases::write(&self.home.leases(), &lease, record.as_bytes()).expect("writes");
        touch(&self.path(&lease), before(age));
        lease
    }

    fn path(&self, lease: &LeaseName) -> PathBuf {
        self.home.leases().join(lease.to_string())
    }

    fn report(&self, account: u16, seconds: u64, used: f64) -> Report {
        Report {
            account,
            account_uuid: None,
            measured_at_ms: before(seconds).unix_ms(),
            source: "live".into(),
            windows: vec![WindowEntry {
                kind: "five_hour".into(),
                model: None,
                used,
                resets_at_ms: Some(NOW.unix_ms() + 3_600_000),
            }],
            extra: None,
            limited_until_ms: None,
        }
    }

    fn hand_in(&self, report: &Report) {
        inbox::hand_in(&self.home.inbox(), report).expect("is handed in");
    }

    fn tidy(&mut self) -> Folded {
        tidy(&mut self.store, &self.settings, &self.base, NOW)
            .expect("tidies")
            .0
    }

    /// Everything that a run leaves behind.
    fn outcome(&self) -> Outcome {
        let samples = self
            .store
            .samples_since(AccountId::new(1).expect("1"), before(9999))
            .expect("reads");
        Outcome {
            picks: self
                .store
                .picks(99)
                .expect("lists")
                .into_iter()
                .map(|p| p.lease)
                .collect(),
            pins: self
                .store
                .pins()
                .expect("lists")
                .iter()
                .map(|p| (p.dir.display().to_string(), p.account.number()))
                .collect(),
            samples: samples
                .iter()
                .map(|s| (s.measured_at.unix_ms(), s.windows[0].used.percent()))
                .collect(),
            leases: leases::list(&self.home.leases())
                .expect("lists")
                .leases
                .len(),
            letters: inbox::list(&self.home.inbox()).expect("lists").len(),
        }
    }

    /// Whether a launch from `cwd` would find the account that was used there last.
    fn remembers(&self, cwd: &str, account: u16) -> bool {
        let directory = hash(cwd.as_bytes());
        let leases = leases::list(&self.home.leases()).expect("lists").leases;
        let pins = publish::load_snapshot(&self.home)
            .map(|s| s.pins)
            .unwrap_or_default();
        leases
            .iter()
            .any(|l| l.directory == directory && l.account.number() == account)
            || pins
                .iter()
                .any(|p| p.dir == Path::new(cwd) && p.account == account)
    }
}

/// See [`House::outcome`].
#[derive(Debug, PartialEq)]
struct Outcome {
    picks: Vec<String>,
    /// Directory and account.
    pins: Vec<(String, u16)>,
    /// Instant and percent of the first account's samples.
    samples: Vec<(i64, f64)>,
    leases: usize,
    letters: usize,
}

const GONE: Holder = Holder::Process {
    pid: u32::MAX,
    start: 1,
};

fn reservation(tag: u64) -> Holder {
    Holder::Reservation { tag }
}

#[test]
fn what_runs_stays_and_what_ended_is_folded() {
    let mut house = house();
    let own = procs::own_holder().expect("this process runs");
    house.lease(1, own, "/running", 90_000, false);
    house.lease(1, reservation(1), "/reserved", 29, false);
    house.lease(1, reservation(2), "/over", 31, false);
    house.lease(2, GONE, "/ended", 600, false);
    house.lease(2, GONE, "/running", 500, true);
    assert_eq!(house.tidy().leases, 3);
    let found = house.outcome();
    assert_eq!(found.picks.len(), 3);
    assert_eq!(
        found.pins,
        [("/ended".into(), 2), ("/over".into(), 1)],
        "one beside moves no pin"
    );
    assert_eq!(found.leases, 2);
    assert_eq!(house.tidy(), Folded::default());
}

#[test]
fn a_claim_from_before_the_clock_was_set_back_does_not_count_for_ever() {
    let mut house = house();
    let mut claim = house.lease(1, reservation(1), "/w", 0, false);
    for (ahead, left) in [(60, 1), (3600, 0)] {
        let before = house.path(&claim);
        claim.created_at = NOW.plus(Duration::from_secs(ahead));
        fs::rename(before, house.path(&claim)).expect("is renamed");
        house.tidy();
        assert_eq!(house.outcome().leases, left, "{ahead}");
    }
}

#[test]
fn leases_of_other_machines_count_for_twelve_hours() {
    let mut house = house();
    let hash = house.this.hash;
    for (hours, left) in [(11, 1), (13, 1)] {
        house.this.hash = hash ^ 1;
        house.lease(1, GONE, "/container", hours * 3600, false);
        house.this.hash = hash;
        house.tidy();
        assert_eq!(house.outcome().leases, left, "{hours}");
    }
}

#[test]
fn the_last_sign_of_life_is_when_the_pin_begins_to_age() {
    let mut house = house();
    let lease = house.lease(1, GONE, "/w", 90_000, false);
    touch(&house.path(&lease), before(60));
    let future = house.lease(2, GONE, "/v", 50, false);
    touch(&house.path(&future), NOW.plus(Duration::from_secs(99)));
    house.lease(2, GONE, "/old", AUTO_PIN_TTL.as_secs() + 10, false);
    house.tidy();
    let pins = house.store.pins().expect("lists");
    let found: Vec<_> = pins
        .iter()
        .map(|p| (p.dir.to_str().expect("text"), p.at))
        .collect();
    assert_eq!(
        found,
        [("/v", NOW), ("/w", before(60))],
        "the old one has run out"
    );
    assert_eq!(house.outcome().picks.len(), 3);
}

#[test]
fn the_later_of_two_sessions_keeps_the_pin() {
    let mut house = house();
    house.lease(1, GONE, "/w", 100, false);
    house.lease(2, GONE, "/w", 200, false);
    house.tidy();
    assert_eq!(house.outcome().pins, [("/w".into(), 1)]);
}

#[test]
fn rubbish_counts_for_a_while_and_then_is_moved_to_the_logs() {
    let mut house = house();
    let fresh = house.home.leases().join("fresh");
    files::create_private_dir(&house.home.leases()).expect("creates");
    let old = house.home.leases().join("old");
    for (path, age) in [(&fresh, 29), (&old, 31)] {
        files::write_new(path, b"?", PRIVATE_FILE, false).expect("writes");
        touch(path, before(age));
    }
    let unreadable = house.lease(1, GONE, "/w", 60, false);
    files::replace(&house.path(&unreadable), b"torn", PRIVATE_FILE).expect("writes");
    files::create_private_dir(&house.home.inbox()).expect("creates");
    let letter = house.home.inbox().join("x.json");
    files::write_new(&letter, b"{", PRIVATE_FILE, false).expect("writes");
    touch(&letter, before(31));
    assert_eq!(house.tidy().moved, 3);
    assert!(fresh.exists() && !old.exists() && !letter.exists());
    assert!(!house.path(&unreadable).exists());
    let logs = fs::read_dir(house.home.logs()).expect("lists");
    assert_eq!(logs.count(), 3, "nothing is lost");
}

#[test]
fn what_was_moved_is_bounded() {
    let mut house = house();
    for n in 0..MAX_MOVED + 30 {
        let path = house.home.leases().join(format!("junk{n}"));
        files::create_private_dir(&house.home.leases()).expect("creates");
        files::write_new(&path, b"?", PRIVATE_FILE, false).expect("writes");
        touch(&path, before(60));
    }
    house.tidy();
    let logs = fs::read_dir(house.home.logs()).expect("lists");
    assert_eq!(logs.count(), MAX_MOVED);
}

#[test]
fn reports_become_samples_and_limits() {
    let mut house = house();
    house.hand_in(&house.report(1, 60, 10.0));
    house.hand_in(&house.report(1, 30, 20.0));
    house.hand_in(&house.report(1, 90, 5.0));
    house.hand_in(&house.report(9, 30, 20.0));
    let mut limit = house.report(2, 30, 0.0);
    limit.windows.clear();
    limit.limited_until_ms = Some(NOW.unix_ms() + 1000);
    house.hand_in(&limit);
    let folded = house.tidy();
    assert_eq!((folded.reports, folded.samples), (5, 3));
    let used: Vec<f64> = house.outcome().samples.iter().map(|(_, u)| *u).collect();
    assert_eq!(
        used,
        [5.0, 10.0, 20.0],
        "in the order of time, whatever the order of arrival"
    );
    let accounts = house.store.accounts().expect("lists");
    let until = accounts[1].health.limited_until.map(Timestamp::unix_ms);
    assert_eq!(until, limit.limited_until_ms);
}

#[test]
fn a_report_of_somebody_else_is_refused() {
    let mut house = house();
    let id = AccountId::new(1).expect("1");
    let identity = crate::core::claude_json::identity::Identity {
        account_uuid: "own".into(),
        ..Default::default()
    };
    house.store.set_identity(id, &identity).expect("sets");
    let mut report = house.report(1, 30, 20.0);
    for (uuid, taken) in [(Some("other"), false), (Some("own"), true)] {
        report.account_uuid = uuid.map(str::to_owned);
        let verdict = take_report(&mut house.store, &report, NOW).expect("looks");
        assert_eq!(verdict.is_some(), taken, "{uuid:?}");
    }
}

/// Runs until as many steps are done, and returns the last one; none when the run came to its end.
fn run_until(house: &mut House, steps: usize) -> Option<Step> {
    let mut done = 0;
    let mut last = None;
    let mut watch = |step| {
        done += 1;
        last = Some(step);
        if done == steps {
            Err(at(Path::new("killed"))(io::ErrorKind::Interrupted.into()))
        } else {
            Ok(())
        }
    };
    let House {
        store,
        settings,
        base,
        ..
    } = house;
    match tidy_watched(store, settings, base, NOW, &mut watch) {
        Ok(_) => None,
        Err(FoldError::Files { path, .. }) if path == Path::new("killed") => last,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_run_that_is_killed_anywhere_loses_and_doubles_nothing() {
    let scene = || {
        let house = house();
        house.lease(1, GONE, "/w", 100, false);
        house.lease(2, GONE, "/w", 50, false);
        house.lease(2, GONE, "/v", 70, false);
        house.lease(1, reservation(4), "/u", 40, true);
        house.hand_in(&house.report(1, 60, 10.0));
        house.hand_in(&house.report(1, 30, 20.0));
        house
    };
    let mut whole = scene();
    whole.tidy();
    let expected = whole.outcome();
    assert_eq!((expected.picks.len(), expected.samples.len()), (4, 2));
    assert_eq!((expected.leases, expected.letters), (0, 0));
    let mut seen = Vec::new();
    for steps in 1.. {
        let mut house = scene();
        let Some(step) = run_until(&mut house, steps) else {
            break;
        };
        seen.push(step);
        for (cwd, account) in [("/w", 2), ("/v", 2)] {
            assert!(
                house.remembers(cwd, account),
                "{step:?}: a launch from {cwd} finds its account in a lease or in the snapshot"
            );
        }
        house.tidy();
        assert_eq!(house.outcome(), expected, "{step:?}");
    }
    assert_eq!(
        seen.len(),
        1 + 2 * 2 + 1 + 1 + 4,
        "every step was the last one once: {seen:?}"
    );
}
