//! The agent room against the real client and the simulated service.

#![expect(
    clippy::disallowed_methods,
    reason = "tests write settings as a person would"
)]

use ccp::adapters::agent::probe::{self, Answer, Probe, ProbeError, Question};
use ccp::adapters::agent::{Environment, auth, login};
use ccp::adapters::claude_api::ApiBase;
use ccp::adapters::creds::{self, Presence};
use ccp::adapters::{clock, procs};
use ccp::contract::paths::Home;
use ccp::contract::snapshot::FileStamp;
use ccp::core::account::AccountId;
use ccp::core::usage::{Source, WindowKind};
use ccp::daemon::sampling::{self, Outcome, Surroundings};
use ccp_standin::service::{AccountSpec, Endpoint, Fault, Resets, WindowKind as SimulatedWindow};
use ccp_standin::{Running, Standin, fake_claude, require_real_claude};
use std::ffi::OsString;
use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A machine that runs tests is busy.
const BOUND: Duration = Duration::from_secs(60);

struct World {
    claude: PathBuf,
    place: ccp_standin::Home,
    standin: Standin,
    home: Home,
    extra: Vec<(OsString, OsString)>,
}

fn id(number: u16) -> AccountId {
    AccountId::new(number).expect("a number")
}

impl World {
    fn new() -> Option<Self> {
        require_real_claude().map(Self::with)
    }

    fn with(claude: PathBuf) -> Self {
        let place = ccp_standin::Home::new().expect("a home");
        let standin = Standin::start(&place.ca_file()).expect("starts");
        let home = Home::new(place.path()).expect("absolute");
        Self {
            claude,
            place,
            standin,
            home,
            extra: Vec::new(),
        }
    }

    /// An account that is signed in, by its number; its name at the service is its directory's.
    fn account(&self, number: u16) -> AccountId {
        self.account_until(number, None)
    }

    fn account_until(&self, number: u16, expires_at: Option<u64>) -> AccountId {
        let name = id(number).to_string();
        let service = &self.standin.service;
        let mut tokens = service.add_account(AccountSpec::new(&name));
        if let Some(at) = expires_at {
            service.expire_access(&name);
            tokens.expires_at = at;
        }
        service.set_window(&name, SimulatedWindow::FiveHour, 31.4, Resets::In(7200));
        self.place
            .write_account_dir(&name, &service.spec(&name), &tokens)
            .expect("writes");
        id(number)
    }

    fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut all = self.place.command_env(&self.standin);
        all.extend(self.extra.iter().cloned());
        // What a session of claude would hand down, and what would mislead or blind a probe.
        for (name, value) in [
            ("CLAUDECODE", "1"),
            ("CLAUDE_CODE_CHILD_SESSION", "1"),
            ("ANTHROPIC_API_KEY", "made-up"),
            ("CLAUDE_CONFIG_DIR", "/nowhere"),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ] {
            all.push((name.into(), value.into()));
        }
        all
    }

    fn environment_of(&self, account: AccountId) -> Environment {
        Environment::for_account(self.environment(), &self.home.account(account))
    }

    fn probe_within(&self, account: AccountId, timeout: Duration) -> Result<Probe, ProbeError> {
        probe::probe(
            &Question {
                claude: &self.claude,
                account_dir: &self.home.account(account),
                probe_dir: &self.home.probe_dir(),
                environment: self.environment_of(account),
                timeout,
                stop: None,
            },
            clock::now,
        )
    }

    fn probe(&self, account: AccountId) -> Answer {
        self.probe_within(account, BOUND).expect("answers").answer
    }

    fn status(&self, account: AccountId) -> auth::AuthStatus {
        let environment = self.environment_of(account);
        auth::status(
            &self.claude,
            &self.home.account(account),
            &environment,
            BOUND,
        )
        .expect("answers")
    }

    fn requests(&self, endpoint: Endpoint) -> usize {
        let requests = self.standin.service.requests();
        requests.iter().filter(|r| r.endpoint == endpoint).count()
    }
}

fn five_hour(answer: &Answer) -> f64 {
    let Answer::Measured(sample) = answer else {
        panic!("measured nothing: {answer:?}")
    };
    assert_eq!(sample.source, Source::Claude);
    sample
        .window(&WindowKind::FiveHour)
        .expect("has the window")
        .used
        .percent()
}

