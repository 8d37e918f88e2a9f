//! What ends with whom, and how.

#[cfg(target_os = "linux")]
use super::slot::pid_in;
use super::slot::{Slot, wait, wait_gone};
use ccp::adapters::procs::children::{Signal, signal_child};
use ccp::adapters::procs::start_time;
#[cfg(target_os = "linux")]
use ccp::contract::proto::host::Ended;
use ccp::contract::proto::host::{FromHost, RECORD_FILE, ToHost};
use std::fs;

/// Ends politely when it is asked to, and writes that down; leaves a child in its session, one that left it, and one
/// that does not listen. For Linux: macOS has no `setsid`.
#[cfg(target_os = "linux")]
const FAMILY: &str = "trap 'echo asked > asked; exit 7' TERM HUP; sleep 600 & echo $! > child; \
                      setsid sh -c 'echo $$ > gone.tmp; mv gone.tmp gone; exec sleep 600' & \
                      sh -c \"trap '' TERM HUP; echo \\$\\$ > deaf.tmp; mv deaf.tmp deaf; while :; do sleep 0.1; done\" & \
                      echo up; while :; do sleep 0.02; done";

#[cfg(target_os = "linux")]
fn family(slot: &Slot) -> Vec<u32> {
    let mut pids: Vec<u32> = ["child", "gone", "deaf"]
        .map(|name| pid_in(&slot.path(name)))
        .to_vec();
    pids.push(slot.agent());
    pids
}

#[cfg(target_os = "linux")]
#[test]
fn an_order_ends_claude_politely_and_all_it_started() {
    let mut slot = Slot::running(FAMILY);
    let mut daemon = slot.daemon();
    let pids = family(&slot);
    daemon.say(&ToHost::End { grace_ms: 1_000 });
    let expected = Ended {
        code: Some(7),
        signal: None,
        was_asked: true,
        words: String::new(),
    };
    let ended = daemon.hear("end", |message| match message {
        FromHost::Exited(ended) => Some(ended.clone()),
        _ => None,
    });
    assert_eq!(ended, expected);
    assert!(
        pids.iter().all(|pid| start_time(*pid).is_none()),
        "before it was said"
    );
    assert_eq!(slot.ended(), Some(0));
    assert!(slot.path("asked").exists());
    assert_eq!(
        slot.record().and_then(|record| record.ended),
        Some(expected)
    );
    assert!(!slot.slot_dir().join("host.sock").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_host_that_is_asked_to_end_takes_claude_along() {
    let mut slot = Slot::running(FAMILY);
    let pids = family(&slot);
    signal_child(slot.host_pid(), Signal::Terminate);
    assert_eq!(slot.ended(), Some(0));
    assert!(slot.path("asked").exists());
    assert!(pids.iter().all(|pid| start_time(*pid).is_none()));
}

#[test]
fn a_host_that_is_killed_takes_claude_along() {
    let mut slot = Slot::running(
        "trap 'echo asked > asked; exit 1' HUP; echo up; while :; do sleep 0.02; done",
    );
    slot.daemon().wait_for("up");
    let agent = slot.agent();
    signal_child(slot.host_pid(), Signal::Kill);
    assert_eq!(slot.ended(), None);
    wait_gone(agent);
    assert!(
        slot.path("asked").exists(),
        "by a hang-up, which claude takes for a request"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn claude_ending_by_itself_ends_the_rest() {
    let mut slot = Slot::running(
        "setsid sh -c 'echo $$ > gone.tmp; mv gone.tmp gone; exec sleep 600' & read x; exit 3",
    );
    let mut daemon = slot.daemon();
    let left = pid_in(&slot.path("gone"));
    daemon.say(&ToHost::Input {
        bytes: b"\n".to_vec(),
    });
    let ended = daemon.hear("end", |message| match message {
        FromHost::Exited(ended) => Some(ended.clone()),
        _ => None,
    });
    assert_eq!((ended.code, ended.was_asked), (Some(3), false));
    assert_eq!(slot.ended(), Some(0));
    assert!(start_time(left).is_none());
}

#[test]
fn nobody_is_killed_while_a_login_is_renewed() {
    let script = "trap '' TERM HUP; mkdir -p config/.oauth_refresh.lock; echo up; i=0; \
                  while [ $i -lt 60 ]; do sleep 0.03; i=$((i+1)); done; echo done > renewed; \
                  rmdir config/.oauth_refresh.lock; while :; do sleep 0.03; done";
    let mut slot = Slot::running(script);
    let mut daemon = slot.daemon();
    daemon.wait_for("up");
    daemon.say(&ToHost::End { grace_ms: 100 });
    let ended = daemon.hear("end", |message| match message {
        FromHost::Exited(ended) => Some(ended.clone()),
        _ => None,
    });
    assert_eq!(ended.signal, Some(9));
    assert!(slot.path("renewed").exists(), "it could finish");
    assert_eq!(slot.ended(), Some(0));
}

#[test]
fn without_its_record_a_host_ends() {
    let mut slot = Slot::running("cat");
    let agent = slot.agent();
    slot.daemon().say(&ToHost::SetSession { id: None });
    fs::remove_file(slot.slot_dir().join(RECORD_FILE)).expect("removes");
    assert_eq!(slot.ended(), Some(0));
    assert!(start_time(agent).is_none());
    assert!(slot.record().is_none(), "nothing is made anew");
}

#[test]
fn without_its_pools_directory_a_host_ends() {
    let mut slot = Slot::running("cat");
    let agent = slot.agent();
    fs::remove_dir_all(slot.slot_dir()).expect("removes");
    assert_eq!(slot.ended(), Some(0));
    assert!(start_time(agent).is_none());
}

#[test]
fn a_host_ends_with_its_owner() {
    let mut owner = std::process::Command::new("/bin/sleep")
        .arg("600")
        .spawn()
        .expect("starts");
    let mut slot = Slot::new();
    slot.write_launch(&slot.launch("cat"));
    let mut command = slot.command();
    command.env("CLAUDE_POOL_TEST_OWNER_PID", owner.id().to_string());
    slot.host = Some(command.spawn().expect("starts"));
    wait("the agent", || {
        slot.record().is_some_and(|record| record.agent.is_some())
    });
    let agent = slot.agent();
    owner.kill().expect("is ours");
    owner.wait().expect("is ours");
    assert_eq!(slot.ended(), Some(0));
    assert!(start_time(agent).is_none());
}
