//! `ccp pool install` and `uninstall`: a skill that teaches claude's sessions the commands of a pool, and the names by which
//! other programs know this one. Nothing else is needed for a session to be known as a parent: claude tells what it starts
//! which session it is (`CLAUDE_CODE_SESSION_ID`, seen with 2.1.197 and 2.1.329), so no hook is installed. Whatever a person
//! wrote or changed is left alone, with a word.

mod links;

use super::context::Context;
use super::failure::{Failure, Outcome};
use crate::adapters::files;
use crate::contract::exit;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The skill's directory among the skills.
const NAME: &str = "claude-pool";
/// Its files: what a session reads first, and what it reads when something is wrong.
const FILES: &[(&str, &str)] = &[
    ("SKILL.md", include_str!("pool_skill/SKILL.md")),
    ("debug.md", include_str!("pool_skill/debug.md")),
];
/// The last line of a file that ccp wrote, around the digest of what is above it.
const MARK: (&str, &str) = ("<!-- written by `ccp pool install`, ", " -->\n");
/// Files of the base are as readable as claude makes them.
const MODE: u32 = 0o644;
/// The largest skill file that is looked at, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// What is at the place of one of our files.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// This very text.
    Ours,
    /// Written by another version of ccp, and not changed since.
    Older,
    /// A person's.
    Theirs,
}

/// Runs `ccp pool install`: the skill goes into the base, and with `links` the names `claude-pool` and `claude-pool-cli`
/// beside this program or into `~/.local/bin`. Does nothing where all is there.
pub fn install(context: &Context, links: bool) -> Outcome {
    let dir = directory(context)?;
    let place = skill_dir(&dir)?;
    files::create_private_dir(&place).map_err(|error| failed("make", &place, &error))?;
    for (name, text) in FILES {
        let path = place.join(name);
        match look(&path, text)? {
            Found::Theirs => told(
                &path,
                "was changed, and stays as it is; delete it to get ccp's",
            ),
            Found::Ours => told(&path, "is there already"),
            Found::Nothing | Found::Older => {
                files::replace(&path, marked(text).as_bytes(), MODE)
                    .map_err(|error| failed("write", &path, &error))?;
                told(&path, "is written: new sessions know the pool");
            }
        }
    }
    if links {
        links::install(&context.user_home)?;
    }
    Ok(exit::OK)
}

/// Runs `ccp pool uninstall`: takes out what [`install`] put there, and leaves what was changed since.
pub fn uninstall(context: &Context) -> Outcome {
    let place = directory(context)?.join(NAME);
    // Through a link the files are a person's.
    if fs::symlink_metadata(&place).is_ok_and(|found| found.is_dir()) {
        for (name, text) in FILES {
            let path = place.join(name);
            match look(&path, text)? {
                Found::Nothing => {}
                Found::Theirs => told(&path, "was changed, and stays"),
                Found::Ours | Found::Older => {
                    fs::remove_file(&path).map_err(|error| failed("remove", &path, &error))?;
                    told(&path, "is gone");
                }
            }
        }
        match fs::remove_dir(&place) {
            Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => {
                return Err(failed("remove", &place, &error));
            }
            _ => {}
        }
    }
    links::uninstall(&context.user_home)?;
    Ok(exit::OK)
}

/// Where the base keeps skills.
fn directory(context: &Context) -> Result<PathBuf, Failure> {
    Ok(context.base()?.dir.join("skills"))
}

fn skill_dir(skills: &Path) -> Result<PathBuf, Failure> {
    let place = skills.join(NAME);
    match fs::symlink_metadata(&place) {
        Ok(found) if !found.is_dir() => {
            let shown = place.display();
            let failure = Failure::new(format!("{shown} is there, and not ccp's"));
            Err(failure.hint("move it away, then run the same command again"))
        }
        _ => Ok(place),
    }
}

fn look(path: &Path, text: &str) -> Result<Found, Failure> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => return Ok(Found::Theirs),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(failed("read", path, &error)),
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes))
        .map_err(|error| failed("read", path, &error))?;
    let found = String::from_utf8_lossy(&bytes);
    if found == marked(text) {
        return Ok(Found::Ours);
    }
    let unchanged = found
        .rfind(MARK.0)
        .is_some_and(|at| found == marked(&found[..at]));
    Ok(if unchanged {
        Found::Older
    } else {
        Found::Theirs
    })
}

/// A text with its mark.
fn marked(text: &str) -> String {
    let mut marked = format!("{text}{}", MARK.0);
    for byte in Sha256::digest(text.as_bytes()).iter().take(16) {
        let _ = write!(marked, "{byte:02x}");
    }
    marked.push_str(MARK.1);
    marked
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("cannot {what} {}: {error}", path.display()))
}

fn told(path: &Path, what: &str) {
    eprintln!("{} {what}", path.display());
}

#[cfg(test)]
mod tests;
