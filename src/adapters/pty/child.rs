//! Starting a program in a terminal as a login would: a session of its own, the terminal its controlling one, nothing
//! inherited but what is given.

use super::{PtyError, cannot_start};
use crate::adapters::procs::{children, limits, start_time};
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

/// What to start.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program with its whole path, and its arguments.
    pub argv: Vec<OsString>,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Where it starts.
    pub cwd: PathBuf,
    /// The mask of file modes it begins with; none for ours.
    pub umask: Option<u32>,
}

/// A program in a terminal. Dropping it does not end it.
#[derive(Debug)]
pub struct Child {
    child: std::process::Child,
    start: u64,
}

impl Child {
    /// Starts it at the far end of a terminal.
    pub fn start(program: &Program, terminal: OwnedFd) -> Result<Self, PtyError> {
        let Some((name, arguments)) = program.argv.split_first() else {
            let nothing = io::Error::from(io::ErrorKind::InvalidInput);
            return Err(cannot_start(&PathBuf::new(), nothing));
        };
        let name = PathBuf::from(name);
        // Otherwise a missing directory would read as a missing program.
        let directory = |source| PtyError::Directory {
            dir: program.cwd.clone(),
            source,
        };
        let there = std::fs::metadata(&program.cwd).map_err(directory)?;
        if !there.is_dir() {
            return Err(directory(io::ErrorKind::NotADirectory.into()));
        }
        let again = |fd: &OwnedFd| fd.try_clone().map_err(|e| cannot_start(&name, e));
        let mut command = Command::new(&name);
        command
            .args(arguments)
            .env_clear()
            .envs(program.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&program.cwd)
            .stdin(again(&terminal)?)
            .stdout(again(&terminal)?)
            .stderr(terminal);
        limits::restore_in(&mut command);
        let umask = program
            .umask
            .and_then(|mask| libc::mode_t::try_from(mask).ok());
        // SAFETY: `settle` makes system calls only; it allocates nothing and takes no lock.
        unsafe { command.pre_exec(move || settle(umask)) };
        let child = command.spawn().map_err(|e| cannot_start(&name, e))?;
        // It may have ended already; then nothing runs with this number and start time, which is the truth.
        let start = start_time(child.id()).unwrap_or(0);
        Ok(Self { child, start })
    }

    /// Its number, its own until it is reaped.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its start time, in the platform's own unit.
    #[must_use]
    pub const fn start_time(&self) -> u64 {
        self.start
    }

    /// Whether it has ended; it is not reaped.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        children::has_ended(self.pid())
    }

    /// Reaps it after its end: its exit code, or the signal that ended it.
    pub fn reap(&mut self) -> (Option<i32>, Option<i32>) {
        let status: Option<ExitStatus> = self.child.wait().ok();
        let code = status.and_then(|status| status.code());
        (code, status.and_then(|status| status.signal()))
    }
}

/// Between fork and exec: the session, the terminal, the signals and the descriptors of a new login.
fn settle(umask: Option<libc::mode_t>) -> io::Result<()> {
    // SAFETY: a new process leads no group, so it can begin a session; descriptor 0 is the terminal.
    unsafe {
        #[allow(clippy::useless_conversion, reason = "the number has 32 bits on macOS")]
        let take_terminal = libc::TIOCSCTTY.into();
        if libc::setsid() < 0 || libc::ioctl(0, take_terminal, 0) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    usual_signals();
    if let Some(mask) = umask {
        // SAFETY: takes a plain integer.
        unsafe { libc::umask(mask) };
    }
    close_at_exec();
    Ok(())
}

/// Default effect for every signal, and none of them blocked.
fn usual_signals() {
    #[cfg(target_os = "linux")]
    const LAST: libc::c_int = 64;
    #[cfg(not(target_os = "linux"))]
    const LAST: libc::c_int = 31;
    // SAFETY: a sigaction and a set of signals are plain data; those that cannot be changed are refused, which is no
    // harm.
    unsafe {
        let mut usual: libc::sigaction = std::mem::zeroed();
        usual.sa_sigaction = libc::SIG_DFL;
        for signal in 1..=LAST {
            libc::sigaction(signal, &raw const usual, std::ptr::null_mut());
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Every descriptor but the three is closed at the exec; the standard library still needs one of its own until then.
fn close_at_exec() {
    const FIRST: libc::c_uint = 3;
    #[cfg(target_os = "linux")]
    {
        // CLOSE_RANGE_CLOEXEC of linux/close_range.h; kernels before 5.11 do not know it.
        const AT_EXEC: libc::c_uint = 4;
        // SAFETY: plain integers.
        let rc = unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, AT_EXEC) };
        if rc == 0 {
            return;
        }
    }
    // SAFETY: takes nothing.
    let end = unsafe { libc::getdtablesize() };
    for descriptor in 3..end.min(65_536) {
        // SAFETY: plain integers; one that is not open is refused.
        unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}
