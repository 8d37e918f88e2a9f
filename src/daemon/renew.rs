//! Direct renewal: which logins are due, the exchange between the store and the service, and what its outcome says about
//! an account. Only accounts that nobody uses are renewed: in a session claude does it.

use super::fold::counts;
use super::sampling::Surroundings;
use crate::adapters::claude_api::ApiBase;
use crate::adapters::claude_api::token::{self, Renewing, TOKEN_TIMEOUT, TokenError, TokenGrant};
use crate::adapters::creds::renew::{self, Begun, Completed, Grant, Outlook, Renewal, Step};
use crate::adapters::creds::{CredsError, Secret};
use crate::adapters::leases;
use crate::adapters::procs;
use crate::adapters::store::{Account, Event, Store, StoreError};
use crate::contract::paths::Home;
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How long before its end an access token is renewed: later than claude does it (5 minutes), so that a claude which
/// runs has always been there first.
pub const DUE: Duration = Duration::from_secs(4 * 60);
/// No token ends before this.
const NEVER: Timestamp = Timestamp::from_unix_ms(i64::MIN);
/// After this long in one round no further renewal is begun.
const BOUND: Duration = Duration::from_secs(20);

/// What became of one login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// It was renewed, or a renewal that had been interrupted was completed.
    Renewed {
        /// When the new access token ends.
        expires_at: Timestamp,
    },
    /// There was nothing to do, or somebody else does it or has done it.
    NotNeeded,
    /// The service does not accept the login any more.
    Refused,
    /// It could not be done now, which says nothing about the login.
    Failed {
        /// Why; no secret.
        reason: String,
        /// The service was not reached, and will not be by the next account.
        offline: bool,
    },
}

impl Renewed {
    /// What stood in the way; none where nothing did.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        match self {
            Self::Renewed { .. } | Self::NotNeeded => None,
            Self::Refused => Some("the service does not accept the login".to_owned()),
            Self::Failed { reason, .. } => Some(format!("its login was not renewed: {reason}")),
        }
    }
}

/// Renews the logins that are due and that nobody uses, and records what came of it. What needed nothing is not listed.
pub fn renew_due(
    store: &mut Store,
    surroundings: Surroundings<'_>,
    now: Timestamp,
) -> Result<Vec<(AccountId, Renewed)>, StoreError> {
    let home = surroundings.home;
    let in_use = in_use(home, now);
    let started = Instant::now();
    let mut outcomes = Vec::new();
    for account in store.accounts()? {
        if started.elapsed() > BOUND {
            break;
        }
        let Some(due) = due(home, &account, &in_use, now) else {
            continue;
        };
        let renewed = renew_before(
            home,
            account.id,
            due,
            surroundings.oauth,
            surroundings.now,
            &|_| (),
        );
        record(store, &account, &renewed, now)?;
        let offline = matches!(renewed, Renewed::Failed { offline: true, .. });
        if renewed != Renewed::NotNeeded {
            outcomes.push((account.id, renewed));
        }
        if offline {
            break;
        }
    }
    Ok(outcomes)
}

/// The accounts with a live session or a reservation; none when that cannot be told.
fn in_use(home: &Home, now: Timestamp) -> Option<BTreeSet<AccountId>> {
    let listing = leases::list(&home.leases()).ok()?;
    let machine = procs::machine();
    let live = listing
        .leases
        .iter()
        .filter(|lease| counts(lease, &machine, now));
    Some(live.map(|lease| lease.account).collect())
}

/// What an access token has to end before, for the account to be renewed; none where nothing is to be done.
fn due(
    home: &Home,
    account: &Account,
    in_use: &Option<BTreeSet<AccountId>>,
    now: Timestamp,
) -> Option<Timestamp> {
    let is_idle = in_use
        .as_ref()
        .is_some_and(|ids| !ids.contains(&account.id))
        && account.identity.is_some()
        && account.health.unleased_sessions == 0
        && !account.health.needs_login;
    let soon = now.plus(DUE);
    match renew::outlook(home, account.id) {
        Ok(Outlook::EndsAt(end)) => (is_idle && end <= soon).then_some(soon),
        // Completing costs no question, and the sooner the fewer see the old token: also where somebody works.
        Ok(Outlook::Interrupted) => Some(if is_idle { soon } else { NEVER }),
        Ok(Outlook::Nothing) | Err(_) => None,
    }
}

