//! Hooks of claude, and what becomes of their reports.

use super::slot::{Daemon, Slot, wait};
use crate::support::CCPD;
use ccp::contract::proto::host::{FromHost, ToHost};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// For each line that is typed, runs the hook's command as claude does, with the line as its input.
const HOOKED: &str = "stty -echo; echo up; while read -r line; do \
                      printf '%s' \"$line\" | sh -c 'exec \"$CCP_HOOK_PROGRAM\" hook' > said 2>&1; echo \"hook $?\" >> done; done";

fn report(daemon: &mut Daemon) -> (u64, String) {
    daemon.hear("report", |message| match message {
        FromHost::Report { seq, json, .. } => {
            Some((*seq, String::from_utf8_lossy(json).into_owned()))
        }
        _ => None,
    })
}

fn hook(slot: &Slot, daemon: &mut Daemon, line: &str) {
    let done = || std::fs::read_to_string(slot.path("done")).map_or(0, |text| text.lines().count());
    let before = done();
    daemon.say(&ToHost::Input {
        bytes: format!("{line}\n").into_bytes(),
    });
    wait("end of the hook", || done() > before);
}

#[test]
fn reports_wait_for_a_daemon_until_they_are_acknowledged() {
    let slot = Slot::running(HOOKED);
    let mut daemon = slot.daemon();
    daemon.wait_for("up");
    hook(&slot, &mut daemon, r#"{"n":1}"#);
    assert_eq!(report(&mut daemon), (1, r#"{"n":1}"#.to_owned()));
    hook(&slot, &mut daemon, r#"{"n":2}"#);
    // Nobody is there for the next one.
    daemon.say(&ToHost::Input {
        bytes: b"{\"n\":3}\n".to_vec(),
    });
    drop(daemon);
    wait("third hook", || {
        std::fs::read_to_string(slot.path("done")).is_ok_and(|text| text.lines().count() == 3)
    });
    let mut daemon = slot.daemon();
    assert_eq!(daemon.state.next_report, 4);
    let numbers: Vec<u64> = (0..3).map(|_| report(&mut daemon).0).collect();
    assert_eq!(numbers, [1, 2, 3]);
    daemon.say(&ToHost::AckReports { up_to: 2 });
    daemon.wait_for("up");
    drop(daemon);
    let mut daemon = slot.daemon();
    assert_eq!(report(&mut daemon).0, 3);
    assert_eq!(
        std::fs::read_to_string(slot.path("done")).expect("reads"),
        "hook 0\nhook 0\nhook 0\n"
    );
    assert_eq!(
        std::fs::read_to_string(slot.path("said")).expect("reads"),
        "",
        "it never speaks"
    );
}

fn refused(daemon: &mut Daemon) -> String {
    daemon.hear("refusal", |message| match message {
        FromHost::Refused { what, why } if what == "hook" => Some(why.clone()),
        _ => None,
    })
}

/// Runs the hook as a process of ours, not of the slot's: its exit code, what it said, how long it took.
fn run_hook(socket: &std::path::Path, token: &str, json: &[u8]) -> (Option<i32>, usize, Duration) {
    let began = Instant::now();
    let mut child = Command::new(CCPD)
        .arg("hook")
        .env("CCP_HOOK_SOCKET", socket)
        .env("CCP_HOOK_TOKEN", token)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    // It may stop reading, which is an error of ours.
    let _ = child.stdin.take().expect("is a pipe").write_all(json);
    let output = child.wait_with_output().expect("ends");
    (
        output.status.code(),
        output.stdout.len() + output.stderr.len(),
        began.elapsed(),
    )
}

#[test]
fn reports_of_others_are_dropped_and_told_of() {
    let slot = Slot::running(HOOKED);
    let mut daemon = slot.daemon();
    daemon.wait_for("up");
    let socket = slot.slot_dir().join("host.sock");
    assert_eq!(run_hook(&socket, "guess", b"{}").0, Some(0));
    assert!(refused(&mut daemon).contains("wrong token"));
    assert_eq!(run_hook(&socket, &slot.token, b"{}").0, Some(0));
    assert!(refused(&mut daemon).contains("claude did not start"));
    assert_eq!(daemon.state.next_report, 1);
}

#[test]
fn a_hook_without_a_host_is_silent_and_soon_over() {
    let slot = Slot::new();
    let nobody = slot.path("nobody.sock");
    let (code, said, _) = run_hook(&nobody, "t", b"{}");
    assert_eq!((code, said), (Some(0), 0));
    // Too much of a report is no report.
    let (code, said, _) = run_hook(&nobody, "t", &vec![b' '; 5 * 1024 * 1024]);
    assert_eq!((code, said), (Some(0), 0));
    // Somebody who listens and never answers.
    let mute = slot.path("mute.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&mute).expect("listens");
    let (code, said, took) = run_hook(&mute, "t", b"{}");
    assert_eq!((code, said), (Some(0), 0));
    assert!(took < Duration::from_secs(10), "{took:?}");
}
