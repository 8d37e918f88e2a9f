//! A person at a terminal: what is shown is waited for, what is typed is typed. `script` lends the terminal.

use super::world::{BOUND, World};
use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

pub const CTRL_C: &str = "\x03";
pub const CTRL_D: &str = "\x04";

pub struct Terminal {
    child: Child,
    keys: Option<ChildStdin>,
    shown: Receiver<Vec<u8>>,
    text: String,
    /// What was waited for already.
    seen: usize,
}

impl Terminal {
    /// Starts `ccp` with these arguments; standard output goes to the file, if one is named.
    pub fn start(world: &World, arguments: &[&str], stdout: Option<&str>) -> Self {
        let mut line: Vec<String> = vec!["exec ccp".to_owned()];
        line.extend(arguments.iter().map(|a| format!("'{a}'")));
        line.extend(stdout.map(|file| format!("> '{file}'")));
        let line = line.join(" ");
        let mut command = if cfg!(target_os = "macos") {
            world.command("script", &["-q", "/dev/null", "/bin/sh", "-c", &line])
        } else {
            world.command("script", &["-q", "-e", "-f", "-c", &line, "/dev/null"])
        };
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        let mut child = command.spawn().expect("script is installed");
        let mut output = child.stdout.take().expect("a pipe");
        let (sender, shown) = channel();
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(count) = output.read(&mut chunk) {
                if count == 0 || sender.send(chunk[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            keys: child.stdin.take(),
            child,
            shown,
            text: String::new(),
            seen: 0,
        }
    }

    /// Waits until this is shown, after what was waited for before, and returns what came in between.
    pub fn wait_for(&mut self, wanted: &str) -> String {
        let deadline = Instant::now() + BOUND;
        loop {
            if let Some(at) = self.text[self.seen..].find(wanted) {
                let between = self.text[self.seen..self.seen + at].to_owned();
                self.seen += at + wanted.len();
                return between;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.shown.recv_timeout(left) {
                Ok(chunk) => self.text.push_str(&String::from_utf8_lossy(&chunk)),
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{wanted:?} was not shown in:\n{}", self.text)
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("it ended before {wanted:?}:\n{}", self.text)
                }
            }
        }
    }

    pub fn type_text(&mut self, keys: &str) {
        let input = self.keys.as_mut().expect("still typing");
        input
            .write_all(keys.as_bytes())
            .expect("the terminal is there");
        input.flush().expect("the terminal is there");
    }

    /// Waits for a question and answers it.
    pub fn answer(&mut self, question: &str, keys: &str) {
        self.wait_for(question);
        self.type_text(keys);
    }

    /// Waits for the end: the exit code and all that was shown.
    pub fn end(mut self) -> (i32, String) {
        let deadline = Instant::now() + BOUND;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.shown.recv_timeout(left) {
                Ok(chunk) => self.text.push_str(&String::from_utf8_lossy(&chunk)),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end:\n{}", self.text),
            }
        }
        let status = self.child.wait().expect("is reaped");
        (status.code().unwrap_or(-1), self.text.clone())
    }
}

impl Drop for Terminal {
    /// Takes the terminal away, which ends what runs on it.
    fn drop(&mut self) {
        self.keys = None;
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill")
            .args(["-s", "KILL", "--", &group])
            .stderr(Stdio::null())
            .status();
        let _ = self.child.wait();
    }
}
