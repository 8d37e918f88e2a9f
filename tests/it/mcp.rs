//! `ccp mcp` against a pool that does what the test says: by hand, and by the protocol's own client library. A session of
//! the real client uses it in `real::pool_tools`.

mod library;
mod protocol;
pub mod scripted;
