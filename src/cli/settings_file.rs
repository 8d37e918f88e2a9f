//! The person's `settings.json`, of which ccp changes a member at most: read whole, written in one step with its mode,
//! behind whatever links lead to it. What is no JSON object is left alone.

use super::settings_text::Members;
use crate::adapters::files::{PRIVATE_FILE, replace};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Why a settings file was left alone.
#[derive(Debug, thiserror::Error)]
pub enum SettingsFileError {
    /// The file system refused.
    #[error("cannot change {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not one JSON object, so nothing can be changed in it without harm.
    #[error("{} is not a JSON object, so it is left alone", path.display())]
    NotJson {
        /// Which.
        path: PathBuf,
    },
}

/// Names the file that an error is about.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> SettingsFileError {
    let path = path.to_owned();
    move |source| SettingsFileError::File { path, source }
}

/// A settings file as it is now.
pub(super) struct SettingsFile {
    path: PathBuf,
    text: String,
    mode: u32,
}

impl SettingsFile {
    /// Reads the file that `settings` leads to; one that is not there has no members.
    pub(super) fn load(settings: &Path) -> Result<Self, SettingsFileError> {
        let path = match fs::canonicalize(settings) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if fs::symlink_metadata(settings).is_ok() {
                    // A link to nowhere: writing there would surprise.
                    return Err(at(settings)(error));
                }
                return Ok(Self {
                    path: settings.to_owned(),
                    text: "{}\n".to_owned(),
                    mode: PRIVATE_FILE,
                });
            }
            path => path.map_err(at(settings))?,
        };
        let mode = fs::metadata(&path).map_err(at(&path))?.permissions().mode() & 0o7777;
        let text = fs::read(&path).map_err(at(&path))?;
        let not_json = |_| SettingsFileError::NotJson {
            path: settings.to_owned(),
        };
        let text = String::from_utf8(text).map_err(not_json)?;
        Ok(Self { path, text, mode })
    }

    /// Its members, of which `member` is there once at most.
    pub(super) fn members(&self, member: &str) -> Result<Members<'_>, SettingsFileError> {
        Members::parse(&self.text)
            .filter(|members| !members.is_ambiguous(member))
            .ok_or_else(|| SettingsFileError::NotJson {
                path: self.path.clone(),
            })
    }

    /// Puts this text in its place.
    pub(super) fn write(&self, text: &str) -> Result<(), SettingsFileError> {
        replace(&self.path, text.as_bytes(), self.mode).map_err(at(&self.path))
    }
}
