//! One round of housekeeping and sampling, and everything that follows from it: the database, the snapshot, the public
//! status. Who asks, and where the answers go, is decided here; how each source is asked is `sampling`'s.

use super::fold::{self, FoldError};
use super::publish::{self, PublishError};
use super::renew::{self, Renewed};
use super::roster::identity_of;
use super::sampling::{self, Outcome, Surroundings};
use super::strays;
use crate::adapters::files::{Lock, create_private_dir};
use crate::adapters::store::{Account, Event, Store, StoreError};
use crate::contract::paths::Base;
use crate::contract::settings::{Renew, Settings};
use crate::contract::snapshot::Snapshot;
use crate::core::account::AccountId;
use crate::core::select::score::is_stale;
use crate::core::time::Timestamp;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// It takes two answers "logged out", this far apart, to call a login dead.
pub const LOGIN_EVIDENCE: Duration = Duration::from_secs(60);
/// How the first of them is remembered.
pub(super) const LOGGED_OUT: &str = "claude says it is logged out";

/// Which accounts are sampled.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// Every account that was ever signed in.
    All,
    /// Those whose numbers are too old to go by.
    Stale,
    /// Those whose numbers are older than this.
    OlderThan(Duration),
    /// These.
    Only(&'a [AccountId]),
    /// None: housekeeping alone.
    Nobody,
}

/// What a round came to.
#[derive(Debug)]
pub struct Round {
    /// What each account that was asked had to say.
    pub outcomes: Vec<(AccountId, Outcome)>,
    /// What became of the logins that were due for direct renewal.
    pub renewed: Vec<(AccountId, Renewed)>,
    /// What was published.
    pub snapshot: Snapshot,
}

