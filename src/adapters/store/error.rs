//! What can go wrong with the database, in terms of what a person can do about it.

use crate::core::account::{AccountId, LabelProblem};
use rusqlite::ErrorCode;
use std::io;
use std::path::{Path, PathBuf};

/// Why the database could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The home directory or the database file cannot be reached.
    #[error("cannot open {path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A later version of ccp wrote it. Nothing was changed.
    #[error(
        "{path} has format {found}, and this version of ccp knows formats up to {known}: use the newer ccp"
    )]
    Future {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format of this version.
        known: i64,
    },
    /// Another program's database has our name. Nothing was changed.
    #[error("{path} belongs to another program")]
    Foreign {
        /// The database.
        path: PathBuf,
    },
    /// It cannot be read as a database. It is left as it is.
    #[error(
        "{path} is damaged ({detail}): move it aside, then `ccp init` adopts the account directories again"
    )]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What SQLite found.
        detail: String,
    },
    /// Other processes held it all the while.
    #[error("{path} stayed locked by another process for {} s", super::PATIENCE.as_secs())]
    Busy {
        /// The database.
        path: PathBuf,
    },
    /// No space is left for it.
    #[error("cannot write {path}: no space left")]
    Full {
        /// The database.
        path: PathBuf,
    },
    /// Its directory or file system cannot be written by this user.
    #[error("cannot write {path}: permission denied, or the file system is read-only")]
    ReadOnly {
        /// The database.
        path: PathBuf,
    },
    /// Anything else SQLite reports.
    #[error("cannot use {path}: {source}")]
    Sql {
        /// The database.
        path: PathBuf,
        /// SQLite's answer.
        source: rusqlite::Error,
    },
    /// There is no such account.
    #[error("there is no account {0}")]
    NoAccount(AccountId),
    /// Every number is in use.
    #[error("all account numbers are in use")]
    NoFreeNumber,
    /// The text cannot be a label.
    #[error("a label {}", .0.reason())]
    Label(LabelProblem),
    /// Another account has this label (letter case does not tell labels apart).
    #[error("the label '{label}' belongs to {holder}")]
    LabelTaken {
        /// The label as it was asked for.
        label: String,
        /// Who has it.
        holder: AccountId,
    },
}

impl StoreError {
    /// What the person can do next, where there is something.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Corrupt { .. } => {
                Some("move state.db aside and run `ccp init`: accounts on disk are adopted again")
            }
            Self::Future { .. } => Some("run the newer ccp, or set CCP_HOME to another directory"),
            Self::Foreign { .. } => Some("set CCP_HOME to another directory"),
            Self::Busy { .. } => Some("try again; `ccp doctor` shows who uses it"),
            Self::Full { .. } => Some("free some space and try again"),
            Self::ReadOnly { .. } => Some("make the directory writable, or set CCP_HOME"),
            Self::NoAccount(_) => Some("`ccp list` shows the accounts"),
            _ => None,
        }
    }

    /// Sorts SQLite's answer by what can be done about it.
    pub(super) fn from_sql(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path },
            Some(ErrorCode::DiskFull) => Self::Full { path },
            Some(ErrorCode::ReadOnly) => Self::ReadOnly { path },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt {
                path,
                detail: source.to_string(),
            },
            _ => Self::Sql { path, source },
        }
    }

    pub(super) fn from_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Self::ReadOnly { path }
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::Io { path, source },
        }
    }
}
