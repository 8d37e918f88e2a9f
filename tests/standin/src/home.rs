//! A throw-away HOME and the sealed environment of a client that runs in it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use ccp::adapters::simulated::{AccountSpec, AccountTokens};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Standin;

/// Scopes that a subscription login has.
const SCOPES: &[&str] = &[
    "user:profile",
    "user:inference",
    "user:sessions:claude_code",
    "user:mcp_servers",
    "user:file_upload",
];

/// A temporary HOME with a short path (sockets go below it), removed when dropped.
#[derive(Debug)]
pub struct Home {
    directory: TempDir,
}

impl Home {
    /// Makes the home and, in it, `work` (the working directory of commands), `accounts` and `tmp`.
    ///
    /// # Errors
    /// When a directory cannot be made.
    pub fn new() -> io::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("ccp")
            .rand_bytes(6)
            .tempdir_in("/tmp")?;
        for name in ["work", "accounts", "tmp"] {
            fs::DirBuilder::new()
                .mode(0o700)
                .create(directory.path().join(name))?;
        }
        Ok(Self { directory })
    }

    /// The home itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where commands run; trusted in every account dir that `write_account_dir` makes.
    #[must_use]
    pub fn work_dir(&self) -> PathBuf {
        self.path().join("work")
    }

    /// A good place for the stand-in's certificate.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.path().join("ca.pem")
    }

    /// Where the account dir of this name is.
    #[must_use]
    pub fn account_dir(&self, name: &str) -> PathBuf {
        self.path().join("accounts").join(name)
    }

    /// The whole environment of a client that may reach nothing but the stand-in. Nothing is inherited.
    #[must_use]
    pub fn command_env(&self, standin: &Standin) -> Vec<(OsString, OsString)> {
        let text = |value: &str| OsString::from(value);
        let path = |value: PathBuf| value.into_os_string();
        [
            ("HOME", path(self.path().to_owned())),
            ("PATH", text("/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")),
            ("TMPDIR", path(self.path().join("tmp"))),
            ("USER", text("ccp-test")),
            ("SHELL", text("/bin/bash")),
            ("TERM", text("xterm-256color")),
            ("LANG", text("C.UTF-8")),
            ("TZ", text("UTC")),
            ("IS_SANDBOX", text("1")),
            // No daemon starts unless a test wants one, and none outlives the test.
            ("CCP_AUTOSTART", text("0")),
            ("CCP_TEST_OWNER_PID", text(&std::process::id().to_string())),
            ("DISABLE_AUTOUPDATER", text("1")),
            (
                "CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL",
                text("1"),
            ),
            ("HTTPS_PROXY", text(&standin.proxy_url())),
            ("NO_PROXY", text("127.0.0.1,localhost")),
            ("NODE_EXTRA_CA_CERTS", path(standin.ca_file().to_owned())),
            ("CCP_SIMULATED_SERVICE", text(&standin.service.url())),
            // A sign-in must never open a browser of the person who runs the tests.
            ("BROWSER", text("/bin/true")),
        ]
        .into_iter()
        .map(|(name, value)| (text(name), value))
        .collect()
    }

    /// `program` in the sealed environment and in the working directory.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>, standin: &Standin) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(self.command_env(standin))
            .current_dir(self.work_dir());
        command
    }

    /// Writes an account dir by hand, as if `account` had signed in there: identity, login, no start-up dialogs.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_account_dir(
        &self,
        name: &str,
        account: &AccountSpec,
        tokens: &AccountTokens,
    ) -> io::Result<PathBuf> {
        let dir = self.account_dir(name);
        fs::DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(&dir)?;
        let mut state = self.seed();
        state["oauthAccount"] = account.oauth_account();
        write_private(&dir.join(".claude.json"), format!("{state:#}").as_bytes())?;
        let login = json!({"claudeAiOauth": {
            "accessToken": tokens.access, "refreshToken": tokens.refresh, "expiresAt": tokens.expires_at,
            "scopes": SCOPES, "subscriptionType": account.subscription, "rateLimitTier": account.rate_limit_tier,
        }});
        write_private(&dir.join(".credentials.json"), login.to_string().as_bytes())?;
        Ok(dir)
    }

    /// An account dir before its first sign-in.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_empty_dir(&self, name: &str) -> io::Result<PathBuf> {
        let dir = self.account_dir(name);
        fs::DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(&dir)?;
        write_private(
            &dir.join(".claude.json"),
            format!("{:#}", self.seed()).as_bytes(),
        )?;
        Ok(dir)
    }

    /// What makes a start free of dialogs.
    fn seed(&self) -> Value {
        let mut projects = json!({});
        projects[self.path().to_string_lossy().as_ref()] = json!({"hasTrustDialogAccepted": true});
        json!({"hasCompletedOnboarding": true, "resumeReturnDismissed": true, "projects": projects})
    }

    /// Writes a `BROWSER` that signs in at once: as the account of the URL's `login_hint`, else as the service's next
    /// login.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_browser(&self, fake_claude: &Path) -> io::Result<PathBuf> {
        self.write_script(
            "browser",
            &format!("exec '{}' browse \"$1\"", fake_claude.display()),
        )
    }

    /// Writes an executable script, for example a `BROWSER`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_script(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let file = self.path().join(name);
        write_mode(&file, format!("#!/bin/sh\n{text}\n").as_bytes(), 0o700)?;
        Ok(file)
    }
}

/// Writes a file that only its owner reads.
pub fn write_private(file: &Path, bytes: &[u8]) -> io::Result<()> {
    write_mode(file, bytes, 0o600)
}

fn write_mode(file: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(file)?;
    file.write_all(bytes)
}
