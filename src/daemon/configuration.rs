//! `config.toml`, read, and taken in where what is published was made from an older one: what was just written to it has
//! to hold for the very next session, whether or not a daemon has noticed.

use super::publish::{self, PublishError};
use crate::adapters::stamp::file_stamp;
use crate::claim::roster::Roster;
use crate::contract::paths::Home;
use crate::contract::settings::{Settings, SettingsError};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The largest `config.toml` that is read, in bytes.
const MAX_CONFIG: u64 = 1024 * 1024;

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It is wrong.
    #[error("{path} is wrong:{}", listed(.problems))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong with it.
        problems: Vec<SettingsError>,
    },
    /// It could be read, but not taken in.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// The text of `config.toml`; none where there is none.
pub fn load_text(home: &Home) -> Result<Option<String>, ConfigurationError> {
    let path = home.config();
    let mut text = String::new();
    match File::open(&path).and_then(|f| f.take(MAX_CONFIG).read_to_string(&mut text)) {
        Ok(_) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ConfigurationError::Read { path, source }),
    }
}

/// The settings, with the state of the file that they are from; the defaults where there is none.
pub fn load(home: &Home) -> Result<Settings, ConfigurationError> {
    // Before the file is read: what is written meanwhile is noticed next time.
    let file = file_stamp(&home.config());
    let text = load_text(home)?.unwrap_or_default();
    match Settings::parse(&text) {
        Ok(settings) => Ok(Settings { file, ..settings }),
        Err(problems) => Err(ConfigurationError::Wrong {
            path: home.config(),
            problems,
        }),
    }
}

/// Puts the settings into what is published for launches. Whether anything was published before, to put them into.
pub fn take_in(home: &Home, user_home: &Path) -> Result<bool, ConfigurationError> {
    let settings = load(home)?;
    let base = settings.base(user_home);
    Ok(publish::amend_snapshot(home, &settings, &base)?)
}

/// Brings a roster up to date whose settings are older than the file, for who decides by it now, and publishes them for
/// everybody else.
pub fn bring_up(home: &Home, roster: &mut Roster) -> Result<(), ConfigurationError> {
    if !roster.is_behind {
        return Ok(());
    }
    let settings = load(home)?;
    let base = settings.base(&roster.user_home);
    publish::settle(&mut roster.snapshot, &settings, &base);
    roster.is_behind = false;
    publish::amend_snapshot(home, &settings, &base)?;
    Ok(())
}

fn listed(problems: &[SettingsError]) -> String {
    problems.iter().map(|p| format!("\n  {p}")).collect()
}
