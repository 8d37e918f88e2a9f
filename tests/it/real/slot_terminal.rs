//! A claude in a terminal of the test's own, started by a slot's plan: bytes in, bytes out, and what its hooks report.

use super::stage::BOUND;
use crate::support::put;
use ccp::adapters::agent::slot::{Flags, HookRoute, Opening, ShellEnvironment, SlotOrder, plan};
use ccp::adapters::files::pause;
use ccp::adapters::overlay::accept_trust;
use ccp::adapters::registry::Registry;
use ccp::adapters::transcripts::path_of;
use ccp::core::prompt::Step;
use ccp::core::registry::{HookReport, Readiness};
use ccp_standin::service::{AccountSpec, Endpoint, Recorded};
use ccp_standin::{Home, Standin, require_real_claude};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(20);
/// After a request to end.
const GRACE: Duration = Duration::from_secs(20);
const TOKEN: &str = "token-of-this-slot";

/// What hooks reported, each with the slot's token.
pub struct HooksLog(PathBuf);

impl HooksLog {
    /// Every report so far.
    pub fn reports(&self) -> Vec<HookReport> {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.strip_prefix(TOKEN));
        // The last line may be half written.
        lines
            .filter_map(|line| HookReport::parse(line.as_bytes()).ok())
            .collect()
    }
}

/// A running slot; ended when dropped.
pub struct Slot {
    pub log: HooksLog,
    child: Child,
    terminal: File,
    output: Arc<Mutex<Vec<u8>>>,
    cwd: PathBuf,
    account: PathBuf,
    standin: Standin,
    home: Home,
}

impl Slot {
    /// A claude of one account with these flags, that takes prompts. None where the real client is left out.
    pub fn start(flags: &str) -> Option<Self> {
        let claude = require_real_claude()?;
        let home = Home::new().expect("makes a home");
        let standin = Standin::start(&home.ca_file()).expect("starts");
        let tokens = standin.service.add_account(AccountSpec::new("work"));
        let spec = standin.service.spec("work");
        let account = home
            .write_account_dir("work", &spec, &tokens)
            .expect("writes");
        untrust(&account);
        // More than 200 characters, some of them no ASCII.
        let cwd = home
            .path()
            .join("work")
            .join("directory é 日.x/".repeat(14));
        fs::create_dir_all(&cwd).expect("makes");
        put(&home.path().join("picture.png"), b"\x89PNG\r\n\x1a\n");
        assert!(accept_trust(&account, &cwd, Duration::from_secs(5)).expect("writes"));

        let log = home.path().join("hooks.log");
        let script = format!(
            "IFS= read -r -d '' report; printf '%s%s\\n' \"$CCP_HOOK_TOKEN\" \"$report\" >> '{}'",
            log.display()
        );
        let program = home.write_script("hook", &script).expect("writes");
        let text = fs::read_to_string(&program).expect("reads");
        put(&program, text.replace("/bin/sh", "/bin/bash").as_bytes());
        let plan = plan(&SlotOrder {
            claude: &claude,
            flags: &Flags::parse(flags).expect("flags"),
            cwd: &cwd,
            config_dir: Some(&account),
            plugins: &home.path().join(".claude/plugins"),
            environment: &ShellEnvironment::inherited(home.command_env(&standin)),
            pool_dir: home.path(),
            pool_session: None,
            hooks: &HookRoute {
                program,
                socket: home.path().join("none.sock"),
                token: TOKEN.to_owned(),
            },
            opening: &Opening::Fresh,
        })
        .expect("plans");
        let mut command = Command::new(&plan.argv[0]);
        command
            .args(&plan.argv[1..])
            .env_clear()
            .envs(plan.environment)
            .current_dir(&plan.cwd);
        let (child, terminal, output) = spawn(command);
        let slot = Self {
            log: HooksLog(log),
            child,
            terminal,
            output,
            cwd,
            account,
            standin,
            home,
        };
        slot.wait("a prompt", || slot.readiness() == Some(Readiness::Idle));
        slot.wait("its first report", || !slot.log.reports().is_empty());
        Some(slot)
    }

    pub fn cwd(&self) -> &Path {
        &self.cwd
    }

    pub fn stage_dir(&self) -> &Path {
        self.home.path()
    }

    pub fn config_dir(&self) -> PathBuf {
        self.account.clone()
    }

