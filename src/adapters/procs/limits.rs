//! How many descriptors this process may have open: more for one that serves many clients, as many as before for the
//! programs it starts.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;

/// What is aimed for: a descriptor for each client, and room for the rest. macOS starts with 256.
const WANTED: libc::rlim_t = 4096;

/// The limit that was inherited, once it was raised.
static INHERITED: OnceLock<libc::rlimit> = OnceLock::new();

/// Raises the soft limit on descriptors, as far as the hard one allows. Once in a process.
pub fn raise_descriptors() -> io::Result<()> {
    let inherited = current()?;
    let wanted = WANTED.min(inherited.rlim_max);
    if inherited.rlim_cur >= wanted {
        return Ok(());
    }
    let raised = libc::rlimit {
        rlim_cur: wanted,
        rlim_max: inherited.rlim_max,
    };
    // SAFETY: reads a structure of ours.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let _ = INHERITED.set(inherited);
    Ok(())
}

/// Gives a program that is about to be started the limit back that this process inherited.
pub fn restore_in(command: &mut Command) {
    let Some(inherited) = INHERITED.get().copied() else {
        return;
    };
    let restore = move || {
        // SAFETY: setrlimit may be called between fork and exec, and reads a structure of ours. A refusal leaves the
        // child with more descriptors than it expects, which is no reason not to start it.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const inherited) };
        Ok(())
    };
    // SAFETY: the closure allocates nothing and takes no lock.
    unsafe { command.pre_exec(restore) };
}

fn current() -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: writes a structure of ours.
    match unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } {
        0 => Ok(limit),
        _ => Err(io::Error::last_os_error()),
    }
}
