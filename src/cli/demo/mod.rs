//! `ccp demo`: the whole product in a throw-away home against the simulated service.

pub mod client;
