//! ccp as Homebrew installed it: `brew services` owns the daemon then, with the unit or plist of the formula.

use super::ask::Question;
use super::{Installed, ServiceError, State, Status, Unit, decimal};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// brew is Ruby, and may bring itself up to date first.
const BOUND: Duration = Duration::from_secs(180);
/// The directory under which Homebrew keeps every version of everything.
const CELLAR: &str = "Cellar";

/// Where Homebrew put an executable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cellar {
    /// Homebrew's prefix.
    pub prefix: PathBuf,
    /// The formula's name.
    pub formula: String,
}

impl Cellar {
    /// Reads it off the executable's real path, `PREFIX/Cellar/FORMULA/VERSION/…`; none for any other.
    #[must_use]
    pub fn of(real: &Path) -> Option<Self> {
        let mut prefix = PathBuf::new();
        let mut parts = real.components();
        for part in parts.by_ref() {
            if part.as_os_str() == CELLAR {
                let formula = parts.next()?.as_os_str().to_str()?.to_owned();
                // A version and a file have to follow.
                parts.nth(1)?;
                return Some(Self { prefix, formula });
            }
            prefix.push(part);
        }
        None
    }

    /// The path of an executable of the formula that outlives an upgrade.
    #[must_use]
    pub fn stable(&self, name: &std::ffi::OsStr) -> PathBuf {
        self.prefix
            .join("opt")
            .join(&self.formula)
            .join("bin")
            .join(name)
    }
}

/// `brew services` for one formula.
#[derive(Clone, Debug)]
pub struct Homebrew {
    brew: PathBuf,
    formula: String,
}

impl Homebrew {
    /// With the brew of the prefix, else the one of `PATH`; none where there is no brew that runs.
    #[must_use]
    pub fn find(cellar: &Cellar, path: Option<&std::ffi::OsStr>) -> Option<Self> {
        let own = cellar.prefix.join("bin");
        let dirs = path.map(std::env::split_paths).into_iter().flatten();
        let brew = std::iter::once(own)
            .chain(dirs)
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join("brew"))
            .find(|brew| crate::adapters::files::is_executable(brew))?;
        Some(Self {
            brew,
            formula: cellar.formula.clone(),
        })
    }

    fn services(&self, words: &[&str]) -> Question<'_> {
        let words: Vec<&str> = std::iter::once("services")
            .chain(words.iter().copied())
            .collect();
        Question::new(&self.brew, &words, BOUND)
    }

    /// Refuses a home that the formula's service, which knows no `CCP_HOME`, would not keep.
    pub fn must_keep(&self, unit: &Unit) -> Result<(), ServiceError> {
        if unit.is_default_home {
            return Ok(());
        }
        Err(ServiceError::Taken(
            "Homebrew's service keeps the default CCP_HOME alone".to_owned(),
        ))
    }

    pub(super) fn install(&self, unit: &Unit) -> Result<Installed, ServiceError> {
        self.must_keep(unit)?;
        if self.status()?.state == State::Running {
            return Ok(Installed::Already);
        }
        self.services(&["start", &self.formula]).demand()?;
        Ok(Installed::Fresh)
    }

    pub(super) fn uninstall(&self) -> Result<bool, ServiceError> {
        if self.status()?.state == State::Absent {
            return Ok(false);
        }
        self.services(&["stop", &self.formula]).demand()?;
        Ok(true)
    }

    pub(super) fn status(&self) -> Result<Status, ServiceError> {
        let answer = self.services(&["info", &self.formula, "--json"]).demand()?;
        Ok(status_in(&answer.stdout))
    }
}

/// What `brew services info FORMULA --json` prints: one object in a list. `status` is none, started, stopped, error,
/// scheduled, other or unknown.
fn status_in(text: &str) -> Status {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let service = &value[0];
    let word = service["status"].as_str().unwrap_or("unknown");
    let state = match word {
        _ if service["running"] == Value::Bool(true) => State::Running,
        "started" | "scheduled" => State::Running,
        "error" => State::Failed,
        "none" => State::Absent,
        _ => State::Stopped,
    };
    let path = |name: &str| service[name].as_str().map(PathBuf::from);
    Status {
        file: path("file").filter(|file| file.exists()),
        state,
        detail: format!("brew services: {word}"),
        pid: service["pid"]
            .as_u64()
            .and_then(|p| decimal(&p.to_string())),
        // `command` is the whole line; the program is its first word as long as that has no blanks.
        program: service["command"]
            .as_str()
            .and_then(|line| line.strip_suffix(" daemon"))
            .map(PathBuf::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cellar_is_known_by_its_path() {
        let rows = [
            (
                "/opt/homebrew/Cellar/ccp/1.2.3/bin/ccpd",
                Some(("/opt/homebrew", "ccp")),
            ),
            (
                "/home/linuxbrew/.linuxbrew/Cellar/ccp/1/bin/ccpd",
                Some(("/home/linuxbrew/.linuxbrew", "ccp")),
            ),
            ("/usr/local/bin/ccpd", None),
            ("/opt/homebrew/bin/ccpd", None),
            ("/opt/Cellar/ccpd", None),
            ("/opt/Cellar", None),
        ];
        for (path, expected) in rows {
            let found = Cellar::of(Path::new(path));
            let found = found
                .as_ref()
                .map(|c| (c.prefix.to_str(), c.formula.as_str()));
            assert_eq!(found, expected.map(|(p, f)| (Some(p), f)), "{path}");
        }
        let cellar = Cellar::of(Path::new("/p/Cellar/ccp/1/bin/ccpd")).expect("is one");
        assert_eq!(
            cellar.stable("ccpd".as_ref()),
            Path::new("/p/opt/ccp/bin/ccpd")
        );
    }

    #[test]
    fn what_brew_prints() {
        let state = |json: &str| status_in(json).state;
        assert_eq!(
            state(r#"[{"name":"ccp","running":false,"status":"none"}]"#),
            State::Absent
        );
        assert_eq!(
            state(r#"[{"running":false,"status":"error"}]"#),
            State::Failed
        );
        assert_eq!(state("Warning: no"), State::Stopped);
        let status = status_in(
            r#"[{"running":true,"pid":42,"status":"started","command":"/p/opt/ccp/bin/ccpd daemon"}]"#,
        );
        assert_eq!((status.state, status.pid), (State::Running, Some(42)));
        assert_eq!(
            status.program.as_deref(),
            Some(Path::new("/p/opt/ccp/bin/ccpd"))
        );
    }
}
