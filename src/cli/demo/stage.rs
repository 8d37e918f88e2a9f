//! The demo's stage: a temporary directory with a home, a base, a `claude`, and a service on loopback.

use super::super::claude::find_claude;
use super::super::failure::Failure;
use crate::adapters::files::{PRIVATE_DIR, PRIVATE_FILE, create_private_dir, pause, write_new};
use crate::adapters::simulated::{AccountSpec, Resets, Service, WindowKind};
use crate::contract::vars;
use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A made-up token outlives every demo, so that the real client never renews one.
const TOKEN_LIFETIME_SECONDS: u64 = 7 * 24 * 3600;

/// How long what the demo started may take to end.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// So long its home is looked after once it is removed.
const QUIET: Duration = Duration::from_millis(300);
/// Between two tries to remove its home.
const AGAIN: Duration = Duration::from_millis(50);

/// A subscription of the demo.
pub(super) struct Cast {
    pub(super) label: &'static str,
    five_hour: f64,
    five_hour_resets_in: u64,
    weekly: f64,
    weekly_resets_in: u64,
}

/// Three subscriptions: one with room, one half used, one nearly full.
pub(super) const CAST: [Cast; 3] = [
    Cast {
        label: "work",
        five_hour: 22.0,
        five_hour_resets_in: 11_000,
        weekly: 46.0,
        weekly_resets_in: 260_000,
    },
    Cast {
        label: "home",
        five_hour: 48.0,
        five_hour_resets_in: 12_500,
        weekly: 30.0,
        weekly_resets_in: 400_000,
    },
    Cast {
        label: "side",
        five_hour: 93.0,
        five_hour_resets_in: 15_000,
        weekly: 71.0,
        weekly_resets_in: 90_000,
    },
];

pub(super) struct Stage {
    root: PathBuf,
    service: Service,
    /// This executable.
    ccpd: PathBuf,
    /// The claude that launches use.
    claude: PathBuf,
    real: bool,
}

impl Stage {
    pub(super) fn build(real: bool) -> Result<Self, Failure> {
        let failed = |e: io::Error| Failure::new(format!("cannot set the demo up: {e}"));
        let ccpd = std::env::current_exe().map_err(failed)?;
        let real_claude = real.then(find_real).transpose()?;
        let root = make_root().map_err(failed)?;
        let service = Service::start().map_err(failed)?;
        let stand_in = root.join("bin/claude");
        let stage = Self {
            claude: real_claude.unwrap_or(stand_in),
            root,
            service,
            ccpd,
            real,
        };
        match stage.furnish() {
            Ok(()) => Ok(stage),
            Err(error) => {
                let _ = fs::remove_dir_all(&stage.root);
                Err(failed(error))
            }
        }
    }

    fn furnish(&self) -> io::Result<()> {
        for dir in ["bin", "home/.claude", "home/project", "home/.cc-pool"] {
            create_private_dir(&self.root.join(dir))?;
        }
        // By another name: a launch passes over scripts that call ccp, rightly.
        let stand_in = self.root.join("bin/stand-in");
        std::os::unix::fs::symlink(&self.ccpd, &stand_in)?;
        let quoted = shell_quote(&stand_in);
        let script = |name: &str, text: String| {
            let path = self.root.join("bin").join(name);
            write_new(
                &path,
                format!("#!/bin/sh\n{text}\n").as_bytes(),
                PRIVATE_DIR,
                false,
            )
        };
        script("claude", format!("exec {quoted} demo-client \"$@\""))?;
        script(
            "browser",
            format!("exec {quoted} demo-client browse \"$1\""),
        )?;
        let home = self.root.join("home");
        let file = |path: &str, text: &str| {
            write_new(&home.join(path), text.as_bytes(), PRIVATE_FILE, false)
        };
        file(".claude/settings.json", "{}\n")?;
        // The client caches usage for a minute; the demo does not last that long.
        file(".cc-pool/config.toml", "[usage]\nsources = [\"oauth\"]\n")?;
        let trusted = serde_json::json!({
            "hasCompletedOnboarding": true,
            "projects": { home.join("project").to_string_lossy(): { "hasTrustDialogAccepted": true } },
        });
        file(".claude.json", &trusted.to_string())?;
        self.service.set_access_lifetime(TOKEN_LIFETIME_SECONDS);
        for member in &CAST {
            self.service.add_account(AccountSpec::new(member.label));
            let set = |kind, used, resets| {
                self.service
                    .set_window(member.label, kind, used, Resets::In(resets))
            };
            set(
                WindowKind::FiveHour,
                member.five_hour,
                member.five_hour_resets_in,
            );
            set(WindowKind::SevenDay, member.weekly, member.weekly_resets_in);
        }
        Ok(())
    }

