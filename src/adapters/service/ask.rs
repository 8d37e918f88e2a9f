//! One question to a supervisor's own program: no shell, no input, a bound on the time and on what it may say.

use super::ServiceError;
use crate::adapters::files::pause;
use crate::adapters::procs::children::{Signal, has_ended, signal_group};
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// More than any of these programs says about one service.
const MAX_OUTPUT: u64 = 1024 * 1024;
/// Between two looks at a program that has not ended, at first and at most.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(50);
/// After a program was told to end, and for what it said last to arrive.
const GRACE: Duration = Duration::from_secs(2);

/// What a program answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// Whether its exit code was 0.
    pub good: bool,
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A program with its arguments, for running and for saying.
#[derive(Debug)]
pub(super) struct Question<'a> {
    program: &'a Path,
    arguments: Vec<OsString>,
    bound: Duration,
}

impl<'a> Question<'a> {
    /// `program` is looked for on `PATH` where it is a bare name.
    pub fn new<A: AsRef<OsStr>>(program: &'a Path, arguments: &[A], bound: Duration) -> Self {
        Self {
            program,
            arguments: arguments.iter().map(|a| a.as_ref().to_owned()).collect(),
            bound,
        }
    }

    /// The command line as a person would read it.
    fn shown(&self) -> String {
        let mut words = vec![self.program.to_string_lossy()];
        words.extend(self.arguments.iter().map(|a| a.to_string_lossy()));
        words.join(" ")
    }

    /// Asks, and takes any exit code for an answer.
    pub fn ask(&self) -> Result<Answer, ServiceError> {
        let mut command = Command::new(self.program);
        command
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn().map_err(|source| ServiceError::Start {
            program: self.program.display().to_string(),
            source,
        })?;
        let stdout = child.stdout.take().map(collect);
        let stderr = child.stderr.take().map(collect);
        let ended = wait(&mut child, Instant::now() + self.bound);
        // What it left running must not keep the pipes open.
        let said = |receiver: Option<Receiver<String>>| {
            receiver
                .and_then(|r| r.recv_timeout(GRACE).ok())
                .unwrap_or_default()
        };
        let Some(status) = ended else {
            return Err(ServiceError::Late {
                command: self.shown(),
                seconds: self.bound.as_secs(),
            });
        };
        Ok(Answer {
            good: status.success(),
            code: status.code(),
            stdout: said(stdout),
            stderr: said(stderr),
        })
    }

    /// Asks, and takes any exit code but 0 for a refusal.
    pub fn demand(&self) -> Result<Answer, ServiceError> {
        let answer = self.ask()?;
        if answer.good {
            Ok(answer)
        } else {
            Err(self.refused(&answer))
        }
    }

    /// The refusal in the program's own words.
    pub fn refused(&self, answer: &Answer) -> ServiceError {
        let lines = answer.stderr.lines().chain(answer.stdout.lines());
        let mut said: Vec<&str> = lines.map(str::trim).filter(|l| !l.is_empty()).collect();
        said.truncate(3);
        let code = answer.code.map_or_else(
            || "a signal ended it".to_owned(),
            |code| format!("exit code {code}"),
        );
        ServiceError::Refused {
            command: self.shown(),
            said: if said.is_empty() {
                code
            } else {
                said.join("; ")
            },
        }
    }
}

fn wait(child: &mut Child, deadline: Instant) -> Option<std::process::ExitStatus> {
    let mut look = FIRST_LOOK;
    while !has_ended(child.id()) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            end(child);
            return None;
        }
        pause(look.min(left));
        look = (look * 2).min(LAST_LOOK);
    }
    child.wait().ok()
}

fn end(child: &mut Child) {
    signal_group(child.id(), Signal::Terminate);
    let asked = Instant::now();
    while !has_ended(child.id()) && asked.elapsed() < GRACE {
        pause(LAST_LOOK);
    }
    signal_group(child.id(), Signal::Kill);
    let _ = child.wait();
}

/// Reads a pipe to its end beside us, so that neither of the two can fill up while the other is waited for.
fn collect(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _: io::Result<usize> = pipe.take(MAX_OUTPUT).read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, bound: Duration) -> Result<Answer, ServiceError> {
        Question::new(Path::new("sh"), &["-c", script], bound).demand()
    }

    #[test]
    fn an_answer_is_taken_and_a_refusal_is_said_in_the_programs_words() {
        let minute = Duration::from_secs(60);
        let answer = shell("echo out; echo err >&2", minute).expect("succeeds");
        assert_eq!(
            (answer.stdout.as_str(), answer.stderr.as_str()),
            ("out\n", "err\n")
        );
        let error = shell("echo no such thing >&2; exit 3", minute).expect_err("refuses");
        assert!(
            error.to_string().ends_with("failed: no such thing"),
            "{error}"
        );
        let error = shell("exit 3", minute).expect_err("refuses");
        assert!(error.to_string().ends_with("exit code 3"), "{error}");
        let nowhere = Question::new(Path::new("/no/such"), &["x"], minute).ask();
        assert!(matches!(nowhere, Err(ServiceError::Start { .. })));
    }

    #[test]
    fn one_that_does_not_end_is_ended() {
        let error = shell("sleep 600", Duration::from_millis(20)).expect_err("is late");
        assert!(matches!(error, ServiceError::Late { .. }), "{error}");
    }

    #[test]
    fn one_that_says_more_than_a_pipe_holds_is_heard_out() {
        let script =
            "head -c 300000 /dev/zero | tr '\\0' x; head -c 300000 /dev/zero | tr '\\0' y >&2";
        let answer = shell(script, Duration::from_secs(60)).expect("succeeds");
        assert_eq!(
            (answer.stdout.len(), answer.stderr.len()),
            (300_000, 300_000)
        );
    }
}
