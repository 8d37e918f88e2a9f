//! A real sshd on loopback, unprivileged, with its own keys and nothing of this machine's.
#![expect(
    clippy::disallowed_methods,
    reason = "tests write what people and other programs would"
)]

use ccp_standin::{Running, skip};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The server; gone when dropped.
pub struct Sshd {
    _running: Running,
}

fn find(program: &str) -> Option<PathBuf> {
    let dirs = [
        "/usr/sbin",
        "/usr/bin",
        "/usr/local/sbin",
        "/usr/local/bin",
        "/opt/homebrew/sbin",
    ];
    dirs.iter()
        .map(|dir| Path::new(dir).join(program))
        .find(|path| path.is_file())
}

fn private(path: &Path, text: &str) {
    fs::write(path, text).expect("writes");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("is private");
}

impl Sshd {
    /// Starts a server that keeps its files in `dir`, and puts an `ssh` into `bin` that knows it as `build` and nothing
    /// else. None where there is no OpenSSH, which is said.
    pub fn start(dir: &Path, bin: &Path) -> Option<Self> {
        let (Some(sshd), Some(ssh), Some(keygen)) = (find("sshd"), find("ssh"), find("ssh-keygen"))
        else {
            skip("openssh-server is not installed");
            return None;
        };
        // As root it insists on this directory, which a package makes at boot.
        if ccp::adapters::procs::user_id() == 0 {
            let _ = fs::create_dir("/run/sshd");
        }
        for key in ["host", "user"] {
            let made = Command::new(&keygen)
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(dir.join(key))
                .status();
            assert!(made.expect("starts").success());
        }
        let public =
            |key: &str| fs::read_to_string(dir.join(format!("{key}.pub"))).expect("was made");
        private(&dir.join("authorized"), &public("user"));
        let shown = |name: &str| dir.join(name).display().to_string();
        // Somebody else may take the port in between; then the next one does.
        for _ in 0..5 {
            let free = TcpListener::bind("127.0.0.1:0").expect("binds");
            let port = free.local_addr().expect("has one").port();
            drop(free);
            private(
                &dir.join("sshd_config"),
                &format!(
                    "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\n\
                 StrictModes no\nPasswordAuthentication no\nPermitRootLogin yes\nAllowStreamLocalForwarding yes\n",
                    shown("host"),
                    shown("authorized")
                ),
            );
            private(
                &dir.join("known"),
                &format!("[127.0.0.1]:{port} {}", public("host")),
            );
            private(
                &dir.join("ssh_config"),
                &format!(
                    "Host build\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {}\n  IdentitiesOnly yes\n  \
                 UserKnownHostsFile {}\n  GlobalKnownHostsFile none\n  HostKeyAlgorithms ssh-ed25519\n",
                    shown("user"),
                    shown("known")
                ),
            );
            let mut command = Command::new(&sshd);
            command
                .args(["-D", "-e", "-f"])
                .arg(dir.join("sshd_config"));
            let running = Running::start(command).expect("starts");
            if listens(port) {
                let wrapper = bin.join("ssh");
                let text = format!(
                    "#!/bin/sh\nexec {} -F {} \"$@\"\n",
                    ssh.display(),
                    shown("ssh_config")
                );
                fs::write(&wrapper, text).expect("writes");
                fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o700))
                    .expect("can be run");
                return Some(Self { _running: running });
            }
        }
        panic!("sshd does not listen");
    }
}

fn listens(port: u16) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
        ccp::adapters::files::pause(Duration::from_millis(20));
    }
    false
}

/// What is left of forwardings below this runtime directory.
pub fn left_behind(run: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(run.join("ccp")) else {
        return Vec::new();
    };
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}
