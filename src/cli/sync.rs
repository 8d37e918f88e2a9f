//! `ccp sync`: the overlay of the accounts put in order, and what it looks like then recorded for the launcher. This is
//! what a launch runs when an overlay has drifted, so it looks at one account and opens nothing that it does not need.

use super::accounts;
use super::arguments::Sync;
use super::context::Context;
use super::failure::{Failure, Outcome};
use crate::adapters::overlay::{self, Direction, Options, SyncReport};
use crate::adapters::store::{Account, Event, Store};
use crate::adapters::{clock, stamp};
use crate::contract::exit;
use crate::contract::lease::LeaseName;
use crate::contract::paths::Base;
use crate::contract::settings::Flow;
use crate::core::account::AccountId;
use crate::daemon::publish;
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

type MakeOptions = fn(Direction, bool) -> Options;

/// Which way settings flow, by the settings.
pub(super) fn direction(context: &Context) -> Result<Direction, Failure> {
    Ok(match context.settings()?.flow {
        Flow::OneWay => Direction::OneWay,
        Flow::TwoWay => Direction::TwoWay,
    })
}

/// Puts one overlay in order and records its stamp; an overlay that is not in order has none, and is looked at again.
/// What was mended is kept as events: at a launch nobody may be there to read it.
fn sync_account(
    context: &Context,
    store: &mut Store,
    account: &Account,
    make: MakeOptions,
    waiting: Option<&LeaseName>,
) -> Result<SyncReport, Failure> {
    let base: Base = context.base()?;
    let now = clock::now();
    let live = publish::is_in_use(&context.home, account.id, waiting, now);
    let report = overlay::sync(
        &base,
        &account.config_dir,
        now,
        make(direction(context)?, live),
    );
    let take = || stamp::take(&base, &account.config_dir, clock::now()).ok();
    let stamp = report.is_settled().then(take).flatten();
    if store.overlay_state(account.id)?.stamp != stamp {
        store.set_stamp(account.id, stamp.as_ref())?;
    }
    for text in news(account, &report) {
        let event = Event {
            at: now,
            account: Some(account.id),
            kind: "overlay".to_owned(),
            text,
        };
        store.add_event(&event, now)?;
    }
    Ok(report)
}

/// What was mended and what failed, a line each.
fn news(account: &Account, report: &SyncReport) -> Vec<String> {
    let label = &account.label;
    let healed = report.healed.iter().map(|h| format!("{label}: {h}"));
    let failed = report
        .failed
        .iter()
        .map(|f| format!("warning: {label}: {f}"));
    let problems = report
        .settings
        .problems
        .iter()
        .map(|p| format!("warning: {label}: {p}"));
    let reverted = report.settings.reverted.iter();
    let reverted = reverted.map(|key| format!("{label}: `{key}` is as in your own settings again"));
    healed
        .chain(failed)
        .chain(problems)
        .chain(reverted)
        .collect()
}

/// What was left alone, and the sum of it, for a person who asked.
fn remarks(account: &Account, report: &SyncReport) -> Vec<String> {
    let label = &account.label;
    let left = report.left.iter().map(|left| format!("{label}: {left}"));
    let busy = report
        .busy
        .then(|| format!("{label}: another sync is at work"));
    left.chain(busy).collect()
}

fn tell(lines: &[String]) {
    for line in lines {
        // Whoever asked may be gone.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}