#[test]
fn a_probe_measures_once_and_then_finds_nothing_new() {
    let Some(world) = World::new() else { return };
    let account = world.account(1);
    let scoped = SimulatedWindow::WeeklyScoped("Fable".to_owned());
    world
        .standin
        .service
        .set_window("acct-01", scoped, 88.0, Resets::Empty);
    let before = clock::now();
    let probe = world.probe_within(account, BOUND).expect("answers");
    assert!((five_hour(&probe.answer) - 31.4).abs() < 1e-9);
    assert_eq!(probe.subscription.as_deref(), Some("max"));
    assert_eq!(
        probe.identity.expect("is signed in").account_uuid,
        world.standin.service.spec("acct-01").uuid
    );
    assert!(probe.problems.is_empty(), "{:?}", probe.problems);
    let Answer::Measured(sample) = probe.answer else {
        panic!("measured")
    };
    assert!(sample.measured_at >= before);
    let fable = WindowKind::WeeklyScoped("Fable".into());
    assert!(sample.window(&fable).is_some());
    assert_eq!(
        world.probe(account),
        Answer::Unchanged {
            measured_at: sample.measured_at
        }
    );
    assert_eq!(world.requests(Endpoint::Usage), 1);
    assert_eq!(world.requests(Endpoint::Messages), 0);
}

#[test]
fn a_probe_renews_an_expired_login_and_tells_a_dead_one() {
    let Some(world) = World::new() else { return };
    let expired = world.account_until(1, Some(1));
    let dead = world.account_until(2, Some(1));
    let service = &world.standin.service;
    service.revoke_refresh("acct-02");
    assert!((five_hour(&world.probe(expired)) - 31.4).abs() < 1e-9);
    assert_eq!((service.refreshes(), service.double_spends()), (1, 0));
    assert!(world.status(expired).is_subscription());
    assert_eq!(world.probe(dead), Answer::LoginSuspected);
    assert!(!world.status(dead).logged_in);
    let never = id(3);
    world.place.write_empty_dir("acct-03").expect("makes");
    assert_eq!(world.probe(never), Answer::LoginSuspected);
    assert_eq!(creds::presence(&world.home, never), Presence::Absent);
}

#[test]
fn a_throttle_and_a_missing_network_are_no_dead_login() {
    let Some(mut world) = World::new() else {
        return;
    };
    let account = world.account(1);
    let service = &world.standin.service;
    for fault in [Fault::Throttled(None), Fault::ServerError, Fault::Forbidden] {
        service.set_fault("acct-01", Endpoint::Usage, fault);
        assert_eq!(world.probe(account), Answer::Throttled);
    }
    service.clear_fault("acct-01", Endpoint::Usage);
    let nowhere = OsString::from("http://127.0.0.1:1");
    world.extra.push(("HTTPS_PROXY".into(), nowhere));
    assert_eq!(world.probe(account), Answer::Throttled);
}

