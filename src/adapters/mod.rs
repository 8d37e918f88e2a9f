//! One room per outside thing. The rooms do not know each other; `clock`, `files` and `procs` are the ground they stand
//! on, and all that the launcher needs beside `claude_path`, `leases`, `place` and `stamp`.

pub mod claude_path;
pub mod clock;
pub mod files;
pub mod leases;
pub mod place;
pub mod procs;
pub mod stamp;

#[cfg(feature = "full")]
pub mod agent;
#[cfg(feature = "full")]
pub mod claude_api;
#[cfg(feature = "full")]
pub mod commands;
#[cfg(feature = "full")]
pub mod creds;
#[cfg(feature = "full")]
pub mod foreign;
#[cfg(feature = "full")]
pub mod inbox;
#[cfg(feature = "full")]
pub mod overlay;
#[cfg(feature = "full")]
pub mod pool_store;
#[cfg(feature = "full")]
pub mod power;
#[cfg(feature = "full")]
pub mod pty;
#[cfg(feature = "full")]
pub mod registry;
#[cfg(feature = "full")]
pub mod service;
#[cfg(feature = "full")]
pub mod shells;
#[cfg(feature = "full")]
pub mod short_path;
#[cfg(feature = "full")]
pub mod simulated;
#[cfg(feature = "full")]
pub mod ssh;
#[cfg(feature = "full")]
pub mod store;
#[cfg(feature = "full")]
pub mod transcripts;
