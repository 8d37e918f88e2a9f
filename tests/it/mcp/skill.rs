//! `ccp pool install` and `uninstall` as a person runs them.

use super::scripted::BOUND;
use crate::support::{CCP, CCPD, put};
use ccp_standin::{Output, Running};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A home in which ccp is installed by links, as packages do it.
struct Person {
    home: TempDir,
}

impl Person {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a home");
        let person = Self { home };
        fs::create_dir_all(person.path("bin")).expect("makes");
        for (name, program) in [("ccp", CCP), ("ccpd", CCPD)] {
            symlink(program, person.path("bin").join(name)).expect("links");
        }
        person
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn run(&self, program: &Path, arguments: &[&str]) -> Output {
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", path)
            .current_dir(self.home.path())
            .args(arguments);
        let mut running = Running::start(command).expect("starts");
        running.close_stdin();
        running.output(BOUND).expect("ends")
    }

    #[track_caller]
    fn pool(&self, arguments: &[&str], code: i32) -> String {
        let words = [&["pool"], arguments].concat();
        let output = self.run(&self.path("bin/ccp"), &words);
        assert_eq!(output.code, code, "{arguments:?}: {}", output.stderr);
        output.stderr
    }

    fn skill(&self) -> PathBuf {
        self.path(".claude/skills/claude-pool")
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn skill_and_links_go_in_and_out() {
    let person = Person::new();
    for _ in 0..2 {
        person.pool(&["install", "--links"], 0);
        assert_eq!(names(&person.skill()), ["SKILL.md", "debug.md"]);
        assert_eq!(
            names(&person.path("bin")),
            ["ccp", "ccpd", "claude-pool", "claude-pool-cli"]
        );
        assert!(!person.path(".local").exists());
    }
    // The links are the pool's commands.
    let output = person.run(&person.path("bin/claude-pool-cli"), &["pools"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let output = person.run(&person.path("bin/claude-pool"), &["uninstall"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(names(&person.path("bin")), ["ccp", "ccpd"]);
    assert!(!person.skill().exists());
    person.pool(&["uninstall"], 0);
}

#[test]
fn links_are_never_put_over_somebody_elses_file() {
    let person = Person::new();
    let theirs = person.path("bin/claude-pool-cli");
    put(&theirs, b"theirs");
    let error = person.pool(&["install", "--links"], 1);
    assert!(
        error.contains("claude-pool-cli is there, and not ccp's"),
        "{error}"
    );
    person.pool(&["uninstall"], 0);
    assert_eq!(fs::read(&theirs).expect("is there"), b"theirs");
    assert_eq!(
        names(&person.path("bin")),
        ["ccp", "ccpd", "claude-pool-cli"]
    );
    // A link that leads elsewhere is theirs too.
    fs::remove_file(&theirs).expect("removes");
    symlink("/opt/other/claude-pool", &theirs).expect("links");
    person.pool(&["install", "--links"], 1);
    person.pool(&["uninstall"], 0);
    assert_eq!(
        fs::read_link(&theirs).expect("a link"),
        Path::new("/opt/other/claude-pool")
    );
}

#[test]
fn a_changed_skill_is_left_with_a_word() {
    let person = Person::new();
    person.pool(&["install"], 0);
    let skill = person.skill().join("SKILL.md");
    let text = fs::read_to_string(&skill).expect("is there") + "\nAlways say please.\n";
    put(&skill, text.as_bytes());
    let said = person.pool(&["install"], 0);
    assert!(said.contains("SKILL.md was changed, and stays"), "{said}");
    let said = person.pool(&["uninstall"], 0);
    assert!(said.contains("SKILL.md was changed, and stays"), "{said}");
    assert_eq!(fs::read_to_string(&skill).expect("is there"), text);
    assert_eq!(names(&person.skill()), ["SKILL.md"]);
}
