//! On what kind of disk something is.

use std::path::Path;

/// Whether `dir` lies on a file system that another machine may write, too: sockets do not work there, and processes
/// cannot share memory. Unknown counts as local.
#[cfg(target_os = "linux")]
#[must_use]
pub fn is_remote(dir: &Path) -> bool {
    // linux/magic.h and the file systems' own headers: NFS, SMB, SMB2, CIFS, AFS, Coda, Ceph, 9P, FUSE (sshfs).
    const REMOTE: [u32; 9] = [
        0x6969,
        0x517b,
        0xfe53_4d42,
        0xff53_4d42,
        0x5346_414f,
        0x7375_7245,
        0x00c3_6400,
        0x0102_1997,
        0x6573_5546,
    ];
    let Some(found) = statfs(dir) else {
        return false;
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "magic numbers have 32 bits, whatever the width of the field"
    )]
    let magic = found.f_type as u32;
    REMOTE.contains(&magic)
}

/// Whether `dir` lies on a file system that another machine may write, too (`MNT_LOCAL` in sys/mount.h): sockets do not
/// work there, and processes cannot share memory. Unknown counts as local.
#[cfg(target_os = "macos")]
#[must_use]
pub fn is_remote(dir: &Path) -> bool {
    const LOCAL: u32 = 0x0000_1000;
    statfs(dir).is_some_and(|found| found.f_flags & LOCAL == 0)
}

fn statfs(dir: &Path) -> Option<libc::statfs> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(dir.as_os_str().as_bytes()).ok()?;
    let mut found = std::mem::MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the path is a C string and the buffer is a statfs of ours.
    let rc = unsafe { libc::statfs(path.as_ptr(), found.as_mut_ptr()) };
    // SAFETY: zeroed at first and filled by the kernel; every bit pattern of these integers is valid.
    (rc == 0).then(|| unsafe { found.assume_init() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nowhere_counts_as_local() {
        assert!(!is_remote(Path::new("/no/such/directory")));
        // The kernel's own tables are no other machine's.
        assert!(!is_remote(Path::new("/dev")));
    }
}
