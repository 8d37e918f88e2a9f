//! The start-up files of the person's shells: which there are, and what they say. Starts no shell, since a start-up file
//! may do anything.

use crate::core::alias::Shell;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A start-up file larger than this is not somebody's start-up file.
const MAX_BYTES: u64 = 4 << 20;

/// A shell and the file it reads at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The shell.
    pub shell: Shell,
    /// The file.
    pub path: PathBuf,
}

/// The start-up files that exist, and that of the login shell in any case. `variable` reads the environment.
pub fn places(user_home: &Path, variable: impl Fn(&str) -> Option<OsString>) -> Vec<Place> {
    let login = variable("SHELL").and_then(|path| {
        let name = Path::new(&path).file_name().and_then(OsStr::to_str)?;
        Shell::from_name(name)
    });
    let mut places = every_place(user_home, variable);
    places.retain(|p| Some(p.shell) == login || fs::symlink_metadata(&p.path).is_ok());
    places
}

/// The start-up file of every shell, whether it exists or not.
pub fn every_place(user_home: &Path, variable: impl Fn(&str) -> Option<OsString>) -> Vec<Place> {
    let set = |name| {
        variable(name)
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
    };
    let zsh = set("ZDOTDIR").unwrap_or_else(|| user_home.to_owned());
    let config = set("XDG_CONFIG_HOME").unwrap_or_else(|| user_home.join(".config"));
    vec![
        Place {
            shell: Shell::Zsh,
            path: zsh.join(".zshrc"),
        },
        Place {
            shell: Shell::Bash,
            path: bash_file(user_home, cfg!(target_os = "macos")),
        },
        Place {
            shell: Shell::Fish,
            path: config.join("fish/config.fish"),
        },
    ]
}

/// Terminals on macOS start login shells, which read the first of three files: making one that comes before the one a
/// person has would hide that one.
fn bash_file(user_home: &Path, login_shells: bool) -> PathBuf {
    if !login_shells {
        return user_home.join(".bashrc");
    }
    [".bash_profile", ".bash_login", ".profile"]
        .iter()
        .map(|name| user_home.join(name))
        .find(|path| fs::symlink_metadata(path).is_ok())
        .unwrap_or_else(|| user_home.join(".bash_profile"))
}

/// The text of a start-up file; empty when there is none. Bytes that are no text would be lost on the way back, so such
/// a file is an error.
pub fn read(path: &Path) -> io::Result<String> {
    if fs::metadata(path).is_ok_and(|m| m.len() > MAX_BYTES) {
        return Err(io::Error::other("it is too long"));
    }
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_of_bash_never_hides_another() {
        let home = tempfile::tempdir().expect("a directory");
        assert_eq!(bash_file(home.path(), false), home.path().join(".bashrc"));
        assert_eq!(
            bash_file(home.path(), true),
            home.path().join(".bash_profile")
        );
        crate::adapters::files::replace(&home.path().join(".profile"), b"", 0o644).expect("writes");
        assert_eq!(bash_file(home.path(), true), home.path().join(".profile"));
    }
}
