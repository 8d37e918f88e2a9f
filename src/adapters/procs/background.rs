//! Becoming a process of the background, with nothing left of the command that started it: its terminal, its signals, its
//! descriptors. A daemon that kept a pipe or a lock of a launch open would hold up whoever waits for that to end.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Signals 1 to 31 are those that every system knows.
const LAST_SIGNAL: libc::c_int = 31;
/// Standard input, output and error.
const STANDARD: libc::c_int = 3;

/// Leaves the terminal, gives every signal its default meaning and lets all of them through, closes every descriptor
/// but the standard three, and goes to `place`, so that no other directory is in use. To be called before anything is
/// opened and before there is a second thread; what cannot be done is left as it is.
pub fn leave(place: &Path) {
    super::leave_session();
    reset_signals();
    for descriptor in inherited() {
        // SAFETY: nothing of this process is open yet, so the descriptor is one that was inherited; a stale number is
        // answered by an error.
        unsafe { libc::close(descriptor) };
    }
    let _ = std::env::set_current_dir(place);
}

/// Lets a program that is about to be started begin in a session of its own, so that nothing that ends the group of this
/// process reaches it, not even in its first moment.
pub fn in_own_session(command: &mut Command) {
    let leave = || {
        // SAFETY: setsid may be called between fork and exec, and touches no memory.
        unsafe { libc::setsid() };
        Ok(())
    };
    // SAFETY: the closure allocates nothing and takes no lock.
    unsafe { command.pre_exec(leave) };
}

fn reset_signals() {
    for signal in 1..=LAST_SIGNAL {
        if signal != libc::SIGKILL && signal != libc::SIGSTOP {
            // SAFETY: the default needs no handler; a number that cannot be changed is answered by an error.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    }
    // SAFETY: a zeroed set is one that sigemptyset then fills, and it is ours.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// The open descriptors above the standard ones. The list is complete before the first is closed, and the descriptor that
/// it was read through is closed by then.
fn inherited() -> Vec<libc::c_int> {
    let listed = fs::read_dir("/dev/fd").into_iter().flatten().flatten();
    let numbers = listed.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|number| *number >= STANDARD).collect()
}
