//! People who are attached.

use super::slot::{BOUND, Slot, read_until, wait};
use ccp::adapters::procs::start_time;
use ccp::contract::proto::host::{FromHost, Step, ToHost};
use ccp::core::screen::Screen;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

fn shown(bytes: &str) -> String {
    let mut screen = Screen::new(80, 24);
    screen.feed(bytes.as_bytes());
    screen.text()
}

#[test]
fn everybody_sees_what_is_there_and_what_comes_and_may_type() {
    let slot =
        Slot::running("for i in 1 2 3; do printf '\\033[3%sm line %s\\033[m\\n' $i $i; done; cat");
    let mut daemon = slot.daemon();
    daemon.wait_for("line 3");
    let path = slot.path("attach-1.sock");
    let mut one = daemon.attach(&path);
    let first = read_until(&mut one, "line 3");
    assert!(
        shown(&first).contains(" line 1\n line 2\n line 3"),
        "{first:?}"
    );
    assert!(
        first.contains("\x1b[0;31m line 1"),
        "with its colours: {first:?}"
    );
    let mut two = UnixStream::connect(&path).expect("it listens");
    two.set_read_timeout(Some(BOUND)).expect("is set");
    read_until(&mut two, "line 3");
    two.write_all("grüße\r".as_bytes()).expect("types");
    for stream in [&mut one, &mut two] {
        read_until(stream, "grüße\r\ngrüße\r\n");
    }
    daemon.hear("two clients", |m| {
        matches!(m, FromHost::Attached { clients: 2 }).then_some(())
    });
    drop(two);
    daemon.hear("one client", |m| {
        matches!(m, FromHost::Attached { clients: 1 }).then_some(())
    });
    daemon.say(&ToHost::CloseAttach { path: path.clone() });
    assert_eq!(one.read(&mut [0]).expect("ends"), 0);
    wait("removal of the socket", || !path.exists());
    assert!(start_time(slot.agent()).is_some());
}

#[test]
fn an_attachment_ends_with_claude_after_its_last_words() {
    let slot = Slot::running("echo up; read x; seq 1 20000; echo farewell");
    let mut daemon = slot.daemon();
    daemon.wait_for("up");
    let mut one = daemon.attach(&slot.path("a.sock"));
    one.write_all(b"\r").expect("types");
    let mut all = Vec::new();
    one.read_to_end(&mut all).expect("ends");
    let all = String::from_utf8_lossy(&all);
    assert!(
        all.ends_with("\r\n20000\r\nfarewell\r\n"),
        "{}",
        &all[all.len() - 60..]
    );
}

#[test]
fn a_flood_reaches_those_who_read_whole_whoever_else_does_not() {
    // Many bytes to a character, so that reads cut them.
    let script =
        "stty -echo; echo up; read x; seq -f 'número %.0f — ünïcode ✓' 1 200000; echo over; cat";
    let slot = Slot::running(script);
    let mut daemon = slot.daemon();
    daemon.wait_for("up");
    let path = slot.path("a.sock");
    let mut reader = daemon.attach(&path);
    let mut stuck = UnixStream::connect(&path).expect("it listens");
    read_until(&mut reader, "up");
    daemon.hear("two clients", |m| {
        matches!(m, FromHost::Attached { clients: 2 }).then_some(())
    });
    daemon.say(&ToHost::Input {
        bytes: b"\n".to_vec(),
    });
    let text = read_until(&mut reader, "over");
    let lines = text.lines().filter(|line| line.starts_with("número"));
    for (number, line) in (1..=200_000).zip(lines) {
        assert_eq!(line, format!("número {number} — ünïcode ✓"));
    }
    assert_eq!(
        text.lines()
            .filter(|line| line.starts_with("número"))
            .count(),
        200_000
    );
    // Who did not read gets the picture when they do, and not all that was missed.
    stuck.set_read_timeout(Some(BOUND)).expect("is set");
    let late = read_until(&mut stuck, "over");
    assert!(late.len() < 3 * 1024 * 1024, "{}", late.len());
    let end = shown(&late);
    assert!(
        end.ends_with("número 200000 — ünïcode ✓\nover"),
        "{:?}",
        &end[end.len() - 80..]
    );
    let screen = daemon.wait_for("over");
    assert!(screen.lines().count() > 1_000 && screen.ends_with("número 200000 — ünïcode ✓\nover"));
    stuck.write_all(b"still here\n").expect("types");
    read_until(&mut stuck, "still here");
}

/// Who looks away for less than four megabytes gets every byte of them, in order; for more, the picture, and then every
/// byte again.
#[test]
fn nothing_is_lost_or_reordered_within_four_megabytes() {
    let script = "stty -echo; echo up; while read n; do seq -f '%08.0f' 1 $n; echo over $n; done";
    let slot = Slot::running(script);
    let mut daemon = slot.daemon();
    daemon.wait_for("up");
    let path = slot.path("a.sock");
    let mut pausing = daemon.attach(&path);
    // Somebody who reads nothing at all slows nobody, and changes nothing for the other.
    let stuck = UnixStream::connect(&path).expect("it listens");
    daemon.hear("two clients", |m| {
        matches!(m, FromHost::Attached { clients: 2 }).then_some(())
    });
    read_until(&mut pausing, "up");
    // Ten bytes to a line.
    for (count, is_whole) in [(400_000, true), (600_000, false), (400_000, true)] {
        daemon.say(&ToHost::Input {
            bytes: format!("{count}\n").into_bytes(),
        });
        let over = format!("over {count}");
        daemon.wait_for(&over);
        let text = read_until(&mut pausing, &over);
        let numbers = text
            .lines()
            .filter(|l| l.len() == 8 && l.as_bytes()[0] == b'0');
        let numbers: Vec<usize> = numbers.flat_map(str::parse).collect();
        assert_eq!(numbers.len() == count, is_whole, "{}", numbers.len());
        let first = count + 1 - numbers.len();
        assert!(numbers.iter().copied().eq(first..=count) || !is_whole);
        assert!(shown(&text).ends_with(&format!("{count:08}\n{over}")));
        daemon.say(&ToHost::Input {
            bytes: b"5\n".to_vec(),
        });
        read_until(&mut pausing, "over 5");
    }
    drop(stuck);
}

#[test]
fn what_people_type_waits_while_a_prompt_is_delivered() {
    let slot = Slot::running(super::TYPIST);
    let mut daemon = slot.daemon();
    daemon.wait_for("ready");
    let mut one = daemon.attach(&slot.path("a.sock"));
    read_until(&mut one, "ready");
    let steps = [super::write("prompt"), Step::Pause(300), super::write("\r")];
    daemon.type_script(1, true, &steps);
    let typed = || std::fs::read_to_string(slot.path("typed")).unwrap_or_default();
    wait("the paste", || typed() == "prompt");
    one.write_all(b"person").expect("types");
    assert!(daemon.typed(1));
    wait("the person's words", || typed().ends_with("person"));
    assert_eq!(typed(), "prompt\rperson");
}

#[test]
fn a_client_that_only_looks_is_no_reason_to_stop() {
    let slot = Slot::running("echo up; cat");
    let mut daemon = slot.daemon();
    daemon.wait_for("up");
    let mut one = daemon.attach(&slot.path("a.sock"));
    read_until(&mut one, "up");
    one.shutdown(std::net::Shutdown::Write)
        .expect("closes its half");
    daemon.say(&ToHost::Input {
        bytes: b"hello\n".to_vec(),
    });
    read_until(&mut one, "hello");
}
