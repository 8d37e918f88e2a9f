//! Putting overlays in order, and remembering what they look like then: for `ccp sync`, for a launch that waits, and
//! for the daemon after a change.

use super::publish;
use crate::adapters::overlay::{self, Direction, Options, SettingsProblem, SyncReport};
use crate::adapters::store::{Account, Event, Store, StoreError};
use crate::adapters::{clock, stamp};
use crate::contract::lease::LeaseName;
use crate::contract::paths::Base;
use crate::contract::settings::{Flow, Settings};
use crate::contract::snapshot::Stamp;
use crate::core::time::Timestamp;

/// How patient a sync is: [`Options::at_launch`] or [`Options::at_leisure`].
pub type MakeOptions = fn(Direction, bool) -> Options;

/// Which way settings flow, by the settings.
#[must_use]
pub const fn direction(settings: &Settings) -> Direction {
    match settings.flow {
        Flow::OneWay => Direction::OneWay,
        Flow::TwoWay => Direction::TwoWay,
    }
}

/// Puts one overlay in order and records its stamp; an overlay that is not in order has none, and is looked at again.
/// What was mended is kept as events: nobody may be there to read it. `waiting` is the lease of a launch that waits for
/// this: its session has not begun.
pub fn put_in_order(
    store: &mut Store,
    settings: &Settings,
    base: &Base,
    account: &Account,
    make: MakeOptions,
    waiting: Option<&LeaseName>,
    now: Timestamp,
) -> Result<SyncReport, StoreError> {
    let live = account.health.unleased_sessions > 0
        || publish::is_in_use(&store.home().clone(), account.id, waiting, now);
    let options = make(direction(settings), live);
    let (report, stamp) = sync_until_still(base, account, options, now);
    if store.overlay_state(account.id)?.stamp != stamp {
        store.set_stamp(account.id, stamp.as_ref())?;
    }
    note_held(store, account, &report, now)?;
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

/// What the flow of settings holds back for a person to look at is kept, for as long as it is held.
fn note_held(
    store: &mut Store,
    account: &Account,
    report: &SyncReport,
    now: Timestamp,
) -> Result<(), StoreError> {
    if !report.settings.merged {
        return Ok(());
    }
    let problems = report.settings.problems.iter();
    let held: Vec<String> = problems
        .filter(|problem| problem.is_held())
        .map(ToString::to_string)
        .collect();
    let text = (!held.is_empty()).then(|| held.join("; "));
    if !store.set_held(account.id, text.as_deref(), now)? {
        return Ok(());
    }
    let event = Event {
        at: now,
        account: Some(account.id),
        kind: "settings_held".to_owned(),
        text: text.unwrap_or_else(|| "nothing is held back any more".to_owned()),
    };
    store.add_event(&event, now)
}

/// How often an overlay is looked at again because something changed meanwhile; then it has no stamp, and its turn comes
/// again.
const LOOKS: usize = 3;

/// Syncs until nothing changed from before to after, so that the stamp tells what a sync has really seen: an entry that
/// came in between would be taken for one that is in order.
fn sync_until_still(
    base: &Base,
    account: &Account,
    options: Options,
    now: Timestamp,
) -> (SyncReport, Option<Stamp>) {
    let dir = &account.config_dir;
    let take = || stamp::take(base, dir, clock::now()).ok();
    let mut all = SyncReport::default();
    for _ in 0..LOOKS {
        let before = take();
        let report = overlay::sync(base, dir, now, options);
        let settled = report.is_settled();
        all = together(all, report);
        if !settled {
            break;
        }
        if let (Some(before), Some(after)) = (before, take())
            && is_same(&before, &after)
        {
            return (all, Some(before));
        }
    }
    (all, None)
}

fn is_same(before: &Stamp, after: &Stamp) -> bool {
    before.base_listing == after.base_listing
        && before.account_listing == after.account_listing
        && before.base_json == after.base_json
}

/// What two syncs in a row did; what was left or failed counts as the later one has it.
fn together(mut first: SyncReport, later: SyncReport) -> SyncReport {
    first.linked.extend(later.linked);
    first.pruned.extend(later.pruned);
    first.healed.extend(later.healed);
    first.settings.wrote_account |= later.settings.wrote_account;
    first.settings.wrote_base |= later.settings.wrote_base;
    first.settings.reverted.extend(later.settings.reverted);
    if later.settings.merged || !first.settings.merged {
        first.settings.problems = later.settings.problems;
    } else {
        // What was judged stands where nothing was judged anew.
        first.settings.problems.retain(SettingsProblem::is_held);
        first.settings.problems.extend(later.settings.problems);
    }
    first.settings.merged |= later.settings.merged;
    first.left = later.left;
    first.failed = later.failed;
    first.busy = later.busy;
    first
}

/// Whether an account's overlay is as it was left when it was last in order.
pub fn is_in_order(
    store: &Store,
    settings: &Settings,
    base: &Base,
    account: &Account,
) -> Result<bool, StoreError> {
    let stamp = store.overlay_state(account.id)?.stamp;
    let two_way = settings.flow == Flow::TwoWay;
    Ok(stamp.is_some_and(|s| stamp::is_current(&s, base, &account.config_dir, two_way)))
}

/// What was mended and what failed, a line each.
#[must_use]
pub fn news(account: &Account, report: &SyncReport) -> Vec<String> {
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
