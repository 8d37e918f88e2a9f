//! How a pool is doing.

use super::config::Config;
use super::words::{SlotState, Status};
use serde::{Deserialize, Serialize};

/// The health of a pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// The pool's name.
    pub name: String,
    /// How many slots it has.
    pub size: u32,
    /// How many sessions wait for a slot.
    pub queue_depth: u32,
    /// How many slots are in which state; their sum is the size.
    pub slots: SlotCounts,
    /// How many sessions are in which status.
    pub sessions: SessionCounts,
    /// The configuration.
    pub config: Config,
    /// How many slots run on which account. An addition of ccp.
    #[serde(default)]
    pub accounts: Vec<AccountSlots>,
    /// Version of the program. An addition of ccp.
    #[serde(default)]
    pub version: String,
    /// In the answer to the first `init` of a daemon that found its slots living: how many. An addition of ccp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readopted: Option<u32>,
    /// Why slots do not start, for people. An addition of ccp.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// Slots of one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AccountSlots {
    /// The account's number.
    pub id: u16,
    /// The account's label.
    pub label: String,
    /// How many slots run on it.
    pub slots: u32,
}

/// Slots by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
#[expect(missing_docs, reason = "each is named after its state")]
pub struct SlotCounts {
    pub fresh: u32,
    pub spawning: u32,
    pub resuming: u32,
    pub clearing: u32,
    pub idle: u32,
    pub processing: u32,
    pub crashed: u32,
}

impl SlotCounts {
    /// The count of a state, to be counted up.
    pub const fn of(&mut self, state: SlotState) -> &mut u32 {
        match state {
            SlotState::Fresh => &mut self.fresh,
            SlotState::Spawning => &mut self.spawning,
            SlotState::Resuming => &mut self.resuming,
            SlotState::Clearing => &mut self.clearing,
            SlotState::Idle => &mut self.idle,
            SlotState::Processing => &mut self.processing,
            SlotState::Crashed => &mut self.crashed,
        }
    }
}

/// Sessions by status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
#[expect(missing_docs, reason = "each is named after its status")]
pub struct SessionCounts {
    pub queued: u32,
    pub idle: u32,
    pub processing: u32,
    pub offloaded: u32,
    pub error: u32,
    pub archived: u32,
}

impl SessionCounts {
    /// The count of a status, to be counted up.
    pub const fn of(&mut self, status: Status) -> &mut u32 {
        match status {
            Status::Queued => &mut self.queued,
            Status::Idle => &mut self.idle,
            Status::Processing => &mut self.processing,
            Status::Offloaded => &mut self.offloaded,
            Status::Error => &mut self.error,
            Status::Archived => &mut self.archived,
        }
    }
}
