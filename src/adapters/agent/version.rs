//! Asking the real `claude` which version it is. It answers before it looks at any configuration (0.04 s; 0.4 s in
//! 2.1.197).

use super::process::{Agent, Environment, Unread};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The range of versions that ccp was tested with, from the first to the last.
pub const TESTED: (Version, Version) = (Version([2, 1, 197]), Version([2, 1, 329]));

/// How long it may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A version of claude: three numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version([u32; 3]);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

impl Version {
    /// The version in what claude prints: `2.1.329 (Claude Code)`.
    #[must_use]
    pub fn parse(said: &str) -> Option<Self> {
        let word = said.split_whitespace().next()?;
        // A build may carry more behind a dash or a plus.
        let plain = word.split(['-', '+']).next()?;
        let mut numbers = plain.split('.').map(|part| part.parse().ok());
        let version = [numbers.next()??, numbers.next()??, numbers.next()??];
        numbers.next().is_none().then_some(Self(version))
    }
}

/// Why claude did not say which version it is.
#[derive(Debug, thiserror::Error)]
pub enum VersionError {
    /// It could not be started.
    #[error("cannot start {}: {source}", path.display())]
    Start {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It said nothing in time, and was ended.
    #[error("`claude --version` did not answer within {} s", after.as_secs_f32().ceil())]
    Hang {
        /// How long it was waited for.
        after: Duration,
    },
    /// It said something else.
    #[error("`claude --version` gave no answer that can be read")]
    NoAnswer,
}

/// Asks `claude --version`. No account is involved; `anywhere` is an account-free directory that the environment names.
pub fn ask(
    claude: &Path,
    anywhere: &Path,
    environment: &Environment,
    timeout: Duration,
) -> Result<Version, VersionError> {
    let deadline = Instant::now() + timeout;
    let mut command = environment
        .clone()
        .with("DISABLE_AUTOUPDATER", "1")
        .command(claude);
    command.arg("--version");
    let (mut agent, stdin, mut output) =
        Agent::start_piped(command, anywhere).map_err(|source| VersionError::Start {
            path: claude.to_owned(),
            source,
        })?;
    drop(stdin);
    let said = match output.rest(deadline) {
        Ok(text) => Version::parse(&String::from_utf8_lossy(text)).ok_or(VersionError::NoAnswer),
        Err(Unread::Late) => Err(VersionError::Hang { after: timeout }),
        Err(Unread::TooMuch | Unread::Failed) => Err(VersionError::NoAnswer),
    };
    if said.is_ok() {
        agent.wait(deadline);
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_three_numbers() {
        let rows = [
            ("2.1.329 (Claude Code)\n", Some("2.1.329")),
            ("2.1.197", Some("2.1.197")),
            ("3.0.0-beta.1 (Claude Code)", Some("3.0.0")),
            ("", None),
            ("claude 2.1.3", None),
            ("2.1", None),
            ("2.1.3.4", None),
            ("2.1.99999999999", None),
        ];
        for (said, expected) in rows {
            let version = Version::parse(said).map(|v| v.to_string());
            assert_eq!(version.as_deref(), expected, "{said}");
        }
        let (first, last) = TESTED;
        assert!(first < last);
        assert!(Version::parse("2.1.1000") > Some(last), "by number");
    }

    #[test]
    fn a_claude_that_says_nothing_is_not_waited_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let script = dir.path().join("claude");
        // Written by another process: a child that another test forks meanwhile would hold our descriptor, and a file
        // that is open for writing cannot be executed.
        let written = std::process::Command::new("/bin/sh")
            .args([
                "-c",
                "printf '#!/bin/sh\\nexec sleep 600\\n' > \"$0\"; chmod 700 \"$0\"",
            ])
            .arg(&script)
            .status();
        assert!(written.expect("runs").success());
        let environment = Environment::for_account(std::env::vars_os(), dir.path());
        let bound = Duration::from_millis(50);
        let answer = ask(&script, dir.path(), &environment, bound);
        assert!(
            matches!(answer, Err(VersionError::Hang { .. })),
            "{answer:?}"
        );
    }
}
