//! `ccp sync`: the overlay of the accounts put in order, and what it looks like then recorded for the launcher. This is
//! what a launch runs when an overlay has drifted, so it looks at one account and opens nothing that it does not need.

use super::accounts;
use super::context::Context;
use super::failure::{Failure, Outcome};
use crate::adapters::overlay::{self, Direction, Options, SyncReport};
use crate::adapters::store::{Account, Store};
use crate::adapters::{clock, stamp};
use crate::contract::exit;
use crate::contract::paths::Base;
use crate::contract::settings::Flow;
use crate::core::account::AccountId;
use crate::daemon::publish;
use std::io::Write as _;

/// Runs `ccp sync`.
pub fn run(context: &Context, account: Option<&str>, quiet: bool) -> Outcome {
    let mut store = accounts::open(context)?;
    let all = store.accounts()?;
    let chosen = match account {
        Some(reference) => vec![accounts::resolve(all, reference)?],
        None => all,
    };
    let mut whole = true;
    for account in &chosen {
        let report = sync_account(
            context,
            &mut store,
            account,
            account_options(context, quiet)?,
        )?;
        whole &= tell(account, &report, quiet);
    }
    context.publish(&store)?;
    Ok(if whole { exit::OK } else { exit::FAILURE })
}

/// Puts one account's overlay in order and publishes that, on the way to handing its directory out.
pub fn one(context: &Context, id: AccountId) -> Result<(), Failure> {
    let mut store = accounts::open(context)?;
    let account = accounts::find(&store, &id.to_string())?;
    let report = sync_account(
        context,
        &mut store,
        &account,
        account_options(context, true)?,
    )?;
    tell(&account, &report, true);
    context.publish(&store)?;
    Ok(())
}

/// Puts the overlay of an account in order that is being signed in.
pub(super) fn one_in(
    context: &Context,
    store: &mut Store,
    account: &Account,
) -> Result<(), Failure> {
    let report = sync_account(context, store, account, account_options(context, false)?)?;
    tell(account, &report, true);
    Ok(())
}

type MakeOptions = fn(Direction, bool) -> Options;

fn account_options(context: &Context, quiet: bool) -> Result<(Direction, MakeOptions), Failure> {
    let direction = direction(context)?;
    // A launch waits for the quiet one.
    let make: MakeOptions = if quiet {
        Options::at_launch
    } else {
        Options::at_leisure
    };
    Ok((direction, make))
}

/// Which way settings flow, by the settings.
pub(super) fn direction(context: &Context) -> Result<Direction, Failure> {
    Ok(match context.settings()?.flow {
        Flow::OneWay => Direction::OneWay,
        Flow::TwoWay => Direction::TwoWay,
    })
}

/// Puts one overlay in order and records its stamp; an overlay that is not in order has none, and is looked at again.
pub(super) fn sync_account(
    context: &Context,
    store: &mut Store,
    account: &Account,
    (direction, make): (Direction, MakeOptions),
) -> Result<SyncReport, Failure> {
    let base: Base = context.base()?;
    let now = clock::now();
    let live = publish::sessions(&context.home, now).map_or(true, |s| s.contains_key(&account.id));
    let report = overlay::sync(&base, &account.config_dir, now, make(direction, live));
    let stamp = (report.is_complete() && report.settings.problems.is_empty())
        .then(|| stamp::take(&base, &account.config_dir, clock::now()).ok())
        .flatten();
    if store.overlay_state(account.id)?.stamp != stamp {
        store.set_stamp(account.id, stamp.as_ref())?;
    }
    Ok(report)
}

/// Says what was done. Returns whether everything is in order.
fn tell(account: &Account, report: &SyncReport, quiet: bool) -> bool {
    let label = &account.label;
    for healed in &report.healed {
        say(format_args!("{label}: {healed}"));
    }
    for failed in &report.failed {
        say(format_args!("warning: {label}: {failed}"));
    }
    for problem in &report.settings.problems {
        say(format_args!("warning: {label}: {problem}"));
    }
    for key in &report.settings.reverted {
        say(format_args!(
            "{label}: `{key}` is as in your own settings again"
        ));
    }
    if !quiet {
        for left in &report.left {
            say(format_args!("{label}: {left}"));
        }
        if report.busy {
            say(format_args!("{label}: another sync is at work"));
        } else if report.changed_nothing() {
            say(format_args!("{label}: in order"));
        } else {
            let (linked, pruned) = (report.linked.len(), report.pruned.len());
            say(format_args!("{label}: {linked} linked, {pruned} pruned"));
        }
    }
    report.failed.is_empty()
}

/// A launch that did not wait for us has closed our standard error, which is no reason to stop.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
