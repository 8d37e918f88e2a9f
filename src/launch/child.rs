//! Helpers beside the launch: `ccpd`, found beside this executable and started so that claude never inherits a child.

use crate::claim::announce::Failure;
use crate::contract::build::LAUNCHER;
use crate::contract::vars;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// This executable, links resolved.
pub(super) fn own_executable() -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?;
    Some(std::fs::canonicalize(&path).unwrap_or(path))
}

/// `ccpd`, which is installed beside `ccp`.
pub(super) fn sibling() -> Result<PathBuf, Failure> {
    own_executable()
        .map(|own| own.with_file_name("ccpd"))
        .ok_or_else(|| Failure {
            error: "cannot tell where ccp itself is installed".to_owned(),
            hint: String::new(),
        })
}

pub(super) fn missing_sibling(path: &Path, error: &io::Error) -> Failure {
    Failure {
        error: format!("cannot run {}: {error}", path.display()),
        hint: format!("{LAUNCHER}needs the ccpd of its version beside it; install ccp again"),
    }
}

/// The most that a program started aside may say, in bytes: what a pipe holds on every system.
const MAX_SAID: usize = 4096;

/// Starts a program in a session of its own, as nobody's child, and waits at most `patience` for it to end. Claude must
/// not inherit a child it does not know, so the program is forked twice.
///
/// The program's standard error is a pipe that only it holds: its end tells that the program ended. Returns what it
/// said; none when it was not waited for, or not long enough. It must have done its work before it says anything.
pub(super) fn start_aside(
    program: &Path,
    arguments: &[&str],
    patience: Duration,
) -> io::Result<Option<String>> {
    let (ended, held) = pipe()?;
    let to_c = |bytes: &[u8]| {
        CString::new(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
    };
    let path = to_c(program.as_os_str().as_bytes())?;
    let words: Vec<CString> = arguments
        .iter()
        .map(|a| to_c(a.as_bytes()))
        .collect::<io::Result<_>>()?;
    let mut argv = vec![path.as_ptr()];
    argv.extend(words.iter().map(|w| w.as_ptr()));
    argv.push(std::ptr::null());
    // SAFETY: this process has one thread, so a forked child may do anything; both children end in execv or _exit and
    // touch only what was prepared above.
    let child = unsafe { libc::fork() };
    match child {
        -1 => return Err(io::Error::last_os_error()),
        0 => {
            // SAFETY: as above.
            unsafe {
                libc::setsid();
                if libc::fork() == 0 {
                    for name in vars::of_one_session().filter_map(|n| CString::new(n).ok()) {
                        libc::unsetenv(name.as_ptr());
                    }
                    let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
                    libc::dup2(null, 0);
                    libc::dup2(null, 1);
                    // Nobody listens where nobody waits, and a broken pipe would end the program.
                    libc::dup2(
                        if patience.is_zero() {
                            null
                        } else {
                            held.as_raw_fd()
                        },
                        2,
                    );
                    libc::execv(path.as_ptr(), argv.as_ptr());
                }
                libc::_exit(0)
            }
        }
        _ => {}
    }
    drop(held);
    // SAFETY: waits for the child made above, which ends at once; a null status pointer is allowed.
    while unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) } == -1
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
    if patience.is_zero() {
        return Ok(None);
    }
    let said = read_within(File::from(ended), patience)?;
    Ok(said.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// A pipe whose ends are closed on exec and are no standard descriptor, even where those were inherited closed.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: the array has room for the two descriptors that pipe writes.
    if unsafe { libc::pipe(ends.as_mut_ptr()) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both descriptors are new and ours.
    let ends = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
    let [read, write] = ends.map(|end| {
        // SAFETY: duplicates a descriptor of ours to one above the standard three.
        let copy = unsafe { libc::fcntl(end.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3) };
        // SAFETY: the duplicate is new and ours.
        (copy != -1)
            .then(|| unsafe { OwnedFd::from_raw_fd(copy) })
            .ok_or_else(io::Error::last_os_error)
    });
    Ok((read?, write?))
}

/// Everything up to the end of a pipe; none when the end did not come in time.
fn read_within(mut pipe: File, patience: Duration) -> io::Result<Option<Vec<u8>>> {
    let started = Instant::now();
    let mut said = Vec::new();
    let mut chunk = [0; 512];
    while said.len() < MAX_SAID {
        let left = patience.saturating_sub(started.elapsed());
        let mut poll = libc::pollfd {
            fd: pipe.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let timeout = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: one pollfd, and its count is passed along.
        match unsafe { libc::poll(&raw mut poll, 1, timeout) } {
            1 => match pipe.read(&mut chunk)? {
                0 => return Ok(Some(said)),
                count => said.extend_from_slice(&chunk[..count]),
            },
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            _ => return Ok(None),
        }
    }
    Ok(Some(said))
}

/// The home directory that the account database names for this user; used only when `HOME` is not set.
#[cfg(not(target_os = "macos"))]
pub(super) fn home_from_user_database() -> Option<PathBuf> {
    // Read by hand: the C library's look-up loads modules, which a static executable cannot.
    let mut text = Vec::new();
    io::Read::read_to_end(
        &mut io::Read::take(File::open("/etc/passwd").ok()?, 1 << 20),
        &mut text,
    )
    .ok()?;
    // SAFETY: takes and touches nothing.
    let uid = unsafe { libc::getuid() }.to_string();
    let line = text
        .split(|b| *b == b'\n')
        .find(|line| line.split(|b| *b == b':').nth(2) == Some(uid.as_bytes()))?;
    let home = Path::new(OsStr::from_bytes(line.split(|b| *b == b':').nth(5)?));
    home.is_absolute().then(|| home.to_owned())
}

/// The home directory that the account database names for this user; used only when `HOME` is not set.
#[cfg(target_os = "macos")]
pub(super) fn home_from_user_database() -> Option<PathBuf> {
    // SAFETY: the launcher has one thread; the entry stays valid until the next look-up, and is copied before.
    unsafe {
        let entry = libc::getpwuid(libc::getuid());
        if entry.is_null() || (*entry).pw_dir.is_null() {
            return None;
        }
        let home = Path::new(OsStr::from_bytes(
            std::ffi::CStr::from_ptr((*entry).pw_dir).to_bytes(),
        ));
        home.is_absolute().then(|| home.to_owned())
    }
}
