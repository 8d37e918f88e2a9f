//! A pseudo-terminal and the program in it: opened, started, resized, read and written without waiting.

mod child;
#[cfg(test)]
mod tests;

pub use child::{Child, Program};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetwinsize, tcsetwinsize};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Why there is no terminal, or no program in it.
#[derive(Debug, thiserror::Error)]
pub enum PtyError {
    /// The system has no terminal to give.
    #[error("cannot open a pseudo-terminal: {0}")]
    Open(io::Error),
    /// The program does not start.
    #[error("cannot start {program}: {source}")]
    Start {
        /// The program.
        program: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The directory it should start in is not there, or may not be entered.
    #[error("cannot start in {dir}: {source}")]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// What reading from a terminal had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// Nobody has the other end open any more.
    Ended,
}

/// The near end of a pseudo-terminal. When it is dropped, the programs in the terminal get SIGHUP.
#[derive(Debug)]
pub struct Pty {
    master: OwnedFd,
}

impl Pty {
    /// Opens one of this size; the second is its far end, for the program.
    pub fn open(cols: u16, rows: u16) -> Result<(Self, OwnedFd), PtyError> {
        let open = || -> rustix::io::Result<(OwnedFd, OwnedFd)> {
            let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
            fcntl_setfd(&master, FdFlags::CLOEXEC)?;
            grantpt(&master)?;
            unlockpt(&master)?;
            let name = ptsname(&master, Vec::new())?;
            let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
            let slave = rustix::fs::open(name, flags, rustix::fs::Mode::empty())?;
            fcntl_setfl(&master, fcntl_getfl(&master)? | OFlags::NONBLOCK)?;
            Ok((master, slave))
        };
        let (master, slave) = open().map_err(|e| PtyError::Open(e.into()))?;
        let pty = Self { master };
        // macOS knows a size only once the far end is open.
        pty.resize(cols, rows).map_err(PtyError::Open)?;
        Ok((pty, slave))
    }

    /// Changes the size; the program in front gets SIGWINCH if it is another one.
    pub fn resize(&self, cols: u16, rows: u16) -> io::Result<()> {
        let size = Winsize {
            ws_row: rows,
            ws_col: cols,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        Ok(tcsetwinsize(&self.master, size)?)
    }

    /// Columns and rows.
    pub fn size(&self) -> io::Result<(u16, u16)> {
        let size = tcgetwinsize(&self.master)?;
        Ok((size.ws_col, size.ws_row))
    }

    /// Reads what the programs wrote.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<Read> {
        use rustix::io::Errno;
        loop {
            return match rustix::io::read(&self.master, &mut *buffer) {
                Ok(0) => Ok(Read::Ended),
                Ok(count) => Ok(Read::Bytes(count)),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => Ok(Read::Nothing),
                // How Linux says that the far end is closed.
                Err(Errno::IO) => Ok(Read::Ended),
                Err(error) => Err(error.into()),
            };
        }
    }

    /// Writes as much as the terminal takes, which may be nothing.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        use rustix::io::Errno;
        loop {
            return match rustix::io::write(&self.master, bytes) {
                Ok(count) => Ok(count),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => Ok(0),
                Err(error) => Err(error.into()),
            };
        }
    }
}

impl AsFd for Pty {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }
}

fn cannot_start(program: &Path, source: io::Error) -> PtyError {
    PtyError::Start {
        program: program.to_owned(),
        source,
    }
}
