//! `ccp pool install` and `uninstall`: what is ours comes and goes, what is not stays.

use super::{Stage, end};
use std::fs;
use std::path::PathBuf;

fn skill(stage: &Stage, name: &str) -> PathBuf {
    stage
        .path()
        .join(".claude/skills")
        .join(name)
        .join("SKILL.md")
}

fn link(stage: &Stage, name: &str) -> PathBuf {
    stage.path().join(".local/bin").join(name)
}

#[test]
fn it_can_be_done_twice_and_undone() {
    let stage = Stage::new();
    stage.ok(&["install", "--links"]);
    for name in ["claude-pool", "claude-pool-debug"] {
        let text = fs::read_to_string(skill(&stage, name)).expect("was written");
        assert!(text.starts_with(&format!("---\nname: {name}\n")), "{text}");
    }
    let again = stage.ok(&["install", "--links"]);
    assert_eq!(
        again
            .lines()
            .filter(|line| line.ends_with(" is there"))
            .count(),
        4,
        "{again}"
    );
    let output = std::process::Command::new(link(&stage, "claude-pool-cli"))
        .arg("--help")
        .output();
    let help = String::from_utf8_lossy(&output.expect("runs").stdout).into_owned();
    assert!(help.contains("Usage: claude-pool-cli"), "{help}");
    // The other name has the same two commands.
    assert_eq!(end(stage.command("claude-pool", &["uninstall"])).code, 0);
    assert!(
        !skill(&stage, "claude-pool")
            .parent()
            .expect("has one")
            .exists()
    );
    assert!(fs::symlink_metadata(link(&stage, "claude-pool")).is_err());
    assert_eq!(stage.ok(&["uninstall"]), "");
}

#[test]
fn what_is_not_ours_stays() {
    let stage = Stage::new();
    let dir = stage.path().join(".local/bin");
    fs::create_dir_all(&dir).expect("creates");
    fs::write(link(&stage, "claude-pool"), "another program").expect("writes");
    let refused = stage.refused(&["install", "--links"]);
    assert!(
        refused.contains(".local/bin/claude-pool is in the way"),
        "{refused}"
    );
    assert!(
        !skill(&stage, "claude-pool").exists(),
        "nothing is done by halves"
    );
    stage.ok(&["install"]);
    fs::write(skill(&stage, "claude-pool"), "mine").expect("writes");
    assert!(stage.refused(&["install"]).contains("it is not ours"));
    stage.ok(&["uninstall"]);
    assert_eq!(
        fs::read_to_string(skill(&stage, "claude-pool")).expect("is there"),
        "mine"
    );
    assert!(!skill(&stage, "claude-pool-debug").exists());
    assert_eq!(
        fs::read_to_string(link(&stage, "claude-pool")).expect("is there"),
        "another program"
    );
}
