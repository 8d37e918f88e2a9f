//! Removal of an account directory: what is the person's own comes home first, and no link is followed.

use super::{World, names, put, text};
use ccp::adapters::overlay::{
    Direction, Options, Reason, RemoveError, SyncReport, remove_account_dir, remove_trash,
};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

pub fn remove(world: &World) -> Result<SyncReport, RemoveError> {
    let options = Options::at_leisure(Direction::OneWay, false);
    remove_account_dir(&world.home, world.id, &world.base, World::later(), options)
}

#[test]
fn removal_brings_strays_home_and_follows_no_link() {
    let world = World::synced();
    put(&world.in_base("settings.json"), "{}", 1);
    world.sync();
    put(&world.in_account("new.md"), "mine", 1);
    put(&world.in_account("daemon/deep/er/x"), "x", 1);
    symlink(&world.base.dir, world.in_account("daemon/up")).expect("links");
    put(&world.in_account(".credentials.json"), "secret", 1);
    let locked = world.in_account("cache/locked");
    put(&locked.join("x"), "x", 1);
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).expect("sets");
    let report = remove(&world).expect("removes");
    assert_eq!(report.healed.len(), 1);
    assert_eq!(text(&world.in_base("new.md")), "mine");
    assert_eq!(text(&world.in_base("settings.json")), "{}");
    assert_eq!(names(&world.home.accounts()), [".healing"]);
    remove(&world).expect("is gone already");
}

#[test]
fn removal_stops_at_a_conflict() {
    let world = World::synced();
    put(&world.in_base("thing"), "a file", 1);
    fs::create_dir(world.in_account("thing")).expect("creates");
    put(&world.in_account("thing/x"), "x", 1);
    let Err(RemoveError::Unhealed { report, .. }) = remove(&world) else {
        panic!("it must not go")
    };
    assert_eq!(report.left[0].reason, Reason::Kinds);
    assert_eq!(text(&world.in_account("thing/x")), "x");
}

#[test]
fn what_an_interrupted_removal_left_is_swept() {
    let world = World::synced();
    fs::rename(
        &world.account,
        world.home.accounts().join("trash-acct-01-1"),
    )
    .expect("renames");
    put(&world.home.accounts().join("trash-talk"), "mine", 1);
    assert_eq!(remove_trash(&world.home).expect("sweeps").len(), 1);
    assert!(!names(&world.home.accounts()).contains(&"trash-acct-01-1".to_owned()));
    assert!(world.home.accounts().join("trash-talk").exists());
    assert!(world.in_base("projects").is_dir());
}
