//! The daemon of one pool: sessions in warm slots behind a socket. The decisions are [`crate::core::pool`]'s; here are
//! its connections to clients, hosts, disk and claude.
//!
//! One thread talks (`serve`, `server`, `hosts`), one decides (`main_loop`), one writes (`keeper`); what takes long and
//! concerns one client alone (reading a transcript, starting a host) gets a thread for itself.

mod accounts;
mod handoff;
mod hosts;
mod hub;
mod importing;
mod keeper;
mod listening;
mod log;
mod long;
mod looking;
mod main_loop;
mod outbox;
mod perform;
mod processes;
mod reports;
mod requests;
pub mod serve;
mod server;
pub mod settings;
mod spawning;
mod transcripts;
mod turns;
mod typing;
mod usage;
mod views;
mod watching;

pub use spawning::{InSlot, in_slots};
