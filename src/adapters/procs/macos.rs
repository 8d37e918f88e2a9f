//! The process table of macOS, libproc and sysctl.

use std::mem::{MaybeUninit, size_of};

/// Process status of a zombie (`SZOMB` in sys/proc.h).
const ZOMBIE: u32 = 5;

/// Start time in microseconds since the Unix epoch, from `proc_pidinfo(PROC_PIDTBSDINFO)` (libproc.h).
pub(super) fn start_time(pid: u32) -> Option<u64> {
    let info = basic_info(pid)?;
    Some(info.pbi_start_tvsec * 1_000_000 + info.pbi_start_tvusec)
}

/// What the system tells about a process that runs; none for a zombie.
fn basic_info(pid: u32) -> Option<libc::proc_bsdinfo> {
    let pid = libc::c_int::try_from(pid).ok()?;
    let mut info = MaybeUninit::<libc::proc_bsdinfo>::zeroed();
    let size = libc::c_int::try_from(size_of::<libc::proc_bsdinfo>()).ok()?;
    // SAFETY: the buffer is a proc_bsdinfo and its size is passed along.
    let written = unsafe {
        libc::proc_pidinfo(
            pid,
            libc::PROC_PIDTBSDINFO,
            0,
            info.as_mut_ptr().cast(),
            size,
        )
    };
    if written != size {
        return None;
    }
    // SAFETY: the kernel filled all of it, and every bit pattern of these integers is valid.
    let info = unsafe { info.assume_init() };
    (info.pbi_status != ZOMBIE).then_some(info)
}

/// The variable `name` in the environment of every process of this user, from `KERN_PROCARGS2` (sysctl(3)): the number
/// of arguments, the executable's path, padding, the arguments, then the environment at exec.
#[cfg(feature = "full")]
pub(super) fn environments(name: &str) -> std::io::Result<Vec<super::environment::Seen>> {
    use super::environment::{Seen, value_in};
    let mut seen = Vec::new();
    for pid in pids_of_user()? {
        let Some(info) = basic_info(pid) else {
            continue;
        };
        let value = process_arguments(pid).and_then(|bytes| value_in(environment_of(&bytes), name));
        seen.push(Seen {
            pid,
            parent: info.pbi_ppid,
            value,
        });
    }
    Ok(seen)
}

/// The environment at exec of a process of this user; none for one that is gone or another user's. Empty where the
/// system hides it (programs of the system itself).
#[cfg(feature = "full")]
pub(super) fn environment(pid: u32) -> std::io::Result<Option<Vec<u8>>> {
    // SAFETY: takes and touches nothing.
    let user = unsafe { libc::geteuid() };
    if basic_info(pid).is_none_or(|info| info.pbi_uid != user) {
        return Ok(None);
    }
    match process_arguments(pid) {
        Some(bytes) => Ok(Some(environment_of(&bytes).to_vec())),
        // It may have ended just now.
        None if basic_info(pid).is_none() => Ok(None),
        None => Err(std::io::ErrorKind::PermissionDenied.into()),
    }
}

/// The arguments, each with a NUL behind it; none for a process that is gone.
#[cfg(feature = "full")]
pub(super) fn arguments(pid: u32) -> Option<Vec<u8>> {
    let bytes = process_arguments(pid)?;
    let environment = environment_of(&bytes).len();
    let rest = bytes.get(4..bytes.len() - environment)?;
    // The executable's path and the NULs behind it come first.
    let path_end = rest.iter().position(|b| *b == 0)?;
    let padding = rest[path_end..].iter().take_while(|b| **b == 0).count();
    Some(rest[path_end + padding..].to_vec())
}

