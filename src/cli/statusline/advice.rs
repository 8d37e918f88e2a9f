//! Whether a session had better go on under another account, in a few words. Told from the published snapshot and the
//! leases alone: it is asked after every turn.

use crate::claim::roster::{Origin, Roster};
use crate::claim::{Wish, look};
use crate::contract::paths::Home;
use crate::contract::snapshot::Snapshot;
use crate::core::account::AccountId;
use crate::core::select::moving;
use crate::core::time::Timestamp;
use crate::core::usage::{Window, WindowKind};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// The largest snapshot that is read.
const MAX_SNAPSHOT: u64 = 16 * 1024 * 1024;
/// From here on (percent used) an account is near its limit.
const NEAR: f64 = 95.0;

/// What is published of the accounts; none when it cannot be read.
pub(super) fn snapshot(home: &Home) -> Option<Snapshot> {
    let mut text = Vec::new();
    let file = File::open(home.snapshot()).ok()?;
    file.take(MAX_SNAPSHOT).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// What the person calls an account.
pub(super) fn label_of(snapshot: Option<&Snapshot>, account: AccountId) -> String {
    let label = snapshot.and_then(|s| s.account(account).map(|a| a.label.clone()));
    label.unwrap_or_else(|| account.to_string())
}

/// For the status line: the advice where the session's account is near its limit or refused by it.
pub(super) fn beside_numbers(
    home: &Home,
    snapshot: &Snapshot,
    account: AccountId,
    windows: &[Window],
    now: Timestamp,
) -> Option<String> {
    let limited = snapshot.account(account)?.limited_until_ms;
    let limited = limited.map(Timestamp::from_unix_ms).filter(|u| *u > now);
    let binds = |w: &&Window| matches!(w.kind, WindowKind::FiveHour | WindowKind::SevenDay);
    let near = windows.iter().filter(binds);
    let near = near.filter(|w| w.used.percent() >= NEAR);
    // It serves again when the last of them has reset.
    let until = near.filter_map(|w| w.resets_at).chain(limited).max()?;
    let label = target(home, snapshot.clone(), account, until, now)?;
    Some(format!("`ccp continue` goes on as {label}"))
}

/// For the person whose turn was refused until `until`: a sentence, where going on elsewhere pays.
pub fn after_limit(
    home: &Home,
    account: AccountId,
    until: Timestamp,
    now: Timestamp,
) -> Option<String> {
    let snapshot = snapshot(home)?;
    let own = label_of(Some(&snapshot), account);
    let label = target(home, snapshot, account, until, now)?;
    Some(format!(
        "{own} is at its limit: leave this session, and `ccp continue` goes on with it as {label}"
    ))
}

/// The label of the account to go on with.
fn target(
    home: &Home,
    snapshot: Snapshot,
    account: AccountId,
    until: Timestamp,
    now: Timestamp,
) -> Option<String> {
    let roster = Roster {
        snapshot,
        origin: Origin::Published,
    };
    let wish = Wish {
        account: None,
        model: None,
        // Habits of a directory say nothing about where to move.
        cwd: Path::new(""),
        command: "statusline",
        claude: None,
    };
    let choice = look(home, &roster, &wish, now).ok()?;
    let id = moving::target(&choice.pick.ranking, account, until, now)?;
    Some(label_of(Some(&roster.snapshot), id))
}
