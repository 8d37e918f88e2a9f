//! The roster: leases and, with them, how many sessions an account carries.

pub mod lease;
