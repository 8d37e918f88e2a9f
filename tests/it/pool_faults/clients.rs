//! Clients that come in crowds, do not read, or vanish.

use super::ground::{BOUND, Client, Ground, wait};
use serde_json::{Value, json};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

#[test]
fn a_thousand_clients_are_served_at_once_and_leave_nothing() {
    let ground = Ground::new();
    let daemon = ground.daemon();
    if let Err(error) = ccp::adapters::procs::limits::raise_descriptors() {
        return ccp_standin::skip(&format!("descriptors: {error}"));
    }
    let before = daemon.memory_kb();
    let mut clients: Vec<Client> = (0..1_000).map(|_| daemon.client()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.say(&json!({"type": "ping", "id": n}));
    }
    for (n, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.next().expect("an answer")["id"], n);
    }
    drop(clients);
    // In the middle of a request, before the first byte, without reading.
    for n in 0..500 {
        let mut client = daemon.client();
        match n % 3 {
            0 => client.bytes(b"{\"type\":\"pi"),
            1 => client.say(&json!({"type": "ping"})),
            _ => {}
        }
    }
    let descriptors = || {
        let entries = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid()));
        entries.map_or(0, |entries| entries.count())
    };
    wait("few descriptors", || descriptors() < 60);
    if let (Some(before), Some(after)) = (before, daemon.memory_kb()) {
        assert!(after < before + 60_000, "{before} kB became {after} kB");
    }
}

#[test]
fn a_subscriber_that_does_not_read_is_told_what_it_missed_and_slows_nobody() {
    let ground = Ground::new();
    let daemon = ground.daemon();
    let mut client = daemon.begin(1);
    let session = client.start("hello");
    let mut deaf = daemon.client();
    let mut keen = daemon.client();
    let wish = json!({"type": "subscribe", "events": ["updated"], "ack": true});
    for subscriber in [&mut deaf, &mut keen] {
        assert_eq!(subscriber.ask(&wish)["type"], "subscribed");
    }
    let updates = 600;
    let long = "m".repeat(20_000);
    let reader = std::thread::spawn(move || {
        let is_last = |event: &Value| event["changes"]["metadata"]["n"] == updates - 1;
        let mut heard = 0;
        while let Some(event) = keen.next() {
            assert_eq!(
                event["event"], "updated",
                "nothing is dropped for who reads"
            );
            heard += usize::from(event["changes"]["metadata"].is_object());
            if is_last(&event) {
                break;
            }
        }
        heard
    });
    let before = daemon.memory_kb();
    for n in 0..updates {
        let set = json!({"type": "set", "sessionId": session, "metadata": {"n": n, "long": long}});
        assert_eq!(client.ask(&set)["type"], "ok");
    }
    assert_eq!(reader.join().expect("reads"), updates);
    if let (Some(before), Some(after)) = (before, daemon.memory_kb()) {
        assert!(after < before + 100_000, "{before} kB became {after} kB");
    }
    let lagged = loop {
        let event = deaf.next().expect("an event");
        if event["event"] == "lagged" {
            break event;
        }
    };
    assert!(
        lagged["dropped"].as_u64().is_some_and(|n| n > 0),
        "{lagged}"
    );
}

#[test]
fn a_terminal_that_nobody_reads_holds_up_nothing() {
    let ground = Ground::new();
    let daemon = ground.daemon();
    let mut client = daemon.begin(1);
    let session = client.start("hello");
    wait("idle", || client.status(&session) == "idle");
    let attached = client.ask(&json!({"type": "attach", "sessionId": session}));
    let path = attached["socketPath"].as_str().expect("a path");
    let deaf = UnixStream::connect(path).expect("listens");
    let prompt = json!({"type": "followup", "sessionId": session, "prompt": "flood"});
    assert_eq!(client.ask(&prompt)["type"], "started");
    let waited = client.ask(&json!({"type": "wait", "sessionId": session, "timeout": 40_000}));
    assert_eq!(waited["type"], "result", "{waited}");
    drop(deaf);
}

