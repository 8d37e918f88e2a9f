//! One login that the real client and ccp renew at the same time. Refresh tokens of the stand-in are good for one use, as
//! the real ones are: whoever spends one twice has lost the login.

use super::stage::{BOUND, Stage, finish, json_of};
use crate::proof::Proof;
use crate::renew::kill_at;
use crate::support::CCP;
use ccp::adapters::claude_api::ApiBase;
use ccp::adapters::clock;
use ccp::adapters::creds::renew::Step;
use ccp::contract::paths::Home;
use ccp::core::account::AccountId;
use ccp::daemon::renew::{Renewed, renew_one};
use ccp_standin::Running;
use ccp_standin::service::Endpoint;
use std::fs;
use std::path::Path;

/// So short that every claude (5 minutes before the end) and every ccp (4 minutes) renews whenever it looks.
const LIFETIME_SECONDS: u64 = 200;

fn account() -> AccountId {
    AccountId::new(1).expect("1")
}

struct Scene {
    stage: Stage,
    home: Home,
    oauth: ApiBase,
}

impl Scene {
    fn open(settings: &str) -> Option<Self> {
        let stage = Stage::with(&["work"])?;
        stage.configure(settings);
        let home = Home::new(&stage.home.path().join(".cc-pool")).expect("absolute");
        let oauth = ApiBase::parse(&stage.standin.service.url()).expect("a base");
        stage.standin.service.set_access_lifetime(LIFETIME_SECONDS);
        Some(Self { stage, home, oauth })
    }

    fn start_ccp(&self, arguments: &[&str]) -> Running {
        let mut command = self.stage.command(CCP);
        command
            .env("CCP_OAUTH_BASE", self.stage.standin.service.url())
            .args(arguments);
        let mut running = Running::start(command).expect("starts");
        running.close_stdin();
        running
    }

    fn start_claude(&self, arguments: &[&str]) -> Running {
        let mut command = self.stage.command(&self.stage.claude);
        command
            .env("CLAUDE_CONFIG_DIR", self.stage.account(1))
            .args(arguments);
        let mut running = Running::start(command).expect("starts");
        running.close_stdin();
        running
    }

    fn renew(&self) -> Renewed {
        renew_one(&self.home, account(), &self.oauth, &clock::now, &|_| ())
    }

    /// What this many seconds do to an access token, by claude's own note.
    fn age_login(&self, left_seconds: u64) {
        let end = clock::now().unix_ms() + i64::try_from(left_seconds * 1000).expect("is small");
        self.stage
            .edit(&self.stage.account(1).join(".credentials.json"), |login| {
                login["claudeAiOauth"]["expiresAt"] = end.into();
            });
    }

    fn is_signed_in(&self) {
        let login = json_of(&self.stage.account(1).join(".credentials.json"));
        let has = |key: &str| {
            login["claudeAiOauth"][key]
                .as_str()
                .is_some_and(|token| !token.is_empty())
        };
        assert!(
            has("accessToken") && has("refreshToken"),
            "the login is blanked"
        );
    }

    /// That no lock, and nothing on its way into the store, is left.
    fn nothing_is_left(&self) {
        let dir = self.stage.account(1);
        let names = |dir: &Path| -> Vec<String> {
            let entries = fs::read_dir(dir).expect("lists");
            entries
                .map(|e| {
                    e.expect("an entry")
                        .file_name()
                        .to_string_lossy()
                        .into_owned()
                })
                .collect()
        };
        let left: Vec<String> = [names(&dir), names(&self.home.accounts())]
            .concat()
            .into_iter()
            .filter(|name| {
                let of_renewal = ["oauth_refresh", "storage-write", "credentials.json.tmp"];
                of_renewal.iter().any(|part| name.contains(part)) || name == "acct-01.lock"
            })
            .collect();
        assert_eq!(left, Vec::<String>::new());
    }
}

