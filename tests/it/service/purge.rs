//! `ccp service uninstall --purge`: all of ccp goes, and nothing of the person's own.

use super::{asked, with_supervisors};
use crate::life::Terminal;
use crate::life::world::{BOUND, World};
use ccp::adapters::files::Lock;
use ccp_standin::Running;
use ccp_standin::service::AccountSpec;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Two accounts, a broken-off sign-in, and something of ccp in every file where it can be.
fn lived_in() -> World {
    let world = with_supervisors(World::new());
    fs::write(world.home.path().join(".bashrc"), "# mine\n").expect("writes");
    fs::write(world.home.path().join(".claude.json"), "{\"mine\": 1}\n").expect("writes");
    world.leave_account(1, &AccountSpec::new("jo"));
    world.leave_account(2, &AccountSpec::new("solo"));
    world.ok(&["init"]);
    world.ok(&["sync"]);
    fs::create_dir(world.account_dir(7)).expect("creates");
    world
}

fn put_everything_in(world: &World) {
    world.ok(&["alias", "install"]);
    world.ok(&["statusline", "install", "-y"]);
    world.ok(&["hooks", "install", "-y"]);
    world.ok(&["pool", "install", "--links"]);
    if cfg!(target_os = "linux") {
        world.ok(&["service", "install"]);
    }
}

/// Every file below a directory with its bytes, links by where they lead.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).expect("lists") {
            let path = entry.expect("lists").path();
            let metadata = fs::symlink_metadata(&path).expect("is there");
            if metadata.is_dir() {
                dirs.push(path);
            } else if metadata.is_symlink() {
                let target = fs::read_link(&path).expect("a link");
                found.insert(path, target.into_os_string().into_encoded_bytes());
            } else {
                let bytes = fs::read(&path).expect("reads");
                found.insert(path, bytes);
            }
        }
    }
    found
}

