//! The full screen in a real terminal, which tmux plays.

use super::{Seen, id};
use crate::support::{CCPD, put, put_executable};
use ccp::adapters::files;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// A terminal with a shell in it; its server ends when dropped.
struct Terminal {
    dir: PathBuf,
    home: PathBuf,
}

/// Everything is answered in far less; a busy machine may take its time.
const PATIENCE: Duration = Duration::from_secs(20);

impl Terminal {
    /// None, said aloud, where there is no tmux.
    fn open(seen: &Seen, width: u16, height: u16) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            ccp_standin::skip("there is no tmux");
            return None;
        }
        let terminal = Self {
            dir: seen.pool.work_dir("tmux"),
            home: seen.pool.user_home().to_owned(),
        };
        let (width, height) = (width.to_string(), height.to_string());
        terminal.tmux(&["new-session", "-d", "-x", &width, "-y", &height, "sh"]);
        terminal.type_line("PS1='ready> '");
        terminal.wait("the prompt", |s| s.contains("ready> "));
        Some(terminal)
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-u", "-L", "ccp", "-f", "/dev/null"])
            .args(arguments)
            .env_clear()
            .env("HOME", &self.home)
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("TERM", "xterm-256color")
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .env("TMUX_TMPDIR", &self.dir)
            .current_dir(&self.home)
            .output()
            .expect("runs tmux");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn type_line(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.key("Enter");
    }

    fn key(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    fn resize(&self, width: u16, height: u16) {
        let (width, height) = (width.to_string(), height.to_string());
        self.tmux(&["resize-window", "-x", &width, "-y", &height]);
    }

    fn wait(&self, what: &str, until: impl Fn(&str) -> bool) -> String {
        let started = Instant::now();
        loop {
            let screen = self.tmux(&["capture-pane", "-p"]);
            if until(&screen) {
                return screen;
            }
            assert!(started.elapsed() < PATIENCE, "no {what} in:\n{screen}");
            files::pause(Duration::from_millis(50));
        }
    }

    /// Starts the screen between two looks at the terminal's settings.
    fn start(&self) {
        self.type_line(&format!(
            "stty -g > before; sh -c 'echo $$ > pid; exec {CCPD} status'; echo done-$?; stty -g > after"
        ));
        self.wait("accounts", |s| s.contains("RESETS") && s.contains("›▸"));
    }

    /// Waits for the end, and sees to it that the terminal is as it was. Returns what it shows.
    fn ended(&self, code: &str) -> String {
        let done = format!("done-{code}");
        let screen = self.wait(&done, |s| {
            // A prompt that tmux wrapped anew may stand before it.
            s.lines().any(|line| line.ends_with(&done)) && s.trim_end().ends_with("ready>")
        });
        let read = |name: &str| std::fs::read_to_string(self.home.join(name)).expect("written");
        assert_eq!(read("before"), read("after"));
        let cursor = self.tmux(&["display-message", "-p", "#{cursor_flag} #{alternate_on}"]);
        assert_eq!(cursor.trim(), "1 0");
        screen
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux")
            .args(["-L", "ccp", "kill-server"])
            .env("TMUX_TMPDIR", &self.dir)
            .output();
    }
}

/// The label that the line with this mark begins with.
fn at_mark<'a>(screen: &'a str, mark: &str) -> Option<&'a str> {
    let line = screen.lines().find(|l| l.starts_with(mark))?;
    line[mark.len()..].split_whitespace().next()
}