/// Rounds of sessions, probes, questions and (in direct mode) renewals on one account, all at once.
fn proof(mode: &str) {
    let Some(scene) = Scene::open(&format!("[login]\nrenew = \"{mode}\"\n")) else {
        return;
    };
    let service = &scene.stage.standin.service;
    let name = if mode == "direct" {
        "renewed-by-both"
    } else {
        "renewed-by-claude"
    };
    let mut proof = Proof::open(name, 200, 10);
    let mut ours = 0;
    for round in proof.left() {
        // Sometimes the token has ended already, sometimes a claude would still use it.
        scene.age_login([0, 30, 100, 200][round % 4]);
        let prompts = [format!("first {round}"), format!("second {round}")];
        let mut sessions: Vec<Running> = prompts
            .iter()
            .map(|prompt| scene.start_ccp(&["run", "-p", prompt]))
            .collect();
        let mut asides = [
            scene.start_ccp(&["refresh", "--all"]),
            scene.start_claude(&["auth", "status"]),
            scene.start_claude(&["-p", "/usage"]),
        ];
        if mode == "direct" {
            // Beside what the round of `refresh` does: even a renewal that no setting would begin now.
            let tries = if round % 2 == 0 { 1 } else { 40 };
            ours += std::thread::scope(|scope| {
                let all = [0, 1].map(|_| {
                    scope.spawn(|| {
                        let outcomes = (0..tries).map(|_| scene.renew());
                        outcomes
                            .inspect(|outcome| {
                                let done =
                                    matches!(outcome, Renewed::Renewed { .. } | Renewed::NotNeeded);
                                assert!(done, "round {round}: {outcome:?}");
                            })
                            .filter(|outcome| matches!(outcome, Renewed::Renewed { .. }))
                            .count()
                    })
                });
                all.into_iter()
                    .map(|t| t.join().expect("ends"))
                    .sum::<usize>()
            });
        }
        for (session, prompt) in sessions.iter_mut().zip(&prompts) {
            let output = session.output(BOUND).expect("ends");
            let answer = format!("simulated answer to: {prompt}");
            assert_eq!(
                (output.code, output.stdout.trim()),
                (0, answer.as_str()),
                "{output:#?}"
            );
        }
        for aside in &mut asides {
            let output = aside.output(BOUND).expect("ends");
            assert_eq!(output.code, 0, "round {round}: {output:#?}");
        }
        scene.is_signed_in();
        assert_eq!(service.double_spends(), 0, "round {round}");
        proof.round_done([
            ("renewals", service.refreshes()),
            ("by claude", renewals(&scene, false)),
            ("by ccp", renewals(&scene, true)),
            ("spent twice", service.double_spends()),
        ]);
    }
    assert_eq!(scene.stage.wait_for_quiet(), []);
    scene.nothing_is_left();
    if mode == "direct" {
        let by_ccp = renewals(&scene, true);
        assert!(by_ccp >= ours as u64, "{by_ccp} by ccp, {ours} by us");
        assert!(proof.total("by ccp") > 0, "ccp renewed");
    } else {
        assert_eq!(renewals(&scene, true), 0);
    }
    let account = scene.stage.status_of("work", false);
    assert_eq!(account["tier"], "available", "{account:#}");
    proof.table();
}

/// Renewals that the service was asked for, by ccp or by claude.
fn renewals(scene: &Scene, by_ccp: bool) -> u64 {
    let requests = scene.stage.standin.service.requests();
    let asked = requests.iter().filter(|r| {
        let agent = r.user_agent.as_deref().unwrap_or_default();
        r.endpoint == Endpoint::Token
            && r.grant_type.as_deref() == Some("refresh_token")
            && agent.starts_with("ccp/") == by_ccp
    });
    asked.count() as u64
}

#[test]
fn proof_nobody_is_signed_out_where_claude_renews() {
    proof("claude");
}

#[test]
fn proof_nobody_is_signed_out_where_ccp_renews_too() {
    proof("direct");
}

