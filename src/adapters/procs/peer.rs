//! Who is at the other end of a local socket, as the kernel knows it.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;

/// The process that connected, or that listened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its effective user when it connected.
    pub user: u32,
    /// Its number then; 0 when the system does not tell.
    pub pid: u32,
}

/// The peer of a connection.
#[cfg(target_os = "linux")]
pub fn peer(stream: &UnixStream) -> io::Result<Peer> {
    let credentials: libc::ucred = option(stream, libc::SOL_SOCKET, libc::SO_PEERCRED)?;
    Ok(Peer {
        user: credentials.uid,
        pid: u32::try_from(credentials.pid).unwrap_or(0),
    })
}

/// The peer of a connection.
#[cfg(target_os = "macos")]
pub fn peer(stream: &UnixStream) -> io::Result<Peer> {
    let (mut user, mut group) = (0, 0);
    // SAFETY: the descriptor is open, and both places are ours.
    if unsafe { libc::getpeereid(stream.as_raw_fd(), &raw mut user, &raw mut group) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let pid: io::Result<libc::pid_t> = option(stream, libc::SOL_LOCAL, libc::LOCAL_PEERPID);
    let pid = pid.ok().and_then(|pid| u32::try_from(pid).ok());
    Ok(Peer {
        user,
        pid: pid.unwrap_or(0),
    })
}

/// An option of a socket whose value is plain integers.
fn option<T: Copy>(stream: &UnixStream, level: libc::c_int, name: libc::c_int) -> io::Result<T> {
    let mut value = MaybeUninit::<T>::zeroed();
    let mut length = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    // SAFETY: the descriptor is open, the buffer is a T and its size is passed along.
    let rc = unsafe {
        let place = value.as_mut_ptr().cast();
        libc::getsockopt(stream.as_raw_fd(), level, name, place, &raw mut length)
    };
    if rc != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was zeroed and then filled by the kernel; for the integers it is made of every bit pattern is valid.
    Ok(unsafe { value.assume_init() })
}

/// Whether the other end of a connection is closed for good: it neither sends nor reads. One that only sends no more is
/// still there.
pub fn is_gone(stream: &impl AsFd) -> bool {
    let mut looked = libc::pollfd {
        fd: stream.as_fd().as_raw_fd(),
        events: 0,
        revents: 0,
    };
    // SAFETY: one entry, which lives for the call, of a descriptor that is borrowed for as long.
    let count = unsafe { libc::poll(&raw mut looked, 1, 0) };
    count > 0 && looked.revents & (libc::POLLHUP | libc::POLLERR) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_pair_are_this_process() {
        let (one, two) = UnixStream::pair().expect("makes a pair");
        let own = Peer {
            user: crate::adapters::procs::user_id(),
            pid: std::process::id(),
        };
        assert_eq!(peer(&one).expect("is told"), own);
        assert_eq!(peer(&two).expect("is told"), own);
    }
}
