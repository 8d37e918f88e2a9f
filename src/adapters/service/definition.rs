//! The services that are installed, read off their files: nobody is asked, and nothing is started for it.

use super::read;
use crate::contract::paths::Home;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

#[cfg(target_os = "macos")]
use super::launchd as platform;
#[cfg(not(target_os = "macos"))]
use super::systemd as platform;

/// A unit or plist that keeps a daemon of ccp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Where it is.
    pub file: PathBuf,
    /// What it runs, where that can be told.
    pub program: Option<PathBuf>,
    /// The home that it names; none for the default one.
    pub home: Option<PathBuf>,
    /// Whether Homebrew wrote it.
    pub by_homebrew: bool,
}

impl Definition {
    /// Whether the daemon that it runs is this home's.
    #[must_use]
    pub fn keeps(&self, home: &Home, is_default: bool) -> bool {
        match &self.home {
            Some(named) => named == home.path(),
            None => is_default,
        }
    }
}

/// Every service of this person that is installed: ccp's own, and Homebrew's. `config` is `XDG_CONFIG_HOME`. A file that
/// cannot be read is there all the same.
#[must_use]
pub fn definitions(user_home: &Path, config: Option<&OsStr>) -> Vec<Definition> {
    let dir = platform::directory(user_home, config);
    let (own, homebrew) = platform::FILES;
    let define = |name: &str, by_homebrew| {
        let file = dir.join(name);
        file.exists().then(|| {
            let text = read(&file).unwrap_or_default();
            Definition {
                program: platform::program_in(&text),
                home: platform::home_in(&text),
                by_homebrew,
                file,
            }
        })
    };
    [define(own, false), define(homebrew, true)]
        .into_iter()
        .flatten()
        .collect()
}
