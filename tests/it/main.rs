//! The one integration binary: every test that runs real executables, sockets, databases or the real client.

mod agent;
mod claude_api;
mod continuing;
mod daemon;
mod doctor;
mod exec;
mod host;
mod launch;
mod life;
mod mcp;
mod overlay;
mod pool;
mod pool_client;
mod pool_faults;
mod proof;
mod real;
mod renew;
mod rules;
mod service;
mod sshd;
mod support;
mod tidy;
mod views;
