//! How much memory a process keeps that it has no use for any more.

#[cfg(target_os = "linux")]
use std::ffi::{c_int, c_void};

/// For a process that is to stay small and to live long: what a flood took is given back once it is over. Before any
/// thread is started.
///
/// The GNU C library would give each thread a heap of its own, and after the first large buffer it would take the next
/// ones from the heap, which it gives back from its end alone.
pub fn stay_small() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// Buffers from this size on are mapped by themselves, and unmapped when they are freed.
        const MAPPED_FROM: libc::c_int = 64 * 1024;
        // SAFETY: plain integers; nothing else of this process has set them, and a refusal changes nothing.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, 1);
            libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
            libc::mallopt(libc::M_TRIM_THRESHOLD, MAPPED_FROM);
        }
    }
}

/// For a process that has nothing to do for a while: its code is no longer counted as its own. What it needs next comes
/// back as it is used, from the system's cache, in a fraction of a millisecond; the rest, which it needed once, does not.
pub fn let_go_of_code() {
    #[cfg(target_os = "linux")]
    // SAFETY: the function is called during this call alone, and takes no data.
    unsafe {
        libc::dl_iterate_phdr(Some(let_go), std::ptr::null_mut());
    }
}

/// Unmaps the pages of one loaded file that nobody can have written to: they are as in the file, and are read again.
#[cfg(target_os = "linux")]
// SAFETY: the loader alone calls it, with a description of its own.
unsafe extern "C" fn let_go(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    _data: *mut c_void,
) -> c_int {
    /// The kernel's own, which no file is behind.
    const VDSO: &[u8] = b"linux-vdso.so.1";
    // SAFETY: the loader passes a valid description of a file that stays loaded meanwhile.
    let (info, segments) = unsafe {
        let info = &*info;
        if info.dlpi_phdr.is_null() {
            return 0;
        }
        let count = usize::from(info.dlpi_phnum);
        (info, std::slice::from_raw_parts(info.dlpi_phdr, count))
    };
    if !info.dlpi_name.is_null() {
        // SAFETY: a name of the loader's is a C string.
        let name = unsafe { std::ffi::CStr::from_ptr(info.dlpi_name) };
        if name.to_bytes() == VDSO {
            return 0;
        }
    }
    // SAFETY: a plain question.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let Some(page) = usize::try_from(page).ok().filter(|page| *page > 0) else {
        return 0;
    };
    for segment in segments {
        if segment.p_type != libc::PT_LOAD || segment.p_flags & libc::PF_W != 0 {
            continue;
        }
        let (Ok(base), Ok(address), Ok(size)) = (
            usize::try_from(info.dlpi_addr),
            usize::try_from(segment.p_vaddr),
            usize::try_from(segment.p_filesz),
        ) else {
            continue;
        };
        let begin = base.wrapping_add(address);
        // Whole pages that belong to this segment alone.
        let from = begin.next_multiple_of(page);
        let to = begin.wrapping_add(size) / page * page;
        if from < to {
            // SAFETY: these pages are mapped privately from a file and are not writable: dropped, they are read from it
            // again at the next access. A refusal changes nothing.
            unsafe {
                libc::madvise(from as *mut c_void, to - from, libc::MADV_DONTNEED);
            }
        }
    }
    0
}

#[cfg(test)]
mod tests {
    #[test]
    fn everything_works_as_before_without_its_pages() {
        let text = "a constant of the program";
        super::let_go_of_code();
        assert_eq!(format!("{text}, read again").len(), 37);
        #[cfg(target_os = "linux")]
        assert!(crate::adapters::procs::start_time(std::process::id()).is_some());
    }
}