#[test]
fn everything_of_ccp_goes_and_everything_else_is_as_it_was() {
    let world = lived_in();
    let base = world.home.path().join(".claude");
    let before = contents(&base);
    let bashrc = fs::read(world.home.path().join(".bashrc")).expect("reads");
    put_everything_in(&world);
    assert_ne!(contents(&base), before, "the status line is in");
    asked(&world);

    let error = world.fails(1, &["service", "uninstall", "--purge"]);
    assert!(error.contains("--purge --yes"), "{error}");
    assert!(asked(&world).is_empty() && world.account_dir(1).is_dir());

    let output = world.run(&["service", "uninstall", "--purge", "-y"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(!world.ccp_home().path().exists(), "{}", output.stderr);
    assert_eq!(contents(&base), before);
    assert_eq!(
        fs::read(world.home.path().join(".bashrc")).expect("reads"),
        bashrc
    );
    let json = fs::read_to_string(world.home.path().join(".claude.json")).expect("reads");
    assert_eq!(json, "{\"mine\": 1}\n");
    assert!(!super::unit_file(&world).exists());
    for gone in [
        "acct-01 (jo) is removed",
        "acct-02 (solo) is removed",
        "acct-07 is removed",
    ] {
        assert!(output.stderr.contains(gone), "{}", output.stderr);
    }
    let output = world.run(&["service", "uninstall", "--purge", "-y"]);
    assert_eq!(
        output.code, 0,
        "a second time is no error: {}",
        output.stderr
    );
    assert!(!world.ccp_home().path().exists());
}

#[test]
fn what_is_not_ours_in_the_home_stays() {
    let world = lived_in();
    let home = world.ccp_home();
    fs::write(home.path().join("notes.txt"), "mine").expect("writes");
    let elsewhere = world.home.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("creates");
    fs::write(elsewhere.join("log"), "mine").expect("writes");
    std::os::unix::fs::symlink(&elsewhere, home.logs()).expect("links");
    let output = world.run(&["service", "uninstall", "--purge", "-y"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(
        output.stderr.contains("not ccp's: notes.txt"),
        "{}",
        output.stderr
    );
    let left: Vec<_> = contents(home.path()).into_keys().collect();
    assert_eq!(left, [home.path().join("notes.txt")]);
    assert!(elsewhere.join("log").exists(), "links are not followed");
}

#[test]
fn a_session_keeps_everything_even_when_it_is_forced() {
    let world = lived_in();
    put_everything_in(&world);
    let mut command = world.command("/bin/sh", &["-c", "echo up; read x"]);
    command.env("CLAUDE_CONFIG_DIR", world.account_dir(7));
    let mut session = Running::start(command).expect("starts");
    session.wait_for_line(|l| l == "up", BOUND).expect("is up");
    let error = world.fails(69, &["service", "uninstall", "--purge", "--force", "-y"]);
    assert!(error.contains(&session.pid().to_string()), "{error}");
    assert!(world.account_dir(1).is_dir());
    let bashrc = fs::read_to_string(world.home.path().join(".bashrc")).expect("reads");
    assert!(bashrc.contains("# ccp"));
    session.write_line("end").expect("is there");
    session.output(BOUND).expect("ends");
}

#[test]
fn what_cannot_go_back_stops_it_while_everything_is_there() {
    let world = lived_in();
    put_everything_in(&world);
    let bashrc = world.home.path().join(".bashrc");
    let with_alias = fs::read(&bashrc).expect("reads");
    // Too young to be moved: a session may be writing it.
    let notes = world.account_dir(2).join("notes.md");
    fs::write(&notes, "mine").expect("writes");
    let error = world.fails(1, &["service", "uninstall", "--purge", "-y"]);
    assert!(
        error.contains("notes.md") && error.contains("nothing was removed"),
        "{error}"
    );
    assert!(notes.exists() && world.account_dir(1).is_dir());
    assert_eq!(fs::read(&bashrc).expect("reads"), with_alias);
    assert_eq!(super::unit_file(&world).exists(), cfg!(target_os = "linux"));
    fs::remove_file(notes).expect("removes");
    world.ok(&["service", "uninstall", "--purge", "-y"]);
    assert!(!world.ccp_home().path().exists());
}

/// A daemon of this home, as a person or a launch starts it.
fn daemon(world: &World) -> Running {
    let command = world.command(world.bin("ccpd"), &["daemon"]);
    let daemon = Running::start(command).expect("starts");
    let health = ccp::contract::proto::Request::Health;
    let answers = || ccp::client::ask(&world.ccp_home(), &health, BOUND).is_ok();
    assert!(crate::daemon::holds_within(BOUND, answers));
    daemon
}

#[test]
fn a_daemon_that_nobody_supervises_is_ended() {
    let world = lived_in();
    // A question to claude is no session, and is waited for.
    world.replace_claude("sleep 1; exit 1");
    let mut daemon = daemon(&world);
    world.ok(&["service", "uninstall", "--purge", "-y"]);
    assert_eq!(daemon.output(BOUND).expect("ended").code, 0);
    assert!(!world.ccp_home().path().exists());
}

#[test]
fn a_daemon_that_does_not_hear_is_ended_by_a_signal() {
    let world = lived_in();
    let mut daemon = daemon(&world);
    // It cannot be asked any more.
    fs::remove_file(world.ccp_home().daemon_socket()).expect("removes");
    world.ok(&["service", "uninstall", "--purge", "-y"]);
    assert_eq!(daemon.output(BOUND).expect("ended").code, 0);
    assert!(!world.ccp_home().path().exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_service_takes_the_place_of_a_daemon_in_the_background() {
    let world = lived_in();
    let mut daemon = daemon(&world);
    let said = world.run(&["service", "install"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("makes room"), "{}", said.stderr);
    assert_eq!(daemon.output(BOUND).expect("ended").code, 0);
}

#[test]
fn what_holds_the_lock_and_is_no_daemon_stops_it() {
    let world = lived_in();
    let lock = world.ccp_home().daemon_lock();
    let held = Lock::acquire(&lock, Duration::ZERO)
        .expect("opens")
        .expect("is free");
    let error = world.fails(1, &["service", "uninstall", "--purge", "-y"]);
    assert!(error.contains("a daemon still keeps"), "{error}");
    assert!(world.account_dir(1).is_dir());
    drop(held);
    world.ok(&["service", "uninstall", "--purge", "-y"]);
    assert!(!world.ccp_home().path().exists());
}

#[test]
fn it_asks_on_a_terminal_and_no_is_the_default() {
    let world = lived_in();
    let mut terminal = Terminal::start(&world, &["service", "uninstall", "--purge"], None);
    let said = terminal.wait_for("Remove all of this from this machine? [y/N]");
    assert!(said.contains("acct-02 (solo) and its login"), "{said}");
    terminal.type_text("\n");
    let (code, shown) = terminal.end();
    assert!(code == 0 && shown.contains("everything stays"), "{shown}");
    assert!(world.account_dir(1).is_dir());
}
