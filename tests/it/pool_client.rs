//! `ccp pool` against a pool that says what it was told to say: what is asked, what is printed, how it ends.
#![expect(
    clippy::disallowed_methods,
    reason = "tests write what people and other programs would"
)]

mod begin;
mod commands;
mod installing;
mod mcp;
mod remote;
mod streams;
mod terminal;

use ccp::contract::pool::{Line, Lines, Request};
use ccp_standin::{Output, Running};
use serde_json::Value;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tempfile::TempDir;

/// How long anything may take on a busy machine.
pub const BOUND: Duration = Duration::from_secs(60);

/// A throw-away home with our programs under all their names, and nothing else of ours.
pub struct Stage {
    dir: TempDir,
    pool_home: PathBuf,
}

impl Stage {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("ccp").tempdir_in("/tmp");
        let dir = dir.expect("a directory");
        let pool_home = dir.path().join(".claude-pool");
        Self::with_pool_home(dir, pool_home)
    }

    pub fn with_pool_home(dir: TempDir, pool_home: PathBuf) -> Self {
        let bin = dir.path().join("bin");
        for part in ["bin", "work", "run"] {
            fs::create_dir(dir.path().join(part)).expect("creates");
        }
        fs::set_permissions(
            dir.path().join("run"),
            std::os::unix::fs::PermissionsExt::from_mode(0o700),
        )
        .expect("is private");
        for (name, program) in [
            ("ccp", crate::support::CCP),
            ("ccpd", crate::support::CCPD),
            ("claude-pool-cli", crate::support::CCPD),
            ("claude-pool", crate::support::CCPD),
        ] {
            symlink(program, bin.join(name)).expect("links");
        }
        Self { dir, pool_home }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn pool_dir(&self, name: &str) -> PathBuf {
        self.pool_home.join(name)
    }

    /// A program of `bin` in a sealed environment.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path().join("bin").join(program));
        let bin = self.path().join("bin");
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.path())
            .env("CLAUDE_POOL_HOME", &self.pool_home)
            .env("CLAUDE_POOL_TEST_OWNER_PID", std::process::id().to_string())
            .env("XDG_RUNTIME_DIR", self.path().join("run"))
            .env(
                "PATH",
                format!(
                    "{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
                    bin.display()
                ),
            )
            .env("TERM", "xterm-256color")
            .env("LANG", "C.UTF-8")
            .current_dir(self.path().join("work"));
        command
    }

    /// Runs `ccp pool` with these arguments to its end.
    pub fn pool(&self, arguments: &[&str]) -> Output {
        let words: Vec<&str> = ["pool"].iter().chain(arguments).copied().collect();
        end(self.command("ccp", &words))
    }

    /// What `ccp pool` prints; it has to end well.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.pool(arguments);
        assert_eq!(output.code, 0, "{arguments:?}: {}", output.stderr);
        output.stdout
    }

    /// What `ccp pool` says when it fails; it has to.
    #[track_caller]
    pub fn refused(&self, arguments: &[&str]) -> String {
        let output = self.pool(arguments);
        assert_eq!(output.code, 1, "{arguments:?}: {}", output.stdout);
        let first = output.stderr.lines().next().unwrap_or_default();
        let error = first.strip_prefix("error: ");
        error
            .unwrap_or_else(|| panic!("{:?}", output.stderr))
            .to_owned()
    }
}

/// Runs a command to its end.
#[track_caller]
pub fn end(command: Command) -> Output {
    let mut running = Running::start(command).expect("starts");
    running.close_stdin();
    running.output(BOUND).expect("ends")
}

/// A pool on a real socket that answers each request with the lines it is given.
pub struct Scripted {
    requests: Receiver<Value>,
}

impl Scripted {
    /// Listens as the pool of this name.
    pub fn start(
        stage: &Stage,
        name: &str,
        answer: impl Fn(&Request) -> Vec<String> + Send + Sync + 'static,
    ) -> Self {
        let dir = stage.pool_dir(name);
        fs::create_dir_all(&dir).expect("creates");
        Self::at(&dir.join("api.sock"), answer)
    }

    pub fn at(
        socket: &Path,
        answer: impl Fn(&Request) -> Vec<String> + Send + Sync + 'static,
    ) -> Self {
        let listener = UnixListener::bind(socket).expect("binds");
        let (seen, requests) = channel();
        let answer = std::sync::Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answer) = (seen.clone(), std::sync::Arc::clone(&answer));
                std::thread::spawn(move || {
                    serve(stream, &mut |line| {
                        let _ = seen.send(serde_json::from_slice(line).expect("is JSON"));
                        let incoming = Request::parse(line).expect("is a request");
                        answer(&incoming.request)
                    });
                });
            }
        });
        Self { requests }
    }

    /// The next request that came, without the noise.
    #[track_caller]
    pub fn next(&self) -> Value {
        self.requests.recv_timeout(BOUND).expect("a request")
    }
}

fn serve(mut stream: UnixStream, answer: &mut dyn FnMut(&[u8]) -> Vec<String>) {
    let mut lines = Lines::of_requests();
    let mut chunk = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut chunk) {
        lines.push(&chunk[..count]);
        while let Some(line) = lines.next() {
            let Line::Text(line) = line else { return };
            for reply in answer(&line) {
                if reply == "close" || stream.write_all(format!("{reply}\n").as_bytes()).is_err() {
                    return;
                }
            }
        }
    }
}

/// The line of an error.
pub fn error(code: &str, text: &str) -> Vec<String> {
    vec![serde_json::json!({"type": "error", "error": text, "code": code}).to_string()]
}
