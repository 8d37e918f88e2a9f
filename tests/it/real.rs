//! The product with the real Claude Code, against a stand-in of its service.

mod renewing;
mod sessions;
mod signing_in;
pub mod stage;
pub mod terminal;
mod workspace;
