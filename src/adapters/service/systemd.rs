//! The unit of the systemd user instance. Rendering and reading are pure; the syntax is systemd.service(5),
//! systemd.syntax(7) and systemd.exec(5) as of version 252.

use super::ask::Question;
use super::{Installed, ServiceError, State, Status, Unit, decimal, read, remove, write};
use crate::contract::vars;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The unit's name.
pub(super) const NAME: &str = "ccp.service";
/// Where units are, below the configuration directory.
const UNITS: &str = "systemd/user";
/// What `brew services` calls its unit for a formula on Linux.
const HOMEBREW: &str = "homebrew.ccp.service";
/// The files of both.
#[cfg(not(target_os = "macos"))]
pub(super) const FILES: (&str, &str) = (NAME, HOMEBREW);
/// systemd waits 90 s for a unit by itself; a start of ours is over once the program runs, a stop within
/// `TimeoutStopSec`.
const BOUND: Duration = Duration::from_secs(30);

/// The systemd user instance, and where its units are.
#[derive(Clone, Debug)]
pub struct Systemd {
    systemctl: PathBuf,
    units: PathBuf,
    file: PathBuf,
}

/// Where the units of a person are.
#[cfg(not(target_os = "macos"))]
pub(super) fn directory(user_home: &Path, config: Option<&std::ffi::OsStr>) -> PathBuf {
    let config = config.map(Path::new).filter(|path| path.is_absolute());
    let config = config.map_or_else(|| user_home.join(".config"), Path::to_owned);
    config.join(UNITS)
}

impl Systemd {
    /// The instance of the person whose configuration directory (`XDG_CONFIG_HOME`, else `~/.config`) this is.
    #[must_use]
    pub fn new(config: &Path) -> Self {
        let units = config.join(UNITS);
        Self {
            systemctl: PathBuf::from("systemctl"),
            file: units.join(NAME),
            units,
        }
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    fn question(&self, arguments: &[&str]) -> Question<'_> {
        let words: Vec<&str> = std::iter::once("--user")
            .chain(arguments.iter().copied())
            .collect();
        Question::new(&self.systemctl, &words, BOUND)
    }

    /// An error that says so where no user instance answers.
    fn must_answer(&self) -> Result<(), ServiceError> {
        match self.question(&["show", "--property=Version"]).ask() {
            Ok(answer) if answer.good => Ok(()),
            Ok(answer) => {
                let why = answer.stderr.lines().next().unwrap_or("it does not answer");
                Err(ServiceError::Unreachable(format!(
                    "there is no systemd user instance here: {}",
                    why.trim()
                )))
            }
            Err(ServiceError::Start { source, .. }) => Err(ServiceError::Unreachable(format!(
                "there is no systemd here: cannot run systemctl: {source}"
            ))),
            Err(error) => Err(error),
        }
    }

    pub(super) fn install(&self, unit: &Unit) -> Result<Installed, ServiceError> {
        let text = render(unit)?;
        self.must_answer()?;
        let theirs = self.units.join(HOMEBREW);
        if theirs.exists() {
            return Err(ServiceError::Taken(format!(
                "Homebrew runs the daemon already: {}",
                theirs.display()
            )));
        }
        let changed = write(&self.file, &text)?;
        self.question(&["daemon-reload"]).demand()?;
        self.question(&["enable", NAME]).demand()?;
        // A unit that failed too often is not started again before that is forgotten; one that did not is not known.
        self.question(&["reset-failed", NAME]).ask()?;
        let verb = if changed { "restart" } else { "start" };
        self.question(&[verb, NAME]).demand()?;
        Ok(if changed {
            Installed::Fresh
        } else {
            Installed::Already
        })
    }