#[test]
fn a_probe_that_hangs_is_ended() {
    let Some(world) = World::new() else { return };
    let account = world.account(1);
    world
        .standin
        .service
        .set_fault("acct-01", Endpoint::Usage, Fault::Hang);
    let started = Instant::now();
    let error = world
        .probe_within(account, Duration::from_secs(3))
        .expect_err("hangs");
    assert!(matches!(error, ProbeError::Hang { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(20));
    // claude lists its own processes; the one that hung has taken itself off the list.
    let sessions = world.home.account(account).join("sessions");
    let left = fs::read_dir(sessions).map_or(0, |entries| {
        let pids = entries.filter_map(|e| e.ok()?.path().file_stem()?.to_str()?.parse().ok());
        pids.filter(|pid| procs::start_time(*pid).is_some()).count()
    });
    assert_eq!(left, 0);
}

/// How often the quiet probe is made: fifty times in the long proof, a tenth of it otherwise.
fn rounds() -> usize {
    if std::env::var_os("CCP_TEST_LONG").is_some() {
        50
    } else {
        5
    }
}

#[test]
fn probes_run_no_hooks_start_no_servers_and_leave_no_transcripts() {
    let Some(world) = World::new() else { return };
    let account = world.account(1);
    let dir = world.home.account(account);
    let trace = world.place.path().join("trace");
    let touch = format!("echo ran >> {}", trace.display());
    let hook = serde_json::json!([{"hooks": [{"type": "command", "command": touch}]}]);
    let settings = serde_json::json!({
        "hooks": {"SessionStart": hook, "SessionEnd": hook},
        "statusLine": {"type": "command", "command": touch},
    });
    fs::write(dir.join("settings.json"), settings.to_string()).expect("writes");
    let file = dir.join(".claude.json");
    let text = fs::read_to_string(&file).expect("reads");
    let mut state: serde_json::Value = serde_json::from_str(&text).expect("parses");
    state["mcpServers"] = serde_json::json!({"trace": {"type": "stdio", "command": "/bin/sh", "args": ["-c", touch]}});
    fs::write(&file, state.to_string()).expect("writes");
    for _ in 0..rounds() {
        world.probe(account);
    }
    assert!(!trace.exists(), "something ran");
    let projects = fs::read_dir(dir.join("projects")).map_or(0, Iterator::count);
    assert_eq!(projects, 0, "a transcript was left");
    assert!(!dir.join("history.jsonl").exists());
    assert_eq!(world.requests(Endpoint::Messages), 0);
    // The traps were set: a naked question springs them.
    let mut command = world.place.command(&world.claude, &world.standin);
    command
        .env("CLAUDE_CONFIG_DIR", &dir)
        .args(["-p", "/usage"]);
    let mut naked = Running::start(command).expect("starts");
    naked.close_stdin();
    naked.output(BOUND).expect("ends");
    assert!(trace.exists(), "nothing would have run anyway");
}

fn stamp(world: &World, account: AccountId) -> Option<FileStamp> {
    match creds::presence(&world.home, account) {
        Presence::Present(stamp) => Some(stamp),
        Presence::Absent | Presence::Unknown => None,
    }
}

fn uuid_of(outcome: login::Outcome) -> String {
    match outcome {
        login::Outcome::Complete { identity, status } => {
            assert!(status.is_subscription());
            identity.account_uuid
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_sign_in_completes_by_the_browser() {
    let Some(mut world) = World::new() else {
        return;
    };
    let account = id(1);
    world.place.write_empty_dir("acct-01").expect("makes");
    world
        .standin
        .service
        .add_account(AccountSpec::new("acct-01"));
    let browser = world.place.write_browser(fake_claude()).expect("writes");
    world.extra.push(("BROWSER".into(), browser.into()));
    let environment = world.environment_of(account);
    let login = login::Login {
        claude: &world.claude,
        account_dir: &world.home.account(account),
        environment: &environment,
        email: Some("acct-01@example.test"),
        credential: &|| stamp(&world, account),
        patience: BOUND,
    };
    let outcome = login.in_this_terminal(&login.baseline()).expect("ends");
    assert_eq!(uuid_of(outcome), world.standin.service.spec("acct-01").uuid);
    let service = &world.standin.service;
    service.set_window("acct-01", SimulatedWindow::FiveHour, 12.0, Resets::In(60));
    assert!((five_hour(&world.probe(account)) - 12.0).abs() < 1e-9);
}

/// `claude auth login` as a person runs it in another terminal, with its address on the screen.
fn login_elsewhere(world: &World, account: AccountId) -> (Running, String) {
    let mut command = world.place.command(&world.claude, &world.standin);
    command
        .env("CLAUDE_CONFIG_DIR", world.home.account(account))
        .args(["auth", "login"]);
    let mut terminal = Running::start(command).expect("starts");
    let line = terminal
        .wait_for_line(|line| line.contains("https://"), BOUND)
        .expect("prints the address");
    let url = line[line.find("https://").expect("is there")..].trim();
    (terminal, url.to_owned())
}

/// Signs account 1 in as `name` in another terminal, or breaks that off, and tells what the waiting one saw.
fn sign_in_elsewhere(world: &World, name: Option<&str>) -> login::Outcome {
    let account = id(1);
    let environment = world.environment_of(account);
    let login = login::Login {
        claude: &world.claude,
        account_dir: &world.home.account(account),
        environment: &environment,
        email: None,
        credential: &|| stamp(world, account),
        patience: BOUND,
    };
    let baseline = login.baseline();
    let (mut terminal, url) = login_elsewhere(world, account);
    let mut looks = 0;
    let outcome = login.elsewhere(&baseline, || {
        looks += 1;
        match name {
            Some(name) if looks == 2 => {
                let authorization = world.standin.service.authorize(name, &url);
                let pasted = authorization.expect("is known").pasted();
                terminal.write_line(&pasted).expect("takes the code");
            }
            None if looks == 2 => terminal.signal("TERM"),
            // Long after claude has ended.
            None if looks == 12 => return ControlFlow::Break(()),
            _ => {}
        }
        ControlFlow::Continue(())
    });
    let code = terminal.output(BOUND).expect("ends").code;
    assert_eq!(code, if name.is_some() { 0 } else { 143 });
    outcome.expect("ends")
}

#[test]
fn a_sign_in_in_another_terminal_is_seen() {
    let Some(world) = World::new() else { return };
    world.account(1);
    let service = &world.standin.service;
    service.add_account(AccountSpec::new("other"));
    // Broken off beside a good login; then as another account; then as that one again.
    assert_eq!(sign_in_elsewhere(&world, None), login::Outcome::Cancelled);
    let other = service.spec("other").uuid;
    assert_eq!(uuid_of(sign_in_elsewhere(&world, Some("other"))), other);
    assert_eq!(uuid_of(sign_in_elsewhere(&world, Some("other"))), other);
}

#[test]
fn a_dead_login_is_replaced_by_a_sign_in_of_the_same_account() {
    let Some(world) = World::new() else { return };
    world.account_until(1, Some(1));
    let service = &world.standin.service;
    service.revoke_refresh("acct-01");
    let outcome = sign_in_elsewhere(&world, Some("acct-01"));
    assert_eq!(uuid_of(outcome), service.spec("acct-01").uuid);
}

#[test]
fn the_pretend_client_answers_as_the_real_one_does() {
    let world = World::with(fake_claude().to_owned());
    let (good, dead) = (world.account(1), world.account_until(2, Some(1)));
    let throttled = world.account(3);
    let service = &world.standin.service;
    service.revoke_refresh("acct-02");
    service.set_fault("acct-03", Endpoint::Usage, Fault::Throttled(None));
    assert!((five_hour(&world.probe(good)) - 31.4).abs() < 1e-9);
    assert!(world.status(good).is_subscription());
    assert_eq!(world.probe(dead), Answer::LoginSuspected);
    assert!(!world.status(dead).logged_in);
    assert_eq!(world.probe(throttled), Answer::Throttled);
}

#[test]
fn accounts_are_sampled_together() {
    let Some(world) = World::new() else { return };
    world.account(1);
    world.account_until(2, Some(1));
    world.standin.service.revoke_refresh("acct-02");
    world.account(3);
    let throttled = Fault::Throttled(None);
    world
        .standin
        .service
        .set_fault("acct-03", Endpoint::Usage, throttled);
    let inherited = world.environment();
    let surroundings = Surroundings {
        home: &world.home,
        claude: Some(&world.claude),
        inherited: &inherited,
        api: &ApiBase::default(),
        oauth: &ApiBase::of_tokens(),
        now: &clock::now,
        stop: None,
    };
    let outcomes = sampling::sample_accounts(
        &[id(1), id(2), id(3)],
        &[Source::Live, Source::Claude],
        2,
        Instant::now() + BOUND,
        surroundings,
    );
    let ids: Vec<_> = outcomes.iter().map(|(id, _)| id.number()).collect();
    assert_eq!(ids, [1, 2, 3]);
    assert!(
        matches!(outcomes[0].1, Outcome::Measured { .. }),
        "{outcomes:?}"
    );
    assert_eq!(outcomes[1].1, Outcome::LoginSuspected { confirmed: true });
    assert_eq!(outcomes[2].1, Outcome::Throttled { retry_after: None });
    let late =
        sampling::sample_accounts(&[id(1)], &[Source::Claude], 2, Instant::now(), surroundings);
    assert_eq!(late, [(id(1), Outcome::NotReached)]);
    // The service asked directly, with the account's own token.
    let api = ApiBase::parse(&world.standin.service.url()).expect("a base");
    let direct = Surroundings {
        api: &api,
        claude: None,
        ..surroundings
    };
    let sources = [Source::Claude, Source::Oauth];
    let outcomes = sampling::sample_accounts(&[id(1)], &sources, 1, Instant::now() + BOUND, direct);
    let Outcome::Measured { sample, .. } = &outcomes[0].1 else {
        panic!("{outcomes:?}")
    };
    assert_eq!(sample.source, Source::Oauth);
}