/// Renews one login, if it is due. `watch` is told of each step.
#[must_use]
pub fn renew_one(
    home: &Home,
    account: AccountId,
    oauth: &ApiBase,
    now: &dyn Fn() -> Timestamp,
    watch: &dyn Fn(Step),
) -> Renewed {
    renew_before(home, account, now().plus(DUE), oauth, now, watch)
}

fn renew_before(
    home: &Home,
    account: AccountId,
    due: Timestamp,
    oauth: &ApiBase,
    now: &dyn Fn() -> Timestamp,
    watch: &dyn Fn(Step),
) -> Renewed {
    let failed = |reason: String| Renewed::Failed {
        reason,
        offline: false,
    };
    let renewal = match renew::begin(home, account, due, watch) {
        Ok(Begun::Ready(renewal)) => renewal,
        Ok(Begun::Completed { expires_at }) => return Renewed::Renewed { expires_at },
        Ok(Begun::NotDue | Begun::Busy) => return Renewed::NotNeeded,
        Err(error) => return failed(error.to_string()),
    };
    if !renewal.is_current() {
        return Renewed::NotNeeded;
    }
    match ask(&renewal, oauth) {
        Ok(granted) => {
            let grant = grant_of(granted, now());
            match renewal.complete(&grant) {
                Ok(Completed::Stored) => Renewed::Renewed {
                    expires_at: grant.expires_at,
                },
                Ok(Completed::Superseded) => Renewed::NotNeeded,
                Err(error @ CredsError::Lost { .. }) => {
                    failed(format!("{error}; it needs a new sign-in"))
                }
                Err(error) => failed(error.to_string()),
            }
        }
        // Another one may have been faster, if we were taken for dead.
        Err(TokenError::InvalidGrant) if renewal.is_stored() => Renewed::Refused,
        Err(TokenError::InvalidGrant) => Renewed::NotNeeded,
        Err(error) => Renewed::Failed {
            reason: error.to_string(),
            offline: matches!(error, TokenError::Transport(_) | TokenError::Tls(_)),
        },
    }
}

/// Asks the service; once more where it does not grant what claude asks for, as claude does: then for what the login has.
fn ask(renewal: &Renewal<'_>, oauth: &ApiBase) -> Result<TokenGrant, TokenError> {
    let renewing = Renewing {
        client_id: renewal.client_id(),
        scopes: renewal.scopes(),
        is_subscription: renewal.is_subscription(),
    };
    let ask = |scope: &str| {
        let token = renewal.refresh_token().expose();
        token::renew(oauth, token, renewing.client_id, scope, TOKEN_TIMEOUT)
    };
    match (ask(&renewing.scope()), renewing.scope_it_has()) {
        (Err(TokenError::InvalidScope), Some(own)) if renewal.is_current() => ask(&own),
        (answer, _) => answer,
    }
}

fn grant_of(granted: TokenGrant, now: Timestamp) -> Grant {
    Grant {
        access: secret(granted.access_token),
        refresh: granted.refresh_token.map(secret),
        expires_at: now.plus(granted.expires_in),
        refresh_expires_at: granted.refresh_expires_in.map(|life| now.plus(life)),
        scopes: granted.scopes,
    }
}

fn secret(mut text: Zeroizing<String>) -> Secret {
    Secret::new(std::mem::take(&mut *text))
}

fn record(
    store: &mut Store,
    account: &Account,
    renewed: &Renewed,
    now: Timestamp,
) -> Result<(), StoreError> {
    let id = account.id;
    let (kind, text) = match renewed {
        Renewed::NotNeeded => return Ok(()),
        Renewed::Renewed { .. } => {
            store.set_needs_login(id, false)?;
            return store.set_renewal_failed(id, false);
        }
        Renewed::Refused => {
            store.set_needs_login(id, true)?;
            (
                "needs_login",
                "the service does not accept the login".to_owned(),
            )
        }
        // Once is enough, however long it lasts.
        Renewed::Failed { .. } if account.health.renewal_failed => return Ok(()),
        Renewed::Failed { reason, .. } => ("renewal_failed", reason.clone()),
    };
    store.set_renewal_failed(id, true)?;
    let event = Event {
        account: Some(id),
        at: now,
        kind: kind.to_owned(),
        text,
    };
    store.add_event(&event, now)
}