    pub(super) fn uninstall(&self) -> Result<bool, ServiceError> {
        let is_there = self.file.exists();
        match self.must_answer() {
            Ok(()) if is_there => {
                self.question(&["disable", "--now", NAME]).demand()?;
                remove(&self.file)?;
                self.question(&["daemon-reload"]).demand()?;
                Ok(true)
            }
            // Somebody took the file away under a daemon that runs on.
            Ok(()) if self.status()?.state == State::Running => {
                self.question(&["stop", NAME]).demand()?;
                Ok(true)
            }
            // Without an instance nobody runs it.
            Ok(()) | Err(ServiceError::Unreachable(_)) => {
                remove(&self.units.join("default.target.wants").join(NAME))?;
                remove(&self.file)
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn status(&self) -> Result<Status, ServiceError> {
        self.must_answer()?;
        let properties = "--property=LoadState,ActiveState,SubState,UnitFileState,MainPID";
        let answer = self.question(&["show", NAME, properties]).demand()?;
        let text = read(&self.file)?;
        Ok(Status {
            file: self.file.exists().then(|| self.file.clone()),
            program: program_in(&text),
            ..status_in(&answer.stdout)
        })
    }
}

/// The text of the unit.
pub(super) fn render(unit: &Unit) -> Result<String, ServiceError> {
    let program = command_word(&unit.program)?;
    let environment = if unit.is_default_home {
        String::new()
    } else {
        let home = assignment(unit.home.path())?;
        format!("Environment={home}\n")
    };
    Ok(format!(
        "\
# Written by `ccp service install`; `ccp service uninstall` removes it.
[Unit]
Description=ccp keeps the numbers of your Claude Code accounts fresh
# Five restarts within a minute, then it stays down and `ccp service status` says so.
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
Type=exec
ExecStart={program} daemon
{environment}Restart=on-failure
RestartSec=2
# Sessions that the daemon started outlive it.
KillMode=process
# And one of them that runs out of memory does not take it along.
OOMPolicy=continue
TimeoutStopSec=20
UMask=0077

[Install]
WantedBy=default.target
"
    ))
}

/// The program as the first word of a command. systemd takes no executable whose name holds quotes, backslashes or
/// control characters, however they are written (`string_is_safe`).
fn command_word(path: &Path) -> Result<String, ServiceError> {
    let unspeakable = |reason| ServiceError::Unspeakable {
        path: path.to_owned(),
        reason,
    };
    let text = path
        .to_str()
        .ok_or_else(|| unspeakable("it is not UTF-8"))?;
    if !text.starts_with('/') {
        return Err(unspeakable("it is not absolute"));
    }
    if text.chars().any(|c| c.is_control() || "\"'\\".contains(c)) {
        return Err(unspeakable(
            "systemd takes no program whose path holds quotes, backslashes or control characters",
        ));
    }
    // `:` keeps `$` in the words that follow, the program's own name among them, from being taken for a variable.
    let prefix = if text.contains('$') { ":" } else { "" };
    Ok(format!("\"{prefix}{}\"", text.replace('%', "%%")))
}

/// `CCP_HOME=…` as one quoted word.
fn assignment(home: &Path) -> Result<String, ServiceError> {
    let unspeakable = |reason| ServiceError::Unspeakable {
        path: home.to_owned(),
        reason,
    };
    let text = home
        .to_str()
        .ok_or_else(|| unspeakable("it is not UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(unspeakable("it holds control characters"));
    }
    let mut word = format!("\"{}=", vars::CCP_HOME);
    for letter in text.chars() {
        match letter {
            '"' | '\\' => word.extend(['\\', letter]),
            '%' => word.push_str("%%"),
            letter => word.push(letter),
        }
    }
    word.push('"');
    Ok(word)
}

/// The home that a unit of ours names.
pub(super) fn home_in(text: &str) -> Option<PathBuf> {
    let word = value_of(text, "Environment=")?;
    let word = unquoted(word)?;
    let home = word.strip_prefix(vars::CCP_HOME)?.strip_prefix('=')?;
    Some(PathBuf::from(home))
}

/// The program that a unit of ours runs, or one of Homebrew's, which quotes every word.
pub(super) fn program_in(text: &str) -> Option<PathBuf> {
    let line = value_of(text, "ExecStart=")?;
    let words = line
        .strip_suffix(" daemon")
        .or_else(|| line.strip_suffix(" \"daemon\""))?;
    let word = unquoted(words)?;
    Some(PathBuf::from(word.strip_prefix(':').unwrap_or(&word)))
}

fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key))
}

fn unquoted(word: &str) -> Option<String> {
    let inner = word.trim().strip_prefix('"')?.strip_suffix('"')?;
    let mut out = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => out.push(letters.next()?),
            '%' => {
                letters.next().filter(|c| *c == '%')?;
                out.push('%');
            }
            letter => out.push(letter),
        }
    }
    Some(out)
}