#[test]
fn whoever_waits_is_answered_when_the_daemon_is_asked_to_end() {
    for by_signal in [true, false] {
        let ground = Ground::new();
        let mut daemon = ground.daemon();
        let mut client = daemon.client();
        client.ask(&json!({"type": "init", "size": 1, "noRestore": true}));
        let session = client.start("hold it");
        wait("processing", || client.status(&session) == "processing");
        let mut waiters: Vec<Client> = (0..20).map(|_| daemon.client()).collect();
        for waiter in &mut waiters {
            waiter.say(&json!({"type": "wait", "sessionId": session, "timeout": 600_000, "id": 7}));
        }
        // One after the other on a connection: these were taken when this one is answered.
        assert_eq!(client.ask(&json!({"type": "ping"}))["type"], "pong");
        let began = Instant::now();
        if by_signal {
            daemon.terminate();
        } else {
            assert_eq!(
                client.ask(&json!({"type": "destroy", "confirm": true}))["type"],
                "ok"
            );
        }
        for waiter in &mut waiters {
            let answer = waiter.next().expect("an answer");
            assert_eq!(
                (&answer["type"], &answer["id"]),
                (&json!("error"), &json!(7)),
                "{answer}"
            );
        }
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
        assert!(daemon.ended().success());
        assert_eq!(
            ground.claudes().is_empty(),
            !by_signal,
            "only a destroy ends slots"
        );
        // The next one finds them, and ends them with the pool.
        drop(ground.daemon());
        ground.nothing_runs();
    }
}

#[test]
fn nobody_waits_for_a_client_that_died() {
    let ground = Ground::new();
    let daemon = ground.daemon();
    let mut client = daemon.begin(1);
    let session = client.start("hold it");
    wait("processing", || client.status(&session) == "processing");
    let descriptors = || {
        let entries = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid()));
        entries.map_or(0, |entries| entries.count())
    };
    let before = descriptors();
    for _ in 0..200 {
        let mut waiter = daemon.client();
        waiter.say(&json!({"type": "wait", "sessionId": session, "timeout": 86_400_000}));
        // Known to the pool before it goes.
        waiter.say(&json!({"type": "ping"}));
    }
    if before > 0 {
        wait("the ends of their connections", || {
            descriptors() <= before + 2
        });
    }
    assert_eq!(client.status(&session), "processing");
    assert_eq!(
        client.ask(&json!({"type": "stop", "sessionId": session}))["type"],
        "ok"
    );
}

#[test]
fn circles_of_parents_are_walked_once() {
    let ground = Ground::new();
    let daemon = ground.daemon();
    let mut client = daemon.begin(1);
    let first = client.start("hello");
    wait("idle", || client.status(&first) == "idle");
    let info = client.ask(&json!({"type": "info", "sessionId": first}));
    let uuid = info["session"]["claudeUUID"]
        .as_str()
        .expect("known")
        .to_owned();
    drop(daemon);
    // Its own parent, and two that name each other, as rows.
    make_circle(&ground, &first, &uuid);
    let daemon = ground.daemon();
    let mut client = daemon.client();
    client.ask(&json!({"type": "init", "size": 1, "noRestore": true}));
    for request in [
        json!({"type": "ls", "tree": true, "all": true, "verbosity": "nested"}),
        json!({"type": "ls", "all": true, "verbosity": "full"}),
        json!({"type": "ls", "parent": first, "verbosity": "nested"}),
        json!({"type": "info", "sessionId": first}),
    ] {
        let answer = client.ask(&request);
        assert!(
            answer["type"] == "sessions" || answer["type"] == "session",
            "{answer}"
        );
    }
    let waited = client.ask(&json!({"type": "wait", "parent": first}));
    assert_eq!(waited["error"], "no busy sessions");
    let archive = json!({"type": "archive", "sessionId": "00000000000a", "recursive": true});
    assert_eq!(client.ask(&archive)["type"], "ok");
    assert_eq!(client.status("00000000000a"), "archived");
    assert_eq!(client.status("00000000000b"), "archived");
    let archive = json!({"type": "archive", "sessionId": first, "recursive": true});
    client.stream.set_read_timeout(Some(BOUND)).expect("is set");
    assert_eq!(client.ask(&archive)["type"], "ok");
}

fn make_circle(ground: &Ground, first: &str, uuid: &str) {
    use ccp::adapters::pool_store::PoolStore;
    use ccp::core::pool::id::SessionId;
    use ccp::core::pool::record::Change;
    let mut store = PoolStore::open(&ground.dir.join("pool.db")).expect("opens");
    let contents = store.load().expect("reads");
    let mut own = contents
        .sessions
        .into_iter()
        .find(|s| s.id.to_string() == first)
        .expect("is there");
    own.parent = uuid.to_owned();
    let other = |id: &str, parent: &str| {
        let mut other = own.clone();
        (other.id, other.uuid) = (SessionId::parse(id).expect("an id"), None);
        other.parent = parent.to_owned();
        other
    };
    let rows = [
        own.clone(),
        other("00000000000a", "00000000000b"),
        other("00000000000b", "00000000000a"),
    ];
    let changes = rows.map(|row| Change::Session(Box::new(row)));
    store.write(&changes, |_, _| 0).expect("writes");
}
