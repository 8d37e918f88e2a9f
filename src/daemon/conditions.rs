//! What a daemon takes for given, and a test may change: bounds that nobody waits for in a test, and facts about the
//! computer that a test cannot bring about.

use crate::adapters::procs;
use crate::contract::vars;
use std::path::PathBuf;
use std::time::Duration;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Conditions {
    /// A client that says nothing for so long is dropped.
    pub(super) idle: Duration,
    /// A client that does not read its answer for so long is dropped.
    pub(super) slow: Duration,
    /// Where the system's power supplies and profiles are.
    pub(super) sys: PathBuf,
    /// How often these are looked at.
    pub(super) power_every: Duration,
    /// The home is on a disk of another computer; none: the system is asked.
    pub(super) remote_home: Option<bool>,
    /// A file with seconds that the computer slept besides.
    slept: Option<PathBuf>,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(60),
            slow: Duration::from_secs(10),
            sys: PathBuf::from("/sys"),
            // On macOS a look starts a process.
            power_every: Duration::from_secs(120),
            remote_home: None,
            slept: None,
        }
    }
}

impl Conditions {
    /// As they are, but for what `CCP_TEST_DAEMON` changes.
    pub(super) fn of_environment() -> Self {
        let text = std::env::var_os(vars::CCP_TEST_DAEMON).unwrap_or_default();
        Self::default().changed(&text.to_string_lossy())
    }

    /// How long the computer has slept since it was started.
    pub(super) fn slept(&self) -> Duration {
        let text = self.slept.as_ref().map(std::fs::read_to_string);
        let besides = text.and_then(|text| text.ok()?.trim().parse().ok());
        procs::slept() + Duration::from_secs(besides.unwrap_or(0))
    }

    /// `NAME=VALUE`, separated by commas. What is not understood changes nothing.
    fn changed(mut self, text: &str) -> Self {
        for (name, value) in text.split(',').filter_map(|pair| pair.split_once('=')) {
            let ms = value.parse().map(Duration::from_millis);
            match (name, ms) {
                ("idle_ms", Ok(ms)) => self.idle = ms,
                ("slow_ms", Ok(ms)) => self.slow = ms,
                ("power_ms", Ok(ms)) => self.power_every = ms,
                ("sys", _) => self.sys = PathBuf::from(value),
                ("slept", _) => self.slept = Some(PathBuf::from(value)),
                ("remote_home", _) => self.remote_home = value.parse().ok(),
                _ => {}
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_is_changed() {
        let usual = Conditions::default();
        assert_eq!(usual.clone().changed(""), usual);
        assert_eq!(usual.clone().changed("idle_ms=x,what=3,sys"), usual);
        let changed = usual.clone().changed("idle_ms=5,sys=/s,remote_home=true");
        assert_eq!(changed.idle, Duration::from_millis(5));
        assert_eq!(changed.slow, usual.slow);
        assert_eq!(changed.sys, PathBuf::from("/s"));
        assert_eq!(changed.remote_home, Some(true));
    }
}
