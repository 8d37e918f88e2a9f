//! Disks that are full or cannot be written: what cannot be kept is refused before it is accepted.

use super::ground::{BOUND, Client, Ground, wait};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// A daemon's command in a mount namespace of its own, where the pool's directory is a disk of two megabytes.
fn on_small_disk(ground: &Ground) -> Option<Command> {
    ground.make_dir();
    let script = "mount -t tmpfs -o size=2m,mode=700 none \"$1\" || exit 77; shift; exec \"$@\"";
    let given = ground.daemon_command();
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    command
        .arg(&ground.dir)
        .arg(given.get_program())
        .args(given.get_args());
    command.env_clear();
    for (name, value) in given.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.current_dir(ground.home());
    let may = Command::new("unshare")
        .args(["--map-root-user", "--mount", "true"])
        .status();
    if !cfg!(target_os = "linux") || !may.is_ok_and(|status| status.success()) {
        ccp_standin::skip("no mount namespace for a small disk");
        return None;
    }
    Some(command)
}

/// A daemon there, and its directory as it is seen from outside.
struct Inside {
    child: std::process::Child,
    dir: PathBuf,
}

impl Inside {
    fn start(ground: &Ground) -> Option<Self> {
        let child = on_small_disk(ground)?.spawn().expect("starts");
        let inside = ground.dir.strip_prefix("/").expect("absolute");
        let dir = PathBuf::from(format!("/proc/{}/root", child.id())).join(inside);
        let this = Self { child, dir };
        let socket = this.dir.join("api.sock");
        wait("the daemon", || {
            std::os::unix::net::UnixStream::connect(&socket).is_ok()
        });
        Some(this)
    }

    fn client(&self) -> Client {
        Client::new(&self.dir.join("api.sock"))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Ok(stream) = std::os::unix::net::UnixStream::connect(self.dir.join("api.sock")) {
            let mut client = Client::of(stream);
            client.say(&json!({"type": "destroy", "confirm": true}));
            let _ = client.next();
        }
        let deadline = std::time::Instant::now() + BOUND;
        while matches!(self.child.try_wait(), Ok(None)) {
            if std::time::Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
            ccp::adapters::files::pause(std::time::Duration::from_millis(5));
        }
    }
}

#[test]
fn nothing_is_accepted_while_the_disk_is_full_and_everything_afterwards() {
    let ground = Ground::new();
    let Some(inside) = Inside::start(&ground) else {
        return;
    };
    let mut client = inside.client();
    let ask = |client: &mut Client, request: Value| client.ask(&request);
    ask(&mut client, json!({"type": "init", "size": 1}));
    wait("a fresh slot", || {
        ask(&mut client, json!({"type": "health"}))["health"]["slots"]["fresh"] == 1
    });
    // Accepted while there is room.
    let first = client.start("hold the slot");
    wait("processing", || client.status(&first) == "processing");
    let second = client.start("second");
    let fill = inside.dir.join("fill");
    let mut file = fs::File::create(&fill).expect("creates");
    while file.write_all(&[7; 4096]).is_ok() {}
    drop(file);
    // Each is larger than what may be left of the log of the database.
    let long = "x".repeat(300_000);
    let mut refused = 0;
    for _ in 0..5 {
        let answer = ask(&mut client, json!({"type": "start", "prompt": long}));
        if answer["type"] == "error" {
            let text = answer["error"].as_str().unwrap_or_default();
            assert!(
                text.contains("full") || text.contains("written"),
                "{answer}"
            );
            refused += 1;
        }
    }
    assert_eq!(refused, 5, "a full disk takes nothing");
    let answer = ask(
        &mut client,
        json!({"type": "config", "set": {"x": "y".repeat(8192)}}),
    );
    assert_eq!(answer["type"], "error", "{answer}");
    let listed = ask(&mut client, json!({"type": "ls", "all": true}));
    let ids: Vec<&str> = listed["sessions"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|s| s["sessionId"].as_str())
        .collect();
    assert_eq!(
        ids,
        [first.as_str(), second.as_str()],
        "nothing that was refused is kept"
    );
    fs::remove_file(&fill).expect("goes");
    let third = client.start("third");
    assert_eq!(
        ask(&mut client, json!({"type": "stop", "sessionId": first}))["type"],
        "ok"
    );
    for session in [&second, &third] {
        let waited = ask(
            &mut client,
            json!({"type": "wait", "sessionId": session, "timeout": 30_000}),
        );
        assert_eq!(
            waited["type"],
            "result",
            "{session} {waited} {}",
            ground.log()
        );
    }
}
