//! A look at an overlay that changes nothing.

use super::listing::{entry_around, list};
use crate::contract::paths::Base;
use crate::core::overlay::{Class, classify};
use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// With which path.
    pub path: PathBuf,
    /// What.
    pub verdict: Verdict,
}

/// What can be wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The base has it and the account has no link to it.
    MissingLink,
    /// A link to an entry that the base no longer has.
    StaleLink,
    /// A link to something else than the base's entry.
    WrongTarget(PathBuf),
    /// A real file or directory where a link should be, or one that the base does not have.
    Stray,
    /// An entry that should be the account's own is a link.
    PrivateIsLink(PathBuf),
    /// The file with the account's identity is a link: the gravest of them.
    IdentityIsLink(PathBuf),
    /// claude reads the identity from the legacy `.config.json`, and settings do not flow into that one.
    LegacyIdentity,
    /// A copy that lost against another one and waits for a person to look at it.
    ConflictCopy,
    /// Others may read or write what only the owner should: the mode found.
    Permissions(u32),
    /// It cannot be looked at.
    Unreadable(io::ErrorKind),
}

impl Verdict {
    /// Whether a sync puts it right by itself.
    #[must_use]
    pub const fn is_mended_by_sync(&self) -> bool {
        matches!(
            self,
            Self::MissingLink | Self::StaleLink | Self::Stray | Self::IdentityIsLink(_)
        )
    }
}

/// Looks at every entry of the overlay at `account_dir`. Nothing found is nothing wrong.
#[must_use]
pub fn health(base: &Base, account_dir: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut found = |path: PathBuf, verdict| findings.push(Finding { path, verdict });
    let base_names = match list(&base.dir) {
        Ok(entries) => entries,
        Err(error) => {
            found(base.dir.clone(), Verdict::Unreadable(error.kind()));
            return findings;
        }
    };
    let around = entry_around(&base.dir, account_dir);
    let mut missing: HashSet<OsString> = HashSet::new();
    for (name, _) in base_names {
        if name.as_bytes().windows(10).any(|w| w == b".conflict-") {
            found(base.dir.join(&name), Verdict::ConflictCopy);
        }
        if classify(name.as_bytes()) == Class::Shared && Some(&name) != around.as_ref() {
            missing.insert(name);
        }
    }
    let account = match list(account_dir) {
        Ok(entries) => entries,
        Err(error) => {
            found(account_dir.to_owned(), Verdict::Unreadable(error.kind()));
            return findings;
        }
    };
    for (name, kind) in account {
        let path = account_dir.join(&name);
        let in_base = missing.remove(&name);
        let class = classify(name.as_bytes());
        let verdict = if kind.is_symlink() {
            look_at_link(base, &name, &path, class, in_base)
        } else {
            match class {
                Class::Shared => Some(Verdict::Stray),
                Class::Private => look_at_private(&name, &path),
                Class::Skipped => None,
            }
        };
        if let Some(verdict) = verdict {
            found(path, verdict);
        }
    }
    for name in missing {
        found(account_dir.join(name), Verdict::MissingLink);
    }
    if let Some(mode) = open_to_others(account_dir) {
        found(account_dir.to_owned(), Verdict::Permissions(mode));
    }
    findings.sort_by(|a, b| a.path.cmp(&b.path));
    findings
}

fn look_at_link(
    base: &Base,
    name: &OsString,
    path: &Path,
    class: Class,
    in_base: bool,
) -> Option<Verdict> {
    let target = match fs::read_link(path) {
        Ok(target) => target,
        Err(error) => return Some(Verdict::Unreadable(error.kind())),
    };
    match class {
        Class::Skipped => None,
        Class::Private if is_identity(name) => Some(Verdict::IdentityIsLink(target)),
        Class::Private => Some(Verdict::PrivateIsLink(target)),
        Class::Shared if target != base.dir.join(name) => Some(Verdict::WrongTarget(target)),
        Class::Shared => (!in_base).then_some(Verdict::StaleLink),
    }
}

fn look_at_private(name: &OsString, path: &Path) -> Option<Verdict> {
    let lower = name.as_bytes().to_ascii_lowercase();
    if lower == b".config.json" {
        return Some(Verdict::LegacyIdentity);
    }
    let secret = matches!(lower.as_slice(), b".claude.json" | b".credentials.json");
    (secret.then(|| open_to_others(path))?).map(Verdict::Permissions)
}

fn is_identity(name: &OsString) -> bool {
    let lower = name.as_bytes().to_ascii_lowercase();
    matches!(lower.as_slice(), b".claude.json" | b".config.json")
}

/// The mode, where anybody but the owner has a right.
fn open_to_others(path: &Path) -> Option<u32> {
    let mode = fs::symlink_metadata(path).ok()?.mode() & 0o7777;
    (mode & 0o077 != 0).then_some(mode)
}