    /// The service plays this subscription's owner at the next sign-in.
    pub(super) fn sign_in_as(&self, label: &str) {
        self.service.set_next_login(Some(label));
    }

    /// From now on each prompt uses this much of a subscription's five-hour window, in percent.
    pub(super) fn burn(&self, label: &str, percent: f64) {
        self.service.set_burn(label, percent, percent / 8.0);
    }

    /// From now on the service refuses this subscription until its window resets.
    pub(super) fn exhaust(&self, label: &str) {
        let resets = CAST.iter().find(|member| member.label == label);
        let resets = Resets::In(resets.map_or(0, |member| member.five_hour_resets_in));
        self.service
            .set_window(label, WindowKind::FiveHour, 100.0, resets);
    }

    /// Waits until no pool answers any more: what ends with it still writes.
    pub(super) fn wait_for_end_of_pool(&self) {
        let since = Instant::now();
        while self.ccp_quietly(&["pool", "ping"]).is_ok() && since.elapsed() < LAST_WORDS {
            pause(AGAIN);
        }
    }

    /// What a command answers with `--json`.
    pub(super) fn ask(&self, arguments: &[&str]) -> Result<Value, Failure> {
        let arguments = [arguments, &["--json"]].concat();
        let output = self
            .command(&arguments)
            .output()
            .map_err(|e| self.cannot_run(&e))?;
        serde_json::from_slice(&output.stdout).map_err(|_| {
            let said = String::from_utf8_lossy(&output.stderr);
            Failure::new(format!("`ccp {}`: {}", arguments.join(" "), said.trim()))
        })
    }

    /// Runs a command of ccp's in the demo's project directory; what it says goes to our stdout.
    pub(super) fn ccp(&self, arguments: &[&str]) -> Result<(), Failure> {
        let talk = io::stdout()
            .as_fd()
            .try_clone_to_owned()
            .map_err(|e| self.cannot_run(&e))?;
        let status = self
            .command(arguments)
            .stderr(talk)
            .status()
            .map_err(|e| self.cannot_run(&e))?;
        if status.success() {
            return Ok(());
        }
        Err(Failure::new(format!(
            "`ccp {}` ended with {status}",
            arguments.join(" ")
        )))
    }

