//! The product with the real Claude Code, against a stand-in of its service.

mod stage;
mod signing_in;
