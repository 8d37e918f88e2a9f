//! What the daemon of the accounts tells of the session pools that it keeps running: `pools.json` in the home, for as long
//! as it runs.

use super::pool::{AccountSlots, SessionCounts, SlotCounts};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeptPools {
    /// Every pool that is kept, by name.
    pub pools: BTreeMap<String, KeptPool>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPool {
    /// How it stands.
    pub state: KeptState,
    /// Why it does not run, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Until when it rests, as an instant in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// How a kept pool stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptState {
    /// It is being begun.
    Beginning,
    /// It runs.
    Runs,
    /// It does not begin, and is tried again.
    Failing,
    /// It was begun too often within a minute.
    Resting,
    /// A person ended it.
    Ended,
    /// It is another program's, or on another machine.
    NotOurs,
    /// As a newer version says.
    #[serde(other)]
    Other,
}

/// A session pool of this machine, as `ccp status --json` tells. What is unknown is null.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PoolReport {
    /// Its name.
    pub name: String,
    /// Whether its daemon runs.
    pub running: bool,
    /// Whether the daemon of the accounts keeps it running, and how that stands; null when it does not.
    pub kept: Option<KeptState>,
    /// Until when it rests, where it was begun too often.
    pub rests_until: Option<String>,
    /// What is wrong with it, for people.
    pub problem: Option<String>,
    /// Version of its daemon.
    pub version: Option<String>,
    /// How many slots it has.
    pub size: Option<u32>,
    /// How many slots are in which state.
    pub slots: Option<SlotCounts>,
    /// How many sessions wait for a slot.
    pub queue_depth: Option<u32>,
    /// How many sessions are in which status.
    pub sessions: Option<SessionCounts>,
    /// How many slots run on which account.
    pub accounts: Vec<AccountSlots>,
}
