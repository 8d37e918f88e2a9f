//! The names `claude-pool` and `claude-pool-cli`: links to `ccpd`, by which programs that know the public protocol find it.

use super::{failed, told};
use crate::adapters::files;
use crate::adapters::service::{Cellar, stable_program};
use crate::cli::failure::Failure;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The links.
const NAMES: &[&str] = &["claude-pool", "claude-pool-cli"];
/// What they lead to.
const PROGRAM: &str = "ccpd";

/// Makes the links beside this program, or in `~/.local/bin` where that directory is the package manager's or cannot be
/// written.
pub(super) fn install(user_home: &Path) -> Result<(), Failure> {
    install_to(&program()?, user_home)
}

fn install_to(program: &Path, user_home: &Path) -> Result<(), Failure> {
    let local = local(user_home);
    let beside = program.parent().filter(|dir| is_for_us(dir));
    // What an earlier run put elsewhere is not to be there twice.
    let dir = match beside {
        Some(dir) if !NAMES.iter().all(|name| is_ours(&local.join(name))) => dir.to_owned(),
        _ => local,
    };
    // Nothing is made before all is known to be possible.
    for name in NAMES {
        let path = dir.join(name);
        if fs::symlink_metadata(&path).is_ok() && !is_ours(&path) {
            let failure = Failure::new(format!("{} is there, and not ccp's", path.display()));
            return Err(failure.hint("remove it or move it away, then run the same command again"));
        }
    }
    fs::create_dir_all(&dir).map_err(|error| failed("make", &dir, &error))?;
    for name in NAMES {
        link(program, &dir.join(name))?;
    }
    if !is_on_path(&dir) {
        eprintln!("hint: {} is not in PATH", dir.display());
    }
    Ok(())
}

/// Removes the links, wherever [`install`] may have made them.
pub(super) fn uninstall(user_home: &Path) -> Result<(), Failure> {
    uninstall_from(&program()?, user_home)
}

fn uninstall_from(program: &Path, user_home: &Path) -> Result<(), Failure> {
    let beside = program.parent().map(Path::to_owned);
    for dir in beside.into_iter().chain([local(user_home)]) {
        for name in NAMES {
            let path = dir.join(name);
            if is_ours(&path) && !leads_elsewhere(&path, program) {
                fs::remove_file(&path).map_err(|error| failed("remove", &path, &error))?;
                told(&path, "is gone");
            }
        }
    }
    Ok(())
}

fn link(program: &Path, path: &Path) -> Result<(), Failure> {
    // Beside the program the link needs no directory, and so moves with it.
    let to = match path.parent() == program.parent() {
        true => PathBuf::from(PROGRAM),
        false => program.to_owned(),
    };
    if fs::read_link(path).is_ok_and(|found| found == to) {
        told(path, "is there already");
        return Ok(());
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("replace", path, &error));
        }
        _ => {}
    }
    symlink(&to, path).map_err(|error| failed("make", path, &error))?;
    told(path, &format!("leads to {}", program.display()));
    Ok(())
}

/// Where `ccpd` stays through upgrades.
fn program() -> Result<PathBuf, Failure> {
    let own = env::current_exe()
        .map_err(|error| Failure::new(format!("cannot tell where this program is: {error}")))?;
    let own = fs::canonicalize(&own).unwrap_or(own);
    let path = env::var_os("PATH");
    Ok(stable_program(
        &own.with_file_name(PROGRAM),
        path.as_deref(),
    ))
}

fn local(user_home: &Path) -> PathBuf {
    user_home.join(".local/bin")
}

/// Another ccp that is installed beside this one made the link.
fn leads_elsewhere(path: &Path, program: &Path) -> bool {
    match (fs::canonicalize(path), fs::canonicalize(program)) {
        (Ok(there), Ok(here)) => there != here,
        _ => false,
    }
}

/// A link to `ccpd` is ours, whether or not it is still there.
fn is_ours(path: &Path) -> bool {
    fs::read_link(path).is_ok_and(|to| to.file_name() == Some(OsStr::new(PROGRAM)))
}

fn is_for_us(dir: &Path) -> bool {
    let managed = fs::canonicalize(dir.join(PROGRAM)).is_ok_and(|real| Cellar::of(&real).is_some())
        || ["/usr/bin", "/bin"]
            .iter()
            .any(|system| dir == Path::new(system));
    !managed && can_write(dir)
}

/// Tried, since permissions do not tell of read-only disks.
fn can_write(dir: &Path) -> bool {
    let probe = dir.join(format!(".ccp-probe.{}", std::process::id()));
    let written = files::write_new(&probe, b"", files::PRIVATE_FILE, false).is_ok();
    // One that was not written is not there.
    let _ = fs::remove_file(probe);
    written
}

fn is_on_path(dir: &Path) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|one| one == dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    /// A home, and an executable at this place below it.
    fn with(place: &str) -> (TempDir, PathBuf) {
        let home = tempfile::tempdir().expect("a directory");
        let root = fs::canonicalize(home.path()).expect("is there");
        let program = root.join(place);
        fs::create_dir_all(program.parent().expect("has one")).expect("makes");
        files::replace(&program, b"", 0o755).expect("writes");
        (home, program)
    }

    fn links(dir: &Path) -> Vec<Option<PathBuf>> {
        let read = |name: &&str| fs::read_link(dir.join(name)).ok();
        NAMES.iter().map(read).collect()
    }

    #[test]
    fn links_are_beside_the_program_unless_that_place_is_a_package_managers() {
        for (place, beside) in [("bin/ccpd", true), ("brew/Cellar/ccp/1.0/bin/ccpd", false)] {
            let (home, program) = with(place);
            let own = program.parent().expect("has one");
            let dir = if beside {
                own.to_owned()
            } else {
                local(home.path())
            };
            let to = if beside {
                PathBuf::from(PROGRAM)
            } else {
                program.clone()
            };
            for _ in 0..2 {
                install_to(&program, home.path()).expect("installs");
                assert_eq!(links(&dir), vec![Some(to.clone()); 2], "{place}");
            }
            assert_eq!(local(home.path()).exists(), !beside, "{place}");
            uninstall_from(&program, home.path()).expect("uninstalls");
            assert_eq!(links(&dir), [None, None], "{place}");
        }
    }

    #[test]
    fn the_links_of_another_living_ccp_stay() {
        let (home, program) = with("bin/ccpd");
        let (_other_home, other) = with("bin/ccpd");
        let local = local(home.path());
        fs::create_dir_all(&local).expect("makes");
        symlink(&other, local.join(NAMES[0])).expect("links");
        symlink("/nowhere/ccpd", local.join(NAMES[1])).expect("links");
        uninstall_from(&program, home.path()).expect("uninstalls");
        assert_eq!(links(&local), [Some(other), None]);
    }
}
