//! What gathers over time.

use super::{Then, check, healthy, line_of};
use crate::life::world::id;
use ccp::adapters::{clock, inbox};
use ccp::contract::report::Report;
use std::fs::{self, File};
use std::time::{Duration, SystemTime};

#[test]
fn logs_that_cannot_be_written_or_are_large_are_noticed() {
    let world = healthy();
    let logs = world.ccp_home().logs();
    let _ = fs::remove_dir_all(&logs);
    fs::write(&logs, "mine").expect("writes");
    super::set_mode(&logs, 0o700);
    let hint = Then::Hint("move it away");
    check(&world, "logs", '✗', "is no directory", hint);
    fs::remove_file(&logs).expect("removes");
    fs::create_dir(&logs).expect("creates");
    super::set_mode(&logs, 0o700);
    fs::create_dir(world.ccp_home().daemon_log()).expect("creates");
    let large = File::create(logs.join("service.log")).expect("creates");
    large.set_len(101_000_000).expect("grows");
    let said = world.ok(&["doctor"]);
    let line = line_of(&said, "logs");
    assert!(
        line.starts_with('!') && line.contains("holds 101 MB"),
        "{line}"
    );
    assert!(line.contains("delete what you do not need"), "{line}");
}

#[test]
fn reports_that_wait_are_taken_in() {
    let world = healthy();
    let dir = world.ccp_home().inbox();
    let report = |at| Report {
        account: 1,
        account_uuid: None,
        measured_at_ms: at,
        source: "live".into(),
        windows: Vec::new(),
        extra: None,
        limited_until_ms: None,
    };
    let now = clock::now().unix_ms();
    inbox::hand_in(&dir, &report(now)).expect("hands in");
    let said = world.ok(&["doctor"]);
    assert!(
        line_of(&said, "inbox").contains("1 report waiting"),
        "{said}"
    );
    let waiting = inbox::list(&dir).expect("lists").remove(0).path;
    let long_ago = SystemTime::now() - Duration::from_secs(2 * 3600 + 60);
    let file = File::options().append(true).open(waiting);
    file.and_then(|f| f.set_modified(long_ago)).expect("sets");
    let fixed = || Then::Fixed("took in ");
    check(&world, "inbox", '!', "the oldest for 2 hours", fixed());
    for n in 0..1_200 {
        inbox::hand_in(&dir, &report(now - n)).expect("hands in");
    }
    check(&world, "inbox", '!', "1200 reports waiting", fixed());
    assert!(inbox::list(&dir).expect("lists").is_empty());
}

#[test]
fn mounts_and_what_they_leave_are_noticed() {
    let world = healthy();
    let left = world.ccp_home().accounts().join("acct-01.private");
    fs::create_dir(&left).expect("creates");
    let hint = Then::Hint("look through it");
    check(&world, "mounts", '!', "left of an overlay by FUSE", hint);
    fs::remove_dir(&left).expect("removes");
    let place = world.ccp_home().accounts().join("acct-07");
    fs::create_dir(&place).expect("creates");
    let script = "mount -t tmpfs tmpfs \"$1\" || exit 77; exec \"$0\" doctor";
    let inside = world
        .command(
            "unshare",
            &["--map-root-user", "--mount", "sh", "-c", script],
        )
        .args([world.bin("ccp"), place])
        .output();
    match inside.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()) {
        Ok(said) if said.contains("mounts") => {
            let line = line_of(&said, "mounts");
            assert!(
                line.starts_with('!') && line.contains("acct-07 is a mount"),
                "{line}"
            );
        }
        _ => eprintln!("SKIPPED: no file system can be mounted here"),
    }
}

#[test]
fn a_merge_that_was_stopped_is_told_until_it_goes_on() {
    let world = healthy();
    let hold = |why: Option<&str>| {
        let since = clock::now().minus(Duration::from_secs(2 * 3600 + 60));
        world.store().set_held(id(1), why, since).expect("records");
    };
    let why = Some("5 keys vanished at once");
    hold(why);
    let said = world.ok(&["doctor"]);
    assert!(line_of(&said, "merge-stops").contains("one way"), "{said}");
    world.ok(&["config", "set", "overlay.settings", "two-way"]);
    world.ok(&["sync"]);
    hold(why);
    let hint = Then::Hint("both were kept");
    let found = "stopped 2 hours ago: 5 keys vanished at once";
    check(&world, "merge-stops", '!', found, hint);
    hold(None);
    let said = world.ok(&["doctor"]);
    assert!(line_of(&said, "merge-stops").starts_with('✓'), "{said}");
}
