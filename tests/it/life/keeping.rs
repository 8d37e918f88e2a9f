//! What is kept and what goes: references, labels, pins, adoption, removal.

use super::terminal::Terminal;
use super::world::{BOUND, World, id};
use ccp_standin::Running;
use ccp_standin::service::AccountSpec;
use std::fs;

/// Three accounts; two of them share an email address.
fn three() -> World {
    let world = World::new();
    let mut seat = AccountSpec::new("seat");
    seat.email = "jo@example.test".to_owned();
    world.leave_account(1, &AccountSpec::new("jo"));
    world.leave_account(2, &seat);
    world.leave_account(3, &AccountSpec::new("solo"));
    world.ok(&["init"]);
    world
}

#[test]
fn directories_on_disk_are_adopted_also_after_the_database_is_gone() {
    let world = three();
    let accounts = [
        "acct-01 jo",
        "acct-02 jo (seat's organization)",
        "acct-03 solo",
    ];
    assert_eq!(world.accounts(), accounts);
    for name in ["state.db", "state.db-wal", "state.db-shm", "snapshot.json"] {
        let _ = fs::remove_file(world.ccp_home().path().join(name));
    }
    let output = world.run(&["init"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(
        output.stderr.contains("adopted acct-02"),
        "{}",
        output.stderr
    );
    assert_eq!(world.accounts(), accounts);
    let config = fs::read_to_string(world.ccp_home().config()).expect("was made");
    assert!(config.contains("# sources = "), "{config}");
    assert!(ccp::contract::settings::Settings::parse(&config).is_ok());
}

#[test]
fn every_spelling_of_an_account_is_understood() {
    let world = three();
    for (reference, number) in [
        ("3", 3),
        ("acct-03", 3),
        ("ACCT-3", 3),
        ("solo", 3),
        ("SOLO", 3),
        ("solo@example.test", 3),
        ("jo (seat's organization)", 2),
    ] {
        let printed = world.ok(&["select", "--account", reference]);
        assert_eq!(
            printed.trim_end(),
            world.account_dir(number).to_str().expect("text")
        );
    }
    let error = world.fails(1, &["select", "--account", "jo@example.test"]);
    assert!(error.contains("acct-01, acct-02"), "{error}");
    for command in [
        ["rename", "nobody", "x"],
        ["pin", "nobody", "."],
        ["remove", "nobody", "-y"],
        ["login", "nobody", "--run-login"],
    ] {
        let error = world.fails(1, &command);
        assert!(error.contains("no account is called `nobody`"), "{error}");
    }
    assert_eq!(world.accounts().len(), 3);
}

#[test]
fn where_nothing_is_nothing_is_made() {
    let world = World::new();
    for command in [
        &["rename", "a", "b"][..],
        &["pin", "a"],
        &["unpin"],
        &["remove", "a", "-y"],
        &["login", "a", "--run-login"],
        &["sync"],
    ] {
        let error = world.fails(1, command);
        assert!(error.contains("no accounts yet"), "{error}");
    }
    assert!(!world.ccp_home().path().exists());
}

#[test]
fn a_label_is_changed_and_never_taken_twice() {
    let world = three();
    world.ok(&["rename", "2", " seat "]);
    let error = world.fails(1, &["rename", "3", "SEAT"]);
    assert!(error.contains("acct-02"), "{error}");
    let error = world.fails(1, &["rename", "3", "acct-01"]);
    assert!(error.contains("may not look like an account id"), "{error}");
    assert_eq!(
        world.accounts(),
        ["acct-01 jo", "acct-02 seat", "acct-03 solo"]
    );
    assert_eq!(
        world.snapshot().accounts[1].label,
        "seat",
        "launches see it at once"
    );

    world.ok(&["rename", "--auto"]);
    assert_eq!(world.accounts()[1], "acct-02 seat", "a person chose it");
    world.ok(&["rename", "--auto", "--force"]);
    assert_eq!(world.accounts()[1], "acct-02 jo (seat's organization)");
}

#[test]
fn a_pin_is_kept_for_the_directory_that_a_session_would_see() {
    let world = three();
    let work = world.home.work_dir();
    let link = world.home.path().join("link");
    std::os::unix::fs::symlink(&work, &link).expect("links");
    let pin = |account: &str| {
        let output = world.run(&["pin", account, link.to_str().expect("text")]);
        assert_eq!(output.code, 0, "{}", output.stderr);
        output.stderr
    };
    assert!(pin("solo").contains("is now pinned to solo"));
    assert!(pin("solo").contains("already"));
    let work = fs::canonicalize(&work).expect("is there");
    assert_eq!(world.snapshot().pins[0].dir, work);
    let selected = world.run(&["select"]);
    assert!(
        selected.stderr.contains("Reusing solo (pinned)"),
        "{}",
        selected.stderr
    );
    assert!(pin("jo").contains("not to solo"));
    let output = world.run(&["unpin"]);
    assert!(
        output.stderr.contains("no longer pinned to jo"),
        "{}",
        output.stderr
    );
    let output = world.run(&["unpin"]);
    assert!(
        output.stderr.contains("was not pinned"),
        "{}",
        output.stderr
    );
    let error = world.fails(1, &["pin", "jo", "/no/such/dir"]);
    assert!(error.contains("/no/such/dir"), "{error}");
}

#[test]
fn an_account_in_use_is_not_removed() {
    let world = three();
    // Somebody who was not started by ccp.
    let mut command = world.command("/bin/sh", &["-c", "echo up; read x"]);
    command.env("CLAUDE_CONFIG_DIR", world.account_dir(3));
    let mut session = Running::start(command).expect("starts");
    session.wait_for_line(|l| l == "up", BOUND).expect("is up");
    let error = world.fails(69, &["remove", "solo", "-y"]);
    assert!(error.contains(&session.pid().to_string()), "{error}");
    session.write_line("end").expect("is there");
    session.output(BOUND).expect("ends");

    world.ok(&["select", "--account", "jo"]);
    let error = world.fails(69, &["remove", "1", "-y"]);
    assert!(error.contains("reservations"), "{error}");
    assert_eq!(world.accounts().len(), 3);
    assert!(!world.snapshot().accounts[2].needs_login);
}

#[test]
fn removing_asks_and_leaves_nothing_but_the_persons_own() {
    let world = three();
    let error = world.fails(1, &["remove", "solo"]);
    assert!(error.contains("--yes"), "{error}");
    let dir = world.account_dir(3);
    world.ok(&["sync"]);
    // What claude made in the account's directory a moment ago is not lost: it has to go back first.
    let notes = dir.join("notes.md");
    fs::write(&notes, "mine").expect("writes");
    let error = world.fails(1, &["remove", "solo", "-y"]);
    assert!(
        error.contains("notes.md") && error.contains("wait a few seconds"),
        "{error}"
    );
    assert!(
        !world.snapshot().accounts[2].needs_login,
        "it can still be picked"
    );
    fs::remove_file(notes).expect("removes");

    let mut terminal = Terminal::start(&world, &["remove", "solo"], None);
    terminal.answer("from this machine? [y/N]", "\n");
    let (code, shown) = terminal.end();
    assert!(code == 0 && shown.contains("acct-03 stays"), "{shown}");

    let mut terminal = Terminal::start(&world, &["remove", "solo"], None);
    terminal.answer("from this machine? [y/N]", "yes\n");
    let (code, shown) = terminal.end();
    assert_eq!(code, 0, "{shown}");
    assert!(!dir.exists());
    let base = world.home.path().join(".claude");
    assert!(
        base.join("settings.json").exists(),
        "links were not followed"
    );
    assert_eq!(world.accounts().len(), 2);
    assert_eq!(world.snapshot().accounts.len(), 2);

    world.sign_up("late");
    world.standin.service.set_next_login(Some("late"));
    let world = world.with_browser("late");
    assert_eq!(
        world.ok(&["add", "-y"]),
        "acct-03\tlate\n",
        "the number is free again"
    );
}

#[test]
fn a_removal_that_died_in_the_middle_is_finished_by_the_next() {
    let world = three();
    fs::remove_dir_all(world.account_dir(3)).expect("removes");
    world.store().set_needs_login(id(3), true).expect("sets");
    world.ok(&["remove", "3", "-y"]);
    assert_eq!(world.accounts().len(), 2);
}

#[test]
fn another_tools_home_is_refused_until_it_is_adopted() {
    let world = World::new().with_browser("jo");
    let home = world.ccp_home();
    fs::create_dir(home.path()).expect("creates");
    let theirs = home.path().join("pool-v1.db");
    fs::write(&theirs, "theirs").expect("writes");
    for command in [
        &["add", "-y"][..],
        &["init"],
        &["rename", "--auto"],
        &["sync"],
    ] {
        let error = world.fails(1, command);
        assert!(error.contains("belongs to another tool"), "{error}");
        assert!(error.contains("ccp init --adopt"), "{error}");
    }
    assert!(!home.state_db().exists());
    world.ok(&["init", "--adopt"]);
    world.ok(&["add", "-y"]);
    assert_eq!(fs::read_to_string(&theirs).expect("reads"), "theirs");
}

#[test]
fn the_base_changes_only_while_nobody_is_at_work() {
    let world = three();
    let base = world.home.path().join("other-base");
    let base = base.to_str().expect("text");
    let error = world.fails(1, &["init", "--base", base]);
    assert!(error.contains("other-base"), "{error}");
    fs::create_dir(base).expect("creates");
    world.ok(&["select", "--account", "jo"]);
    let error = world.fails(69, &["init", "--base", base]);
    assert!(error.contains("change the base"), "{error}");
    let world = three();
    let base = world.home.path().join("other-base");
    fs::create_dir(&base).expect("creates");
    world.ok(&["init", "--base", base.to_str().expect("text")]);
    assert_eq!(world.snapshot().base_dir, base);
    world.ok(&["sync"]);
    let link = fs::read_link(world.account_dir(1).join("projects")).expect("a link");
    assert_eq!(link, base.join("projects"));
}

#[test]
fn settings_are_shown_and_changed() {
    let world = World::new();
    let shown = world.ok(&["config"]);
    assert!(shown.contains("overlay.settings = \"one-way\""), "{shown}");
    assert!(!world.ccp_home().path().exists(), "looking makes nothing");
    world.ok(&["config", "set", "overlay.settings", "two-way"]);
    assert_eq!(
        world.ok(&["config", "get", "overlay.settings"]),
        "\"two-way\"\n"
    );
    assert!(world.snapshot().two_way, "launches see it at once");
    let path = world.ok(&["config", "path"]);
    let text = fs::read_to_string(path.trim_end()).expect("is there");
    assert!(
        text.contains("# one-way: preferences"),
        "comments stay: {text}"
    );
    let error = world.fails(1, &["config", "set", "overlay.setings", "two-way"]);
    assert!(error.contains("overlay.settings"), "{error}");
    let error = world.fails(1, &["config", "set", "overlay.base", "/x"]);
    assert!(error.contains("ccp init --base"), "{error}");
}
