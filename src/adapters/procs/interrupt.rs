//! Ctrl-C while ccp waits for a person, a sign-in or a reset: seen as an event instead of ending the process, so that a
//! command can put things in order and say what was left. Waiting for it and waiting for input are one wait, so no
//! signal falls between two looks.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

/// What a person or a closing terminal sends to end a command.
const SIGNALS: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// The signal that was seen; 0 for none.
static SEEN: AtomicI32 = AtomicI32::new(0);
/// The write end of the pipe that wakes the wait; -1 while nobody listens.
static WAKE: AtomicI32 = AtomicI32::new(-1);

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Reading would not block.
    Input,
    /// Somebody wants the command to end.
    Interrupted,
    /// The time is over.
    Late,
}

/// While it lives, SIGINT, SIGTERM and SIGHUP are seen here and end nothing. One at a time in a process.
#[derive(Debug)]
pub struct Interrupts {
    read: OwnedFd,
    _write: OwnedFd,
    before: [Option<libc::sigaction>; SIGNALS.len()],
}

extern "C" fn note(signal: libc::c_int) {
    // Only what a signal handler may do: two atomics and a write.
    SEEN.store(signal, Ordering::Relaxed);
    let wake = WAKE.load(Ordering::Relaxed);
    if wake >= 0 {
        // SAFETY: one byte of a static; a pipe that is full wakes as well, so the result does not matter. `write` may
        // set errno, which is restored for the code that was interrupted.
        unsafe {
            let errno = errno_place();
            let kept = *errno;
            libc::write(wake, b"!".as_ptr().cast(), 1);
            *errno = kept;
        }
    }
}

#[cfg(target_os = "macos")]
fn errno_place() -> *mut libc::c_int {
    // SAFETY: takes nothing and returns the thread's own place.
    unsafe { libc::__error() }
}

#[cfg(not(target_os = "macos"))]
fn errno_place() -> *mut libc::c_int {
    // SAFETY: takes nothing and returns the thread's own place.
    unsafe { libc::__errno_location() }
}

impl Interrupts {
    /// Begins to see signals. What is ignored (`nohup`, a background job of a script) stays ignored.
    pub fn catch() -> io::Result<Self> {
        let (read, write) = pipe()?;
        SEEN.store(0, Ordering::Relaxed);
        WAKE.store(write.as_raw_fd(), Ordering::Relaxed);
        let before = SIGNALS.map(install);
        Ok(Self {
            read,
            _write: write,
            before,
        })
    }

    /// The exit code for the signal that was seen, as shells report it; none when there was none.
    #[must_use]
    pub fn seen(&self) -> Option<u8> {
        match SEEN.load(Ordering::Relaxed) {
            0 => None,
            signal => u8::try_from(128 + signal).ok(),
        }
    }

    /// What can be read once a signal came, for those who wait for more than one input.
    #[must_use]
    pub fn wakes(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }

    /// Waits until `input` can be read, a signal came, or the bound is over. Without input it waits for the rest.
    #[must_use]
    pub fn wait(&self, input: Option<BorrowedFd<'_>>, bound: Duration) -> Woken {
        let deadline = Instant::now() + bound;
        loop {
            if self.seen().is_some() {
                return Woken::Interrupted;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let entry = |fd| libc::pollfd {
                fd,
                events: libc::POLLIN,
                revents: 0,
            };
            // A negative descriptor is passed over by poll(2).
            let mut entries = [
                entry(self.read.as_raw_fd()),
                entry(input.map_or(-1, |fd| fd.as_raw_fd())),
            ];
            let ms = left.as_micros().div_ceil(1000);
            let timeout = libc::c_int::try_from(ms).unwrap_or(libc::c_int::MAX);
            // SAFETY: two entries, ours, and their count is passed along.
            let ready = unsafe { libc::poll(entries.as_mut_ptr(), 2, timeout) };
            if self.seen().is_some() || entries[0].revents != 0 {
                return Woken::Interrupted;
            }
            match ready {
                1.. => return Woken::Input,
                0 if left.is_zero() => return Woken::Late,
                // Interrupted by a signal that is none of ours, or a timeout that was cut to what poll takes.
                _ => {}
            }
        }
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        for (signal, before) in SIGNALS.iter().zip(&self.before) {
            if let Some(before) = before {
                // SAFETY: puts back what sigaction gave us for this very signal.
                unsafe { libc::sigaction(*signal, before, std::ptr::null_mut()) };
            }
        }
        WAKE.store(-1, Ordering::Relaxed);
    }
}

/// Installs the handler and returns what was there; none when the signal is ignored and stays so.
fn install(signal: libc::c_int) -> Option<libc::sigaction> {
    // SAFETY: a sigaction is plain data, and all zero is a valid one; both calls get pointers to ours. No SA_RESTART:
    // reads that are under way end.
    unsafe {
        let mut before: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(signal, std::ptr::null(), &raw mut before) != 0
            || before.sa_sigaction == libc::SIG_IGN
        {
            return None;
        }
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = note as *const () as libc::sighandler_t;
        libc::sigemptyset(&raw mut action.sa_mask);
        (libc::sigaction(signal, &raw const action, std::ptr::null_mut()) == 0).then_some(before)
    }
}

/// A pipe that no child inherits and whose write end never blocks.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: the array has room for the two descriptors.
    if unsafe { libc::pipe(ends.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both descriptors are new and ours, and the flags are plain integers.
    let ends = ends.map(|end| unsafe {
        libc::fcntl(end, libc::F_SETFD, libc::FD_CLOEXEC);
        libc::fcntl(end, libc::F_SETFL, libc::O_NONBLOCK);
        OwnedFd::from_raw_fd(end)
    });
    let [read, write] = ends;
    Ok((read, write))
}
