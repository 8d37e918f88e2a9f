//! The host of a slot as a whole program, with shell scripts in the place of claude: what survives a daemon, what ends
//! with whom, what people who are attached see.

mod slot;

mod attached;
mod ends;
mod hooks;
mod real;

use ccp::adapters::procs::start_time;
use ccp::contract::proto::host::{
    ERROR_FILE, FromHost, LAUNCH_FILE, Look, RECORD_FILE, Size, Step, ToHost,
};
use slot::{Slot, wait};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// Reads keys as claude does, and writes them down as they come.
const TYPIST: &str = "stty raw -echo; printf ready; exec cat > typed";

fn write(text: &str) -> Step {
    Step::Write(text.as_bytes().to_vec())
}

#[test]
fn a_script_is_typed_once_whoever_asks_how_often() {
    let slot = Slot::running(TYPIST);
    let mut daemon = slot.daemon();
    daemon.wait_for("ready");
    assert_eq!(
        (daemon.state.typed, daemon.state.agent.pid),
        (0, slot.agent())
    );
    let steps = [
        write("\x1b[200~prompt\x1b[201~"),
        Step::Pause(150),
        write("\r"),
    ];
    daemon.type_script(1, true, &steps);
    // The daemon is gone in the middle of it; the next one does not know whether it was typed.
    wait("the paste", || {
        std::fs::read(slot.path("typed")).is_ok_and(|b| !b.is_empty())
    });
    drop(daemon);
    let mut daemon = slot.daemon();
    daemon.type_script(1, true, &steps);
    assert!(daemon.typed(1));
    daemon.type_script(1, true, &steps);
    assert!(daemon.typed(1));
    daemon.type_script(2, false, &[write("more")]);
    assert!(daemon.typed(2));
    let text = || std::fs::read_to_string(slot.path("typed")).unwrap_or_default();
    wait("the rest", || text().ends_with("more"));
    assert_eq!(text(), "\x1b[200~prompt\x1b[201~\rmore");
    drop(daemon);
    assert_eq!(slot.daemon().state.typed, 2);
}

#[test]
fn a_long_prompt_arrives_whole() {
    let slot = Slot::running(TYPIST);
    let mut daemon = slot.daemon();
    daemon.wait_for("ready");
    let long: String = (0..60_000).map(|n| format!("{n} ü\n")).collect();
    daemon.type_script(1, false, &[write(&long), write("end")]);
    assert!(daemon.typed(1));
    wait("all of it", || {
        std::fs::metadata(slot.path("typed")).is_ok_and(|m| m.len() == long.len() as u64 + 3)
    });
    assert_eq!(
        std::fs::read_to_string(slot.path("typed")).expect("is text"),
        long + "end"
    );
}

#[test]
fn the_newest_daemon_is_the_daemon() {
    let slot = Slot::running(TYPIST);
    let mut older = slot.daemon();
    older.wait_for("ready");
    let mut newer = slot.daemon();
    assert!(older.next().is_none(), "its connection is closed");
    newer.wait_for("ready");
    let session = || slot.record().and_then(|record| record.session);
    newer.say(&ToHost::SetSession {
        id: Some("0123456789ab".to_owned()),
    });
    wait("session in the record", || {
        session().as_deref() == Some("0123456789ab")
    });
    drop(newer);
    assert_eq!(slot.daemon().state.session.as_deref(), Some("0123456789ab"));
}

#[test]
fn files_and_sockets_are_this_users_alone_and_claude_has_its_own_mask() {
    let slot = Slot::running("umask > mask; echo ready; cat");
    let mut daemon = slot.daemon();
    daemon.wait_for("ready");
    let mode = |name: &str| {
        let metadata = std::fs::symlink_metadata(slot.slot_dir().join(name)).expect("is there");
        metadata.mode() & 0o777
    };
    assert_eq!(mode(RECORD_FILE), 0o600);
    assert_eq!(mode("host.sock") & 0o077, 0);
    assert!(
        !slot.slot_dir().join(LAUNCH_FILE).exists(),
        "it held secrets"
    );
    assert_eq!(
        std::fs::read_to_string(slot.path("mask"))
            .expect("reads")
            .trim(),
        "0022"
    );
    assert_eq!(
        std::fs::metadata(slot.path("mask"))
            .expect("is there")
            .mode()
            & 0o777,
        0o644
    );
    // Where others may go nobody listens.
    let open = std::env::temp_dir().join(format!("ccp-open-{}.sock", std::process::id()));
    daemon.say(&ToHost::OpenAttach { path: open });
    let why = daemon.hear("refusal", |message| match message {
        FromHost::Refused { what, why } if what == "open_attach" => Some(why.clone()),
        _ => None,
    });
    assert!(why.contains("not a directory of this user alone"), "{why}");
}

