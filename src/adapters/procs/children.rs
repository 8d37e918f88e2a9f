//! What the standard library lacks for child processes: groups, an end that is seen before it is reaped, and reading
//! with a bound.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// A request to end, in rising force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
}

impl Signal {
    const fn number(self) -> libc::c_int {
        match self {
            Self::Terminate => libc::SIGTERM,
            Self::Kill => libc::SIGKILL,
        }
    }
}

/// Signals a child. Only safe to call for one that is not reaped yet: afterwards the number may be another's.
pub fn signal_child(pid: u32, signal: Signal) {
    send(i64::from(pid), signal);
}

/// Signals the process group that an unreaped child leads.
pub fn signal_group(leader: u32, signal: Signal) {
    send(-i64::from(leader), signal);
}

fn send(target: i64, signal: Signal) {
    // 0 and -1 would mean "my own group" and "everybody".
    let Some(target) = libc::pid_t::try_from(target)
        .ok()
        .filter(|t| t.unsigned_abs() > 1)
    else {
        return;
    };
    // SAFETY: kill takes plain integers; one that is gone is answered by an error, which is what was wanted.
    unsafe {
        libc::kill(target, signal.number());
    }
}

/// Whether a child has ended. It is not reaped, so its number and its group stay its own until somebody waits for it.
#[must_use]
pub fn has_ended(pid: u32) -> bool {
    // SAFETY: siginfo_t is plain integers, for which zero is a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the buffer is a siginfo_t of ours.
    let rc = unsafe { libc::waitid(libc::P_PID, pid, &raw mut info, flags) };
    // An error means that it is not our child any more.
    // SAFETY: with WNOHANG and nothing to report the field is zero, as it was before.
    rc != 0 || unsafe { info.si_pid() } != 0
}

/// Waits until a child has ended, without a bound. It is not reaped, as with [`has_ended`].
pub fn wait_for_end(pid: u32) {
    loop {
        // SAFETY: siginfo_t is plain integers, for which zero is a value.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let flags = libc::WEXITED | libc::WNOWAIT;
        // SAFETY: the buffer is a siginfo_t of ours.
        let rc = unsafe { libc::waitid(libc::P_PID, pid, &raw mut info, flags) };
        // Any other error means that it is not our child any more.
        if rc == 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return;
        }
    }
}

/// Waits until reading from `source` would not block, or the bound is over (then it is false).
pub fn wait_readable(source: BorrowedFd<'_>, bound: Duration) -> io::Result<bool> {
    let mut entry = libc::pollfd {
        fd: source.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // Rounded up, so that a rest of less than a millisecond is no busy loop.
    let timeout =
        libc::c_int::try_from(bound.as_micros().div_ceil(1000)).unwrap_or(libc::c_int::MAX);
    // SAFETY: one entry, ours, and its count is passed along.
    let rc = unsafe { libc::poll(&raw mut entry, 1, timeout) };
    match rc {
        0 => Ok(false),
        1.. => Ok(true),
        _ => {
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::Interrupted {
                Ok(false)
            } else {
                Err(error)
            }
        }
    }
}
