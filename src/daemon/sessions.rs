//! How the loop counts sessions: those with a lease, and those without. A session counts once.

use super::fold;
use super::main_loop::Loop;
use super::strays::{self, Look, Stray};
use crate::adapters::store::Account;
use crate::adapters::{leases, procs};
use crate::contract::lease::LeaseName;
use crate::core::account::AccountId;
use crate::core::accounts::event::Event as Happened;
use crate::core::accounts::lease::Holder;
use crate::core::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

impl Loop {
    pub(super) fn live_leases(&self, now: Timestamp) -> BTreeMap<String, AccountId> {
        let this = procs::machine();
        let Ok(listing) = leases::list(&self.places.home.leases()) else {
            // What cannot be looked at is as it was.
            return self.leases.clone();
        };
        let live = listing
            .leases
            .into_iter()
            .filter(|l| fold::counts(l, &this, now));
        live.map(|l| (l.to_string(), l.account)).collect()
    }

    /// Looks at the leases, and tells the machine of sessions that began or ended.
    pub(super) fn count_sessions(&mut self, now: Timestamp) {
        let live = self.live_leases(now);
        let before = std::mem::replace(&mut self.leases, live);
        let is_new = |(name, _): &(&String, &AccountId)| !before.contains_key(*name);
        let began: Vec<AccountId> = self.leases.iter().filter(is_new).map(|(_, a)| *a).collect();
        let is_gone = |(name, _): &(&String, &AccountId)| !self.leases.contains_key(*name);
        let ended: Vec<AccountId> = before.iter().filter(is_gone).map(|(_, a)| *a).collect();
        let unleased = began.is_empty() && ended.is_empty();
        self.tell_of_sessions(began, ended, now);
        if !unleased && self.strays.as_ref().is_some_and(|s| !s.is_empty()) {
            // A process that was without a lease may have one now, or its child.
            self.look_for_strays(Look::Listed, now);
        }
    }

    fn tell_of_sessions(&mut self, began: Vec<AccountId>, ended: Vec<AccountId>, now: Timestamp) {
        let changed: BTreeSet<AccountId> = began.iter().chain(&ended).copied().collect();
        for account in began {
            self.tell(Happened::SessionStarted { account }, now);
        }
        for account in ended {
            self.tell(Happened::SessionEnded { account }, now);
        }
        for account in changed {
            let live = self.sessions_of(account);
            self.tell(Happened::SessionsCounted { account, live }, now);
        }
    }

    /// Sessions and reservations of an account, with and without a lease.
    pub(super) fn sessions_of(&self, account: AccountId) -> u32 {
        let leased = self.leases.values();
        let strays = self.strays.iter().flat_map(BTreeMap::values);
        let count = leased.chain(strays).filter(|of| **of == account).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Looks for sessions without a lease, notes how many there are, and tells the machine of those that began or ended.
    pub(super) fn look_for_strays(&mut self, look: Look, now: Timestamp) {
        let found = self.performer.store.accounts().map(|accounts| {
            let found = strays::find(&self.places.home, &accounts, look);
            (accounts, found)
        });
        let (accounts, mut found) = match found {
            Ok((accounts, Ok(found))) => (accounts, found),
            Ok((accounts, Err(error))) => {
                self.log.warn("sessions not counted", &[("why", &error)]);
                let found = self.strays_not_told(&accounts);
                (accounts, found)
            }
            Err(error) => return self.performer.ill(&error),
        };
        let before = self.strays.take();
        if let (Look::Listed, Some(before)) = (look, &before) {
            // What only a look everywhere finds stays as long as it runs, unless it has become something else.
            let runs = |s: &Stray| s.pid == 0 || procs::start_time(s.pid) == Some(s.start);
            let kept = before.iter().filter(|(s, _)| runs(s) && !self.is_leased(s));
            for (stray, account) in kept {
                found.entry(*stray).or_insert(*account);
            }
        }
        let old = before.clone().unwrap_or_default();
        let only_in = |a: &BTreeMap<Stray, AccountId>, b: &BTreeMap<Stray, AccountId>| {
            let new = a.iter().filter(|(stray, _)| !b.contains_key(stray));
            new.map(|(_, account)| *account).collect::<Vec<_>>()
        };
        let (began, ended) = (only_in(&found, &old), only_in(&old, &found));
        let is_first = before.is_none();
        self.strays = Some(found);
        for account in &accounts {
            self.note_strays(account, now);
        }
        if is_first {
            // The machine hears of these with its accounts.
            return;
        }
        for account in &began {
            self.end_reservation(*account, now);
        }
        self.tell_of_sessions(began, ended, now);
    }

    /// When it cannot be told who runs, everybody is taken for busy, with what was seen last.
    fn strays_not_told(&self, accounts: &[Account]) -> BTreeMap<Stray, AccountId> {
        let mut strays = self.strays.clone().unwrap_or_default();
        for account in accounts {
            if strays.values().all(|of| *of != account.id) {
                let start = u64::from(account.id.number());
                strays.insert(Stray { pid: 0, start }, account.id);
            }
        }
        strays
    }

    fn is_leased(&self, stray: &Stray) -> bool {
        let names = self.leases.keys().filter_map(|n| LeaseName::parse(n));
        let Stray { pid, start } = *stray;
        names
            .into_iter()
            .any(|lease| lease.holder == Holder::Process { pid, start })
    }

    fn note_strays(&mut self, account: &Account, now: Timestamp) {
        let strays = self.strays.iter().flat_map(BTreeMap::values);
        let count = strays.filter(|of| **of == account.id).count();
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        if account.health.unleased_sessions == count {
            return;
        }
        if let Err(error) = self.performer.note_strays(account.id, count) {
            return self.performer.ill(&error);
        }
        self.adopt_own_changes(now);
    }

    /// A session that began is what a reservation was made for: it counts once.
    fn end_reservation(&mut self, account: AccountId, now: Timestamp) {
        let leases = self.leases.iter().filter(|(_, of)| **of == account);
        let reserved = leases
            .filter_map(|(name, _)| LeaseName::parse(name))
            .filter(|lease| matches!(lease.holder, Holder::Reservation { .. }))
            .min_by_key(|lease| lease.created_at);
        let Some(lease) = reserved else {
            return;
        };
        let store = &mut self.performer.store;
        match fold::check_in(store, &self.settings, &self.base, &lease, now) {
            Ok(_) => self.count_sessions(now),
            Err(error) => self.performer.ill(&error),
        }
    }
}
