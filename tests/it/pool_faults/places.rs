//! Directories that a pool cannot use, or not as easily as others; sockets that vanish, and things in their way.

use super::ground::{BOUND, Client, Ground, wait};
use crate::support::put;
use ccp::adapters::files::pause;
use serde_json::json;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A prompt, a terminal and an end: what needs every socket of a pool.
fn works(ground: &Ground) {
    let daemon = ground.daemon();
    let mut client = daemon.begin(1);
    let session = client.start("hello");
    let waited = client.ask(&json!({"type": "wait", "sessionId": session, "timeout": 30_000}));
    assert_eq!(waited["type"], "result", "{waited}");
    let attached = client.ask(&json!({"type": "attach", "sessionId": session}));
    let path = attached["socketPath"]
        .as_str()
        .unwrap_or_else(|| panic!("{attached}"));
    let mut terminal = UnixStream::connect(path).expect("the terminal listens");
    terminal.set_read_timeout(Some(BOUND)).expect("is set");
    assert!(terminal.read(&mut [0; 100]).expect("a picture") > 0);
    assert!(
        ground.dir.join("api.sock").exists(),
        "the socket is where it belongs"
    );
}

#[test]
fn a_pool_works_below_a_long_path() {
    let ground = Ground::at(PathBuf::from("d".repeat(75)).join("e".repeat(75)));
    assert!(ground.dir.as_os_str().len() > 150);
    works(&ground);
}

#[test]
fn a_pool_works_below_a_path_with_blanks_and_quotes() {
    works(&Ground::at("my 'own' \"pools\" $HOME;x/the pool"));
}

#[test]
fn a_pool_works_below_a_path_that_is_no_text() {
    let parent = OsStr::from_bytes(b"caf\xe9 \xff");
    let ground = Ground::at(PathBuf::from(parent).join("pool"));
    let daemon = ground.daemon();
    let mut client = daemon.begin(1);
    let session = client.start("hello");
    let waited = client.ask(&json!({"type": "wait", "sessionId": session, "timeout": 30_000}));
    assert_eq!(waited["type"], "result", "{waited}");
    let attached = client.ask(&json!({"type": "attach", "sessionId": session}));
    let path = attached["socketPath"]
        .as_str()
        .unwrap_or_else(|| panic!("{attached}"));
    assert!(
        UnixStream::connect(path).is_ok(),
        "what a client is told can be used: {path}"
    );
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let ground = Ground::at("file/pool");
    put(&ground.home().join("file"), b"in the way");
    let said = ground.refusal();
    assert!(said.contains(ground.dir.to_str().expect("text")), "{said}");
    assert!(said.to_lowercase().contains("not a directory"), "{said}");
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let ground = Ground::new();
    ground.make_dir();
    // SAFETY: takes and touches no memory.
    if unsafe { libc::geteuid() } == 0 {
        // Nothing is forbidden to root: a directory where the file should be is, whoever asks.
        fs::create_dir(ground.dir.join("pool.db")).expect("makes");
        let said = ground.refusal();
        assert!(said.contains("pool.db"), "{said}");
        return;
    }
    fs::set_permissions(&ground.dir, Permissions::from_mode(0o500)).expect("is ours");
    let said = ground.refusal();
    fs::set_permissions(&ground.dir, Permissions::from_mode(0o700)).expect("is ours");
    assert!(said.contains(ground.dir.to_str().expect("text")), "{said}");
    assert!(said.contains("ermission denied"), "{said}");
}

#[test]
fn a_directory_that_others_may_enter_is_refused_with_the_way_out() {
    let ground = Ground::new();
    ground.make_dir();
    fs::set_permissions(&ground.dir, Permissions::from_mode(0o755)).expect("is ours");
    let said = ground.refusal();
    assert!(said.contains("is not private; run: chmod 700"), "{said}");
    assert!(
        !ground.dir.join("pool.db").exists(),
        "nothing was done in it"
    );
}

#[test]
fn what_is_in_the_way_of_the_socket_stays() {
    let ground = Ground::new();
    ground.make_dir();
    let socket = ground.dir.join("api.sock");
    put(&socket, b"precious");
    let said = ground.refusal();
    assert!(
        said.contains("api.sock is in the way: it is no socket"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(&socket).expect("stays"), "precious");
    // A link that leads nowhere is in the way as well.
    fs::remove_file(&socket).expect("goes");
    std::os::unix::fs::symlink("/nowhere", &socket).expect("links");
    assert!(ground.refusal().contains("is in the way"));
}

#[test]
fn the_socket_of_a_dead_daemon_is_replaced_and_that_of_a_living_stranger_is_not() {
    let ground = Ground::new();
    ground.make_dir();
    let socket = ground.dir.join("api.sock");
    let stranger = UnixListener::bind(&socket).expect("binds");
    let said = ground.refusal();
    assert!(
        said.contains("another program's daemon listens at"),
        "{said}"
    );
    assert!(UnixStream::connect(&socket).is_ok(), "it still listens");
    drop(stranger);
    assert!(socket.exists(), "nobody listens there any more");
    let daemon = ground.daemon();
    assert_eq!(
        daemon.client().ask(&json!({"type": "ping"}))["type"],
        "pong"
    );
}

#[test]
fn a_socket_that_is_unlinked_is_there_again_in_a_moment() {
    let ground = Ground::new();
    let daemon = ground.daemon();
    let socket = ground.dir.join("api.sock");
    let mut old = daemon.client();
    let mut times = Vec::new();
    for _ in 0..10 {
        fs::remove_file(&socket).expect("is there");
        let began = Instant::now();
        wait("the socket", || UnixStream::connect(&socket).is_ok());
        times.push(began.elapsed());
        assert_eq!(
            Client::new(&socket).ask(&json!({"type": "ping"}))["type"],
            "pong"
        );
    }
    times.sort();
    // The bound is for a machine that has nothing else to do: half of them kept it, whatever ran beside.
    assert!(
        times[times.len() / 2] < Duration::from_millis(100),
        "{times:?}"
    );
    assert_eq!(
        old.ask(&json!({"type": "ping"}))["type"],
        "pong",
        "older connections stay"
    );
    // Somebody else's socket in its place is theirs.
    fs::remove_file(&socket).expect("is there");
    let theirs = UnixListener::bind(&socket);
    if theirs.is_ok() {
        pause(Duration::from_millis(300));
        assert!(UnixStream::connect(&socket).is_ok());
        assert_eq!(old.ask(&json!({"type": "ping"}))["type"], "pong");
        drop(theirs);
        fs::remove_file(&socket).expect("is there");
        wait("the socket", || UnixStream::connect(&socket).is_ok());
    }
}

#[test]
fn a_second_daemon_ends_with_a_word_and_the_first_goes_on() {
    let ground = Ground::new();
    let daemon = ground.daemon();
    let mut client = daemon.begin(1);
    let claudes = ground.claudes();
    for _ in 0..3 {
        let said = ground.refusal();
        assert!(said.contains("another daemon runs in"), "{said}");
    }
    assert_eq!(ground.claudes(), claudes);
    assert_eq!(client.ask(&json!({"type": "ping"}))["type"], "pong");
    assert_eq!(
        daemon.client().ask(&json!({"type": "health"}))["health"]["slots"]["fresh"],
        1
    );
}
