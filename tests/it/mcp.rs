//! `ccp mcp` and the skill of the pool, against a pool that does what the test says: by hand, and by the protocol's own
//! client library. Sessions of the real client use both in `real::pool_tools`.

pub mod library;
mod protocol;
pub mod scripted;
mod skill;
