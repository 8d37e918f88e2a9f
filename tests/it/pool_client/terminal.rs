//! `ccp pool attach`: bytes both ways, with a terminal and without one.

use super::{BOUND, Scripted, Stage};
use ccp::contract::pool::Request;
use ccp_standin::Running;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// A terminal for a program: `size ROWS COLS` and `type HEX` come on standard input, what is shown goes out.
const TERMINAL: &str = r#"
import fcntl, os, pty, select, struct, sys, termios
def size(fd, rows, cols):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
pid, fd = pty.fork()
if pid == 0:
    size(0, 24, 80)
    os.execvp(sys.argv[1], sys.argv[1:])
rest = b""
while True:
    ready, _, _ = select.select([fd, 0], [], [])
    if fd in ready:
        try:
            data = os.read(fd, 65536)
        except OSError:
            data = b""
        if not data:
            break
        os.write(1, data)
    if 0 in ready:
        typed = os.read(0, 65536)
        if not typed:
            break
        *lines, rest = (rest + typed).split(b"\n")
        for line in lines:
            word, *values = line.split()
            if word == b"size":
                size(fd, *map(int, values))
            else:
                os.write(fd, bytes.fromhex(values[0].decode()))
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"#;

/// A pool with a session whose terminal is at `socket`.
pub fn attachable(stage: &Stage, socket: &Path) -> Scripted {
    let path = socket.to_owned();
    Scripted::start(stage, "default", move |request| match request {
        Request::Attach { .. } => {
            vec![
                json!({"type": "attached", "socketPath": path, "cols": 80, "rows": 24}).to_string(),
            ]
        }
        _ => vec![json!({"type": "ok"}).to_string()],
    })
}

/// Reads until all of this came.
#[track_caller]
pub fn read_until(stream: &mut UnixStream, wanted: &str) {
    stream.set_read_timeout(Some(BOUND)).expect("sets");
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).ends_with(wanted) {
        let mut chunk = [0; 1024];
        let count = stream.read(&mut chunk).expect("reads");
        assert!(
            count > 0,
            "it ended after {:?}",
            String::from_utf8_lossy(&text)
        );
        text.extend_from_slice(&chunk[..count]);
    }
    assert_eq!(String::from_utf8_lossy(&text), wanted);
}

#[test]
fn without_a_terminal_bytes_go_through_until_one_leaves() {
    let stage = Stage::new();
    let socket = stage.path().join("t.sock");
    let terminal = UnixListener::bind(&socket).expect("binds");
    let pool = attachable(&stage, &socket);
    let command = stage.command("ccp", &["pool", "attach", "01"]);
    let mut running = Running::start(command).expect("starts");
    let (mut stream, _) = terminal.accept().expect("connects");
    assert_eq!(pool.next(), json!({"type": "attach", "sessionId": "01"}));
    stream
        .write_all("repaint \u{e4}\n".as_bytes())
        .expect("writes");
    assert!(
        running
            .wait_for_line(|line| line == "repaint \u{e4}", BOUND)
            .is_some()
    );
    running.write_line("ls ~. x\n~~.").expect("types");
    read_until(&mut stream, "ls ~. x\n~.\n");
    running.write_line("~.").expect("types");
    let output = running.output(BOUND).expect("ends");
    assert_eq!(
        (output.code, output.stderr.as_str()),
        (0, "left; the session goes on\n")
    );
    assert_eq!(stream.read(&mut [0; 8]).expect("is closed"), 0);
}

#[test]
fn the_end_of_the_session_ends_the_attachment_and_the_end_of_the_input_does_not() {
    let stage = Stage::new();
    let socket = stage.path().join("t.sock");
    let terminal = UnixListener::bind(&socket).expect("binds");
    let _pool = attachable(&stage, &socket);
    let command = stage.command("ccp", &["pool", "attach", "01"]);
    let mut running = Running::start(command).expect("starts");
    let (mut stream, _) = terminal.accept().expect("connects");
    running.write_line("typed").expect("types");
    read_until(&mut stream, "typed\n");
    running.close_stdin();
    stream.write_all(b"still here\n").expect("writes");
    assert!(
        running
            .wait_for_line(|line| line == "still here", BOUND)
            .is_some()
    );
    drop(stream);
    let output = running.output(BOUND).expect("ends");
    assert_eq!(
        (output.code, output.stderr.as_str()),
        (0, "the session left its slot\n")
    );
}

#[test]
fn a_terminal_is_raw_and_its_size_is_followed() {
    let stage = Stage::new();
    let socket = stage.path().join("t.sock");
    let terminal = UnixListener::bind(&socket).expect("binds");
    let pool = attachable(&stage, &socket);
    fs::write(stage.path().join("terminal.py"), TERMINAL).expect("writes");
    let script = stage.path().join("terminal.py");
    let mut command = stage.command("ccp", &[]);
    let program = command.get_program().to_owned();
    let variables: Vec<_> = command
        .get_envs()
        .map(|(k, v)| (k.to_owned(), v.map(ToOwned::to_owned)))
        .collect();
    command = std::process::Command::new("python3");
    command
        .arg(script)
        .arg(program)
        .args(["pool", "attach", "01"])
        .env_clear();
    for (name, value) in variables {
        command.env(name, value.expect("is set"));
    }
    let mut running = Running::start(command).expect("starts");
    let (mut stream, _) = terminal.accept().expect("connects");
    let resize =
        |cols, rows| json!({"type": "pty-resize", "sessionId": "01", "cols": cols, "rows": rows});
    assert_eq!(pool.next()["type"], "attach");
    assert_eq!(pool.next(), resize(80, 24));
    stream.write_all(b"\x1b[?2004hready\r\n").expect("writes");
    assert!(
        running
            .wait_for_line(|line| line.contains("ready"), BOUND)
            .is_some()
    );
    // Ctrl-C, Ctrl-Z and a carriage return are the session's, and nothing is echoed here.
    running.write_line("type 031a0d").expect("types");
    read_until(&mut stream, "\u{3}\u{1a}\r");
    running.write_line("size 40 120").expect("resizes");
    assert_eq!(pool.next(), resize(120, 40));
    // Many at once are one: the last.
    for rows in 41..=50 {
        running
            .write_line(&format!("size {rows} 120"))
            .expect("resizes");
    }
    let mut last = Value::Null;
    while last != resize(120, 50) {
        last = pool.next();
    }
    running.write_line("type 7e2e").expect("types");
    let output = running.output(BOUND).expect("ends");
    assert_eq!(output.code, 0, "{output:?}");
    assert!(
        output.stdout.contains("left; the session goes on"),
        "{}",
        output.stdout
    );
    assert!(
        output.stdout.contains("\u{1b}[?2004l"),
        "what the session switched on is switched off"
    );
}

#[test]
fn a_terminal_is_put_in_order_when_the_client_is_told_to_end() {
    let stage = Stage::new();
    let socket = stage.path().join("t.sock");
    let terminal = UnixListener::bind(&socket).expect("binds");
    let pool = attachable(&stage, &socket);
    let command = stage.command("ccp", &["pool", "attach", "01"]);
    let mut running = Running::start(command).expect("starts");
    let (mut stream, _) = terminal.accept().expect("connects");
    assert_eq!(pool.next()["type"], "attach");
    stream.write_all(b"ready\n").expect("writes");
    assert!(
        running
            .wait_for_line(|line| line == "ready", BOUND)
            .is_some()
    );
    running.signal("TERM");
    assert!(running.output(BOUND).is_some(), "it ends");
}