    /// What its session file says.
    pub fn readiness(&self) -> Option<Readiness> {
        let file = Registry::of(&self.account).load(self.child.id());
        file.ok().flatten().map(|file| file.readiness)
    }

    /// The conversation that is open.
    pub fn session(&self) -> String {
        let file = Registry::of(&self.account).load(self.child.id());
        file.ok()
            .flatten()
            .and_then(|f| f.session)
            .unwrap_or_default()
    }

    /// The transcript of the conversation that is open.
    pub fn transcript(&self) -> PathBuf {
        path_of(&self.account, &self.cwd, &self.session())
    }

    /// Message requests so far.
    pub fn requests(&self) -> Vec<Recorded> {
        let requests = self.standin.service.requests().into_iter();
        requests
            .filter(|r| r.endpoint == Endpoint::Messages)
            .collect()
    }

    /// Does to the terminal what the steps say.
    pub fn perform(&self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Write(bytes) => (&self.terminal).write_all(bytes).expect("writes"),
                Step::Pause(time) => pause(*time),
            }
        }
    }

    /// Whether this was ever shown, whatever stands between its words.
    pub fn screen_has(&self, words: &str) -> bool {
        let output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = plain(&String::from_utf8_lossy(&output));
        shown.contains(&words.replace(' ', ""))
    }

    #[track_caller]
    pub fn wait(&self, what: &str, until: impl Fn() -> bool) {
        let deadline = Instant::now() + BOUND;
        while !until() {
            if Instant::now() >= deadline {
                let output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
                let tail = output.len().saturating_sub(3000);
                let shown = plain(&String::from_utf8_lossy(&output[tail..]));
                panic!(
                    "no {what}; reported {:#?}; shown {shown}",
                    self.log.reports()
                );
            }
            pause(LOOK);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                return;
            }
            pause(LOOK);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The home of a test is trusted as a whole: not so here, where trust is what is tried.
fn untrust(account: &Path) {
    let path = account.join(".claude.json");
    let mut state = super::stage::json_of(&path);
    state["projects"] = serde_json::json!({});
    put(&path, format!("{state:#}").as_bytes());
}

/// Text without escape sequences and blanks.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '\u{1b}' => {
                if rest.next() == Some('[') {
                    rest.by_ref().find(|c| ('@'..='~').contains(c));
                }
            }
            c if c.is_whitespace() || c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// Starts a program in a terminal of its own, whose output is read all the while.
fn spawn(mut command: Command) -> (Child, File, Arc<Mutex<Vec<u8>>>) {
    let (mut main, mut other) = (0, 0);
    let mut size = libc::winsize {
        ws_row: 40,
        ws_col: 100,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let nothing = std::ptr::null_mut();
    // SAFETY: the two descriptors and the size are ours; the name and the modes are left out.
    let rc = unsafe {
        libc::openpty(
            &mut main,
            &mut other,
            nothing,
            nothing.cast(),
            &raw mut size,
        )
    };
    assert_eq!(rc, 0, "opens a terminal");
    // SAFETY: both are open, and nobody else's.
    let (main, other) = unsafe { (OwnedFd::from_raw_fd(main), OwnedFd::from_raw_fd(other)) };
    let share = || Stdio::from(other.try_clone().expect("clones"));
    command.stdin(share()).stdout(share()).stderr(share());
    let main_fd = main.as_raw_fd();
    let take = move || {
        // SAFETY: all three may be called between fork and exec; standard input is the terminal by now.
        unsafe {
            libc::close(main_fd);
            libc::setsid();
            libc::ioctl(0, libc::TIOCSCTTY as _, 0);
        }
        Ok(())
    };
    // SAFETY: the closure allocates nothing and takes no lock.
    unsafe { command.pre_exec(take) };
    let child = command.spawn().expect("starts");
    drop(command);
    drop(other);
    let terminal = File::from(main);
    let output = Arc::new(Mutex::new(Vec::new()));
    let (mut reader, into) = (terminal.try_clone().expect("clones"), Arc::clone(&output));
    std::thread::spawn(move || {
        let mut chunk = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = reader.read(&mut chunk) {
            let mut output = into.lock().unwrap_or_else(PoisonError::into_inner);
            output.extend_from_slice(&chunk[..count]);
        }
    });
    (child, terminal, output)
}
