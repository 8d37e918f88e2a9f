//! Several syncs at once, and one that is killed.

use super::{DIRECTORY, World, given, names, put, text};
use ccp::adapters::overlay::{Direction, Options, SyncReport, Verdict, health, seed, sync};
use ccp::core::account::AccountId;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

#[test]
fn fifty_syncs_at_once_end_as_one_would() {
    let world = World::synced();
    put(&world.base.json, r#"{"theme":"x"}"#, 1);
    seed(&world.base, &world.account, Duration::ZERO).expect("seeds");
    for number in 0..40 {
        put(&world.in_base(&format!("base-{number}")), "b", 1);
        put(&world.in_account(&format!("new-{number}")), "n", 1);
        put(&world.in_base(&format!("both-{number}")), "old", 1);
        put(&world.in_account(&format!("both-{number}")), "new", 2);
    }
    let reports: Vec<SyncReport> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..50).map(|_| scope.spawn(|| world.sync())).collect();
        threads
            .into_iter()
            .map(|t| t.join().expect("ends"))
            .collect()
    });
    for report in &reports {
        assert!(report.is_complete(), "{report:?}");
    }
    let healed: usize = reports.iter().map(|r| r.healed.len()).sum();
    assert_eq!(healed, 80, "each entry was healed once");
    for number in 0..40 {
        assert_eq!(text(&world.in_account(&format!("both-{number}"))), "new");
        assert_eq!(
            text(&world.in_base(&format!("both-{number}.conflict-1"))),
            "old"
        );
        assert!(world.leads_to_base(&format!("new-{number}")));
        assert!(world.leads_to_base(&format!("base-{number}")));
    }
    assert!(
        health(&world.base, &world.account)
            .iter()
            .all(|f| f.verdict == Verdict::ConflictCopy)
    );
    let litter = |n: &String| n.contains(".tmp.") || n.contains(".lock");
    assert!(!names(&world.base.dir).iter().any(litter));
    assert!(!names(&world.account).iter().any(litter));
}

#[test]
fn accounts_healed_at_once_lose_nothing_of_each_other() {
    let world = World::synced();
    put(&world.in_base("settings.json"), "base", 50);
    let accounts: Vec<PathBuf> = (2..12_u64)
        .map(|number| {
            let id = AccountId::new(number as u16).expect("in range");
            let account = world.home.account(id);
            put(
                &account.join("settings.json"),
                &format!("of {id}"),
                number * 10,
            );
            account
        })
        .collect();
    std::thread::scope(|scope| {
        for account in &accounts {
            let options = Options::at_leisure(Direction::OneWay, false);
            let base = &world.base;
            let run = move || sync(base, account, World::later(), options);
            scope.spawn(move || assert!(run().is_complete()));
        }
    });
    assert_eq!(
        text(&world.in_base("settings.json")),
        "of acct-11",
        "the newest"
    );
    let mut found: Vec<String> = names(&world.base.dir)
        .iter()
        .filter(|n| n.starts_with("settings.json"))
        .map(|n| text(&world.in_base(n)))
        .collect();
    found.sort();
    let mut expected: Vec<String> = (2..12).map(|n| format!("of acct-{n:02}")).collect();
    expected.insert(0, "base".to_owned());
    assert_eq!(found, expected);
}

#[test]
fn a_sync_killed_at_any_moment_loses_nothing() {
    const ENTRIES: usize = 60;
    if let Some(given) = given() {
        let world = World::between(&given.join("user"), &given.join("pool"));
        let _ = world.sync();
        return;
    }
    let own = std::env::current_exe().expect("has a path");
    for round in 0..8 {
        let temporary = tempfile::tempdir().expect("a directory");
        let at = temporary.path();
        let world = World::between(&at.join("user"), &at.join("pool"));
        assert!(world.sync().is_complete());
        fs::remove_file(world.in_account("plans")).expect("removes the link");
        for number in 0..ENTRIES {
            let name = format!("plans/p{number}");
            put(&world.in_base(&name), &format!("base {number}"), 5);
            put(
                &world.in_account(&name),
                &format!("mine {number}"),
                5 + number as u64 % 3 - 1,
            );
        }
        let mut child = Command::new(&own)
            .args([
                "--exact",
                "overlay::together::a_sync_killed_at_any_moment_loses_nothing",
            ])
            .env(DIRECTORY, at)
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("runs");
        // Killed once so many were judged, or when it was faster.
        let judged = || names(&world.in_base("plans")).len() - ENTRIES;
        let started = std::time::Instant::now();
        while judged() < round * 8 && child.try_wait().expect("looks").is_none() {
            assert!(started.elapsed() < Duration::from_secs(20));
            std::hint::spin_loop();
        }
        assert!(
            round == 0 || judged() > 0,
            "the child runs, and does its part"
        );
        child.kill().expect("kills");
        child.wait().expect("ends");
        assert!(world.sync().is_complete());
        let plans = world.in_base("plans");
        let found: Vec<String> = names(&plans).iter().map(|n| text(&plans.join(n))).collect();
        for number in 0..ENTRIES {
            assert!(found.contains(&format!("base {number}")), "round {round}");
            assert!(found.contains(&format!("mine {number}")), "round {round}");
        }
        assert_eq!(found.len(), 2 * ENTRIES, "and none is there twice");
    }
}

#[test]
fn a_sync_waits_for_another_with_a_bound() {
    let world = World::synced();
    let path = world.home.accounts().join(".acct-01.sync");
    let _held = ccp::adapters::files::Lock::acquire(&path, Duration::ZERO)
        .expect("opens")
        .expect("is free");
    let mut options = Options::at_launch(Direction::OneWay, false);
    options.sync_wait = Duration::from_millis(5);
    assert!(sync(&world.base, &world.account, World::later(), options).busy);
}