#[test]
fn an_idle_login_is_renewed_by_a_round_and_one_in_use_is_not() {
    let Some(scene) = Scene::open("[usage]\nsources = [\"live\"]\n[login]\nrenew = \"direct\"\n")
    else {
        return;
    };
    let service = &scene.stage.standin.service;
    let refresh = || {
        let output = scene
            .start_ccp(&["refresh", "--all"])
            .output(BOUND)
            .expect("ends");
        assert_eq!(output.code, 0, "{output:#?}");
    };
    // Reserved: somebody is about to begin a session.
    scene.age_login(100);
    let mut select = scene.start_ccp(&["select"]);
    assert_eq!(select.output(BOUND).expect("ends").code, 0);
    let before = service.refreshes();
    refresh();
    assert_eq!(service.refreshes(), before);
    // The reservation is over.
    let leases = scene.home.leases();
    for lease in fs::read_dir(&leases).expect("lists") {
        let lease = lease.expect("an entry");
        if !lease.file_name().to_string_lossy().starts_with('.') {
            fs::remove_file(lease.path()).expect("removes");
        }
    }
    refresh();
    assert_eq!(service.refreshes(), before + 1);
    // claude goes on with what ccp wrote, and would not renew it again.
    service.set_access_lifetime(3600);
    refresh();
    let renewed = service.refreshes();
    let mut command = scene.stage.command(CCP);
    command.args(["run", "-p", "hi"]);
    finish(command).answers("hi");
    scene.stage.was_asked_by("hi", "work");
    assert_eq!((service.refreshes(), service.double_spends()), (renewed, 0));
    // A dead login is known to be dead, and one that is alive again to be alive.
    scene.age_login(100);
    service.revoke_refresh("work");
    refresh();
    let account = scene.stage.status_of("work", false);
    assert!(
        account["flags"].to_string().contains("needs_login"),
        "{account:#}"
    );
    service.set_next_login(Some("work"));
    scene.stage.ccp(&["login", "work", "--run-login"]).good();
    let account = scene.stage.status_of("work", false);
    assert!(
        !account["flags"].to_string().contains("needs_login"),
        "{account:#}"
    );
}

#[test]
fn the_real_client_goes_on_after_a_renewal_was_killed() {
    let Some(scene) = Scene::open("[login]\nrenew = \"direct\"\n") else {
        return;
    };
    let service = &scene.stage.standin.service;
    let kill = |step| {
        scene.age_login(100);
        kill_at(&scene.home, &service.url(), step);
    };
    let answers = |prompt: &str| {
        let output = scene
            .start_claude(&["-p", prompt])
            .output(BOUND)
            .expect("ends");
        let answer = format!("simulated answer to: {prompt}");
        assert_eq!(
            (output.code, output.stdout.trim()),
            (0, answer.as_str()),
            "{output:#?}"
        );
    };
    // Nothing was spent: claude sees that the holder of the locks is dead, and renews at once.
    for step in [Step::Locked, Step::Reserved] {
        kill(step);
        let before = service.refreshes();
        answers(&format!("after {step:?}"));
        assert_eq!(service.refreshes(), before + 1, "{step:?}");
    }
    // Everything is in the store.
    kill(Step::Stored);
    answers("after Stored");
    assert_eq!(service.double_spends(), 0);
    // The answer is beside the store: a round completes it before a claude needs it ...
    kill(Step::Noted);
    let mut round = scene.start_ccp(&["refresh", "--all"]);
    assert_eq!(round.output(BOUND).expect("ends").code, 0);
    answers("after Noted and a round");
    assert_eq!(service.double_spends(), 0);
    // ... and after one has found the spent token refused.
    kill(Step::Noted);
    let _ = scene
        .start_claude(&["-p", "too early"])
        .output(BOUND)
        .expect("ends");
    assert_eq!(service.double_spends(), 1);
    let mut round = scene.start_ccp(&["refresh", "--all"]);
    assert_eq!(round.output(BOUND).expect("ends").code, 0);
    answers("after Noted and a claude");
    assert_eq!(service.double_spends(), 1);
    scene.nothing_is_left();
}
