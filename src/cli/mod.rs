//! The command line of `ccpd`: one file per command.

pub mod context;
pub mod demo;
pub mod statusline;
