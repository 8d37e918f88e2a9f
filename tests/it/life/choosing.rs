//! `ccp select` and what it waits for.

use super::world::{BOUND, World, id};
use ccp::adapters::clock;
use ccp::adapters::store::Store;
use ccp::core::time::Timestamp;
use ccp::core::usage::{Sample, Source, Used, Window, WindowKind};
use ccp_standin::service::AccountSpec;
use std::time::Duration;

fn world_with(accounts: u16) -> World {
    let world = World::new();
    for number in 1..=accounts {
        world.leave_account(number, &AccountSpec::new(&format!("a{number}")));
    }
    world.ok(&["init"]);
    world
}

/// As if the service had just said so.
fn measured(store: &mut Store, number: u16, used: f64, resets_at: Timestamp) {
    let sample = Sample {
        measured_at: clock::now(),
        source: Source::Claude,
        windows: vec![Window {
            kind: WindowKind::FiveHour,
            used: Used::from_percent(used).expect("a percentage"),
            resets_at: Some(resets_at),
        }],
        extra: None,
    };
    store
        .offer_sample(id(number), &sample, clock::now())
        .expect("is taken");
}

#[test]
fn waiting_ends_at_the_reset_and_leaves_no_trace_before() {
    let world = world_with(2);
    let now = clock::now();
    let soon = now.plus(Duration::from_secs(4));
    let mut store = world.store();
    measured(&mut store, 1, 100.0, now.plus(Duration::from_secs(3600)));
    measured(&mut store, 2, 100.0, soon);
    drop(store);
    world.ok(&["unpin"]);
    let mut running = world.start(&["select", "--wait"]);
    running.close_stdin();
    let line = running
        .wait_for_line(|l| l.contains("no account has headroom"), BOUND)
        .expect("it says what it waits for");
    assert!(line.contains("waiting for a2, which resets in"), "{line}");
    let leases = ccp::adapters::leases::list(&world.ccp_home().leases()).expect("lists");
    assert!(leases.leases.is_empty(), "nothing is claimed yet");
    let output = running.output(BOUND).expect("ends");
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(
        output.stdout.trim_end(),
        world.account_dir(2).to_str().expect("text")
    );
    assert!(clock::now() >= soon);
    let said = output.stderr.matches("no account has headroom").count();
    assert_eq!(said, 1, "one line per change: {}", output.stderr);
}

#[test]
fn waiting_sees_what_another_process_finds_out_and_ends_on_ctrl_c() {
    let world = world_with(1);
    let far = clock::now().plus(Duration::from_secs(3600));
    measured(&mut world.store(), 1, 100.0, far);
    world.ok(&["unpin"]);
    let mut running = world.start(&["select", "--wait"]);
    running
        .wait_for_line(|l| l.contains("no account has headroom"), BOUND)
        .expect("it waits");
    running.signal("INT");
    let output = running.output(BOUND).expect("ends");
    // A shell may go on with the command that this was for.
    let nowhere = format!("{}\n", ccp::contract::paths::NOWHERE);
    assert_eq!((output.code, output.stdout), (130, nowhere));
}

#[test]
fn waiting_for_a_sign_in_ends_at_once() {
    let world = world_with(1);
    let credential = ccp::contract::paths::account_credential(&world.account_dir(1));
    std::fs::remove_file(credential).expect("removes");
    world.store().set_needs_login(id(1), true).expect("sets");
    world.ok(&["unpin"]);
    let error = world.fails(69, &["select", "--wait"]);
    assert!(error.contains("needs a sign-in"), "{error}");
}

#[test]
fn without_waiting_the_best_of_the_full_ones_is_printed_loudly() {
    let world = world_with(1);
    let far = clock::now().plus(Duration::from_secs(3600));
    measured(&mut world.store(), 1, 100.0, far);
    world.ok(&["unpin"]);
    let output = world.run(&["select"]);
    assert_eq!(output.code, 0);
    assert!(
        output.stderr.contains("warning: no account has headroom"),
        "{}",
        output.stderr
    );
}

