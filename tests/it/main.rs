//! The one integration binary: every test that runs real executables, sockets, databases or the real client.

mod exec;
mod launch;
mod overlay;
mod support;
mod tidy;
mod overlay;
mod tidy;
mod claude_api;
