//! Facts and decisions. Pure: no files, sockets, processes, threads or clocks; time is an argument.

pub mod account;
pub mod accounts;
pub mod calendar;
pub mod claude_json;
pub mod hash;
pub mod overlay;
pub mod select;
pub mod time;
pub mod usage;

#[cfg(feature = "full")]
pub mod alias;
#[cfg(feature = "full")]
pub mod kept;
#[cfg(feature = "full")]
pub mod pool;
#[cfg(feature = "full")]
pub mod prompt;
#[cfg(feature = "full")]
pub mod redaction;
#[cfg(feature = "full")]
pub mod registry;
#[cfg(feature = "full")]
pub mod screen;
#[cfg(feature = "full")]
pub mod transcript;
