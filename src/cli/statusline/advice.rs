//! Whether a session had better go on under another account, in a few words. Told from the published snapshot and the
//! leases alone: it is asked after every turn.

use crate::claim::roster::{Origin, Roster, is_behind};
use crate::claim::rules::Place;
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

/// The session that advice is for.
#[derive(Clone, Copy, Debug)]
pub struct Session<'a> {
    /// Where ccp keeps its state.
    pub home: &'a Home,
    /// The person's home directory.
    pub user_home: &'a Path,
    /// Where it runs; empty when nobody says.
    pub dir: &'a Path,
    /// Its account.
    pub account: AccountId,
}

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
    session: &Session<'_>,
    snapshot: &Snapshot,
    windows: &[Window],
    now: Timestamp,
) -> Option<String> {
    let limited = snapshot.account(session.account)?.limited_until_ms;
    let limited = limited.map(Timestamp::from_unix_ms).filter(|u| *u > now);
    let binds = |w: &&Window| matches!(w.kind, WindowKind::FiveHour | WindowKind::SevenDay);
    let near = windows.iter().filter(binds);
    let near = near.filter(|w| w.used.percent() >= NEAR);
    // It serves again when the last of them has reset.
    let until = near.filter_map(|w| w.resets_at).chain(limited).max()?;
    let label = target(session, snapshot.clone(), until, now)?;
    Some(format!("`ccp continue` goes on as {label}"))
}

/// For the person whose turn was refused until `until`: a sentence, where going on elsewhere pays.
pub fn after_limit(session: &Session<'_>, until: Timestamp, now: Timestamp) -> Option<String> {
    let snapshot = snapshot(session.home)?;
    let own = label_of(Some(&snapshot), session.account);
    let label = target(session, snapshot, until, now)?;
    Some(format!(
        "{own} is at its limit: leave this session, and `ccp continue` goes on with it as {label}"
    ))
}

/// The label of the account to go on with.
fn target(
    session: &Session<'_>,
    snapshot: Snapshot,
    until: Timestamp,
    now: Timestamp,
) -> Option<String> {
    let roster = Roster {
        is_behind: is_behind(session.home, &snapshot),
        snapshot,
        origin: Origin::Published,
        user_home: session.user_home.to_owned(),
    };
    let wish = Wish {
        account: None,
        model: None,
        // Habits of a directory say nothing about where to move.
        cwd: Path::new(""),
        // Its rules do.
        place: Place::at(session.dir),
        command: "statusline",
        claude: None,
    };
    let choice = look(session.home, &roster, &wish, now).ok()?;
    let id = moving::target(&choice.pick.ranking, session.account, until, now)?;
    Some(label_of(Some(&roster.snapshot), id))
}
