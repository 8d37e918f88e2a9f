//! `ccp` runs Claude Code on whichever of your own subscriptions has the most headroom.
//!
//! One library, two executables. The rooms below are in floor order: a room imports from the floors under it and never
//! from its own or from above (`docs/ARCHITECTURE.md` has the map, `tests/it/tidy.rs` reads every `use` to prove it).

pub mod core;

pub mod contract;

pub mod adapters;

pub mod claim;

pub mod launch;

#[cfg(feature = "full")]
pub mod client;

#[cfg(feature = "full")]
pub mod host;

#[cfg(feature = "full")]
pub mod daemon;

#[cfg(feature = "full")]
pub mod doctor;

#[cfg(feature = "full")]
pub mod tui;

#[cfg(feature = "full")]
pub mod cli;
