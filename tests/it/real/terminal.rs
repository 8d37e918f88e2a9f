//! A person at a terminal that tmux plays: what the screen shows is waited for, what is typed is typed.

use super::stage::{BOUND, Stage, json_of};
use ccp::adapters::files::pause;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// Between two looks at the screen.
const LOOK: Duration = Duration::from_millis(50);
/// From a paste to the Enter after it, which is lost when it comes earlier.
const BEFORE_ENTER: Duration = Duration::from_millis(150);

/// A terminal with a command in it; its server ends when dropped.
pub struct Terminal<'s> {
    stage: &'s Stage,
    dir: PathBuf,
}

impl<'s> Terminal<'s> {
    /// Runs a shell line in the stage's working directory, and `echo ended-CODE` after it.
    pub fn start(stage: &'s Stage, line: &str) -> Self {
        let dir = stage.home.path().join("tmp");
        let terminal = Self { stage, dir };
        let line = format!("{line}; echo ended-$?; exec cat");
        terminal.tmux(&["new-session", "-d", "-x", "100", "-y", "40", &line]);
        terminal
    }

    fn command(&self) -> Command {
        let mut command = self.stage.command("tmux");
        command
            .args(["-u", "-L", "ccp", "-f", "/dev/null"])
            .env("TMUX_TMPDIR", &self.dir);
        command
    }

    /// Runs a command of tmux on it.
    pub fn tmux(&self, arguments: &[&str]) -> String {
        let output = self.command().args(arguments).output().expect("runs tmux");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What is on the screen.
    pub fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits for the screen to be as wanted.
    #[track_caller]
    pub fn wait(&self, what: &str, until: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + BOUND;
        loop {
            let screen = self.screen();
            if until(&screen) {
                return screen;
            }
            assert!(Instant::now() < deadline, "no {what} in:\n{screen}");
            pause(LOOK);
        }
    }

    /// Waits until a session of this home takes prompts.
    #[track_caller]
    pub fn wait_for_idle(&self) {
        let sessions = self.stage.base().join("sessions");
        let idle = || {
            let entries = fs::read_dir(&sessions).into_iter().flatten().flatten();
            entries
                .filter(|e| e.path().extension().is_some_and(|e| e == "json"))
                // One that is half written, or gone by now, is looked at again.
                .filter(|e| fs::read(e.path()).is_ok_and(|b| !b.is_empty() && b.ends_with(b"}")))
                .any(|e| json_of(&e.path())["status"] == "idle")
        };
        self.wait("idle session", |_| idle());
    }

    /// Presses keys, as `tmux send-keys` names them.
    pub fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Types a prompt and sends it.
    pub fn prompt(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
        self.wait(text, |s| s.contains(text));
        pause(BEFORE_ENTER);
        self.tmux(&["send-keys", "Enter"]);
    }

    /// Waits for the end of the line that was started.
    #[track_caller]
    pub fn ended(&self, code: u8) {
        let wanted = format!("ended-{code}");
        self.wait(&wanted, |s| s.contains(&wanted));
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let _ = self.command().arg("kill-server").output();
    }
}
