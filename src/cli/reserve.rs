//! A pick for somebody else: what `ccp select` and `ccp env` do before they print. Reads the snapshot, samples nothing.

use super::context::Context;
use super::failure::Failure;
use super::sync;
use crate::adapters::stamp;
use crate::claim::roster::{self, Roster};
use crate::claim::rules::Place;
use crate::claim::{Claim, Claimant, Wish, announce as lines, claim, model};
use crate::contract::vars;
use crate::core::time::Timestamp;
use crate::daemon::configuration;
use std::env;
use std::path::PathBuf;

/// What a command wants.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The account that the person names; `CCP_ACCOUNT` otherwise.
    pub account: Option<&'a str>,
    /// `select` or `env`.
    pub command: &'a str,
}

/// Where and for what a pick is made.
#[derive(Clone, Debug)]
pub struct Surroundings {
    account: Option<String>,
    model: Option<String>,
    cwd: PathBuf,
    /// What the shell calls it.
    called: Option<PathBuf>,
}

impl Surroundings {
    /// What the environment and the directory say.
    #[must_use]
    pub fn read(wanted: &Wanted<'_>, roster: &Roster) -> Self {
        let text = |name| {
            env::var_os(name)
                .and_then(|v| v.into_string().ok())
                .filter(|v| !v.is_empty())
        };
        let cwd = env::current_dir().unwrap_or_default();
        let snapshot = &roster.snapshot;
        let variable = text(vars::ANTHROPIC_MODEL);
        let find = || model::find([], variable.as_deref(), &cwd, &snapshot.base());
        Self {
            account: wanted
                .account
                .map(str::to_owned)
                .or_else(|| text(vars::CCP_ACCOUNT)),
            model: model::matters(snapshot).then(find).flatten(),
            cwd,
            called: env::var_os(vars::PWD).map(PathBuf::from),
        }
    }

    /// Whether the person names an account.
    #[must_use]
    pub const fn is_forced(&self) -> bool {
        self.account.is_some()
    }

    /// The wish that claims are made with.
    #[must_use]
    pub fn wish<'a>(&'a self, command: &'a str) -> Wish<'a> {
        Wish {
            account: self.account.as_deref(),
            model: self.model.as_deref(),
            cwd: &self.cwd,
            place: Place {
                dir: &self.cwd,
                called: self.called.as_deref(),
            },
            command,
            claude: None,
        }
    }
}

/// What is known of the accounts, by the settings as they are now. Where these cannot be had, that is told.
pub fn roster(context: &Context) -> Roster {
    let mut roster = roster::load(&context.home, &context.user_home);
    if let Err(error) = configuration::bring_up(&context.home, &mut roster) {
        eprintln!("warning: {error}");
    }
    roster
}

/// Picks, leaves a reservation and puts the account's overlay in order.
pub fn take(context: &Context, wanted: &Wanted<'_>) -> Result<(Roster, Claim), Failure> {
    let roster = roster(context);
    let surroundings = Surroundings::read(wanted, &roster);
    let claimed = claim(
        &context.home,
        &roster,
        &surroundings.wish(wanted.command),
        Claimant::Reservation,
        context.now,
    )?;
    ensure_overlay(context, &roster, &claimed);
    Ok((roster, claimed))
}

/// An overlay that has drifted is put in order; one that cannot be is no reason to withhold the account.
fn ensure_overlay(context: &Context, roster: &Roster, claimed: &Claim) {
    let (snapshot, account) = (&roster.snapshot, &claimed.account);
    let current = |s| stamp::is_current(s, &snapshot.base(), &account.dir, snapshot.two_way);
    if account.stamp.as_ref().is_some_and(current) {
        return;
    }
    if let Err(failure) = sync::one(context, claimed.choice.pick.id, claimed.lease.as_ref()) {
        eprintln!(
            "warning: the overlay could not be put in order: {}",
            failure.error
        );
    }
}

/// Says on stderr what was picked and why.
pub fn announce(roster: &Roster, claimed: &Claim, now: Timestamp) {
    for line in lines::lines(roster, claimed, now) {
        eprintln!("{line}");
    }
}
