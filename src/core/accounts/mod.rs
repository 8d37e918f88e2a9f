//! The roster: leases and, with them, how many sessions an account carries; labels; what lies ahead; and the machine
//! that decides when usage is asked for.

#[cfg(feature = "full")]
pub mod action;
#[cfg(feature = "full")]
pub mod backoff;
#[cfg(feature = "full")]
pub mod event;
pub mod forecast;
#[cfg(feature = "full")]
mod inquiry;
#[cfg(feature = "full")]
pub mod jitter;
#[cfg(feature = "full")]
mod jump;
pub mod label;
pub mod lease;
#[cfg(feature = "full")]
pub mod live;
#[cfg(feature = "full")]
pub mod login;
#[cfg(feature = "full")]
pub mod machine;
#[cfg(feature = "full")]
mod meaning;
#[cfg(feature = "full")]
pub mod outage;
#[cfg(feature = "full")]
pub mod pause;
#[cfg(feature = "full")]
pub mod refresh;
#[cfg(feature = "full")]
pub mod schedule;
#[cfg(all(test, feature = "full"))]
mod tests;
#[cfg(feature = "full")]
mod tracked;