#[test]
fn what_cannot_start_is_said_where_the_daemon_looks() {
    let mut slot = Slot::new();
    let mut launch = slot.launch("true");
    launch.argv = vec!["/no/such/claude".into()];
    slot.write_launch(&launch);
    slot.host = Some(slot.command().spawn().expect("starts"));
    assert_eq!(slot.ended(), Some(1));
    let said = || std::fs::read_to_string(slot.slot_dir().join(ERROR_FILE)).expect("is left");
    assert!(
        said().starts_with("cannot start /no/such/claude: "),
        "{}",
        said()
    );
    assert!(slot.record().is_none());
    assert!(!slot.slot_dir().join("host.sock").exists());

    slot.host = Some(slot.command().spawn().expect("starts"));
    assert_eq!(slot.ended(), Some(1));
    let said = std::fs::read_to_string(slot.slot_dir().join(ERROR_FILE)).expect("is left");
    assert!(said.contains("launch.json: No such file"), "{said}");
}

#[test]
fn a_new_size_reaches_claude_and_the_picture() {
    let slot = Slot::running("trap 'stty size' WINCH; echo up; while :; do sleep 0.02; done");
    let mut daemon = slot.daemon();
    daemon.wait_for("up");
    daemon.say(&ToHost::Resize(Size {
        cols: 132,
        rows: 50,
    }));
    daemon.wait_for("50 132");
    drop(daemon);
    let mut daemon = slot.daemon();
    assert_eq!(
        daemon.state.size,
        Size {
            cols: 132,
            rows: 50
        }
    );
    daemon.say(&ToHost::Resize(Size { cols: 0, rows: 50 }));
    daemon.hear("refusal", |m| {
        matches!(m, FromHost::Refused { what, .. } if what == "resize").then_some(())
    });
}

#[test]
fn the_input_box_and_dialogs_are_told_of() {
    let rule = "─".repeat(80);
    let script = format!(
        "stty raw -echo; printf '\\033[H{rule}\\r\\n❯\\302\\240hello\\r\\n{rule}\\r\\n'; read -r x <&2; printf '\\033[2J\\033[HSettings Warning Fix with Claude'; cat"
    );
    let slot = Slot::running(&script);
    let mut daemon = slot.daemon();
    if daemon.state.pending.is_empty() {
        daemon.hear("pending text", |m| {
            matches!(m, FromHost::Pending { text } if text == "hello").then_some(())
        });
    }
    daemon.say(&ToHost::Input {
        bytes: b"x\n".to_vec(),
    });
    daemon.hear("no pending text", |m| {
        matches!(m, FromHost::Pending { text } if text.is_empty()).then_some(())
    });
    daemon.hear("dialog", |message| match message {
        FromHost::Dialog { name, .. } => (name.as_deref() == Some("hooks")).then_some(()),
        _ => None,
    });
    let bottom = daemon.screen(Look::Bottom(1));
    assert!(String::from_utf8_lossy(&bottom).contains("Settings Warning"));
    let tail = daemon.screen(Look::Tail);
    assert!(
        String::from_utf8_lossy(&tail).contains("\x1b[2J\x1b[H"),
        "raw bytes"
    );
    drop(daemon);
    assert_eq!(slot.daemon().state.dialog.as_deref(), Some("hooks"));
}

#[test]
fn strangers_who_say_nothing_or_nonsense_are_let_go() {
    use std::io::{Read, Write};
    let slot = Slot::running("cat");
    let connect = || {
        let stream = std::os::unix::net::UnixStream::connect(slot.slot_dir().join("host.sock"))
            .expect("listens");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("is set");
        stream
    };
    let mut silent = connect();
    let mut loud = connect();
    loud.write_all(&[0xff; 64]).expect("writes");
    assert_eq!(loud.read(&mut [0]).expect("ends"), 0);
    let mut early = connect();
    early
        .write_all(&ToHost::End { grace_ms: 0 }.encode())
        .expect("writes");
    assert_eq!(early.read(&mut [0]).expect("ends"), 0);
    assert_eq!(silent.read(&mut [0]).expect("ends"), 0);
    assert!(
        start_time(slot.agent()).is_some(),
        "nobody but a daemon ends it"
    );
}
