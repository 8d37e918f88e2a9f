//! The terminal of this process while another program has it: its modes are put back afterwards, and a Ctrl-C that was
//! meant for the other does not end this one.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};

/// Ends bracketed paste and shows the cursor: what a program that was ended in the middle leaves undone.
const USUAL: &[u8] = b"\x1b[?2004l\x1b[?25h";

/// The modes and the foreground group of the controlling terminal, put back when dropped.
pub struct SavedTerminal {
    terminal: File,
    modes: libc::termios,
    foreground: libc::pid_t,
}

impl SavedTerminal {
    /// The terminal as it is now; none without one.
    #[must_use]
    pub fn take() -> Option<Self> {
        let terminal = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/tty")
            .ok()?;
        let mut modes = MaybeUninit::<libc::termios>::uninit();
        // SAFETY: the descriptor is open and the buffer is a termios.
        if unsafe { libc::tcgetattr(terminal.as_raw_fd(), modes.as_mut_ptr()) } != 0 {
            return None;
        }
        // SAFETY: the call succeeded and filled it.
        let modes = unsafe { modes.assume_init() };
        // SAFETY: the descriptor is open; nothing is written.
        let foreground = unsafe { libc::tcgetpgrp(terminal.as_raw_fd()) };
        Some(Self {
            terminal,
            modes,
            foreground,
        })
    }

    /// For a terminal whose program was ended in the middle: also ends what it may have switched on.
    pub fn calm(&mut self) {
        let _ = self.terminal.write_all(USUAL);
    }
}

impl Drop for SavedTerminal {
    fn drop(&mut self) {
        // From the background the terminal may be changed only by a process that does not mind SIGTTOU.
        let _stopped = Disposition::set(libc::SIGTTOU, libc::SIG_IGN);
        let descriptor = self.terminal.as_raw_fd();
        // SAFETY: the descriptor is open and the modes came from it; the group number is a plain integer.
        unsafe {
            if self.foreground > 0 && libc::tcgetpgrp(descriptor) != self.foreground {
                libc::tcsetpgrp(descriptor, self.foreground);
            }
            // At once: waiting for output to drain would hang on a terminal stopped by Ctrl-S.
            libc::tcsetattr(descriptor, libc::TCSANOW, &raw const self.modes);
        }
    }
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn note_interrupt(_signal: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// While it lives, SIGINT and SIGQUIT are noted instead of ending this process. A program started meanwhile gets the
/// usual effect back at its exec, since a handler, unlike "ignore", does not survive one.
pub struct HeldInterrupts {
    _held: [Option<Disposition>; 2],
}

impl HeldInterrupts {
    /// Holds them. What is ignored already (nohup) stays ignored, here and in children.
    #[must_use]
    pub fn hold() -> Self {
        INTERRUPTED.store(false, Ordering::Relaxed);
        let handler = note_interrupt as extern "C" fn(libc::c_int) as libc::sighandler_t;
        let hold = |signal| {
            let held = Disposition::set(signal, handler)?;
            let was_ignored = held.before.sa_sigaction == libc::SIG_IGN;
            (!was_ignored).then_some(held)
        };
        Self {
            _held: [libc::SIGINT, libc::SIGQUIT].map(hold),
        }
    }

    /// Whether one came since.
    #[must_use]
    pub fn seen(&self) -> bool {
        INTERRUPTED.load(Ordering::Relaxed)
    }
}

/// A signal's effect, put back when dropped.
struct Disposition {
    signal: libc::c_int,
    before: libc::sigaction,
}

impl Disposition {
    fn set(signal: libc::c_int, handler: libc::sighandler_t) -> Option<Self> {
        // SAFETY: a sigaction is integers and a set of bits, for which zero is a value.
        let mut new: libc::sigaction = unsafe { std::mem::zeroed() };
        new.sa_sigaction = handler;
        new.sa_flags = libc::SA_RESTART;
        let mut before = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: both are sigactions of ours; a handler given here only stores to an atomic.
        let rc = unsafe { libc::sigaction(signal, &raw const new, before.as_mut_ptr()) };
        if rc != 0 {
            return None;
        }
        // SAFETY: the call succeeded and filled it.
        let before = unsafe { before.assume_init() };
        Some(Self { signal, before })
    }
}

impl Drop for Disposition {
    fn drop(&mut self) {
        // SAFETY: it is what the kernel gave us for this signal.
        unsafe {
            libc::sigaction(self.signal, &raw const self.before, std::ptr::null_mut());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupt_is_noted_while_held() {
        let held = HeldInterrupts::hold();
        assert!(!held.seen());
        // SAFETY: raises a signal in this thread; its handler is ours while `held` lives.
        unsafe { libc::raise(libc::SIGINT) };
        assert!(held.seen());
    }
}