/// Why a round could not be completed. What was done until then is done.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// Somebody else has been sampling all the while.
    #[error("another ccp is sampling the accounts at this moment")]
    Busy,
    /// The lock cannot be taken.
    #[error("cannot lock {path}: {source}")]
    Lock {
        /// The lock.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Housekeeping stopped.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// Nothing could be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The database refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Folds what has come in, samples, keeps the answers, and publishes. `patience` is how long another round is waited
/// for: its numbers count as fresh, and are not asked for again.
pub fn refresh(
    store: &mut Store,
    settings: &Settings,
    base: &Base,
    which: Which<'_>,
    surroundings: Surroundings<'_>,
    patience: Duration,
) -> Result<Round, RefreshError> {
    let began = (surroundings.now)();
    let _lock = lock(store, patience, began)?;
    let now = (surroundings.now)();
    strays::note(store)?;
    let (_, mut snapshot) = fold::tidy(store, settings, base, now)?;
    // Before sampling, which then finds the new tokens.
    let renewed = match settings.renew {
        Renew::Direct => renew::renew_due(store, surroundings, now)?,
        Renew::Claude => Vec::new(),
    };
    if !renewed.is_empty() {
        snapshot = publish::publish_snapshot(store, settings, base, now)?;
    }
    let accounts = store.accounts()?;
    let chosen: Vec<AccountId> = accounts
        .iter()
        .filter(|a| a.identity.is_some() && asks_for(which, &snapshot, a.id, began, now))
        .map(|a| a.id)
        .collect();
    if chosen.is_empty() {
        return Ok(Round {
            outcomes: Vec::new(),
            renewed,
            snapshot,
        });
    }
    let deadline = Instant::now() + sampling::BOUND;
    let parallelism = sampling::PARALLELISM;
    let outcomes = sampling::sample_accounts(
        &chosen,
        &settings.sources,
        parallelism,
        deadline,
        surroundings,
    );
    let now = (surroundings.now)();
    for (id, outcome) in &outcomes {
        if let Some(account) = accounts.iter().find(|a| a.id == *id) {
            keep(store, account, outcome, now)?;
        }
    }
    let snapshot = publish::publish_snapshot(store, settings, base, now)?;
    publish::publish_status(store, &snapshot, now)?;
    Ok(Round {
        outcomes,
        renewed,
        snapshot,
    })
}

/// Only one round at a time; the lock's own time tells launchers when the last one began.
fn lock(store: &Store, patience: Duration, now: Timestamp) -> Result<Lock, RefreshError> {
    let path = store.home().refresh_lock();
    let failed = |source| RefreshError::Lock {
        path: path.clone(),
        source,
    };
    create_private_dir(store.home().path()).map_err(failed)?;
    let lock = Lock::acquire(&path, patience)
        .map_err(failed)?
        .ok_or(RefreshError::Busy)?;
    lock.touch(now).map_err(failed)?;
    Ok(lock)
}

fn asks_for(
    which: Which<'_>,
    snapshot: &Snapshot,
    id: AccountId,
    began: Timestamp,
    now: Timestamp,
) -> bool {
    let Some(entry) = snapshot.account(id) else {
        return false;
    };
    let freshness = entry.freshness(snapshot.paused_since_ms);
    match which {
        // What another round measured while we waited for it is as good as our own.
        Which::All => freshness.measured_at.is_none_or(|at| at < began),
        Which::Stale => is_stale(&freshness, now),
        Which::OlderThan(age) => freshness.measured_at.is_none_or(|at| now.since(at) > age),
        Which::Only(ids) => ids.contains(&id),
        Which::Nobody => false,
    }
}

/// Writes what one account had to say into the database.
fn keep(
    store: &mut Store,
    account: &Account,
    outcome: &Outcome,
    now: Timestamp,
) -> Result<(), StoreError> {
    let id = account.id;
    match outcome {
        Outcome::Measured {
            sample,
            account_uuid,
            ..
        } => {
            if is_another(account, account_uuid.as_deref()) {
                return store.set_probed(id, Some("the numbers were another account's"), now);
            }
            store.offer_sample(id, sample, now)?;
            alive(store, id, now)
        }
        Outcome::Unchanged { .. } => alive(store, id, now),
        Outcome::Throttled { .. } => {
            store.set_probed(id, Some("the usage read was throttled or offline"), now)
        }
        Outcome::LoginSuspected { confirmed: true } => logged_out(store, account, now),
        Outcome::LoginSuspected { confirmed: false } => {
            store.set_probed(id, Some("the login may be dead"), now)
        }
        Outcome::Failed { reason } => store.set_probed(id, Some(reason), now),
        Outcome::NotReached => Ok(()),
    }
}

/// Whether numbers that were measured in an account's directory are another person's or another plan's.
pub(super) fn is_another(account: &Account, measured: Option<&str>) -> bool {
    let own = account.identity.as_ref().map(|i| i.account_uuid.as_str());
    measured.is_some_and(|measured| Some(measured) != own) || is_other_plan(account)
}

/// Whether the login in the directory draws on another organisation's plan than the account's. The numbers name the
/// person alone, and a personal plan and a team seat are one person's.
fn is_other_plan(account: &Account) -> bool {
    let (Some(own), Some(there)) = (&account.identity, identity_of(&account.config_dir)) else {
        return false;
    };
    own.organization_uuid != there.organization_uuid
}

/// An answer with numbers is proof of a login.
pub(super) fn alive(store: &mut Store, id: AccountId, now: Timestamp) -> Result<(), StoreError> {
    store.set_probed(id, None, now)?;
    store.set_needs_login(id, false)?;
    store.set_renewal_failed(id, false)
}

fn logged_out(store: &mut Store, account: &Account, now: Timestamp) -> Result<(), StoreError> {
    let health = &account.health;
    let said_so_before = health
        .problem
        .as_ref()
        .is_some_and(|p| p.text == LOGGED_OUT)
        && health
            .probed_at
            .is_some_and(|at| now.since(at) >= LOGIN_EVIDENCE);
    let first = health.problem.as_ref().is_none_or(|p| p.text != LOGGED_OUT);
    if said_so_before && !health.needs_login {
        store.set_needs_login(account.id, true)?;
        let text = "claude said twice that it is logged out".to_owned();
        store.add_event(
            &Event {
                account: Some(account.id),
                at: now,
                kind: "needs_login".to_owned(),
                text,
            },
            now,
        )?;
    }
    // From the first answer on its numbers are no longer gone by, so that every launch asks for the second one.
    store.set_renewal_failed(account.id, true)?;
    // The time of the first answer stands until a second one may count.
    if first || said_so_before {
        store.set_probed(account.id, Some(LOGGED_OUT), now)
    } else {
        Ok(())
    }
}
