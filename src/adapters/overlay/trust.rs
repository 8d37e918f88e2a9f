//! Trust in a directory, given beforehand: only in an account's own `.claude.json`, which is ccp's to seed, under claude's
//! own lock. Of plain claude's file it is only asked.

use super::settings::{SettingsProblem, lock, read, write};
use crate::contract::paths::{Base, claude_json};
use crate::core::claude_json::trust;
use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why claude would stop at a question in this directory.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It was never trusted, and it is not ccp's to say.
    #[error("claude has not been told to trust {}: run `claude` there once", dir.display())]
    Untrusted {
        /// Which.
        dir: PathBuf,
    },
    /// The directory cannot be looked at.
    #[error("cannot look at {}: {source}", dir.display())]
    Dir {
        /// Which.
        dir: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The `.claude.json` could not be read or written.
    #[error("cannot see whether {} is trusted: {problem}", dir.display())]
    File {
        /// Which.
        dir: PathBuf,
        /// What is wrong with the file.
        problem: SettingsProblem,
    },
}

/// Makes an account's claude start in `dir` without a question. True when something had to be written. Waits at most
/// `patience` for claude's lock.
///
/// # Errors
/// When the file is missing, not whole, locked all the while, or cannot be written; it is as it was then.
pub fn accept_trust(
    account_dir: &Path,
    dir: &Path,
    patience: Duration,
) -> Result<bool, TrustError> {
    let dir = real(dir)?;
    let path = claude_json(account_dir);
    let accept = || {
        // Written to, a link would become a file, and what it leads to is somebody else's: a sync takes care of that.
        if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink()) {
            let source = std::io::Error::other("it is a link");
            return Err(SettingsProblem::Io(path.clone(), source));
        }
        // What is there already costs no lock: a slot starts often, and is trusted once.
        if let Cow::Borrowed(_) = changed(&path, &load(&path)?, &dir)? {
            return Ok(false);
        }
        let mut held = lock(&path, patience)?;
        let text = load(&path)?;
        let Cow::Owned(new) = changed(&path, &text, &dir)? else {
            return Ok(false);
        };
        if !held.refresh() {
            return Err(SettingsProblem::Busy(path.clone()));
        }
        write(&path, &new)?;
        Ok(true)
    };
    accept().map_err(|problem| TrustError::File {
        dir: dir.clone(),
        problem,
    })
}

/// That plain claude starts in `dir` without a question. Nothing is written.
///
/// # Errors
/// When it would ask, or that cannot be told.
pub fn require_trust(base: &Base, dir: &Path) -> Result<(), TrustError> {
    let dir = real(dir)?;
    // An old file of another name counts instead where there is one, as for claude.
    let old = base.dir.join(".config.json");
    let path = if old.is_file() { &old } else { &base.json };
    let text = read(path).map_err(|problem| TrustError::File {
        dir: dir.clone(),
        problem,
    })?;
    match text.map(|text| trust::is_trusted(&text, &dir)) {
        Some(Some(true)) => Ok(()),
        Some(Some(false)) | None => Err(TrustError::Untrusted { dir }),
        Some(None) => {
            let problem = SettingsProblem::Torn(path.clone());
            Err(TrustError::File { dir, problem })
        }
    }
}

/// claude goes by the real path.
fn real(dir: &Path) -> Result<PathBuf, TrustError> {
    fs::canonicalize(dir).map_err(|source| TrustError::Dir {
        dir: dir.to_owned(),
        source,
    })
}

fn load(path: &Path) -> Result<String, SettingsProblem> {
    read(path)?.ok_or_else(|| SettingsProblem::Missing(path.to_owned()))
}

fn changed<'t>(path: &Path, text: &'t str, dir: &Path) -> Result<Cow<'t, str>, SettingsProblem> {
    trust::with_trust(text, dir).ok_or_else(|| SettingsProblem::Torn(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::settings::{Direction, flow};
    use super::*;
    use crate::adapters::files::{PRIVATE_FILE, replace};
    use std::os::unix::fs::symlink;

    #[test]
    fn an_account_is_told_once_and_plain_claude_only_asked() {
        let home = tempfile::tempdir().expect("a directory");
        let account = home.path().join("account");
        let work = home.path().join("work");
        for dir in [&account, &work] {
            fs::create_dir(dir).expect("makes");
        }
        let link = home.path().join("link");
        symlink(&work, &link).expect("links");
        let patience = Duration::from_millis(20);
        let json = claude_json(&account);

        let missing = accept_trust(&account, &work, patience).expect_err("no file");
        assert!(missing.to_string().contains("is missing"), "{missing}");
        replace(&json, b"{\"torn", PRIVATE_FILE).expect("writes");
        assert!(accept_trust(&account, &work, patience).is_err());
        assert_eq!(fs::read(&json).expect("reads"), b"{\"torn", "as it was");

        replace(&json, b"{\"userID\":\"u\"}", PRIVATE_FILE).expect("writes");
        let lock = home.path().join("account/.claude.json.lock");
        fs::create_dir(&lock).expect("somebody holds it");
        assert!(accept_trust(&account, &work, patience).is_err());
        fs::remove_dir(&lock).expect("lets go");
        assert!(accept_trust(&account, &link, patience).expect("writes"));
        assert!(!accept_trust(&account, &work, patience).expect("is there"));
        let text = fs::read_to_string(&json).expect("reads");
        assert!(
            text.contains("\"userID\": \"u\"") && text.contains("resumeReturnDismissed"),
            "{text}"
        );
        assert!(!lock.exists());

        let base = Base::at(&account, home.path());
        require_trust(&base, &work).expect("is trusted");
        let other = require_trust(&base, home.path()).expect_err("is not");
        assert!(
            other.to_string().ends_with("run `claude` there once"),
            "{other}"
        );
        assert_eq!(
            fs::read_to_string(&json).expect("reads"),
            text,
            "nothing is written"
        );
        let none = Base::default_in(home.path());
        assert!(matches!(
            require_trust(&none, &work),
            Err(TrustError::Untrusted { .. })
        ));
        assert!(matches!(
            require_trust(&none, Path::new("/nowhere/at/all")),
            Err(TrustError::Dir { .. })
        ));
    }

    #[test]
    fn what_was_given_stays_when_settings_flow_from_the_base() {
        let home = tempfile::tempdir().expect("a directory");
        let account = home.path().join("account");
        let work = home.path().join("work");
        for dir in [&account, &work] {
            fs::create_dir(dir).expect("makes");
        }
        let base = Base::default_in(home.path());
        let patience = Duration::from_secs(5);
        let write =
            |path: &Path, text: &str| replace(path, text.as_bytes(), PRIVATE_FILE).expect("writes");
        write(
            &base.json,
            r#"{"editorMode":"normal","projects":{"/x":{"hasTrustDialogAccepted":true}}}"#,
        );
        write(&claude_json(&account), "{}");
        accept_trust(&account, &work, patience).expect("writes");
        for mode in ["normal", "vim"] {
            let text = format!(r#"{{"editorMode":"{mode}","projects":{{}}}}"#);
            write(&base.json, &text);
            let report = flow(&base, &account, Direction::OneWay, patience);
            assert!(report.problems.is_empty(), "{report:?}");
            let written = accept_trust(&account, &work, patience).expect("is there");
            assert!(!written, "trust in {mode}");
        }
    }
}
