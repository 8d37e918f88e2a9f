//! `ccp pool install`: two skills that teach Claude Code to use pools, and on request links under the names that other
//! programs call. What is not ours is never touched; `uninstall` takes away what is.

use super::spawn;
use super::stand::Stand;
use super::{CLIENT_NAME, DAEMON_NAME};
use crate::adapters::files;
use crate::cli::failure::{Failure, Outcome};
use crate::contract::exit;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// By this a file is known as ours.
const MARK: &str = "<!-- written by `ccp pool install`; `ccp pool uninstall` removes it -->";
/// The mode of a skill: everybody may read it.
const SKILL_MODE: u32 = 0o644;

/// A skill: the name of its directory, and its text.
const SKILLS: &[(&str, &str)] = &[
    ("claude-pool", include_str!("install/skill.md")),
    ("claude-pool-debug", include_str!("install/debug-skill.md")),
];

/// Runs `ccp pool install`.
pub(super) fn install(stand: &Stand, links: bool) -> Outcome {
    let skills: Vec<(PathBuf, String)> = SKILLS
        .iter()
        .map(|(name, text)| skill(stand, name, text))
        .collect();
    // Nothing is done where not everything can be.
    for (path, _) in &skills {
        refuse_foreign(path)?;
    }
    let program = spawn::own_program()?;
    let links = if links { link_paths(stand) } else { Vec::new() };
    for link in &links {
        if there(link) && !is_our_link(link) {
            return Err(in_the_way(link));
        }
    }
    for (path, text) in &skills {
        put_skill(path, text)?;
    }
    for link in &links {
        put_link(link, &program)?;
    }
    Ok(exit::OK)
}

/// Runs `ccp pool uninstall`.
pub(super) fn uninstall(stand: &Stand) -> Outcome {
    for (name, text) in SKILLS {
        let (path, _) = skill(stand, name, text);
        if is_our_skill(&path) {
            remove(&path)?;
            // A directory with something of somebody else in it stays.
            let _ = path.parent().map(fs::remove_dir);
        }
    }
    for link in link_paths(stand) {
        if is_our_link(&link) {
            remove(&link)?;
        }
    }
    Ok(exit::OK)
}

/// Where a skill is, and what it says.
fn skill(stand: &Stand, name: &str, text: &str) -> (PathBuf, String) {
    let path = stand
        .user_home
        .join(".claude/skills")
        .join(name)
        .join("SKILL.md");
    (path, format!("{text}\n{MARK}\n"))
}

fn link_paths(stand: &Stand) -> Vec<PathBuf> {
    let dir = stand.user_home.join(".local/bin");
    [CLIENT_NAME, DAEMON_NAME].map(|name| dir.join(name)).into()
}

fn put_skill(path: &Path, text: &str) -> Result<(), Failure> {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        println!("{} is there", path.display());
        return Ok(());
    }
    let dir = path.parent().unwrap_or(path);
    fs::create_dir_all(dir)
        .and_then(|()| files::replace(path, text.as_bytes(), SKILL_MODE))
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))?;
    println!("wrote {}", path.display());
    Ok(())
}

fn put_link(link: &Path, program: &Path) -> Result<(), Failure> {
    if fs::read_link(link).is_ok_and(|target| target == program) {
        println!("{} is there", link.display());
        return Ok(());
    }
    if there(link) {
        remove(link)?;
    }
    let dir = link.parent().unwrap_or(link);
    fs::create_dir_all(dir)
        .and_then(|()| symlink(program, link))
        .map_err(|error| Failure::new(format!("cannot link {}: {error}", link.display())))?;
    println!("linked {} to {}", link.display(), program.display());
    Ok(())
}

fn remove(path: &Path) -> Result<(), Failure> {
    fs::remove_file(path)
        .map_err(|error| Failure::new(format!("cannot remove {}: {error}", path.display())))?;
    println!("removed {}", path.display());
    Ok(())
}

fn refuse_foreign(path: &Path) -> Result<(), Failure> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(_) if is_our_skill(path) => Ok(()),
        Ok(_) => Err(in_the_way(path)),
        Err(error) => Err(Failure::new(format!(
            "cannot look at {}: {error}",
            path.display()
        ))),
    }
}

fn in_the_way(path: &Path) -> Failure {
    Failure::new(format!("{} is in the way: it is not ours", path.display()))
        .hint("move it away, then install again")
}

fn there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn is_our_skill(path: &Path) -> bool {
    let plain = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
    plain && fs::read_to_string(path).is_ok_and(|text| text.trim_end().ends_with(MARK))
}

/// A link to an executable of ours, wherever that is or was.
fn is_our_link(path: &Path) -> bool {
    let target = fs::read_link(path).ok();
    let name = target.as_deref().and_then(Path::file_name);
    name.is_some_and(|name| name == "ccpd" || name == "ccp")
}
