//! The small process behind one slot: it has the terminal, claude in it and the picture of its screen, and outlives the
//! daemon. A daemon that comes back finds everything as it was, and what was said meanwhile.
//!
//! Refuses to know what a session, a turn or an account is. Ends claude politely and then itself when it is told to,
//! when claude ends, when its record or its directory is gone, or when the process ends that a test named as its owner.

mod attach;
mod connection;
mod ending;
pub mod hook;
mod keyboard;
mod main_loop;
mod orders;
mod outgoing;
mod picture;
mod reports;
mod socket;
mod start;
mod wait;

pub use socket::SocketError;
pub use start::StartError;

use std::path::Path;

/// Runs the host of a slot: reads what to start from its directory, starts it, and stays until it has ended. An error
/// means that nothing was started; it is also left in the directory, for the daemon.
pub fn run(slot_dir: &Path, owner: Option<u32>) -> Result<(), StartError> {
    let started = start::start(slot_dir, owner).inspect_err(|error| {
        start::leave_error(slot_dir, error);
    })?;
    main_loop::run(started);
    Ok(())
}
