//! By which path a service file names `ccpd`: one that still leads to it after an upgrade.

use super::homebrew::Cellar;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// The path for `own`, this executable: as it is found on `PATH`, else as Homebrew links it, else as it is. A link is
/// kept, since it is what an upgrade moves.
#[must_use]
pub fn stable_program(own: &Path, path: Option<&OsStr>) -> PathBuf {
    let real = fs::canonicalize(own).unwrap_or_else(|_| own.to_owned());
    let Some(name) = own.file_name() else {
        return own.to_owned();
    };
    let leads_here = |candidate: &PathBuf| fs::canonicalize(candidate).is_ok_and(|p| p == real);
    let versioned = |candidate: &PathBuf| Cellar::of(candidate).is_some();
    let dirs = path.map(std::env::split_paths).into_iter().flatten();
    let on_path = dirs
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(name));
    let linked = Cellar::of(&real).map(|cellar| cellar.stable(name));
    on_path
        .filter(|candidate| !versioned(candidate))
        .chain(linked)
        .find(leads_here)
        .unwrap_or_else(|| own.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_path_is_the_one_that_an_upgrade_moves() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = fs::canonicalize(dir.path()).expect("is there");
        let make = |path: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("has one")).expect("creates");
            path
        };
        let real = make("brew/Cellar/ccp/1.0/bin/ccpd");
        crate::adapters::files::replace(&real, b"", 0o755).expect("writes");
        let linked = make("brew/opt/ccp");
        symlink(root.join("brew/Cellar/ccp/1.0"), &linked).expect("links");
        let on_path = make("brew/bin/ccpd");
        symlink(&real, &on_path).expect("links");
        let other = make("other/ccpd");
        crate::adapters::files::replace(&other, b"", 0o755).expect("writes");

        let found = |path: &[&str]| {
            let dirs = path.iter().map(|p| {
                if p.starts_with('.') {
                    p.into()
                } else {
                    root.join(p)
                }
            });
            let path = std::env::join_paths(dirs).expect("no colons");
            stable_program(&real, Some(&path))
        };
        assert_eq!(found(&["other", "brew/bin"]), on_path);
        assert_eq!(
            found(&["brew/Cellar/ccp/1.0/bin", "other"]),
            linked.join("bin/ccpd")
        );
        assert_eq!(found(&["./brew/bin"]), linked.join("bin/ccpd"));
        assert_eq!(stable_program(&other, None), other);
    }
}
