//! The one integration binary: every test that runs real executables, sockets, databases or the real client.

mod overlay;
mod tidy;
mod claude_api;
