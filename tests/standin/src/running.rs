//! A child process of a test: its lines and its exit are waited for with a bound, its whole group ends with the value.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How long a killed process may take to be reaped.
const REAP_BOUND: Duration = Duration::from_secs(10);

/// Something the child said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// On standard output.
    Out(String),
    /// On standard error.
    Err(String),
}

#[derive(Debug)]
enum Event {
    Line(Line),
    /// One of the two outputs ended.
    Closed,
    Exited(ExitStatus),
}

/// All that a finished child said, and how it ended.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The exit code; a signal counts 128 and more, as a shell says it.
    pub code: i32,
}

/// A running child in a process group of its own.
#[derive(Debug)]
pub struct Running {
    pid: u32,
    stdin: Option<ChildStdin>,
    events: Receiver<Event>,
    said: Vec<Line>,
    closed: u8,
    status: Option<ExitStatus>,
}

impl Running {
    /// Starts `command` with all three standard streams piped.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(mut command: Command) -> io::Result<Self> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn()?;
        let (sender, events) = channel();
        let pid = child.id();
        let stdin = child.stdin.take();
        if let Some(stdout) = child.stdout.take() {
            read_lines(stdout, Line::Out, sender.clone());
        }
        if let Some(stderr) = child.stderr.take() {
            read_lines(stderr, Line::Err, sender.clone());
        }
        std::thread::spawn(move || {
            if let Ok(status) = child.wait() {
                let _ = sender.send(Event::Exited(status));
            }
        });
        Ok(Self {
            pid,
            stdin,
            events,
            said: Vec::new(),
            closed: 0,
            status: None,
        })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Writes a line to its input.
    ///
    /// # Errors
    /// When the input is closed.
    pub fn write_line(&mut self, line: &str) -> io::Result<()> {
        let stdin = self.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        stdin.write_all(format!("{line}\n").as_bytes())?;
        stdin.flush()
    }

    /// Closes its input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// The first line, said or still to be said, for which `wanted` holds.
    pub fn wait_for_line(
        &mut self,
        wanted: impl Fn(&str) -> bool,
        bound: Duration,
    ) -> Option<String> {
        let deadline = Instant::now() + bound;
        let mut seen = 0;
        loop {
            for line in &self.said[seen..] {
                let (Line::Out(text) | Line::Err(text)) = line;
                if wanted(text) {
                    return Some(text.clone());
                }
            }
            seen = self.said.len();
            self.next(deadline)?;
        }
    }

    /// Waits for its end and returns all it said; `None` when it is still running after `bound`.
    pub fn output(&mut self, bound: Duration) -> Option<Output> {
        let deadline = Instant::now() + bound;
        while self.closed < 2 || self.status.is_none() {
            self.next(deadline)?;
        }
        let mut output = Output {
            code: self.code()?,
            ..Output::default()
        };
        for line in &self.said {
            let (text, into) = match line {
                Line::Out(text) => (text, &mut output.stdout),
                Line::Err(text) => (text, &mut output.stderr),
            };
            into.push_str(text);
            into.push('\n');
        }
        Some(output)
    }

    /// Sends a signal, by its name, to the process alone.
    pub fn signal(&self, name: &str) {
        if self.status.is_none() {
            let _ = Command::new("kill")
                .args(["-s", name, "--", &self.pid.to_string()])
                .status();
        }
    }

    fn code(&self) -> Option<i32> {
        let status = self.status?;
        status
            .code()
            .or_else(|| status.signal().map(|signal| 128 + signal))
    }

    /// Takes in one event; `None` at the deadline or when nothing can come any more.
    fn next(&mut self, deadline: Instant) -> Option<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.events.recv_timeout(left) {
            Ok(Event::Line(line)) => self.said.push(line),
            Ok(Event::Closed) => self.closed += 1,
            Ok(Event::Exited(status)) => self.status = Some(status),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
        }
        Some(())
    }
}

impl Drop for Running {
    /// Ends the process and whatever is left of its group.
    fn drop(&mut self) {
        let group = format!("-{}", self.pid);
        let _ = Command::new("kill")
            .args(["-s", "KILL", "--", &group])
            .stderr(Stdio::null())
            .status();
        let deadline = Instant::now() + REAP_BOUND;
        while self.status.is_none() && self.next(deadline).is_some() {}
    }
}

fn read_lines(source: impl Read + Send + 'static, kind: fn(String) -> Line, sender: Sender<Event>) {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(source);
        let mut bytes = Vec::new();
        while reader
            .read_until(b'\n', &mut bytes)
            .is_ok_and(|count| count > 0)
        {
            let line = String::from_utf8_lossy(&bytes)
                .trim_end_matches(['\n', '\r'])
                .to_owned();
            if sender.send(Event::Line(kind(line))).is_err() {
                return;
            }
            bytes.clear();
        }
        let _ = sender.send(Event::Closed);
    });
}