#[test]
fn a_pick_is_json_for_programs() {
    let world = world_with(2);
    let text = world.ok(&["select", "--json", "--account", "a2"]);
    let pick: serde_json::Value = serde_json::from_str(&text).expect("is JSON");
    assert_eq!(pick["id"], "acct-02");
    assert_eq!(pick["reason"], "forced");
    assert_eq!(pick["fallback"], false);
    assert_eq!(
        pick["config_dir"],
        world.account_dir(2).to_str().expect("text")
    );
    assert_eq!(pick["ranking"].as_array().map(Vec::len), Some(2));
}

#[test]
fn numbers_that_are_too_old_are_asked_for_first() {
    let world = world_with(1);
    world.standin.service.set_window(
        "a1",
        ccp_standin::service::WindowKind::FiveHour,
        37.0,
        ccp_standin::service::Resets::In(3600),
    );
    let output = world.run(&["select", "--fresh", "1m"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(output.stderr.contains("5h 37% used"), "{}", output.stderr);
}

#[test]
fn a_failed_selection_prints_a_directory_that_nobody_can_use() {
    let mut world = World::new();
    for arguments in [
        &["select"][..],
        &["select", "--wait"],
        &["select", "--account", "nobody"],
    ] {
        let error = world.fails(if arguments.len() == 3 { 1 } else { 69 }, arguments);
        assert!(error.contains("hint: "), "{error}");
    }
    world.fails(2, &["select", "--no-such-option"]);
    let output = world.run(&["select", "--json"]);
    assert_eq!((output.code, output.stdout.as_str()), (69, ""));
    assert!(world.ok(&["select", "--help"]).contains("Usage"));
    world.set("CCP_HOME", "not/absolute");
    world.fails(1, &["select"]);
    world.fails(1, &["select", "--wait"]);

    let nowhere = std::path::Path::new(ccp::contract::paths::NOWHERE);
    assert!(std::fs::create_dir_all(nowhere).is_err());
    // Without its sibling the launcher has nobody to hand the question to.
    let alone = world.home.path().join("alone");
    crate::support::copy_executable(env!("CARGO_BIN_EXE_ccp"), &alone);
    let output = world.command(&alone, &["select", "--wait"]).output();
    let output = output.expect("runs");
    assert_eq!(output.stdout, format!("{}\n", nowhere.display()).as_bytes());
}

#[test]
fn waiting_is_for_the_accounts_that_a_rule_allows() {
    let world = world_with(2);
    let now = clock::now();
    let soon = now.plus(Duration::from_secs(4));
    measured(&mut world.store(), 1, 100.0, soon);
    measured(
        &mut world.store(),
        2,
        10.0,
        now.plus(Duration::from_secs(3600)),
    );
    let rule = "[[rule]]\npath = \"~/\"\naccounts = [\"a1\"]\n";
    std::fs::write(world.ccp_home().config(), rule).expect("writes");
    world.ok(&["unpin"]);
    let mut running = world.start(&["select", "--wait"]);
    running.close_stdin();
    let line = running
        .wait_for_line(|l| l.contains("no account has headroom"), BOUND)
        .expect("it says what it waits for");
    assert!(line.contains("waiting for a1, which resets in"), "{line}");
    let output = running.output(BOUND).expect("ends");
    assert_eq!(output.code, 0, "{}", output.stderr);
    let account = world.account_dir(1);
    assert_eq!(output.stdout.trim_end(), account.to_str().expect("text"));
    assert!(clock::now() >= soon);
    // What publishes from the database keeps the rule.
    world.ok(&["refresh", "--all"]);
    let barred = world.fails(69, &["select", "--account", "a2"]);
    assert!(barred.contains("rule 1 (~/) allows a1 in "), "{barred}");
    let pinned = world.run(&["pin", "a2"]).stderr;
    let note = "note: rule 1 (~/) does not allow a2 there: the pin does not bind";
    assert!(pinned.contains(note), "{pinned}");
    assert!(!world.run(&["pin", "a1"]).stderr.contains("note:"));
}
