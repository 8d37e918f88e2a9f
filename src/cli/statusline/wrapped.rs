//! The person's own status line command: the same input, a bound on its time, its output passed through.

use crate::adapters::procs::children::{Signal, has_ended, signal_group, wait_readable};
use crate::contract::vars;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// claude waits for its status line, so a slow one is cut off.
const BOUND: Duration = Duration::from_secs(2);
/// After the output has ended, until the process has.
const END_LOOK: Duration = Duration::from_millis(2);
/// Nobody's status line is longer.
const MAX_OUTPUT: usize = 256 * 1024;

/// Runs it by `sh -c`. Returns its exit code; one that was cut off counts as 124, as `timeout` says it.
pub(super) fn run(command: &OsStr, input: &[u8], output: &mut impl Write) -> io::Result<u8> {
    let deadline = Instant::now() + BOUND;
    let mut child = Command::new("/bin/sh")
        .arg("-c")
        .arg(command)
        .env(vars::CCP_STATUS_TOLD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    let mut stdout = child.stdout.take().expect("standard output is a pipe");
    let input = input.to_owned();
    // A command that does not read its input must not keep us from reading its output.
    std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let mut passed = 0;
    let mut chunk = [0_u8; 16 * 1024];
    while passed < MAX_OUTPUT {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        if !wait_readable(stdout.as_fd(), left)? {
            continue;
        }
        let count = stdout.read(&mut chunk)?;
        if count == 0 {
            break;
        }
        output.write_all(&chunk[..count])?;
        passed += count;
    }
    drop(stdout);
    while !has_ended(child.id()) && Instant::now() < deadline {
        crate::adapters::files::pause(END_LOOK);
    }
    let cut_off = !has_ended(child.id());
    // What it left behind in the background would hold claude's pipe open.
    signal_group(child.id(), Signal::Kill);
    let status = child.wait()?;
    if cut_off {
        return Ok(124);
    }
    let code = status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ok(u8::try_from(code).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(command: &str, expected: &str, code: u8) {
        let mut output = Vec::new();
        let ended = run(OsStr::new(command), b"in", &mut output).expect("runs");
        assert_eq!(
            (String::from_utf8_lossy(&output).as_ref(), ended),
            (expected, code),
            "{command}"
        );
    }

    #[test]
    fn its_output_and_code_pass_through() {
        check("cat", "in", 0);
        check("echo a; exit 3", "a\n", 3);
        check("true", "", 0);
        check("kill -TERM $$", "", 143);
    }

    #[test]
    fn a_slow_one_is_cut_off_with_its_children() {
        let started = Instant::now();
        check("echo first; sleep 600 & wait", "first\n", 124);
        assert!(started.elapsed() < Duration::from_secs(60));
    }
}
