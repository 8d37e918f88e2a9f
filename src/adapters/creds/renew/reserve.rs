//! A file whose space is taken before it is needed: it is written full of zeros and synced first, so that filling it
//! later asks the disk for nothing new. (A file system that copies on write may ask all the same; what is left of the
//! risk is in `docs/security.md`.)

use crate::adapters::files::{PRIVATE_FILE, write_new};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Such a file. It is removed when dropped, unless it was kept.
#[derive(Debug)]
pub(super) struct Reserved {
    path: PathBuf,
    file: File,
    kept: bool,
}

impl Reserved {
    /// Makes the file at `path`, which must not exist, with room for `bytes`.
    pub fn new(path: PathBuf, bytes: usize) -> io::Result<Self> {
        let made = write_new(&path, &vec![0; bytes], PRIVATE_FILE, true)
            .and_then(|()| OpenOptions::new().write(true).open(&path));
        match made {
            Ok(file) => Ok(Self {
                path,
                file,
                kept: false,
            }),
            Err(error) => {
                if error.kind() != io::ErrorKind::AlreadyExists {
                    let _ = fs::remove_file(&path);
                }
                Err(error)
            }
        }
    }

    /// Puts `contents` into it, durably; again, if it was filled before.
    pub fn fill(&mut self, contents: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(contents)?;
        self.file.set_len(contents.len() as u64)?;
        self.file.sync_all()
    }

    /// Lets it outlive this value, where it is.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// Puts it in the place of `target` in one step; a link there is replaced, not followed.
    pub fn rename_to(&mut self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)?;
        self.kept = true;
        // The contents are safe in either place, so this decides nothing.
        if let Some(dir) = target.parent() {
            let _ = File::open(dir).and_then(|dir| dir.sync_all());
        }
        Ok(())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_filled_moved_and_gone() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, target) = (dir.path().join("r"), dir.path().join("t"));
        let mut reserved = Reserved::new(path.clone(), 100).expect("makes it");
        assert_eq!(fs::metadata(&path).expect("is there").len(), 100);
        assert!(Reserved::new(path.clone(), 1).is_err() && path.exists());
        for text in ["a longer text", "short"] {
            reserved.fill(text.as_bytes()).expect("fills");
            assert_eq!(fs::read_to_string(&path).expect("reads"), text);
        }
        reserved.rename_to(&target).expect("moves");
        drop(reserved);
        assert_eq!(fs::read_to_string(&target).expect("reads"), "short");
        drop(Reserved::new(path.clone(), 1).expect("makes another"));
        assert!(!path.exists());
    }
}