#[test]
fn the_screen_shows_moves_pins_follows_and_gives_the_terminal_back() {
    let mut seen = Seen::new(&[(22.0, 46.0), (95.0, 10.0), (61.0, 70.0)]);
    let Some(terminal) = Terminal::open(&seen, 90, 26) else {
        return;
    };
    terminal.start();
    let screen = terminal.wait("the best account", |s| at_mark(s, "›▸") == Some("work"));
    for part in ["22% used", "5-hour headroom", "68.1", "work@example.test"] {
        assert!(screen.contains(part), "{part} in:\n{screen}");
    }

    terminal.key("j");
    terminal.wait("the second account", |s| {
        at_mark(s, "› ") == Some("side") && s.contains("61% used")
    });
    terminal.key("p");
    terminal.wait("the pin", |s| at_mark(s, "›▸") == Some("side"));
    let pins = seen.store.pins().expect("lists");
    assert_eq!(pins.len(), 1);
    assert_eq!((pins[0].account, pins[0].manual), (id(3), true));
    terminal.key("p");
    terminal.wait("no pin", |s| at_mark(s, " ▸") == Some("work"));
    assert_eq!(seen.store.pins().expect("lists"), []);

    seen.measure(3, 77.0, 70.0);
    seen.publish();
    terminal.wait("the new sample", |s| s.contains("77% used"));

    for (width, height) in [(40, 8), (20, 5), (8, 2), (120, 40)] {
        terminal.resize(width, height);
        terminal.wait("the list", |s| s.contains("side") || height < 5);
    }
    terminal.wait("everything", |s| {
        s.contains("RESETS") && s.contains("77% used")
    });
    terminal.key("?");
    terminal.wait("the help", |s| s.contains("this help"));
    terminal.key("Escape");
    terminal.wait("no help", |s| !s.contains("this help"));
    terminal.key("q");
    terminal.ended("0");
}

/// A client that asks something in the terminal and then refuses the login.
const CLIENT: &str = "#!/bin/sh\necho \"asked for $*\"\nread answer\nexit 1\n";

#[test]
fn a_sign_in_has_the_terminal_to_itself_and_the_screen_comes_back() {
    let seen = Seen::new(&[(22.0, 46.0)]);
    let client = seen.pool.user_home().join("client");
    put_executable(&client, CLIENT.as_bytes());
    let Some(terminal) = Terminal::open(&seen, 80, 24) else {
        return;
    };
    terminal.type_line(&format!("export CCP_CLAUDE='{}'", client.display()));
    terminal.start();
    terminal.key("a");
    terminal.wait("the client", |s| {
        s.contains("asked for auth login") && !s.contains("RESETS")
    });
    terminal.type_line("an answer");
    terminal.wait("the screen", |s| {
        s.contains("RESETS") && s.contains("error: ")
    });
    terminal.key("q");
    terminal.ended("0");
}

/// A client that does not answer before its gate is open.
const SLOW: &str = "#!/bin/sh\nwhile ! [ -e GATE ]; do sleep 0.05; done\nexit 1\n";

#[test]
fn keys_are_heard_while_accounts_are_sampled() {
    let seen = Seen::new(&[(22.0, 46.0), (30.0, 46.0)]);
    let home = seen.pool.user_home();
    let (client, gate) = (home.join("client"), home.join("gate"));
    put_executable(
        &client,
        SLOW.replace("GATE", gate.to_str().expect("text"))
            .as_bytes(),
    );
    let Some(terminal) = Terminal::open(&seen, 80, 24) else {
        return;
    };
    terminal.type_line(&format!("export CCP_CLAUDE='{}'", client.display()));
    terminal.start();
    terminal.key("r");
    terminal.wait("sampling", |s| s.contains("sampling …"));
    terminal.key("j");
    terminal.wait("the second account while sampling", |s| {
        at_mark(s, "› ") == Some("home") && s.contains("sampling …")
    });
    put(&gate, b"");
    terminal.wait("the end of sampling", |s| !s.contains("sampling …"));
    terminal.key("q");
    terminal.ended("0");
}

#[test]
fn a_terminal_is_given_back_to_who_ends_the_screen_from_outside() {
    let seen = Seen::new(&[(22.0, 46.0)]);
    let Some(terminal) = Terminal::open(&seen, 80, 24) else {
        return;
    };
    terminal.start();
    terminal.key("C-c");
    let screen = terminal.ended("0");
    assert!(
        !screen.contains("RESETS"),
        "the screen before is back:\n{screen}"
    );
    terminal.tmux(&["send-keys", "clear", "Enter"]);
    terminal.wait("an empty screen", |s| !s.contains("done-"));
    terminal.start();
    let pid = std::fs::read_to_string(seen.pool.user_home().join("pid")).expect("written");
    let killed = Command::new("kill").args(["-TERM", pid.trim()]).status();
    assert!(killed.expect("runs kill").success());
    terminal.ended("143");
}
