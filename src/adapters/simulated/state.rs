//! Everything the service remembers: accounts, logins, faults, the log. No sockets, no clock.

use std::collections::{BTreeMap, HashMap};

use super::account::{Account, AccountSpec, AccountTokens};
use super::fault::{EVERY_ACCOUNT, Endpoint, Fault, SetFault};
use super::log::Log;
use super::oauth::random_word;
use super::prompt::scripted_fault;
use super::time::Millis;
use crate::core::hash::hash;

/// Life of an access token, as the real ones have.
const ACCESS_LIFETIME_SECONDS: u64 = 8 * 3600;

/// Prompts whose scripted failures are counted: more than any test has, few enough for a demo left open.
const MAX_SCRIPTED: usize = 1000;

/// What an access token is worth.
#[derive(Debug)]
pub(super) struct Access {
    pub account: String,
    pub expires_at: Millis,
    pub revoked: bool,
}

/// What a refresh token is worth. Spent ones are kept: spending one twice is what we are here to notice.
#[derive(Debug)]
pub(super) struct Refresh {
    pub account: String,
    pub spent: bool,
    pub revoked: bool,
}

/// A single-use authorization code.
#[derive(Debug)]
pub(super) struct Code {
    pub account: String,
    pub challenge: Option<String>,
}

#[derive(Debug)]
pub(super) struct State {
    pub accounts: BTreeMap<String, Account>,
    pub access: HashMap<String, Access>,
    pub refresh: HashMap<String, Refresh>,
    pub codes: HashMap<String, Code>,
    /// Who signs in when a browser opens the authorize page without a hint.
    pub next_login: Option<String>,
    pub faults: HashMap<(String, Endpoint), SetFault>,
    /// How often a prompt that scripts failures has failed, by the hash of its text.
    pub scripted: HashMap<u64, u32>,
    pub log: Log,
    pub access_lifetime_seconds: u64,
    pub double_spends: u64,
    pub refreshes: u64,
}

impl State {
    pub fn new() -> Self {
        Self {
            accounts: BTreeMap::new(),
            access: HashMap::new(),
            refresh: HashMap::new(),
            codes: HashMap::new(),
            next_login: None,
            faults: HashMap::new(),
            scripted: HashMap::new(),
            log: Log::default(),
            access_lifetime_seconds: ACCESS_LIFETIME_SECONDS,
            double_spends: 0,
            refreshes: 0,
        }
    }

    /// Adds an account if its name is new, and signs it in either way.
    pub fn add_account(&mut self, spec: AccountSpec, now: Millis) -> AccountTokens {
        let name = spec.name.clone();
        self.accounts
            .entry(name.clone())
            .or_insert_with(|| Account::new(spec, now));
        self.sign_in(&name, now)
    }

    /// A fresh, independent login.
    pub fn sign_in(&mut self, account: &str, now: Millis) -> AccountTokens {
        let tokens = AccountTokens {
            access: format!("sk-ant-oat01-simulated-{}", random_word()),
            refresh: format!("sk-ant-ort01-simulated-{}", random_word()),
            expires_at: now + self.access_lifetime_seconds * 1000,
        };
        let account = account.to_owned();
        self.access.insert(
            tokens.access.clone(),
            Access {
                account: account.clone(),
                expires_at: tokens.expires_at,
                revoked: false,
            },
        );
        self.refresh.insert(
            tokens.refresh.clone(),
            Refresh {
                account,
                spent: false,
                revoked: false,
            },
        );
        tokens
    }

    /// The fault to commit now, counted down if it was set for a number of requests.
    pub fn take_fault(
        &mut self,
        account: Option<&str>,
        endpoint: Endpoint,
    ) -> Option<(String, Fault)> {
        let names = account.into_iter().chain([EVERY_ACCOUNT]);
        let key = names
            .map(|name| (name.to_owned(), endpoint))
            .find(|key| self.faults.contains_key(key))?;
        let set = self.faults.get_mut(&key)?;
        let fault = set.fault.clone();
        if let Some(remaining) = &mut set.remaining {
            *remaining = remaining.saturating_sub(1);
            if *remaining == 0 {
                self.faults.remove(&key);
            }
        }
        Some((key.0, fault))
    }

    /// The failure that a prompt scripts for itself, counted.
    pub fn take_scripted_fault(&mut self, prompt: &str) -> Option<(String, Fault)> {
        let (fault, times) = scripted_fault(prompt)?;
        if self.scripted.len() >= MAX_SCRIPTED {
            self.scripted.clear();
        }
        let failed = self.scripted.entry(hash(prompt.as_bytes())).or_default();
        if *failed >= times {
            return None;
        }
        *failed += 1;
        Some((EVERY_ACCOUNT.to_owned(), fault))
    }

    /// Whether a hang or stall that a request met is still in force.
    pub fn is_held(&self, account: &str, endpoint: Endpoint) -> bool {
        self.faults
            .get(&(account.to_owned(), endpoint))
            .is_some_and(|set| matches!(set.fault, Fault::Hang | Fault::StalledStream))
    }
}
