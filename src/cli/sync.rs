//! `ccp sync`: the overlay of the accounts put in order, and what it looks like then recorded for the launcher. This is
//! what a launch runs when an overlay has drifted, so it looks at one account and opens nothing that it does not need.

use super::accounts;
use super::arguments::Sync;
use super::context::Context;
use super::failure::{Failure, Outcome};
use crate::adapters::clock;
use crate::adapters::overlay::{Direction, Options, SyncReport};
use crate::adapters::store::{Account, Store};
use crate::contract::exit;
use crate::contract::lease::LeaseName;
use crate::core::account::AccountId;
use crate::daemon::overlays::{self, MakeOptions, news, put_in_order};
use std::io::Write as _;

/// Runs `ccp sync`.
pub fn run(context: &Context, arguments: &Sync) -> Outcome {
    let mut store = accounts::open(context)?;
    let all = store.accounts()?;
    let chosen = match &arguments.account {
        Some(reference) => vec![accounts::resolve(all, reference)?],
        None => all,
    };
    let waiting = arguments.launching.as_deref().and_then(LeaseName::parse);
    let make: MakeOptions = if arguments.quiet {
        Options::at_launch
    } else {
        Options::at_leisure
    };
    let mut lines = Vec::new();
    let mut whole = true;
    for account in &chosen {
        let report = sync_account(context, &mut store, account, make, waiting.as_ref())?;
        whole &= report.failed.is_empty() && report.settings.problems.is_empty();
        lines.extend(news(account, &report));
        if !arguments.quiet {
            lines.extend(remarks(account, &report));
        }
    }
    // Published before anything is said: a launch that waited no longer has closed the other end.
    context.publish(&store)?;
    tell(&lines);
    Ok(if whole { exit::OK } else { exit::FAILURE })
}

/// Puts one account's overlay in order and publishes that, on the way to handing its directory out; `waiting` is the
/// lease of whoever is given it.
pub fn one(context: &Context, id: AccountId, waiting: Option<&LeaseName>) -> Result<(), Failure> {
    let mut store = accounts::open(context)?;
    let account = accounts::find(&store, &id.to_string())?;
    let report = sync_account(context, &mut store, &account, Options::at_launch, waiting)?;
    context.publish(&store)?;
    tell(&news(&account, &report));
    Ok(())
}

/// Puts the overlay of an account in order that is being signed in.
pub(super) fn one_in(
    context: &Context,
    store: &mut Store,
    account: &Account,
) -> Result<(), Failure> {
    let report = sync_account(context, store, account, Options::at_leisure, None)?;
    tell(&news(account, &report));
    Ok(())
}

/// Which way settings flow, by the settings.
pub(super) fn direction(context: &Context) -> Result<Direction, Failure> {
    Ok(overlays::direction(&context.settings()?))
}

/// Puts one overlay in order, by the settings of this home.
fn sync_account(
    context: &Context,
    store: &mut Store,
    account: &Account,
    make: MakeOptions,
    waiting: Option<&LeaseName>,
) -> Result<SyncReport, Failure> {
    let settings = context.settings()?;
    let base = settings.base(&context.user_home);
    let now = clock::now();
    Ok(put_in_order(
        store, &settings, &base, account, make, waiting, now,
    )?)
}

/// What was left alone, and the sum of it, for a person who asked.
fn remarks(account: &Account, report: &SyncReport) -> Vec<String> {
    let label = &account.label;
    let left = report.left.iter().map(|left| format!("{label}: {left}"));
    let (linked, pruned) = (report.linked.len(), report.pruned.len());
    let sum = match (report.busy, report.changed_nothing()) {
        (true, _) => format!("{label}: another sync is at work"),
        (false, true) => format!("{label}: in order"),
        (false, false) => format!("{label}: {linked} linked, {pruned} pruned"),
    };
    left.chain([sum]).collect()
}

fn tell(lines: &[String]) {
    for line in lines {
        // Whoever asked may be gone.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}
