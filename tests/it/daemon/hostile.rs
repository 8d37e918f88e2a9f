//! Clients that do not behave: the daemon answers the others all the same.

use super::{Stage, holds_within};
use ccp::adapters::procs::limits;
use std::net::Shutdown;
use std::time::{Duration, Instant};

const HEALTH: &str = r#"{"proto":1,"op":"health"}"#;

#[test]
fn rubbish_is_answered_and_the_connection_goes_on() {
    let stage = Stage::new(1);
    let _daemon = stage.start_ready(&[]);
    let mut client = stage.connect().expect("connects");
    let rows = [
        ("rubbish", "bad_request"),
        ("[]", "bad_request"),
        ("{\"proto\":1,\"op\":7}", "bad_request"),
        ("{\"proto\":1,\"op\":\"dance\"}", "unknown_op"),
        ("{\"proto\":2,\"op\":\"status\"}", "unsupported_proto"),
        (
            "{\"proto\":1,\"op\":\"checkin\",\"lease\":\"../x\"}",
            "bad_request",
        ),
        (
            "{\"proto\":1,\"op\":\"shutdown\",\"for_proto\":1}",
            "not_newer",
        ),
    ];
    for (line, code) in rows {
        let answer = client.ask(line);
        assert_eq!(answer["error"]["code"], code, "{line}: {answer}");
        assert_eq!(answer["ok"], false);
    }
    client.say(b"\n \n\xff\xfe\n").expect("says");
    assert_eq!(
        client.hear()["error"]["code"],
        "bad_request",
        "blank lines are passed by"
    );
    assert_eq!(client.ask(HEALTH)["ok"], true);
}

#[test]
fn a_line_without_end_is_refused_and_costs_nobody_else() {
    let stage = Stage::new(1);
    let daemon = stage.start_ready(&[]);
    let mut client = stage.connect().expect("connects");
    let block = vec![b'x'; 1 << 20];
    // 100 MB; the daemon may hang up before it has heard all of it.
    let said = (0..100).take_while(|_| client.say(&block).is_ok()).count();
    assert!(said >= 1, "the limit is a megabyte");
    assert_eq!(client.hear()["error"]["code"], "line_too_long");
    assert_eq!(stage.health()["ok"], true);
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.running.pid()));
    if let Some(peak) = status.ok().and_then(|s| field(&s, "VmHWM:")) {
        assert!(peak < 100_000, "{peak} kB: the line was kept");
    }
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find(|l| l.starts_with(name))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[test]
fn a_client_that_has_said_all_is_still_answered() {
    let stage = Stage::new(1);
    let _daemon = stage.start_ready(&[]);
    let mut client = stage.connect().expect("connects");
    // Two requests, the second without its end.
    client
        .say(format!("{HEALTH}\n{HEALTH}").as_bytes())
        .expect("says");
    client.stream.shutdown(Shutdown::Write).expect("closes");
    assert_eq!(client.hear()["ok"], true);
    assert_eq!(client.hear()["ok"], true);
    assert!(client.hear().is_null(), "and then it is over");
}

#[test]
fn who_says_nothing_and_who_does_not_listen_is_dropped() {
    let mut stage = Stage::new(8);
    stage
        .world
        .set("CCP_TEST_DAEMON", "idle_ms=400,slow_ms=300");
    let _daemon = stage.start_ready(&[]);
    let mut silent = stage.connect().expect("connects");
    assert_eq!(silent.ask(HEALTH)["ok"], true);
    let began = Instant::now();
    assert!(silent.hear().is_null(), "it is hung up on");
    assert!(began.elapsed() >= Duration::from_millis(300), "not at once");
    // Who says something now and then stays.
    let mut lively = stage.connect().expect("connects");
    for _ in 0..6 {
        ccp::adapters::files::pause(Duration::from_millis(150));
        assert_eq!(lively.ask(HEALTH)["ok"], true);
    }
    // Answers pile up until nothing more fits between the two.
    let mut deaf = stage.connect().expect("connects");
    let line = "{\"proto\":1,\"op\":\"status\"}\n".repeat(400);
    deaf.stream
        .set_write_timeout(Some(Duration::from_secs(5)))
        .expect("sets");
    let told = (0..50).take_while(|_| deaf.say(line.as_bytes()).is_ok());
    assert!(told.count() < 50, "it is not heard any more");
    let is_gone = || stage.health()["connections"] == 1;
    assert!(holds_within(Duration::from_secs(20), is_gone));
}

#[test]
fn a_thousand_idle_connections_are_bounded_and_leave_nothing() {
    limits::raise_descriptors().expect("raises");
    let stage = Stage::new(1);
    let _daemon = stage.start_ready(&[]);
    let mut clients: Vec<_> = (0..1_000).filter_map(|_| stage.connect()).collect();
    assert!(
        clients.len() > 900,
        "accept does not stop: {}",
        clients.len()
    );
    let refused = clients.pop().expect("the last one");
    drop(refused);
    // The first ones are in, and are served.
    assert_eq!(clients[0].ask(HEALTH)["ok"], true);
    let told = clients[256].hear();
    assert_eq!(told["error"]["code"], "too_many_connections", "{told}");
    drop(clients);
    assert!(
        holds_within(Duration::from_secs(20), || stage.health()["connections"]
            == 1),
        "the places are free again"
    );
}
