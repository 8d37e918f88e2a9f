use super::*;
use crate::adapters::files::pause;
use crate::adapters::procs::children::{Signal, signal_child, wait_readable};
use std::ffi::OsString;
use std::time::{Duration, Instant};

const BOUND: Duration = Duration::from_secs(20);

struct Run {
    pty: Pty,
    child: Child,
    output: Vec<u8>,
}

fn run(argv: &[&str]) -> Run {
    let program = Program {
        argv: argv.iter().map(OsString::from).collect(),
        env: vec![
            ("PATH".into(), "/usr/bin:/bin".into()),
            ("ODD".into(), "x".into()),
        ],
        cwd: PathBuf::from("/"),
        umask: Some(0o027),
    };
    let (pty, slave) = Pty::open(81, 25).expect("opens");
    let child = Child::start(&program, slave).expect("starts");
    Run {
        pty,
        child,
        output: Vec::new(),
    }
}

impl Run {
    /// Reads once, waiting for it; whether there will be more.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 64 * 1024];
        assert!(
            wait_readable(self.pty.as_fd(), BOUND).expect("waits"),
            "{:?}",
            self.text()
        );
        match self.pty.read(&mut buffer).expect("reads") {
            Read::Bytes(count) => self.output.extend_from_slice(&buffer[..count]),
            Read::Nothing => {}
            Read::Ended => return false,
        }
        true
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }

    fn wait_for(&mut self, wanted: &str) {
        while !self.text().contains(wanted) {
            assert!(self.read(), "ended before {wanted:?}: {:?}", self.text());
        }
    }

    fn end(mut self) -> (Option<i32>, Option<i32>) {
        let deadline = Instant::now() + BOUND;
        while !self.child.has_ended() {
            assert!(Instant::now() < deadline, "it ends");
            pause(Duration::from_millis(1));
        }
        self.child.reap()
    }
}

#[test]
fn what_is_typed_is_echoed_and_read() {
    let mut cat = run(&["/bin/cat"]);
    assert_eq!(cat.pty.write("grüße\n".as_bytes()).expect("writes"), 8);
    cat.wait_for("grüße\r\ngrüße\r\n");
    cat.pty.write(b"\x04").expect("writes");
    while cat.read() {}
    assert_eq!(cat.end(), (Some(0), None));
}

#[test]
fn a_program_starts_as_after_a_login() {
    let script = "echo \"size $(stty size)\"; echo \"tty $(ps -o tty= -p $$ | tr -d ' ')\"; umask; \
                  echo \"session $(ps -o sid= -p $$ | tr -d ' ') $$\"; ls /proc/self/fd | tr '\\n' ' '; \
                  grep -E 'Sig(Blk|Ign)' /proc/self/status; env | sort | tr '\\n' ' '; echo over";
    // One of ours that is not closed at exec must not reach it.
    let (left, _right) = std::os::unix::net::UnixStream::pair().expect("makes a pair");
    fcntl_setfd(&left, FdFlags::empty()).expect("lets it be inherited");
    let mut shell = run(&["/bin/sh", "-c", script]);
    shell.wait_for("over");
    let text = shell.text();
    assert!(text.contains("size 25 81\r\n"), "{text}");
    assert!(text.contains("ODD=x PATH=/usr/bin:/bin"), "{text}");
    #[cfg(target_os = "linux")]
    {
        let session = text.lines().find_map(|l| l.strip_prefix("session "));
        let (session, own) = session
            .and_then(|s| s.trim().split_once(' '))
            .expect("is said");
        assert_eq!(session, own, "it leads its session");
        assert!(text.contains("tty pts/") && text.contains("0027"), "{text}");
        // The fourth is the listing itself.
        assert!(text.contains("\n0 1 2 3 "), "{text}");
        let mask = |name: &str| {
            let text = text
                .split(name)
                .nth(1)
                .and_then(|rest| rest.split_whitespace().next());
            u64::from_str_radix(text.expect("is said"), 16).expect("is a mask")
        };
        // 32 and 33 are the C library's own, which it lets nobody touch.
        let of_library = 3 << 31;
        assert_eq!((mask("SigBlk:"), mask("SigIgn:") & !of_library), (0, 0));
    }
    assert_eq!(shell.end(), (Some(0), None));
}

#[test]
fn a_new_size_is_told_and_asked_for() {
    let mut shell = run(&[
        "/bin/sh",
        "-c",
        "trap 'stty size' WINCH; echo up; while :; do sleep 0.02; done",
    ]);
    shell.wait_for("up");
    shell.pty.resize(120, 40).expect("resizes");
    assert_eq!(shell.pty.size().expect("is told"), (120, 40));
    shell.wait_for("40 120");
    signal_child(shell.child.pid(), Signal::Terminate);
    assert_eq!(shell.end(), (None, Some(15)));
}

#[test]
fn a_flood_is_read_to_its_end() {
    let mut flood = run(&[
        "/bin/sh",
        "-c",
        "head -c 3000000 /dev/zero | tr '\\0' x; printf over",
    ]);
    while flood.read() {}
    assert_eq!(flood.output.len(), 3_000_004);
    assert_eq!(flood.end(), (Some(0), None));
}

#[test]
fn the_program_hears_that_the_terminal_is_gone() {
    let shell = run(&["/bin/sh", "-c", "sleep 600"]);
    let Run { pty, mut child, .. } = shell;
    drop(pty);
    let deadline = Instant::now() + BOUND;
    while !child.has_ended() {
        assert!(Instant::now() < deadline, "it ends");
        pause(Duration::from_millis(1));
    }
    assert_eq!(child.reap(), (None, Some(1)));
}

#[test]
fn what_cannot_start_is_named() {
    let mut program = Program {
        argv: vec!["/no/such/program".into()],
        env: Vec::new(),
        cwd: PathBuf::from("/"),
        umask: None,
    };
    let start = |program: &Program| {
        let (_pty, slave) = Pty::open(80, 24).expect("opens");
        Child::start(program, slave)
            .expect_err("does not start")
            .to_string()
    };
    let said = start(&program);
    assert!(
        said.starts_with("cannot start /no/such/program: "),
        "{said}"
    );
    program.cwd = PathBuf::from("/no/such/dir");
    let said = start(&program);
    assert!(said.starts_with("cannot start in /no/such/dir: "), "{said}");
}
