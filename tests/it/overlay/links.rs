//! The links of an account directory: made, pruned, put right, and never followed to what is somebody's own.

use super::{World, names, put, text};
use ccp::adapters::overlay::{Reason, SettingsProblem, Verdict, health};
use ccp::contract::paths::Base;
use ccp::core::overlay::BORN_SHARED;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};

#[test]
fn a_first_sync_makes_and_links_and_a_second_does_nothing() {
    let world = World::new();
    let report = world.sync();
    assert!(report.is_complete(), "{report:?}");
    for born in BORN_SHARED {
        assert!(
            world.in_base(born).is_dir() && world.leads_to_base(born),
            "{born}"
        );
    }
    assert_eq!(
        fs::metadata(&world.base.dir).expect("is made").mode() & 0o777,
        0o700
    );
    put(&world.in_base("settings.json"), "{}", 1);
    put(&world.in_base(".credentials.json"), "secret", 1);
    put(&world.in_base("daemon/x"), "", 1);
    put(&world.in_base(".DS_Store"), "", 1);
    let report = world.sync();
    assert_eq!(report.linked, ["settings.json"]);
    let report = world.sync();
    assert!(
        report.is_complete() && report.changed_nothing(),
        "{report:?}"
    );
    let mut expected: Vec<&str> = BORN_SHARED.to_vec();
    expected.push("settings.json");
    expected.sort_unstable();
    assert_eq!(names(&world.account), expected);
}

#[test]
fn links_to_what_vanished_and_to_a_former_base_are_put_right() {
    let mut world = World::synced();
    put(&world.in_base("CLAUDE.md"), "", 1);
    world.sync();
    fs::remove_file(world.in_base("CLAUDE.md")).expect("removes");
    let report = world.sync();
    assert_eq!(report.pruned, ["CLAUDE.md"]);
    assert!(fs::symlink_metadata(world.in_account("CLAUDE.md")).is_err());

    put(&world.in_base("only-there.md"), "", 1);
    world.sync();
    let user = world.base.dir.parent().expect("has one").to_owned();
    world.base = Base::at(&user.join("other"), &user);
    let report = world.sync();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.pruned, ["only-there.md"]);
    assert!(world.leads_to_base("projects"));
    assert!(
        user.join(".claude/only-there.md").exists(),
        "the old base is as it was"
    );
}

#[test]
fn links_of_the_persons_own_are_never_lost() {
    let world = World::synced();
    let elsewhere = world.base.dir.with_file_name("dotfiles.md");
    put(&elsewhere, "mine", 1);
    put(&world.in_base("CLAUDE.md"), "base", 1);
    symlink(&elsewhere, world.in_account("CLAUDE.md")).expect("links");
    symlink(&elsewhere, world.in_account("extra.md")).expect("links");
    symlink("nowhere", world.in_account("dangling")).expect("links");
    let report = world.sync();
    let mut left: Vec<_> = report
        .left
        .iter()
        .map(|l| (l.path.clone(), l.reason))
        .collect();
    left.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        left,
        [
            (world.in_account("CLAUDE.md"), Reason::ForeignLink),
            (world.in_account("dangling"), Reason::ForeignLink),
        ]
    );
    assert_eq!(
        fs::read_link(world.in_account("CLAUDE.md")).expect("is there"),
        elsewhere
    );
    assert!(world.leads_to_base("extra.md"));
    assert_eq!(text(&world.in_account("extra.md")), "mine");
}

#[test]
fn a_login_is_never_reached_through_a_link() {
    let world = World::synced();
    put(&world.in_base(".credentials.json"), "plain claude's", 1);
    symlink(
        world.in_base(".credentials.json"),
        world.in_account(".credentials.json"),
    )
    .expect("links");
    put(
        &world.base.json,
        r#"{"oauthAccount":{"accountUuid":"plain"},"userID":"p","theme":"x"}"#,
        1,
    );
    symlink(&world.base.json, world.in_account(".claude.json")).expect("links");
    assert!(
        health(&world.base, &world.account)
            .iter()
            .any(|f| matches!(f.verdict, Verdict::IdentityIsLink(_)))
    );
    let before = text(&world.base.json);
    let report = world.sync();
    assert_eq!(report.pruned, [".credentials.json"]);
    assert!(matches!(
        report.settings.problems[..],
        [SettingsProblem::WasLink { .. }]
    ));
    let own = world.in_account(".claude.json");
    assert!(fs::symlink_metadata(&own).expect("is there").is_file());
    let found = text(&own);
    assert!(found.contains("theme") && !found.contains("plain") && !found.contains("userID"));
    assert_eq!(text(&world.base.json), before);
    assert_eq!(text(&world.in_base(".credentials.json")), "plain claude's");
}

#[test]
fn links_that_lead_in_circles_harm_nobody() {
    let world = World::synced();
    symlink("loop", world.in_base("loop")).expect("links");
    put(&world.in_account("self.md"), "mine", 1);
    symlink(world.in_account("self.md"), world.in_base("self.md")).expect("links");
    fs::create_dir(world.in_account("round")).expect("creates");
    put(&world.in_account("round/x"), "x", 1);
    symlink(&world.account, world.in_base("round")).expect("links");
    symlink(world.in_account("self"), world.in_account("self")).expect("links");
    let report = world.sync();
    assert_eq!(text(&world.in_account("self.md")), "mine");
    assert_eq!(text(&world.in_account("round/x")), "x");
    let mut left: Vec<_> = report
        .left
        .iter()
        .map(|l| (l.path.clone(), l.reason))
        .collect();
    left.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        left,
        [
            (world.in_account("round"), Reason::Itself),
            (world.in_account("self"), Reason::ForeignLink),
            (world.in_account("self.md"), Reason::Itself),
        ]
    );
    assert_eq!(
        report.linked,
        ["loop"],
        "a link of the base's is an entry like any other"
    );
}

#[test]
fn names_need_be_no_text() {
    let world = World::synced();
    for name in [&b"\xff\xfe.md"[..], b"two\nlines", b"-rf *", b" "] {
        let name = OsStr::from_bytes(name);
        if let Err(error) = fs::write(world.base.dir.join(name), "x") {
            println!("skipped {name:?}: {error}");
            continue;
        }
        let mut stray = name.to_owned();
        stray.push("2");
        fs::write(world.account.join(&stray), "y").expect("writes");
        let report = world.sync();
        assert!(report.is_complete(), "{report:?}");
        assert_eq!(report.healed.len(), 1);
        assert_eq!(report.healed[0].to_string().lines().count(), 1);
        assert_eq!(fs::read(world.account.join(name)).expect("reads"), b"x");
        assert_eq!(fs::read(world.base.dir.join(&stray)).expect("reads"), b"y");
    }
}

#[test]
fn a_home_inside_the_base_is_not_shared_with_itself() {
    let temporary = tempfile::tempdir().expect("a directory");
    let user = temporary.path().join("user");
    let world = World::between(&user, &user.join(".claude/pool"));
    let report = world.sync();
    assert!(report.is_complete(), "{report:?}");
    assert!(!names(&world.account).contains(&"pool".to_owned()));
}