    /// The same, heard only when it fails.
    pub(super) fn ccp_quietly(&self, arguments: &[&str]) -> Result<(), Failure> {
        let output = self
            .command(arguments)
            .output()
            .map_err(|e| self.cannot_run(&e))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Failure::new(format!(
            "`ccp {}` ended with {}: {}",
            arguments.join(" "),
            output.status,
            said.trim()
        )))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.ccpd);
        command
            .args(arguments)
            .env_clear()
            .envs(self.environment(arguments));
        command
            .current_dir(self.root.join("home/project"))
            .stdin(Stdio::null());
        command
    }

    fn cannot_run(&self, error: &io::Error) -> Failure {
        Failure::new(format!("cannot run {}: {error}", self.ccpd.display()))
    }

    /// From nothing: what a person's shell would pass on is left behind.
    fn environment(&self, arguments: &[&str]) -> Vec<(&'static str, OsString)> {
        let kept = |name: &'static str| std::env::var_os(name).map(|value| (name, value));
        let bin = self.root.join("bin");
        let mut path = bin.clone().into_os_string();
        path.push(":/usr/local/bin:/usr/bin:/bin");
        let url = self.service.url();
        let launches = matches!(arguments.first(), Some(&("run" | "pool")));
        let claude = if launches {
            self.claude.clone()
        } else {
            bin.join("claude")
        };
        let mut variables = vec![
            ("HOME", self.root.join("home").into_os_string()),
            ("PATH", path),
            ("BROWSER", bin.join("browser").into_os_string()),
            (vars::SIMULATED_SERVICE, OsString::from(&url)),
            (vars::CCP_API_BASE, OsString::from(&url)),
            (vars::CCP_CLAUDE, claude.into_os_string()),
            // The home is gone in a minute, and nothing is left running for it.
            (vars::CCP_AUTOSTART, OsString::from("0")),
            // A pool ends with the demo, however that ends.
            (
                vars::CLAUDE_POOL_TEST_OWNER_PID,
                OsString::from(std::process::id().to_string()),
            ),
        ];
        variables.extend(
            ["TERM", "LANG", "LC_ALL", "TZ", "NO_COLOR", "TMPDIR"]
                .into_iter()
                .filter_map(kept),
        );
        if self.real && launches {
            variables.push((vars::ANTHROPIC_BASE_URL, OsString::from(&url)));
            let switched_off = [
                vars::NONESSENTIAL_TRAFFIC,
                "DISABLE_AUTOUPDATER",
                "CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL",
                "IS_SANDBOX",
            ];
            variables.extend(switched_off.map(|name| (name, OsString::from("1"))));
        }
        variables
    }

    /// Ends the service and removes every file.
    pub(super) fn leave(self) -> Result<(), Failure> {
        let Self { root, service, .. } = self;
        drop(service);
        #[cfg(target_os = "macos")]
        forget_keychain_items(&root);
        let since = Instant::now();
        loop {
            match fs::remove_dir_all(&root) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    let is_used = error.kind() == io::ErrorKind::DirectoryNotEmpty;
                    if !is_used || since.elapsed() >= LAST_WORDS {
                        let root = root.display();
                        return Err(Failure::new(format!("cannot remove {root}: {error}")));
                    }
                }
                // What was told to end may write its last words into it once more.
                _ if since.elapsed() >= QUIET && !root.exists() => return Ok(()),
                _ => {}
            }
            pause(AGAIN);
        }
    }
}

/// The real client moves a login it finds in a file into the Keychain.
#[cfg(target_os = "macos")]
fn forget_keychain_items(root: &Path) {
    use crate::adapters::creds;
    use crate::contract::paths::Home;
    use crate::core::account::AccountId;
    let Some(home) = Home::new(&root.join("home/.cc-pool")) else {
        return;
    };
    for id in (1..)
        .zip(&CAST)
        .filter_map(|(number, _)| AccountId::new(number))
    {
        // One that is not there is as good as removed.
        let _ = creds::remove(&home, id);
    }
}

fn find_real() -> Result<PathBuf, Failure> {
    let user_home = std::env::home_dir().unwrap_or_default();
    find_claude(&user_home).map_err(|f| f.hint("without --real the demo brings its own stand-in"))
}

/// A new directory that only this user may enter. Its name is short: sockets may have to live in it.
fn make_root() -> io::Result<PathBuf> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let parent = fs::canonicalize(std::env::temp_dir())?;
    loop {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let root = parent.join(format!("ccp-demo-{}-{number}", std::process::id()));
        match std::os::unix::fs::DirBuilderExt::mode(&mut fs::DirBuilder::new(), PRIVATE_DIR)
            .create(&root)
        {
            Ok(()) => return Ok(root),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

fn shell_quote(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', "'\\''"))
}
