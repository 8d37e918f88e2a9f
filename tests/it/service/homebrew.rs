//! ccp as Homebrew installs it: `brew services` is asked, and nothing is written beside it.

use super::{asked, script, with_supervisors};
use crate::life::world::World;
use ccp_standin::{Output, Running};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::life::world::BOUND;

const BREW: &str = r#"#!/bin/sh
echo "brew $*" >> "$HOME/asked"
case "$*" in
*info*) cat "$HOME/info" ;;
esac
"#;

struct Brewed {
    world: World,
    ccpd: PathBuf,
}

impl Brewed {
    fn new() -> Self {
        let world = with_supervisors(World::new());
        let prefix = world.home.path().join("brew");
        let bin = prefix.join("Cellar/ccp/1.0/bin");
        fs::create_dir_all(&bin).expect("creates");
        fs::create_dir_all(prefix.join("bin")).expect("creates");
        let ccpd = bin.join("ccpd");
        let built = Path::new(env!("CARGO_BIN_EXE_ccpd"));
        // A copy only where the temporary directory is another file system.
        fs::hard_link(built, &ccpd)
            .or_else(|_| fs::copy(built, &ccpd).map(|_| ()))
            .expect("is there");
        symlink(&ccpd, prefix.join("bin/ccpd")).expect("links");
        script(&prefix.join("bin/brew"), BREW);
        let brewed = Self { world, ccpd };
        brewed.info(r#"[{"name":"ccp","running":false,"status":"none"}]"#);
        brewed
    }

    fn info(&self, json: &str) {
        fs::write(self.world.home.path().join("info"), json).expect("writes");
    }

    fn run(&self, words: &[&str]) -> Output {
        let words: Vec<&str> = std::iter::once("service")
            .chain(words.iter().copied())
            .collect();
        let mut running = Running::start(self.world.command(&self.ccpd, &words)).expect("starts");
        running.close_stdin();
        running.output(BOUND).expect("ends")
    }
}

#[test]
fn brew_services_is_asked_and_no_second_service_is_made() {
    let brewed = Brewed::new();
    let output = brewed.run(&["install"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(
        asked(&brewed.world),
        ["brew services info ccp --json", "brew services start ccp"]
    );
    assert!(!super::unit_file(&brewed.world).exists());
    brewed.info(
        r#"[{"name":"ccp","running":true,"pid":42,"status":"started","command":"/nowhere/ccpd daemon"}]"#,
    );
    let output = brewed.run(&["install"]);
    assert!(output.stderr.contains("already"), "{}", output.stderr);
    assert_eq!(asked(&brewed.world), ["brew services info ccp --json"]);
    let output = brewed.run(&["status"]);
    assert!(output.stdout.contains("pid      42\n"), "{}", output.stdout);
    assert!(
        output.stdout.contains("/nowhere/ccpd (missing)"),
        "{}",
        output.stdout
    );
    asked(&brewed.world);
    let output = brewed.run(&["uninstall"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(
        asked(&brewed.world),
        ["brew services info ccp --json", "brew services stop ccp"]
    );
}

#[test]
fn a_service_from_before_homebrew_makes_room() {
    let brewed = Brewed::new();
    // As another installation of ccp left it.
    brewed.world.ok(&["service", "install"]);
    let native = super::unit_file(&brewed.world);
    if !native.exists() {
        return; // macOS: its own supervisor is no stand-in here.
    }
    asked(&brewed.world);
    let output = brewed.run(&["install"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(!native.exists());
    let asked = asked(&brewed.world);
    let stopped = asked.iter().position(|l| l.contains("disable --now"));
    let started = asked.iter().position(|l| l == "brew services start ccp");
    assert!(stopped.is_some() && stopped < started, "{asked:?}");
}

#[test]
fn homebrews_service_keeps_the_default_home_alone() {
    let mut brewed = Brewed::new();
    let other = brewed.world.home.path().join("other");
    brewed.world.set("CCP_HOME", other);
    let output = brewed.run(&["install"]);
    assert_eq!(output.code, 1);
    assert!(
        output.stderr.contains("the default CCP_HOME alone"),
        "{}",
        output.stderr
    );
    assert!(!asked(&brewed.world).iter().any(|l| l.contains("start")));
}
