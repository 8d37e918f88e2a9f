//! What keeps the accounts fresh: sampling, publishing, folding leases. One-shot commands call the same functions; the
//! daemon calls them when they are due, and answers on a socket.

pub mod fold;
pub mod kept;
pub mod log;
pub mod overlays;
pub mod pool;
pub mod publish;
pub mod refresh;
pub mod renew;
pub mod roster;
pub mod sampling;
pub mod serve;
pub mod spawn;
mod strays;

mod conditions;
mod endpoint;
mod log_file;
mod main_loop;
mod perform;
mod prober;
mod requests;
mod server;
mod sessions;
mod watchers;
