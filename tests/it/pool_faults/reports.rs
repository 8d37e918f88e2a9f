//! What slots tell of their accounts, while the daemons of the pool and of the accounts are killed and started again.

use super::ground::{Ground, wait};
use crate::proof::Proof;
use crate::support::put;
use ccp::adapters::files::{create_private_dir, pause};
use ccp::adapters::inbox;
use ccp::adapters::store::Store;
use ccp::contract::paths::Home;
use ccp::core::account::AccountId;
use ccp::core::time::Timestamp;
use ccp::core::usage::WindowKind;
use serde_json::json;
use std::process::{Child, Stdio};
use std::time::Duration;

/// Reports in a round.
const ROUND: u64 = 100;

/// A pool's ground with one account, of which nobody asks anything.
struct Roster {
    ground: Ground,
    home: Home,
}

impl Roster {
    fn new() -> Self {
        let ground = Ground::new();
        let path = ground.home().join(".cc-pool");
        let home = Home::new(&path).expect("absolute");
        let account = home.account(AccountId::new(1).expect("1"));
        create_private_dir(&path).expect("makes");
        create_private_dir(&account).expect("makes");
        put(
            &path.join("config.toml"),
            b"[usage]\nsources = [\"live\"]\n",
        );
        let identity = json!({"oauthAccount": {"accountUuid": "u1", "organizationUuid": "o1", "emailAddress": "a@example.test"}, "hasCompletedOnboarding": true});
        put(
            &account.join(".claude.json"),
            identity.to_string().as_bytes(),
        );
        put(&account.join(".credentials.json"), b"{}");
        let roster = Self { ground, home };
        let init = roster
            .ground
            .command()
            .args(["init", "--no-service"])
            .output();
        let init = init.expect("runs");
        assert!(init.status.success(), "{init:?}");
        roster
    }

    fn accounts_daemon(&self) -> Killed {
        let mut command = self.ground.command();
        command
            .arg("daemon")
            .env("CCP_TEST_OWNER_PID", std::process::id().to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Killed(command.spawn().expect("starts"))
    }

    /// What was kept of the reports, in the order of their times, in hundredths of a percent.
    fn kept(&self) -> Vec<i64> {
        let store = Store::open(&self.home).expect("opens");
        let id = AccountId::new(1).expect("1");
        let samples = store
            .samples_since(id, Timestamp::default())
            .expect("reads");
        let five_hour = samples
            .iter()
            .filter_map(|s| s.window(&WindowKind::FiveHour));
        #[expect(clippy::cast_possible_truncation, reason = "at most ten thousand")]
        let used = five_hour.map(|w| (w.used.percent() * 100.0).round() as i64);
        used.collect()
    }
}

/// A process that is killed with the value.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn proof_no_report_is_lost_or_doubled_when_daemons_are_killed() {
    let roster = Roster::new();
    let mut proof = Proof::open("reports", 10, 2);
    let mut accounts = Some(roster.accounts_daemon());
    let mut daemon = Some(roster.ground.daemon());
    let mut client = daemon.as_ref().expect("runs").begin(1);
    let started = client.ask(&json!({"type": "start", "prompt": "begin"}));
    let id = started["sessionId"].as_str().expect("an id").to_owned();
    let (mut told, mut kills, mut in_inbox) = (0_u64, 0_u64, 0_u64);
    for round in proof.left() {
        wait("an idle session", || client.status(&id) == "idle");
        let prompt = format!("show {} {}", told + 1, told + ROUND);
        let asked = client.ask(&json!({"type": "followup", "sessionId": id, "prompt": prompt}));
        assert_eq!(asked["type"], "started", "{asked}");
        told += ROUND;
        for step in 0..4 {
            pause(Duration::from_millis(
                (round as u64 * 67 + step * 131) % 400,
            ));
            if step % 2 == 0 {
                accounts = if accounts.is_some() {
                    None
                } else {
                    Some(roster.accounts_daemon())
                };
            } else if let Some(mut running) = daemon.take() {
                running.kill();
                drop(running);
                daemon = Some(roster.ground.daemon());
                client = daemon.as_ref().expect("runs").client();
            }
            kills += 1;
            in_inbox += inbox::list(&roster.home.inbox()).map_or(0, |l| l.len() as u64);
        }
        wait("the end of the turn", || client.status(&id) == "idle");
        accounts.get_or_insert_with(|| roster.accounts_daemon());
        let least = usize::try_from(told).expect("small");
        wait("every report", || roster.kept().len() >= least);
        proof.round_done([("reports", told), ("kills", kills), ("in inbox", in_inbox)]);
    }
    let all = 1..=i64::try_from(told).expect("small");
    let expected: Vec<i64> = all.map(|n| n * 5).collect();
    assert_eq!(roster.kept(), expected, "each once, in order");
    drop(accounts);
    proof.table();
}
