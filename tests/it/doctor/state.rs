//! What ccp keeps.

use super::{Then, check, edit, healthy, line_of};
use ccp::adapters::{clock, leases, procs};
use ccp::contract::lease::LeaseName;
use ccp::core::accounts::lease::Holder;
use ccp_standin::service::AccountSpec;
use std::fs::{self, File};
use std::time::{Duration, SystemTime};

#[test]
fn settings_that_are_wrong_are_explained() {
    let world = healthy();
    fs::write(world.ccp_home().config(), "[usage]\nsorces = []\n").expect("writes");
    check(
        &world,
        "settings",
        '✗',
        "sorces",
        Then::Hint("ccp help config"),
    );
}

#[test]
fn a_damaged_database_is_left_alone() {
    let world = healthy();
    fs::write(world.ccp_home().state_db(), vec![b'x'; 4096]).expect("writes");
    let hint = Then::Hint("move state.db aside");
    check(&world, "database", '✗', "is damaged", hint);
}

#[test]
fn a_lost_database_is_made_again_from_the_directories() {
    let world = healthy();
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = fs::remove_file(world.ccp_home().path().join(name));
    }
    let fixed = Then::Fixed("adopted acct-01");
    check(&world, "database", '✗', "on disk: 2 accounts", fixed);
    assert_eq!(world.accounts().len(), 2);
}

#[test]
fn an_unknown_directory_with_a_login_is_adopted_and_linked() {
    let world = healthy();
    world.leave_account(4, &AccountSpec::new("kim"));
    fs::create_dir(world.account_dir(5)).expect("creates");
    let before = world.run(&["doctor"]);
    let line = line_of(&before.stdout, "orphans");
    assert!(line.starts_with('✗'), "{line}");
    assert!(line.contains("acct-05 has no row and nobody"), "{line}");
    fs::remove_dir(world.account_dir(5)).expect("removes");
    let fixed = Then::Fixed("adopted acct-04");
    check(&world, "orphans", '✗', "acct-04", fixed);
    assert_eq!(world.snapshot().accounts.len(), 3);
    assert!(world.account_dir(4).join("projects").is_symlink());
}

#[test]
fn ended_leases_are_recorded_and_rubbish_moves_to_the_logs() {
    let world = healthy();
    let dir = world.ccp_home().leases();
    let lease = LeaseName {
        account: crate::life::world::id(1),
        holder: Holder::Process {
            pid: 4_294_967_295,
            start: 1,
        },
        machine: procs::machine().hash,
        directory: 7,
        created_at: clock::now(),
        beside: false,
    };
    leases::write(&dir, &lease, b"{").expect("writes");
    let fixed = Then::Fixed("recorded 1 ended lease");
    check(
        &world,
        "leases",
        '!',
        "1 ended lease not recorded yet",
        fixed,
    );
    let rubbish = dir.join("rubbish");
    File::create(&rubbish)
        .and_then(|f| f.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(9)))
        .expect("creates");
    let fixed = Then::Fixed("moved to the logs: 1 file");
    check(&world, "leases", '!', "rubbish is no lease", fixed);
    assert!(!rubbish.exists());
}

#[test]
fn a_snapshot_that_is_damaged_old_or_behind_is_written_again() {
    let world = healthy();
    let path = world.ccp_home().snapshot();
    let fixed = || Then::Fixed("wrote the snapshot again");
    fs::write(&path, "{").expect("writes");
    check(&world, "snapshot", '✗', "cannot be read", fixed());
    fs::remove_file(&path).expect("removes");
    check(&world, "snapshot", '✗', "there is none", fixed());
    let set = |at: i64| edit(&path, |v| v["generated_at_ms"] = at.into());
    set(clock::now().unix_ms() - 25 * 3_600_000);
    check(&world, "snapshot", '!', "1 day old", fixed());
    set(clock::now().unix_ms() + 3_600_000);
    check(&world, "snapshot", '✗', "from the future", fixed());
    edit(&path, |v| v["accounts"][0]["label"] = "other".into());
    check(
        &world,
        "snapshot",
        '✗',
        "not those of the database",
        fixed(),
    );
    edit(&path, |v| v["base_dir"] = "/elsewhere".into());
    check(&world, "snapshot", '✗', "another base", fixed());
}

#[test]
fn rules_that_let_nobody_in_are_told() {
    let world = healthy();
    assert!(world.ok(&["doctor"]).contains("rules: there are no rules"));
    let write = |accounts: &str| {
        let rule = format!("[[rule]]\npath = \"~/work\"\naccounts = [{accounts}]\n");
        fs::write(world.ccp_home().config(), rule).expect("writes");
        world.ok(&["config", "apply"]);
    };
    write("1, 2");
    assert!(world.ok(&["doctor"]).contains("rules: 1 rule"));
    let hint = || Then::Hint("`ccp config path` tells where the rule is");
    write("1, \"gone\"");
    let found = "rule 1 (~/work): gone is no account, or more than one";
    check(&world, "rules", '!', found, hint());
    write("\"gone\"");
    let found = "rule 1 (~/work): nobody can serve there: gone is no account";
    check(&world, "rules", '✗', found, hint());
    write("2");
    let id = ccp::core::account::AccountId::new(2).expect("2");
    world.store().set_needs_login(id, true).expect("sets");
    let found = "rule 1 (~/work): nobody can serve there without a sign-in";
    check(
        &world,
        "rules",
        '✗',
        found,
        Then::Hint("`ccp login acct-02`"),
    );
}