/// What `systemctl show` printed, one `Name=value` a line.
fn status_in(text: &str) -> Status {
    let value = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .unwrap_or_default()
    };
    let state = match (value("LoadState"), value("ActiveState")) {
        ("not-found", "inactive" | "") => State::Absent,
        (_, "failed") => State::Failed,
        (_, "active" | "activating" | "reloading") => State::Running,
        _ => State::Stopped,
    };
    let words = [
        value("ActiveState"),
        value("SubState"),
        value("UnitFileState"),
    ];
    let words: Vec<&str> = words.into_iter().filter(|w| !w.is_empty()).collect();
    Status {
        state,
        detail: words.join(", "),
        pid: decimal(value("MainPID")),
        ..Status::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::paths::Home;
    use proptest::prelude::*;

    fn unit(program: &str, home: &str, is_default_home: bool) -> Unit {
        Unit {
            program: PathBuf::from(program),
            home: Home::new(Path::new(home)).expect("absolute"),
            is_default_home,
        }
    }

    #[test]
    fn the_default_home_is_not_named() {
        let text = render(&unit("/usr/bin/ccpd", "/h/.cc-pool", true)).expect("renders");
        assert!(
            text.contains("\nExecStart=\"/usr/bin/ccpd\" daemon\n"),
            "{text}"
        );
        assert!(!text.contains("Environment="), "{text}");
        for line in [
            "KillMode=process",
            "Restart=on-failure",
            "StartLimitIntervalSec=60",
            "StartLimitBurst=5",
            "WantedBy=default.target",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}: {text}");
        }
        assert_eq!(home_in(&text), None);
    }

    #[test]
    fn a_path_that_systemd_would_not_take_is_refused_before_anything_is_written() {
        for path in [
            "/a'b/ccpd",
            "/a\"b/ccpd",
            "/a\\b/ccpd",
            "/a\nb/ccpd",
            "ccpd",
        ] {
            let refused = render(&unit(path, "/h", true));
            assert!(
                matches!(refused, Err(ServiceError::Unspeakable { .. })),
                "{path:?}"
            );
        }
        assert!(render(&unit("/bin/ccpd", "/h\n[Service]", false)).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(
            program in "/[ -~é]{0,30}",
            home in "/[ -~é]{0,30}",
        ) {
            let unit = unit(&program, &home, false);
            if let Ok(text) = render(&unit) {
                prop_assert_eq!(program_in(&text), Some(PathBuf::from(&program)));
                prop_assert_eq!(home_in(&text), Some(unit.home.path().to_owned()));
                prop_assert_eq!(text.matches("\n[").count(), 3, "no path adds a section");
            } else {
                prop_assert!(program.contains(['"', '\'', '\\']));
            }
        }
    }

    #[test]
    fn what_systemctl_shows() {
        let rows = [
            (
                "LoadState=not-found\nActiveState=inactive\nMainPID=0\n",
                State::Absent,
                None,
            ),
            (
                "MainPID=17\nLoadState=loaded\nActiveState=active\nSubState=running\n",
                State::Running,
                Some(17),
            ),
            (
                "LoadState=loaded\nActiveState=failed\nMainPID=0\n",
                State::Failed,
                None,
            ),
            (
                "LoadState=loaded\nActiveState=inactive\nMainPID=0\n",
                State::Stopped,
                None,
            ),
            // It still runs, though its file is gone.
            (
                "LoadState=not-found\nActiveState=active\nMainPID=4\n",
                State::Running,
                Some(4),
            ),
            ("", State::Stopped, None),
        ];
        for (text, state, pid) in rows {
            let status = status_in(text);
            assert_eq!((status.state, status.pid), (state, pid), "{text}");
        }
        let text = "ActiveState=active\nSubState=running\nUnitFileState=enabled\n";
        assert_eq!(status_in(text).detail, "active, running, enabled");
    }
}
