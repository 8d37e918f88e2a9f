//! `ccp doctor` with the real executables: each check is broken, seen, mended or hinted at, and mending twice changes
//! nothing.
#![expect(
    clippy::disallowed_methods,
    reason = "tests write what people and other programs would"
)]

mod accounts;
mod daemon;
mod home;
mod left;
mod overlay;
mod report;
mod state;
mod surroundings;

use crate::life::world::World;
use ccp_standin::service::AccountSpec;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Two accounts, everything in order.
fn healthy() -> World {
    let world = World::new();
    world.leave_account(1, &AccountSpec::new("jo"));
    world.leave_account(2, &AccountSpec::new("sam"));
    world.ok(&["init"]);
    let said = world.ok(&["doctor", "--fix"]);
    assert!(!said.contains('✗'), "{said}");
    world
}

/// What `--fix` makes of something.
enum Then<'a> {
    /// It is mended; this is said of it.
    Fixed(&'a str),
    /// It is a person's to do; this is the next step.
    Hint(&'a str),
}

/// The line of a check says `sign` and `found`, `--fix` does what is expected, and a second time changes nothing.
fn check(world: &World, id: &str, sign: char, found: &str, then: Then<'_>) {
    let before = world.run(&["doctor"]);
    let line = line_of(&before.stdout, id);
    assert!(line.starts_with(sign) && line.contains(found), "{line}");
    let problems = before.stdout.contains('✗');
    assert_eq!(before.code, i32::from(problems), "{}", before.stdout);

    let mended = world.run(&["doctor", "--fix"]);
    let line = line_of(&mended.stdout, id);
    match then {
        Then::Fixed(done) => {
            assert!(line.starts_with('✓'), "{line}");
            assert!(line.contains("[fixed: ") && line.contains(done), "{line}");
        }
        Then::Hint(hint) => {
            assert!(line.starts_with(sign) && line.contains(hint), "{line}");
            assert!(!line.contains("[fixed: "), "{line}");
        }
    }
    let tree = tree(world.home.path());
    let again = world.run(&["doctor", "--fix"]);
    assert!(!again.stdout.contains("[fixed: "), "{}", again.stdout);
    assert_same(&tree, &self::tree(world.home.path()));
}

/// The line of a check.
fn line_of<'t>(text: &'t str, id: &str) -> &'t str {
    let is_it = |line: &&str| {
        let rest = line.chars().as_str().split_once(' ').map(|(_, rest)| rest);
        rest.is_some_and(|r| r.starts_with(&format!("{id}: ")))
    };
    text.lines()
        .find(is_it)
        .unwrap_or_else(|| panic!("no {id} in {text}"))
}

/// What is at each path below a directory: its mode, and its content or target.
type Tree = BTreeMap<PathBuf, (u32, Vec<u8>)>;

fn assert_same(before: &Tree, after: &Tree) {
    let paths = before.keys().chain(after.keys());
    let changed: Vec<_> = paths.filter(|p| before.get(*p) != after.get(*p)).collect();
    assert!(changed.is_empty(), "changed: {changed:?}");
}

fn tree(dir: &Path) -> Tree {
    let mut found = BTreeMap::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(&dir).expect("lists") {
            let path = entry.expect("an entry").path();
            let metadata = fs::symlink_metadata(&path).expect("is there");
            let content = if metadata.is_symlink() {
                let target = fs::read_link(&path).expect("reads");
                target.into_os_string().into_encoded_bytes()
            } else if metadata.is_dir() {
                waiting.push(path.clone());
                Vec::new()
            } else if !metadata.is_file() {
                Vec::new()
            } else {
                fs::read(&path).expect("reads")
            };
            found.insert(path, (metadata.permissions().mode(), content));
        }
    }
    found
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("sets the mode");
}

/// Changes a JSON file in place, its mode kept.
fn edit(path: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let text = fs::read(path).unwrap_or_else(|_| b"{}".to_vec());
    let mut value = serde_json::from_slice(&text).expect("is JSON");
    change(&mut value);
    fs::write(path, value.to_string()).expect("writes");
}
