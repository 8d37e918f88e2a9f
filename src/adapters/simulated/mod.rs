//! A simulated service: the few HTTP endpoints Claude Code talks to, on loopback, with made-up accounts.
//!
//! It is what `ccp demo` and the tests run against. It knows accounts, their windows, their single-use logins and the
//! faults it was asked to commit; it does not know `ccp`, and it never connects to anything. `respond` is the whole
//! behaviour, a function from one request to one response; `Service` puts it on a socket, `Server` owns the threads.
//!
//! ```no_run
//! use ccp::adapters::simulated::{AccountSpec, Endpoint, Fault, Resets, Service, WindowKind};
//! let service = Service::start()?;
//! let tokens = service.add_account(AccountSpec::new("work"));
//! service.set_window("work", WindowKind::FiveHour, 31.0, Resets::In(7200));
//! service.set_fault("work", Endpoint::Messages, Fault::PlanLimit);
//! # let _ = tokens;
//! # Ok::<(), std::io::Error>(())
//! ```

mod account;
pub mod client;
mod fault;
mod log;
mod messages;
mod oauth;
mod prompt;
mod respond;
mod server;
mod service;
mod state;
mod time;
mod usage;
mod wire;

#[cfg(test)]
mod tests;

pub use account::{AccountSpec, AccountTokens, ExtraUsage, Resets, WindowKind};
pub use fault::{EVERY_ACCOUNT, Endpoint, Fault};
pub use log::Recorded;
pub use oauth::{Authorization, challenge_of, parameter, random_word};
pub use server::Server;
pub use service::{Handle, Service};
pub use time::{Millis, now};