/// The pids of this user's processes, from `proc_listpids(PROC_UID_ONLY)`.
#[cfg(feature = "full")]
pub(super) fn pids_of_user() -> std::io::Result<Vec<u32>> {
    /// `PROC_UID_ONLY` in sys/proc_info.h.
    const UID_ONLY: u32 = 4;
    // SAFETY: takes and touches nothing.
    let user = unsafe { libc::geteuid() };
    let mut pids: Vec<libc::pid_t> = vec![0; 16 * 1024];
    let bytes = libc::c_int::try_from(std::mem::size_of_val(pids.as_slice()))
        .map_err(std::io::Error::other)?;
    // SAFETY: the buffer is ours and its length in bytes is passed along.
    let written = unsafe { libc::proc_listpids(UID_ONLY, user, pids.as_mut_ptr().cast(), bytes) };
    let count = usize::try_from(written).unwrap_or(0) / size_of::<libc::pid_t>();
    if count == 0 {
        return Err(std::io::Error::last_os_error());
    }
    pids.truncate(count);
    Ok(pids
        .into_iter()
        .filter_map(|pid| u32::try_from(pid).ok())
        .filter(|pid| *pid > 0)
        .collect())
}

#[cfg(feature = "full")]
fn process_arguments(pid: u32) -> Option<Vec<u8>> {
    let mut name = [
        libc::CTL_KERN,
        libc::KERN_PROCARGS2,
        libc::c_int::try_from(pid).ok()?,
    ];
    // The system's own limit of arguments and environment together (ARG_MAX).
    let mut bytes = vec![0_u8; 1 << 20];
    let mut length = bytes.len();
    // SAFETY: the name has three parts, the buffer is ours, and both lengths are passed along.
    let rc = unsafe {
        libc::sysctl(
            name.as_mut_ptr(),
            3,
            bytes.as_mut_ptr().cast(),
            &raw mut length,
            std::ptr::null_mut(),
            0,
        )
    };
    bytes.truncate(length);
    (rc == 0).then_some(bytes)
}

/// What follows the arguments in the answer of `KERN_PROCARGS2`.
#[cfg(feature = "full")]
fn environment_of(bytes: &[u8]) -> &[u8] {
    let Some((count, rest)) = bytes.split_first_chunk::<4>() else {
        return &[];
    };
    let count = usize::try_from(i32::from_ne_bytes(*count)).unwrap_or(0);
    // The executable's path, then NULs up to the first argument.
    let Some(path_end) = rest.iter().position(|b| *b == 0) else {
        return &[];
    };
    let padding = rest[path_end..].iter().take_while(|b| **b == 0).count();
    let mut left = &rest[path_end + padding..];
    for _ in 0..count {
        let Some(end) = left.iter().position(|b| *b == 0) else {
            return &[];
        };
        left = &left[end + 1..];
    }
    left
}

/// Whether the kernel's name of a process (`pbi_comm`, at most 16 bytes of it) or its first argument is `program`.
#[cfg(feature = "full")]
pub(super) fn is_called(pid: u32, program: &str) -> bool {
    let comm: Vec<u8> = basic_info(pid)
        .map(|info| info.pbi_comm.map(|c| c.to_ne_bytes()[0]).to_vec())
        .unwrap_or_default();
    if comm.split(|b| *b == 0).next() == Some(program.as_bytes()) {
        return true;
    }
    process_arguments(pid).is_some_and(|bytes| {
        // The number of arguments, the executable's path, NULs, then the first argument.
        let rest = bytes.get(4..).unwrap_or_default();
        let first = rest
            .split(|b| *b == 0)
            .skip(1)
            .find(|word| !word.is_empty());
        super::environment::names(first.unwrap_or_default(), program)
    })
}

/// macOS has no pid namespaces, and its boot id is `kern.bootsessionuuid`.
pub(super) fn boot() -> String {
    let mut buffer = [0_u8; 64];
    let mut length = buffer.len();
    // SAFETY: name is a C string, the buffer is ours and its length is passed along.
    let rc = unsafe {
        libc::sysctlbyname(
            c"kern.bootsessionuuid".as_ptr(),
            buffer.as_mut_ptr().cast(),
            &raw mut length,
            std::ptr::null_mut(),
            0,
        )
    };
    let boot = if rc == 0 {
        buffer.get(..length).unwrap_or_default()
    } else {
        &[]
    };
    let boot = String::from_utf8_lossy(boot)
        .trim_end_matches('\0')
        .to_owned();
    format!("{boot} -")
}
