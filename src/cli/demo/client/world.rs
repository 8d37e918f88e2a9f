//! Where the pretend client runs: its directories, its service, and how it speaks.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::files;
use crate::adapters::simulated::client::{self, Answer};

/// Names the simulated service; loopback is enforced by its client.
use crate::contract::vars::SIMULATED_SERVICE as SERVICE;

/// Read once, at the start.
#[derive(Clone, Debug)]
pub(super) struct World {
    /// The directory that holds credential, sessions and transcripts.
    pub config_dir: PathBuf,
    /// `.claude.json`: inside a named config dir, beside an unnamed one.
    pub state_file: PathBuf,
    pub cwd: PathBuf,
    pub service: String,
    pub browser: Option<OsString>,
}

impl World {
    pub fn from_environment() -> io::Result<Self> {
        let named = env::var_os("CLAUDE_CONFIG_DIR")
            .filter(|dir| !dir.is_empty())
            .map(PathBuf::from);
        let home = PathBuf::from(env::var_os("HOME").unwrap_or_default());
        let (config_dir, state_file) = match named {
            Some(dir) => (dir.clone(), dir.join(".claude.json")),
            None => (home.join(".claude"), home.join(".claude.json")),
        };
        let world = Self {
            config_dir,
            state_file,
            cwd: env::current_dir()?,
            service: env::var_os(SERVICE)
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            browser: env::var_os("BROWSER").filter(|browser| !browser.is_empty()),
        };
        world.check()?;
        Ok(world)
    }

    /// Refuses to run where a mistake would harm a real login.
    fn check(&self) -> io::Result<()> {
        if !client::is_loopback(&self.service) {
            let problem = format!("error: {SERVICE} has to name a simulated service on loopback");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        let stored = files::load(&self.credential_file());
        let is_real = |key: &str| {
            let token = stored["claudeAiOauth"][key].as_str().unwrap_or_default();
            token.starts_with("sk-ant-") && !token.contains("simulated")
        };
        if is_real("accessToken") || is_real("refreshToken") {
            let problem = format!(
                "error: {} holds a real login, which the pretend client does not touch",
                self.config_dir.display()
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
        }
        Ok(())
    }

    /// One request to the service.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        bearer: Option<&str>,
        body: Option<&Value>,
    ) -> io::Result<Answer> {
        client::send(&self.service, method, path, bearer, body)
    }

    /// A shell command as the client's children see their environment.
    pub fn shell(&self, command: &str, session: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(command).current_dir(&self.cwd);
        shell
            .env("CLAUDECODE", "1")
            .env("CLAUDE_CODE_CHILD_SESSION", "1")
            .env("CLAUDE_CODE_ENTRYPOINT", "cli");
        shell
            .env("CLAUDE_CODE_SESSION_ID", session)
            .env("CLAUDE_PID", std::process::id().to_string());
        shell.env("CLAUDE_PROJECT_DIR", &self.cwd);
        shell
    }

    pub fn credential_file(&self) -> PathBuf {
        self.config_dir.join(".credentials.json")
    }

    pub fn cwd_key(&self) -> String {
        self.cwd.to_string_lossy().into_owned()
    }
}

/// A line of data.
pub(super) fn say(line: &str) {
    let mut out = io::stdout().lock();
    // A reader that went away is not our failure.
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// A line of talk.
pub(super) fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// A uuid-shaped random text.
pub(super) fn new_id() -> String {
    let word = crate::adapters::simulated::random_word();
    format!(
        "{}-{}-4{}-8{}-{}",
        &word[..8],
        &word[8..12],
        &word[12..15],
        &word[15..18],
        &word[18..30]
    )
}

/// The name under `projects/` of a working directory.
pub(super) fn encode_path(path: &Path) -> String {
    let encode = |character: char| {
        if character.is_ascii_alphanumeric() {
            character
        } else {
            '-'
        }
    };
    path.to_string_lossy()
        .chars()
        .map(encode)
        .take(200)
        .collect()
}
