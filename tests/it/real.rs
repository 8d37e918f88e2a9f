//! The product with the real Claude Code, against a stand-in of its service.

mod continuing;
mod handoff;
mod kept;
mod live_usage;
mod pool_tools;
mod pooled;
mod renewing;
mod sessions;
mod signing_in;
mod slot_terminal;
mod slots;
pub mod stage;
pub mod terminal;
mod workspace;
