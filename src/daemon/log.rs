//! The daemon's log: `logs/daemon.log`, one line per fact, rotated by size and age, without secrets.
//!
//! A writer of its own instead of a logging framework: one process writes, from few places, and what is written is
//! facts with fields. A log that cannot be written is no reason to stop.

use super::log_file::{Bounds, LogFile};
use crate::contract::paths::Home;
use crate::core::calendar::rfc3339;
use crate::core::redaction::redacted;
use crate::core::time::Timestamp;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Five files of a megabyte, for two weeks.
const BOUNDS: Bounds = Bounds {
    file: 1024 * 1024,
    older: 4,
    age: Duration::from_secs(14 * 24 * 3600),
};
/// A value is cut after so many characters: foreign text does not fill the log.
const MAX_VALUE: usize = 400;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Info,
    /// Something is not as it should be, and the daemon goes on.
    Warn,
}

/// The log. Every thread of the daemon has a handle; a line is written whole.
#[derive(Clone, Debug)]
pub struct Log {
    file: Arc<Mutex<LogFile>>,
    /// A person watches.
    aloud: bool,
}

impl Log {
    /// The log of this home; also on stderr when that is a terminal.
    #[must_use]
    pub fn open(home: &Home, now: Timestamp) -> Self {
        let file = LogFile::new(home.daemon_log(), BOUNDS, now);
        Self {
            file: Arc::new(Mutex::new(file)),
            aloud: io::stderr().is_terminal(),
        }
    }

    /// Writes a line: what happened, and its fields.
    pub fn write(&self, level: Level, what: &str, fields: &[(&str, &dyn std::fmt::Display)]) {
        let line = line(crate::adapters::clock::now(), level, what, fields);
        if self.aloud {
            let _ = io::stderr().write_all(line.as_bytes());
        }
        let mut file = self
            .file
            .lock()
            .unwrap_or_else(|broken| broken.into_inner());
        // Where the log cannot be written, there is nobody to tell.
        let _ = file.write(line.as_bytes());
    }

    /// A line of [`Level::Info`].
    pub fn info(&self, what: &str, fields: &[(&str, &dyn std::fmt::Display)]) {
        self.write(Level::Info, what, fields);
    }

    /// A line of [`Level::Warn`].
    pub fn warn(&self, what: &str, fields: &[(&str, &dyn std::fmt::Display)]) {
        self.write(Level::Warn, what, fields);
    }
}

fn line(
    now: Timestamp,
    level: Level,
    what: &str,
    fields: &[(&str, &dyn std::fmt::Display)],
) -> String {
    let level = match level {
        Level::Info => "info",
        Level::Warn => "warn",
    };
    let mut line = format!("{} {level} {what}", rfc3339(now));
    for (name, value) in fields {
        let value = shortened(&value.to_string());
        let plain = !value.is_empty() && !value.contains([' ', '"', '=', '\\']);
        let _ = if plain && !value.chars().any(char::is_control) {
            write!(line, " {name}={value}")
        } else {
            write!(line, " {name}={value:?}")
        };
    }
    line.push('\n');
    line
}

/// Foreign text without tokens, and not longer than a line should be.
fn shortened(text: &str) -> String {
    let out = redacted(text);
    match out.char_indices().nth(MAX_VALUE) {
        Some((at, _)) => format!("{}…", &out[..at]),
        None => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, io};

    #[test]
    fn a_line_has_fields_and_no_token() {
        let now = Timestamp::from_unix_ms(1_767_225_599_000);
        let text = line(
            now,
            Level::Warn,
            "probe failed",
            &[
                ("account", &1),
                ("why", &"it said \"no\"\nand sk-ant-oat01-Ab_c-9, then"),
                ("nothing", &""),
            ],
        );
        assert_eq!(
            text,
            "2025-12-31T23:59:59Z warn probe failed account=1 why=\"it said \\\"no\\\"\\nand (hidden), then\" nothing=\"\"\n"
        );
    }

    #[test]
    fn the_log_is_rotated_by_size_and_old_files_go() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::new(dir.path()).expect("absolute");
        let now = crate::adapters::clock::now();
        let log = Log::open(&home, now);
        let long = "x".repeat(MAX_VALUE);
        for _ in 0..(BOUNDS.file as usize / MAX_VALUE) * 7 {
            log.info("full", &[("of", &long)]);
        }
        let names = || {
            let entries = fs::read_dir(home.logs()).expect("lists");
            let name = |e: io::Result<fs::DirEntry>| e.expect("an entry").file_name();
            let mut names: Vec<_> = entries
                .map(name)
                .map(|n| n.into_string().expect("text"))
                .collect();
            names.sort();
            names
        };
        let all = ["", ".1", ".2", ".3", ".4"].map(|n| format!("daemon.log{n}"));
        assert_eq!(names(), all);
        let later = now.plus(BOUNDS.age * 2);
        drop(Log::open(&home, later));
        assert_eq!(names(), ["daemon.log"]);
    }
}
