//! The process table of macOS, libproc and sysctl.

use std::mem::{MaybeUninit, size_of};

/// Process status of a zombie (`SZOMB` in sys/proc.h).
const ZOMBIE: u32 = 5;

/// Start time in microseconds since the Unix epoch, from `proc_pidinfo(PROC_PIDTBSDINFO)` (libproc.h).
pub(super) fn start_time(pid: u32) -> Option<u64> {
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
    (info.pbi_status != ZOMBIE).then_some(info.pbi_start_tvsec * 1_000_000 + info.pbi_start_tvusec)
}

/// macOS has no pid namespaces, and its boot id is `kern.bootsessionuuid`.
pub(super) fn machine_text() -> String {
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
    format!("{boot} - {}", super::host_name())
}
