//! `config.toml`: the person's settings, typed. [`keys::KEYS`] is the one list of what may stand in it; checking, the
//! help text and the commented default file all come from there. Opens nothing: text in, settings or problems out.

mod check;
mod edit;
pub mod keys;
pub mod pools;
mod text;

pub use check::SettingsError;
pub use edit::{EditError, set};
pub use pools::{Handoff, PoolSettings, PoolTable, Pools};
pub use text::{commented_default, help};

use super::paths::Base;
use crate::core::usage::Source;
use std::path::{Path, PathBuf};

/// All settings, with the defaults for what the file leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `[usage] sources`: where usage is asked for, in this order.
    pub sources: Vec<Source>,
    /// `[login] renew`: who renews logins.
    pub renew: Renew,
    /// `[overlay] provider`: how accounts present the base.
    pub provider: Provider,
    /// `[overlay] settings`: which way settings flow.
    pub flow: Flow,
    /// `[overlay] base`, as written: absolute, or starting with `~`.
    pub base: String,
    /// `[daemon] autostart`: whether launches and commands start a daemon in the background.
    pub autostart: bool,
    /// `[pool]` and `[pool.NAME]`: the session pools.
    pub pools: Pools,
    /// `[env] keep`: override variables that are left alone at launch.
    pub keep_env: Vec<String>,
}

/// Who renews logins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renew {
    /// Claude Code, whenever it runs.
    Claude,
    /// Beside that ccp, shortly before they expire, where nobody uses the account.
    Direct,
}

/// How accounts present the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// A symbolic link for each entry.
    Symlink,
}

/// Which way settings flow between the base and the accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// From the base to the accounts.
    OneWay,
    /// Both ways, merged.
    TwoWay,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sources: vec![Source::Live, Source::Claude],
            renew: Renew::Claude,
            provider: Provider::Symlink,
            flow: Flow::OneWay,
            base: "~/.claude".to_owned(),
            autostart: true,
            pools: Pools::default(),
            keep_env: Vec::new(),
        }
    }
}

impl Settings {
    /// Reads the text of a `config.toml`. All problems are found, not only the first.
    pub fn parse(text: &str) -> Result<Self, Vec<SettingsError>> {
        check::parse(text)
    }

    /// What counts for the session pool of this name: its own table, then `[pool]`, then the defaults.
    #[must_use]
    pub fn pool(&self, name: &str) -> PoolSettings {
        self.pools.of(name)
    }

    /// The base that accounts present, for the person whose home directory this is.
    #[must_use]
    pub fn base(&self, user_home: &Path) -> Base {
        Base::at(&expand(&self.base, user_home), user_home)
    }
}

/// Replaces a leading `~` and drops trailing slashes; resolves nothing.
#[must_use]
pub fn expand(path: &str, user_home: &Path) -> PathBuf {
    let full = match path.strip_prefix('~') {
        Some(rest) => user_home.join(rest.trim_start_matches('/')),
        None => PathBuf::from(path),
    };
    full.components().collect()
}

#[cfg(test)]
mod tests;
