//! What the leases tell: how many sessions each account carries, and what happened in a directory.

use super::directory_key;
use crate::adapters::leases;
use crate::adapters::procs::{self, Machine};
use crate::contract::lease::LeaseName;
use crate::contract::paths::Home;
use crate::contract::snapshot::Snapshot;
use crate::core::account::AccountId;
use crate::core::accounts::lease::is_live;
use crate::core::select::pin::{Activity, Past};
use crate::core::time::Timestamp;
use std::collections::BTreeMap;
use std::path::Path;

/// The leases of one moment.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    leases: Vec<(LeaseName, bool)>,
    live: BTreeMap<AccountId, u32>,
    /// Why the leases could not be read, if they could not.
    pub(super) problem: Option<String>,
}

impl Sessions {
    pub(super) fn read(home: &Home, machine: &Machine, now: Timestamp) -> Self {
        let dir = home.leases();
        let listing = match leases::list(&dir) {
            Ok(listing) => listing,
            Err(error) => {
                let problem = format!("cannot read the leases in {}: {error}", dir.display());
                return Self {
                    problem: Some(problem),
                    ..Self::default()
                };
            }
        };
        let own = procs::own_holder();
        let mut sessions = Self::default();
        for lease in listing.leases {
            // A lease of this very process is of a launch that led back to us: it is no session of its own.
            let ours = own == Some(lease.holder) && lease.machine == machine.hash;
            let sighting = procs::sight(lease.holder, lease.machine, machine);
            let live = !ours && is_live(lease.holder, lease.created_at, sighting, now);
            if live {
                *sessions.live.entry(lease.account).or_default() += 1;
            }
            sessions.leases.push((lease, live));
        }
        sessions
    }

    pub(super) fn count(&self, id: AccountId) -> u32 {
        self.live.get(&id).copied().unwrap_or(0)
    }

    /// The past of one directory, from its leases and from what the snapshot keeps of older ones.
    pub(super) fn past(
        &self,
        home: &Home,
        snapshot: &Snapshot,
        cwd: &Path,
        now: Timestamp,
    ) -> Past {
        let key = directory_key(cwd);
        let here = |lease: &LeaseName| lease.directory == key;
        let mut activity: Vec<Activity> = Vec::new();
        for (lease, live) in self.leases.iter().filter(|(lease, _)| here(lease)) {
            let touched = leases::touched_at(&home.leases(), lease);
            let at = touched.map_or(lease.created_at, |t| t.max(lease.created_at));
            activity.push(Activity {
                account: lease.account,
                at: at.min(now),
                live: *live,
                beside: lease.beside,
            });
        }
        let mut manual = None;
        for pin in snapshot.pins.iter().filter(|pin| pin.dir == cwd) {
            let Some(account) = AccountId::new(pin.account) else {
                continue;
            };
            if pin.manual {
                manual = Some(account);
            } else {
                let at = Timestamp::from_unix_ms(pin.at_ms);
                activity.push(Activity {
                    account,
                    at,
                    live: false,
                    beside: false,
                });
            }
        }
        Past::read(manual, &activity, now)
    }

    /// The account of the newest lease whose account may serve.
    pub(super) fn last_used(&self, may_serve: impl Fn(AccountId) -> bool) -> Option<AccountId> {
        let leases = self
            .leases
            .iter()
            .map(|(lease, _)| lease)
            .filter(|l| may_serve(l.account));
        leases.max_by_key(|l| l.created_at).map(|l| l.account)
    }
}
