//! Which files below the account and the base some process has open. What cannot be found out counts as open.

use std::path::{Path, PathBuf};

/// The result of one look at all processes.
#[derive(Debug)]
pub(super) enum OpenFiles {
    /// These paths, by the names the kernel knows.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "read from /proc")
    )]
    Known(Vec<PathBuf>),
    /// It could not be found out: everything is in use.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "read from /proc")
    )]
    Unknown,
    /// This platform does not tell it cheaply: age and live sessions decide alone.
    #[cfg_attr(target_os = "linux", expect(dead_code, reason = "Linux tells"))]
    Untold,
}

impl OpenFiles {
    /// Looks through all processes for open files below `dirs`, which must be free of links.
    #[cfg(target_os = "linux")]
    pub fn below(dirs: &[PathBuf]) -> Self {
        linux::scan(dirs).map_or(Self::Unknown, Self::Known)
    }

    /// Nothing is asked here: see [`OpenFiles::Untold`].
    #[cfg(not(target_os = "linux"))]
    pub fn below(_dirs: &[PathBuf]) -> Self {
        Self::Untold
    }

    /// Whether `path`, free of links, or anything in it is open.
    pub fn holds(&self, path: &Path) -> bool {
        match self {
            Self::Known(open) => open.iter().any(|p| p.starts_with(path)),
            Self::Unknown => true,
            Self::Untold => false,
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::io;
    use std::path::{Path, PathBuf};
    use std::time::{Duration, Instant};

    /// A machine with thousands of processes is looked through in a few dozen milliseconds; a scan that takes longer
    /// than this is given up.
    const PATIENCE: Duration = Duration::from_secs(1);

    /// None when it could not be found out in time.
    pub(super) fn scan(dirs: &[PathBuf]) -> Option<Vec<PathBuf>> {
        let started = Instant::now();
        let own = std::process::id().to_string();
        let mut open = Vec::new();
        for process in fs::read_dir("/proc").ok()? {
            let process = process.ok()?;
            let name = process.file_name();
            let is_process = name
                .to_str()
                .is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
            if !is_process || name == own.as_str() {
                continue;
            }
            if started.elapsed() > PATIENCE {
                return None;
            }
            look_at(&process.path(), dirs, &mut open)?;
        }
        Some(open)
    }

    /// None when the process could not be looked at although it could have files of ours open.
    fn look_at(process: &Path, dirs: &[PathBuf], open: &mut Vec<PathBuf>) -> Option<()> {
        let descriptors = match fs::read_dir(process.join("fd")) {
            Ok(descriptors) => descriptors,
            Err(error) => return gone_or_foreign(&error),
        };
        for descriptor in descriptors {
            let link = match descriptor {
                Ok(entry) => entry.path(),
                Err(error) => return gone_or_foreign(&error),
            };
            // The link's text alone: following it may wait for a dead file server.
            if let Ok(path) = fs::read_link(link)
                && dirs.iter().any(|dir| path.starts_with(dir))
            {
                open.push(path);
            }
        }
        Some(())
    }

    /// Processes that ended, and processes of other people, which cannot enter directories of mode 0700.
    fn gone_or_foreign(error: &io::Error) -> Option<()> {
        const NO_SUCH_PROCESS: i32 = 3;
        let fine = matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
        );
        (fine || error.raw_os_error() == Some(NO_SUCH_PROCESS)).then_some(())
    }
}
