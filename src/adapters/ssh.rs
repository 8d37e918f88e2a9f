//! Sockets of other machines, forwarded by the system's OpenSSH: it brings its configuration, keys and agents, and asks
//! nobody anything. A forwarding ends with its value, or with this process, however that ends.

use crate::adapters::files::pause;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Between two looks whether OpenSSH listens: that it does is seen in the file system alone.
const POLL: Duration = Duration::from_millis(10);
/// How long it may take to end when its input does.
const END: Duration = Duration::from_secs(2);
/// How much of what it says is kept, in bytes.
const MAX_SAID: u64 = 16 * 1024;

/// Runs OpenSSH, and ends it when standard input does: the system tells a child about the end of its parent in no way that
/// works everywhere, but it always closes a pipe.
const KEEPER: &str = r#"exec 3<&0
"$@" </dev/null 3<&- &
ssh=$!
{ read -r _ <&3; kill "$ssh"; } 2>/dev/null &
keeper=$!
exec 3<&-
wait "$ssh"
code=$?
kill "$keeper" 2>/dev/null
exit "$code"
"#;

/// Why a socket of another machine cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// OpenSSH or a shell cannot be started.
    #[error("cannot start ssh: {0}")]
    Start(#[source] io::Error),
    /// There is no place for the local end.
    #[error("cannot make a private place for the local end in {dir}: {source}")]
    Place {
        /// The directory.
        dir: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It ended before it listened.
    #[error("ssh {destination} failed: {said}")]
    Ended {
        /// Where to.
        destination: String,
        /// Its last words.
        said: String,
    },
    /// It did not listen in time.
    #[error("ssh {destination} did not connect within {} s", .bound.as_secs())]
    Late {
        /// Where to.
        destination: String,
        /// How long was waited.
        bound: Duration,
    },
}

/// A socket of another machine, at a path of this one.
#[derive(Debug)]
pub struct Forward {
    keeper: Child,
    local: PathBuf,
}

impl Forward {
    /// Forwards the socket at `remote` on the machine that `destination` names to a new socket in `dir`, which only this
    /// user can enter. Both have been checked: the destination begins with no dash, the path has nothing that OpenSSH
    /// expands.
    ///
    /// # Errors
    /// When OpenSSH does not come to listen within `bound`.
    pub fn open(
        dir: &Path,
        destination: &str,
        remote: &str,
        bound: Duration,
    ) -> Result<Self, SshError> {
        let place = |source| SshError::Place {
            dir: dir.to_owned(),
            source,
        };
        clear_stale(dir);
        let local = new_name(dir).map_err(place)?;
        let mut keeper = Command::new("/bin/sh")
            .args(["-c", KEEPER, "sh"])
            .args(words(&local, destination, remote))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(SshError::Start)?;
        let said = keeper.stderr.take().map(listen);
        let mut forward = Self { keeper, local };
        forward.await_socket(destination, said, bound)?;
        Ok(forward)
    }

    /// Where the socket is on this machine.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.local
    }

    fn await_socket(
        &mut self,
        destination: &str,
        said: Option<mpsc::Receiver<String>>,
        bound: Duration,
    ) -> Result<(), SshError> {
        let deadline = Instant::now() + bound;
        let destination = || destination.to_owned();
        loop {
            if fs::symlink_metadata(&self.local).is_ok_and(|m| m.file_type().is_socket()) {
                return Ok(());
            }
            if self.keeper.try_wait().map_err(SshError::Start)?.is_some() {
                let said = said.and_then(|said| said.recv_timeout(END).ok());
                return Err(SshError::Ended {
                    destination: destination(),
                    said: said.unwrap_or_default(),
                });
            }
            if Instant::now() >= deadline {
                return Err(SshError::Late {
                    destination: destination(),
                    bound,
                });
            }
            pause(POLL);
        }
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let deadline = Instant::now() + END;
        while matches!(self.keeper.try_wait(), Ok(None)) {
            if Instant::now() >= deadline {
                // Its keeper has asked ssh to end; whoever does not listen to that is left to the system.
                let _ = self.keeper.kill();
                let _ = self.keeper.wait();
                break;
            }
            pause(POLL);
        }
        let _ = fs::remove_file(&self.local);
    }
}

/// `ssh` with its arguments (ssh(1), ssh_config(5)). A connection of its own, so that it ends when it is told to, and
/// nothing of the person's configuration that would do more than forward this one socket.
fn words(local: &Path, destination: &str, remote: &str) -> Vec<OsString> {
    let mut forward = local.as_os_str().to_owned();
    forward.push(":");
    forward.push(remote);
    let mut words: Vec<OsString> = [
        "ssh",
        "-T",
        "-a",
        "-x",
        "-oBatchMode=yes",
        "-oExitOnForwardFailure=yes",
        "-oControlMaster=no",
        "-oControlPath=none",
        "-oPermitLocalCommand=no",
        "-oConnectTimeout=15",
        "-oServerAliveInterval=30",
        "-oStreamLocalBindMask=0177",
        "-N",
        "-L",
    ]
    .map(OsString::from)
    .to_vec();
    words.extend([forward, "--".into(), destination.into()]);
    words
}

/// A name that nobody else uses: `ssh-PID-NUMBER.sock`.
fn new_name(dir: &Path) -> io::Result<PathBuf> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let path = dir.join(format!("ssh-{}-{number}.sock", std::process::id()));
    // OpenSSH separates by colons, and expands these.
    let odd = |byte: &u8| matches!(byte, b':' | b'%' | b'$' | b'~' | b'\\');
    if path.as_os_str().as_encoded_bytes().iter().any(odd) {
        return Err(io::ErrorKind::InvalidFilename.into());
    }
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(path),
    }
}

/// Removes the local ends of processes that are gone: one that was killed leaves its own behind.
fn clear_stale(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| {
            let rest = name.strip_prefix("ssh-")?.strip_suffix(".sock")?;
            rest.split_once('-')?.0.parse().ok()
        });
        if pid.is_some_and(|pid| super::procs::start_time(pid).is_none()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Reads what it says to the end, so that it is never held up, and hands the last line over.
fn listen(stderr: ChildStderr) -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut stderr = stderr;
        let mut text = Vec::new();
        let _ = stderr.by_ref().take(MAX_SAID).read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let last = lines.next_back().unwrap_or("it said nothing");
        let _ = send.send(last.escape_debug().to_string());
        let _ = io::copy(&mut stderr, &mut io::sink());
    });
    receive
}
