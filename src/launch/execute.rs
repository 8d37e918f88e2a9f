//! Becoming another program, leaving everything else as it was inherited: dispositions, mask, descriptors, limits.
//!
//! `execve` with the very pointers the kernel gave us copies no argument, and unlike the `exec` crate takes an
//! environment without changing our own.

use std::ffi::{CStr, CString, c_char};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Becomes `program`. `rest` and `environment` end in a null pointer. Returns why that failed.
#[must_use]
pub(super) fn replace(
    program: &Path,
    name: &CStr,
    rest: &[*const c_char],
    environment: &[*const c_char],
) -> io::Error {
    let Ok(path) = CString::new(program.as_os_str().as_bytes()) else {
        return io::Error::from(io::ErrorKind::InvalidInput);
    };
    let arguments: Vec<*const c_char> = std::iter::once(name.as_ptr())
        .chain(rest.iter().copied())
        .collect();
    // SAFETY: path, arguments and environment are C strings that outlive the call; both arrays end in null.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::ENOEXEC) {
        return replace_with_shell(&path, rest, environment);
    }
    error
}

/// A script without an interpreter line is run by the shell, as shells and execvp(3) do.
fn replace_with_shell(
    path: &CStr,
    rest: &[*const c_char],
    environment: &[*const c_char],
) -> io::Error {
    let shell = [c"/bin/sh".as_ptr(), path.as_ptr()];
    let arguments: Vec<*const c_char> = shell.into_iter().chain(rest.iter().copied()).collect();
    // SAFETY: as in `replace`.
    unsafe {
        libc::execve(
            c"/bin/sh".as_ptr(),
            arguments.as_ptr(),
            environment.as_ptr(),
        )
    };
    io::Error::last_os_error()
}

/// Whether a descriptor was inherited open.
pub(super) fn is_open(descriptor: i32) -> bool {
    // SAFETY: F_GETFD reads a flag and takes no pointer.
    unsafe { libc::fcntl(descriptor, libc::F_GETFD) != -1 }
}
