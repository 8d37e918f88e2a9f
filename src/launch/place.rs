//! Where a launch happens: whose home, which directory, what is known of the accounts, and when.

use super::environment::Environment;
use crate::adapters::clock;
use crate::claim::announce::Failure;
use crate::claim::model;
use crate::claim::roster::{self, Origin, Roster};
use crate::claim::rules;
use crate::contract::paths::Home;
use crate::contract::vars;
use crate::core::select::score::is_stale;
use crate::core::time::Timestamp;
use std::path::{Path, PathBuf};

pub(super) struct Place {
    pub(super) home: Home,
    pub(super) user_home: PathBuf,
    /// Empty when the directory is gone.
    pub(super) cwd: PathBuf,
    pub(super) roster: Roster,
    pub(super) now: Timestamp,
}

impl Place {
    pub(super) fn find(environment: &Environment) -> Result<Self, Failure> {
        let user_home = environment.user_home();
        let home = environment
            .ccp_home(user_home.as_deref())
            .map_err(|error| Failure {
                error,
                hint: "set HOME, or CCP_HOME to an absolute path".to_owned(),
            })?;
        let user_home = user_home.unwrap_or_else(|| home.path().to_owned());
        let roster = roster::load(&home, &user_home);
        let cwd = std::env::current_dir().unwrap_or_default();
        Ok(Self {
            home,
            user_home,
            cwd,
            roster,
            now: clock::now(),
        })
    }

    /// Where rules are looked up.
    pub(super) fn of_rules(&self, environment: &Environment) -> rules::Place<'_> {
        let has_rules = !self.roster.snapshot.rules.is_empty();
        let called = || environment.get(vars::PWD).map(Path::new);
        rules::Place {
            dir: &self.cwd,
            called: has_rules.then(called).flatten(),
        }
    }

    /// The model that claude will use, where that matters and is known.
    pub(super) fn model<'a>(
        &self,
        arguments: impl IntoIterator<Item = &'a str>,
        environment: &Environment,
    ) -> Option<String> {
        let snapshot = &self.roster.snapshot;
        let variable = environment.get_text(vars::ANTHROPIC_MODEL);
        let find = || model::find(arguments, variable, &self.cwd, &snapshot.base());
        model::matters(snapshot).then(find).flatten()
    }

    /// Whether the numbers of every account that can be sampled are recent enough to go by.
    pub(super) fn is_fresh(&self) -> bool {
        let snapshot = &self.roster.snapshot;
        let stale = |freshness| is_stale(&freshness, self.now);
        let mut sampled = snapshot.accounts.iter().filter(|a| !a.needs_login);
        self.roster.origin == Origin::Published
            && !sampled.any(|a| stale(a.freshness(snapshot.paused_since_ms)))
    }
}
