//! Publishing: `snapshot.json` for launchers, `status.json` for everybody else. Both can be rebuilt from the database
//! at any time.

use super::fold::counts;
use crate::adapters::files::{self, Lock, PRIVATE_FILE};
use crate::adapters::leases;
use crate::adapters::procs;
use crate::adapters::store::{Meta, Picture, PicturedAccount, Store, StoreError};
use crate::contract::lease::LeaseName;
use crate::contract::paths::{Base, Home};
use crate::contract::settings::{Flow, Settings};
use crate::contract::snapshot::{
    AccountEntry, DEFAULT_CADENCE, FileStamp, PinEntry, SCHEMA, Snapshot,
};
use crate::contract::status::Status;
use crate::core::account::AccountId;
use crate::core::select::pin::AUTO_PIN_TTL;
use crate::core::time::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long publishing waits for another process that publishes, too. It then goes on without the lock: the file is
/// replaced whole in any case, and the next publication heals an order that went wrong.
const PATIENCE: Duration = Duration::from_millis(500);
/// The largest settings file of claude that is read, in bytes.
const MAX_SETTINGS: u64 = 4 * 1024 * 1024;
/// The largest snapshot that is read, in bytes: thousands of accounts and pins fit.
const MAX_SNAPSHOT: u64 = 64 * 1024 * 1024;

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A file of the home cannot be written.
    #[error("cannot write {path}: {source}")]
    Files {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The database refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Builds the snapshot from the database and writes it. Called after every change that a launcher has to see.
pub fn publish_snapshot(
    store: &Store,
    settings: &Settings,
    base: &Base,
    now: Timestamp,
) -> Result<Snapshot, PublishError> {
    let home = store.home();
    files::create_private_dir(home.path()).map_err(at(home.path()))?;
    // Read and write under one lock, so that no older picture replaces a newer one.
    let _lock = Lock::acquire(&home.state_lock(), PATIENCE).map_err(at(&home.state_lock()))?;
    let snapshot = build(&store.picture(now)?, settings, base, now);
    write(&home.snapshot(), &snapshot)?;
    Ok(snapshot)
}

/// Puts settings into the snapshot that was published last, and leaves the rest as it is: without the database, which may be
/// out of order while a rule that was just written has to hold. Whether there was a snapshot to put them into.
pub fn amend_snapshot(home: &Home, settings: &Settings, base: &Base) -> Result<bool, PublishError> {
    let _lock = Lock::acquire(&home.state_lock(), PATIENCE).map_err(at(&home.state_lock()))?;
    let Some(mut snapshot) = load_snapshot(home) else {
        return Ok(false);
    };
    settle(&mut snapshot, settings, base);
    write(&home.snapshot(), &snapshot)?;
    Ok(true)
}

/// Writes `status.json`, after a sweep was completed, and remembers when that was.
pub fn publish_status(
    store: &mut Store,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Result<Status, PublishError> {
    let home = store.home().clone();
    let sessions = sessions(&home, now).map_err(at(&home.leases()))?;
    let count = |id| sessions.get(&id).copied().unwrap_or(0);
    let status = Status::of(snapshot, count, None, now);
    write(&home.status(), &status)?;
    store.set_meta(Meta::LastSweep, Some(&now.unix_ms().to_string()))?;
    Ok(status)
}

/// How many sessions and reservations each account carries, by the leases. A holder that cannot be told counts.
pub fn sessions(home: &Home, now: Timestamp) -> io::Result<BTreeMap<AccountId, u32>> {
    let this = procs::machine();
    let mut sessions = BTreeMap::new();
    for lease in leases::list(&home.leases())?.leases {
        if counts(&lease, &this, now) {
            *sessions.entry(lease.account).or_default() += 1;
        }
    }
    Ok(sessions)
}

/// Whether an account carries a session other than the one of `except`: a launch puts the overlay in order after it has
/// written its own lease. What cannot be told counts.
#[must_use]
pub fn is_in_use(home: &Home, id: AccountId, except: Option<&LeaseName>, now: Timestamp) -> bool {
    let this = procs::machine();
    let in_use = |l: &LeaseName| l.account == id && Some(l) != except && counts(l, &this, now);
    leases::list(&home.leases()).map_or(true, |listing| listing.leases.iter().any(in_use))
}

/// The snapshot that was published last; none when there is none that this version can read.
#[must_use]
pub fn load_snapshot(home: &Home) -> Option<Snapshot> {
    let text = read_bounded(&home.snapshot(), MAX_SNAPSHOT)?;
    let snapshot: Snapshot = serde_json::from_slice(&text).ok()?;
    (snapshot.schema == SCHEMA).then_some(snapshot)
}

fn build(picture: &Picture, settings: &Settings, base: &Base, now: Timestamp) -> Snapshot {
    let pins = picture
        .pins
        .iter()
        .filter(|p| p.manual || now.since(p.at) <= AUTO_PIN_TTL)
        .map(|p| PinEntry {
            dir: p.dir.clone(),
            account: p.account.number(),
            manual: p.manual,
            at_ms: p.at.unix_ms(),
        });
    let mut snapshot = Snapshot {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        generated_at_ms: now.unix_ms(),
        base_dir: PathBuf::new(),
        base_json: PathBuf::new(),
        keep_env: Vec::new(),
        two_way: false,
        api_key_helper: false,
        autostart: false,
        paused_since_ms: picture.paused_since.map(Timestamp::unix_ms),
        config: FileStamp::default(),
        rules: Vec::new(),
        accounts: picture.accounts.iter().map(|a| entry(a, now)).collect(),
        pins: pins.collect(),
    };
    settle(&mut snapshot, settings, base);
    snapshot
}

/// Puts in what comes from `config.toml`.
pub(super) fn settle(snapshot: &mut Snapshot, settings: &Settings, base: &Base) {
    snapshot.base_dir.clone_from(&base.dir);
    snapshot.base_json.clone_from(&base.json);
    snapshot.keep_env.clone_from(&settings.keep_env);
    snapshot.two_way = settings.flow == Flow::TwoWay;
    snapshot.api_key_helper = names_api_key_helper(&base.settings());
    snapshot.autostart = settings.autostart;
    snapshot.config = settings.file;
    snapshot.rules.clone_from(&settings.rules);
}

fn entry(pictured: &PicturedAccount, now: Timestamp) -> AccountEntry {
    let PicturedAccount {
        account,
        sample,
        burn,
        overlay,
    } = pictured;
    let health = &account.health;
    let cadence = health.cadence.unwrap_or(DEFAULT_CADENCE);
    AccountEntry {
        id: account.id.number(),
        label: account.label.clone(),
        email: account.identity.as_ref().and_then(|i| i.email.clone()),
        dir: account.config_dir.clone(),
        sample: sample.as_ref().map(Into::into),
        burn: burn.0,
        cadence_ms: u64::try_from(cadence.as_millis()).unwrap_or(u64::MAX),
        limited_until_ms: health
            .limited_until
            .filter(|until| *until > now)
            .map(Timestamp::unix_ms),
        // A directory whose first sign-in was broken off serves nobody.
        needs_login: health.needs_login || account.identity.is_none(),
        renewal_failed: health.renewal_failed,
        unleased_sessions: health.unleased_sessions,
        stamp: overlay.stamp,
    }
}

/// Whether claude's settings name an `apiKeyHelper`. A file that cannot be read or parsed names none.
fn names_api_key_helper(settings: &Path) -> bool {
    read_bounded(settings, MAX_SETTINGS)
        .and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok())
        .and_then(|v| {
            v.get("apiKeyHelper")?
                .as_str()
                .map(|s| !s.trim().is_empty())
        })
        .unwrap_or(false)
}

fn read_bounded(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(limit).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn write(path: &Path, value: &impl Serialize) -> Result<(), PublishError> {
    let text = serde_json::to_vec(value).map_err(io::Error::other);
    text.and_then(|t| files::replace_rebuildable(path, &t, PRIVATE_FILE))
        .map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> PublishError {
    let path = path.to_owned();
    move |source| PublishError::Files { path, source }
}

#[cfg(test)]
mod tests;
