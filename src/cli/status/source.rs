//! Where a status comes from: the snapshot, the leases, and the very pick that a launch would make here now.

use crate::adapters::clock;
use crate::adapters::store::Store;
use crate::claim::roster::{self, Origin};
use crate::claim::rules::Place;
use crate::claim::{Choice, Refusal, Wish, announce, look, model};
use crate::cli::context::Context;
use crate::contract::snapshot::Snapshot;
use crate::contract::status::Status;
use crate::contract::vars;
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use crate::daemon::{configuration, publish};
use crate::tui::rows::Moment;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What looking at the accounts needs to know; kept, so that it can be done again and again.
pub(super) struct Source {
    context: Context,
    /// The exact directory, as a launch would see it; empty when it is gone.
    cwd: PathBuf,
    /// What the shell calls it.
    called: Option<PathBuf>,
    /// The account that `CCP_ACCOUNT` forces.
    account: Option<String>,
    /// The model that `ANTHROPIC_MODEL` names.
    model: Option<String>,
    /// Opened by the first look that wants to know about logins.
    store: Option<Store>,
}

impl Source {
    pub(super) fn new(context: &Context) -> Self {
        let text = |name| std::env::var_os(name)?.into_string().ok();
        Self {
            context: context.clone(),
            cwd: std::env::current_dir().unwrap_or_default(),
            called: std::env::var_os(vars::PWD).map(PathBuf::from),
            account: text(vars::CCP_ACCOUNT).filter(|a: &String| !a.is_empty()),
            model: text(vars::ANTHROPIC_MODEL),
            store: None,
        }
    }

    /// The directory that pins are set for.
    pub(super) fn cwd(&self) -> &PathBuf {
        &self.cwd
    }

    /// Looks at everything. What cannot be read is told and done without.
    pub(super) fn look(&self) -> Moment {
        let now = clock::now();
        let home = &self.context.home;
        let mut roster = roster::load(home, &self.context.user_home);
        let mut problems = Vec::new();
        if let Err(error) = configuration::bring_up(home, &mut roster) {
            problems.push(error.to_string());
        }
        if let Origin::Rebuilt { why: Some(why) } = &roster.origin {
            problems.push(format!("{why}; usage is unknown"));
        }
        let snapshot = &roster.snapshot;
        let model = self.model(snapshot);
        let wish = Wish {
            account: self.account.as_deref(),
            model: model.as_deref(),
            cwd: &self.cwd,
            place: Place {
                dir: &self.cwd,
                called: self.called.as_deref(),
            },
            command: "status",
            claude: None,
        };
        let choice = look(home, &roster, &wish, now);
        // A launch would say so; that there is nobody to sign in as, the table says.
        if let Err(refusal @ (Refusal::Rule { .. } | Refusal::RulesUnknown(_))) = &choice {
            problems.push(announce::refusal(refusal).error);
        }
        let choice = choice.ok();
        let sessions = match &choice {
            Some(choice) => counted(choice, snapshot),
            None => self.sessions(now, &mut problems),
        };
        let count = |id| sessions.get(&id).copied().unwrap_or(0);
        let pinned_here = snapshot
            .pins
            .iter()
            .find(|p| p.manual && p.dir == self.cwd)
            .and_then(|p| AccountId::new(p.account));
        Moment {
            status: Status::of(snapshot, count, model.as_deref(), now),
            next: choice.map(|choice| choice.pick.id),
            pinned_here,
            signed_in: Vec::new(),
            problems,
            now,
        }
    }

    /// The same, with the ages of the logins, which only the database knows.
    pub(super) fn look_closely(&mut self) -> Moment {
        let mut moment = self.look();
        if self.store.is_none() {
            self.store = self.context.existing_store().ok().flatten();
        }
        let accounts = self.store.as_ref().and_then(|s| s.accounts().ok());
        moment.signed_in = accounts
            .into_iter()
            .flatten()
            .filter_map(|a| Some((a.id, a.signed_in_at?)))
            .collect();
        moment
    }

    fn model(&self, snapshot: &Snapshot) -> Option<String> {
        let find = || model::find([], self.model.as_deref(), &self.cwd, &snapshot.base());
        model::matters(snapshot).then(find).flatten()
    }

    fn sessions(&self, now: Timestamp, problems: &mut Vec<String>) -> BTreeMap<AccountId, u32> {
        let home = &self.context.home;
        publish::sessions(home, now).unwrap_or_else(|error| {
            let dir = home.leases();
            problems.push(format!(
                "cannot read the leases in {}: {error}",
                dir.display()
            ));
            BTreeMap::new()
        })
    }
}

/// The live leases that a pick went by: what is shown is what was decided with. (Sessions without a lease are in the
/// snapshot, and are added to these again.)
fn counted(choice: &Choice, snapshot: &Snapshot) -> BTreeMap<AccountId, u32> {
    let leased = choice.candidates.iter().map(|candidate| {
        let entry = snapshot.account(candidate.id);
        let unleased = entry.map_or(0, |a| a.unleased_sessions);
        (candidate.id, candidate.sessions.saturating_sub(unleased))
    });
    leased.collect()
}
