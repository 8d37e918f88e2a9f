//! The real `claude`, run for ccp's own purposes: asking for usage, asking who is logged in, signing in. claude keeps
//! and renews the logins; this room reads its answers and the identity it wrote down, and never a credential.

pub mod auth;
pub mod identity;
pub mod login;
pub mod probe;
mod process;
pub mod slot;
pub mod version;

pub use process::Environment;
