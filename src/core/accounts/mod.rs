//! The roster: leases and, with them, how many sessions an account carries; labels; what lies ahead.

pub mod forecast;
pub mod label;
pub mod lease;
