//! The entries of the overlays.

use super::{Then, check, healthy, set_mode};
use crate::life::world::World;
use ccp::adapters::clock;
use ccp::doctor::{Surroundings, Verdict, examine};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

fn in_base(world: &World, name: &str) -> PathBuf {
    world.home.path().join(".claude").join(name)
}

#[test]
fn what_others_may_read_is_closed() {
    let world = healthy();
    let id = "overlay-permissions";
    set_mode(&world.account_dir(1).join(".credentials.json"), 0o644);
    check(&world, id, '✗', "is 0644", Then::Fixed("0600"));
    set_mode(&world.account_dir(2), 0o750);
    check(&world, id, '✗', "is 0750", Then::Fixed("0700"));
}

#[test]
fn what_is_an_accounts_own_is_not_shared() {
    let world = healthy();
    let account = world.account_dir(1);
    let id = "overlay-private";
    symlink(in_base(&world, "daemon"), account.join("daemon")).expect("links");
    check(
        &world,
        id,
        '✗',
        "is a link to",
        Then::Fixed("unlinked daemon"),
    );
    symlink("/elsewhere/ide", account.join("ide")).expect("links");
    check(
        &world,
        id,
        '✗',
        "is a link to",
        Then::Hint("remove the link"),
    );
    fs::remove_file(account.join("ide")).expect("removes");

    let state = account.join(".claude.json");
    let base = world.home.path().join(".claude.json");
    fs::write(
        &base,
        "{\"oauthAccount\":{\"accountUuid\":\"plain\"},\"theme\":\"dark\"}",
    )
    .expect("writes");
    fs::remove_file(&state).expect("removes");
    symlink(&base, &state).expect("links");
    let before = fs::read(&base).expect("reads");
    let said = world.run(&["doctor", "--fix"]).stdout;
    assert!(super::line_of(&said, id).starts_with('✓'), "{said}");
    assert!(!state.is_symlink(), "a file of its own");
    assert_eq!(
        fs::read(&base).expect("reads"),
        before,
        "the base is as it was"
    );
    let line = super::line_of(&said, "account-identity");
    assert!(line.contains("`ccp login acct-01`"), "{line}");

    fs::write(account.join(".config.json"), "{}").expect("writes");
    set_mode(&account.join(".config.json"), 0o600);
    check(&world, id, '!', ".config.json", Then::Hint("move it away"));
}

#[test]
fn links_follow_the_base() {
    let world = healthy();
    let id = "overlay-links";
    fs::write(in_base(&world, "CLAUDE.md"), "x").expect("writes");
    check(
        &world,
        id,
        '✗',
        "is missing",
        Then::Fixed("linked CLAUDE.md"),
    );
    fs::remove_file(in_base(&world, "CLAUDE.md")).expect("removes");
    check(
        &world,
        id,
        '✗',
        "leads nowhere",
        Then::Fixed("unlinked CLAUDE.md"),
    );
    for name in ["projects", "plans", "todos", "tasks"] {
        let link = world.account_dir(1).join(name);
        fs::remove_file(&link).expect("removes");
        symlink(world.home.path().join("old").join(name), &link).expect("links");
    }
    check(&world, id, '✗', "leads to", Then::Fixed("linked"));
    let own = world.account_dir(1).join("settings.json");
    fs::remove_file(&own).expect("removes");
    symlink("/my/own/settings.json", &own).expect("links");
    check(
        &world,
        id,
        '!',
        "/my/own/settings.json",
        Then::Hint("ccp sync"),
    );
    assert!(own.is_symlink());
}

#[test]
fn a_base_that_is_gone_is_made_again() {
    let world = healthy();
    fs::remove_dir_all(world.home.path().join(".claude")).expect("removes");
    check(
        &world,
        "overlay-links",
        '✗',
        "cannot be listed",
        Then::Fixed("unlinked settings.json"),
    );
}

#[test]
fn a_file_that_took_the_place_of_a_link_goes_back_when_it_is_at_rest() {
    let world = healthy();
    let stray = world.account_dir(1).join("notes.md");
    fs::write(&stray, "mine").expect("writes");
    // So young that it may be half of something.
    let young = Then::Hint("changed a moment ago");
    check(&world, "overlay-strays", '✗', "notes.md", young);

    let surroundings = Surroundings {
        home: world.ccp_home(),
        user_home: world.home.path().to_owned(),
        now: clock::now().plus(Duration::from_secs(60)),
        claude: Err("nobody looks".to_owned()),
        variables: Vec::new(),
        executable: None,
    };
    let strays = |fix| {
        let results = examine(&surroundings, fix).results;
        let found = results.into_iter().find(|r| r.check.id == "overlay-strays");
        found.expect("is one of them")
    };
    assert_eq!(strays(false).verdict(), Verdict::Problem);
    let mended = strays(true);
    assert_eq!(mended.verdict(), Verdict::Ok, "{}", mended.line());
    assert!(mended.line().contains("[fixed: "), "{}", mended.line());
    assert_eq!(
        fs::read(in_base(&world, "notes.md")).expect("reads"),
        b"mine"
    );
    assert!(stray.is_symlink());
    let tree = super::tree(world.home.path());
    assert!(strays(true).done.is_empty());
    super::assert_same(&tree, &super::tree(world.home.path()));
}

#[test]
fn copies_that_lost_wait_for_a_person() {
    let world = healthy();
    fs::write(in_base(&world, "x.md.conflict-1"), "x").expect("writes");
    world.ok(&["sync"]);
    let hint = Then::Hint("keep one");
    check(&world, "overlay-conflicts", '!', "x.md.conflict-1", hint);
}
