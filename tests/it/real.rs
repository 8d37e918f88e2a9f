//! The product with the real Claude Code, against a stand-in of its service.

mod continuing;
mod pool_tools;
mod renewing;
mod sessions;
mod signing_in;
mod slot_terminal;
mod slots;

mod stage;
mod terminal;
mod workspace;
