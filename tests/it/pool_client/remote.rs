//! Pools behind OpenSSH.

use super::terminal::{attachable, read_until};
use super::{BOUND, Scripted, Stage, end, error};
use crate::sshd::{Sshd, left_behind};
use ccp::contract::pool::Request;
use ccp_standin::Running;
use serde_json::json;
use std::fs;
use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::{Duration, Instant};

/// Registers the pool `default`, as it is for a client on another machine, under the name `far`.
fn register(stage: &Stage) {
    let user = ccp::adapters::procs::user_name();
    let socket = stage.pool_dir("default").join("api.sock");
    let place = format!("ssh://{user}@build{}", socket.display());
    let pools = json!({"far": {"socket": place}, "nobody": {"socket": format!("{place}x")},
        "unknown": {"socket": "ssh://nowhere.invalid/s"}, "option": {"socket": "ssh://-oProxyCommand=x/s"}});
    fs::create_dir_all(stage.pool_dir("default")).expect("creates");
    fs::write(
        stage.path().join(".claude-pool/pools.json"),
        pools.to_string(),
    )
    .expect("writes");
}

#[test]
fn a_pool_of_another_machine_is_asked_and_followed_like_one_of_this() {
    let stage = Stage::new();
    let Some(_sshd) = Sshd::start(stage.path(), &stage.path().join("bin")) else {
        return;
    };
    register(&stage);
    let pool = Scripted::start(&stage, "default", |request| match request {
        Request::Ping => vec![json!({"type": "pong", "version": "9.9"}).to_string()],
        Request::Subscribe(_) => vec![
            json!({"type": "event", "event": "deleted", "sessionId": "a"}).to_string(),
            json!({"type": "event", "event": "pool", "action": "destroy"}).to_string(),
        ],
        Request::Capture { .. } => {
            let content = "x".repeat(3_000_000);
            vec![json!({"type": "result", "sessionId": "a", "content": content}).to_string()]
        }
        _ => error("no_busy_sessions", "no busy sessions"),
    });
    assert_eq!(stage.ok(&["ping", "--pool", "far"]), "pong 9.9\n");
    assert_eq!(pool.next(), json!({"type": "ping"}));
    assert_eq!(
        stage.refused(&["wait", "--pool", "far"]),
        "no busy sessions"
    );
    assert_eq!(
        stage.ok(&["capture", "a", "--pool", "far"]).len(),
        3_000_001
    );
    assert_eq!(
        stage.ok(&["subscribe", "--pool", "far"]),
        "a  deleted\npool ended\n"
    );
    assert!(
        stage
            .refused(&["ping", "--pool", "nobody"])
            .starts_with("no pool listens at ssh://")
    );
    assert!(
        stage
            .refused(&["ping", "--pool", "unknown"])
            .starts_with("ssh nowhere.invalid failed")
    );
    assert!(
        stage
            .refused(&["ping", "--pool", "option"])
            .contains("no dash in front")
    );
    let pools = stage.ok(&["pools"]);
    assert!(
        pools.contains("far      runs 9.9 ") && pools.contains("nobody   stopped"),
        "{pools}"
    );
    assert_eq!(left_behind(&stage.path().join("run")), [""; 0]);
}

#[test]
fn a_terminal_of_another_machine_is_reached_below_the_pools_directory_only() {
    let stage = Stage::new();
    let Some(_sshd) = Sshd::start(stage.path(), &stage.path().join("bin")) else {
        return;
    };
    register(&stage);
    let socket = stage.pool_dir("default").join("attach-1.sock");
    let terminal = UnixListener::bind(&socket).expect("binds");
    let pool = attachable(&stage, &socket);
    let command = stage.command("ccp", &["pool", "attach", "01", "--pool", "far"]);
    let mut running = Running::start(command).expect("starts");
    let (mut stream, _) = terminal.accept().expect("connects");
    assert_eq!(pool.next()["type"], "attach");
    stream.write_all(b"far away\n").expect("writes");
    assert!(
        running
            .wait_for_line(|line| line == "far away", BOUND)
            .is_some()
    );
    running.write_line("hello").expect("types");
    read_until(&mut stream, "hello\n");
    running.write_line("~.").expect("types");
    assert_eq!(running.output(BOUND).expect("ends").code, 0);
    assert_eq!(left_behind(&stage.path().join("run")), [""; 0]);
    fs::remove_file(stage.pool_dir("default").join("api.sock")).expect("goes");
    let _other = attachable(&stage, &stage.path().join("elsewhere.sock"));
    let refused = stage.refused(&["attach", "01", "--pool", "far"]);
    assert!(refused.contains("outside its directory"), "{refused}");
}

#[test]
fn a_forwarding_ends_with_the_client_however_that_ends() {
    let stage = Stage::new();
    let Some(_sshd) = Sshd::start(stage.path(), &stage.path().join("bin")) else {
        return;
    };
    register(&stage);
    let pool = Scripted::start(&stage, "default", |_| Vec::new());
    let command = stage.command("ccp", &["pool", "subscribe", "--pool", "far"]);
    let running = Running::start(command).expect("starts");
    assert_eq!(pool.next()["type"], "subscribe");
    let client = running.pid();
    let ssh = children_below(client);
    assert!(!ssh.is_empty(), "ssh runs");
    running.signal("KILL");
    let deadline = Instant::now() + BOUND;
    while ssh
        .iter()
        .any(|(pid, start)| ccp::adapters::procs::start_time(*pid) == Some(*start))
    {
        assert!(Instant::now() < deadline, "{ssh:?} are still there");
        ccp::adapters::files::pause(Duration::from_millis(20));
    }
    // What it left in the file system goes with the next one.
    assert!(
        left_behind(&stage.path().join("run")).len() <= 1,
        "{:?}",
        left_behind(&stage.path().join("run"))
    );
    drop(running);
    let output = end(stage.command("ccp", &["pool", "ping", "--pool", "nobody"]));
    assert_eq!(output.code, 1);
    assert_eq!(left_behind(&stage.path().join("run")), [""; 0]);
}

/// Every process below this one, with its start time.
fn children_below(pid: u32) -> Vec<(u32, u64)> {
    let listing = Command::new("ps")
        .args(["-A", "-o", "pid="])
        .output()
        .expect("runs");
    let text = String::from_utf8_lossy(&listing.stdout).into_owned();
    let pids = text.split_whitespace().filter_map(|word| word.parse().ok());
    pids.filter(|child| ccp::adapters::procs::ancestors(*child).contains(&pid))
        .filter_map(|child| Some((child, ccp::adapters::procs::start_time(child)?)))
        .collect()
}
