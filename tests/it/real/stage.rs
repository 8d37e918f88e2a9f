//! What every test with the real client stands on: a person's home with a base of its own and a login of its own, the
//! stand-in of the service, accounts that were signed in through `ccp add`, and commands that see nothing else.

use crate::support::{CCP, CCPD, put};
use ccp::adapters::files::pause;
use ccp::adapters::store::Store;
use ccp::core::account::AccountId;
use ccp::core::time::Timestamp;
use ccp_standin::service::{AccountSpec, Endpoint, Recorded, Resets, WindowKind};
use ccp_standin::{Home, Output, Running, Standin, require_real_claude};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A start of the real client takes a second on an idle machine; machines that run tests are not idle.
pub const BOUND: Duration = Duration::from_secs(90);
/// How long what a launch started aside may go on after the test: one round of sampling.
const ASIDE: Duration = Duration::from_secs(30);
/// The login of plain claude, which is no account of ours.
pub const PLAIN: &str = "plain";

/// The whole scene; gone when dropped, with every process that ran in it.
pub struct Stage {
    pub claude: PathBuf,
    /// Before the home, so that nobody serves files that are gone.
    pub standin: Standin,
    pub home: Home,
}

impl Stage {
    /// A home with a base and plain claude's login. None where the real client is to be left out, which is said and
    /// counted.
    pub fn open() -> Option<Self> {
        let stage = Self::bare()?;
        stage.furnish();
        stage.sign_plain_in();
        Some(stage)
    }

    /// A home where claude never ran.
    pub fn bare() -> Option<Self> {
        let claude = require_real_claude()?;
        let home = Home::new().expect("makes a home");
        let standin = Standin::start(&home.ca_file()).expect("starts");
        let stage = Self {
            claude,
            standin,
            home,
        };
        stage.install();
        Some(stage)
    }

    /// A furnished home with accounts of these names, signed in one after the other.
    pub fn with(names: &[&str]) -> Option<Self> {
        let stage = Self::open()?;
        names.iter().for_each(|name| stage.add(name));
        Some(stage)
    }

    fn install(&self) {
        let browser = format!("exec '{CCPD}' demo-client browse \"$1\"");
        self.home
            .write_script("browser", &browser)
            .expect("writes the browser");
        // Installed, as it is for a person: what ccp writes into settings calls it by its name.
        fs::create_dir(self.bin()).expect("makes");
        for (name, program) in [("ccp", CCP), ("ccpd", CCPD)] {
            symlink(program, self.bin().join(name)).expect("links");
        }
    }

    fn furnish(&self) {
        for dir in ["commands", "agents", "projects/-somewhere-else"] {
            fs::create_dir_all(self.base().join(dir)).expect("makes the base");
        }
        let hook = json!({"type": "command", "command": format!("echo started >> '{}'", self.hook_log().display())});
        let settings =
            json!({"hooks": {"SessionStart": [{"hooks": [hook]}]}, "cleanupPeriodDays": 3650});
        let files = [
            ("settings.json", format!("{settings:#}\n")),
            ("CLAUDE.md", "Be brief.\n".to_owned()),
            ("commands/greet.md", "Say hello to $ARGUMENTS.\n".to_owned()),
            (
                "agents/reviewer.md",
                "---\nname: reviewer\ndescription: reads\n---\nRead.\n".to_owned(),
            ),
            (
                "history.jsonl",
                json!({"display": "an old prompt", "pastedContents": {}, "timestamp": 1, "project": "/old"}).to_string() + "\n",
            ),
            ("projects/-somewhere-else/old.jsonl", "{}\n".to_owned()),
        ];
        for (name, text) in files {
            put(&self.base().join(name), text.as_bytes());
        }
    }

    /// Plain claude has a login of its own, as it would have left it.
    fn sign_plain_in(&self) {
        let service = &self.standin.service;
        let tokens = service.add_account(AccountSpec::new(PLAIN));
        let spec = service.spec(PLAIN);
        let written = self
            .home
            .write_account_dir(PLAIN, &spec, &tokens)
            .expect("writes");
        let credential = ".credentials.json";
        fs::rename(written.join(credential), self.base().join(credential)).expect("moves");
        fs::remove_dir_all(self.home.path().join("accounts")).expect("removes");
        let mut projects = json!({});
        projects[self.home.work_dir().to_string_lossy().as_ref()] = json!({
            "hasTrustDialogAccepted": true, "lastCost": 1.5, "projectOnboardingSeenCount": 4, "lastSessionId": "plain-one",
        });
        let state = json!({
            "numStartups": 7, "hasCompletedOnboarding": true, "editorMode": "normal", "projects": projects,
            "oauthAccount": spec.oauth_account(), "userID": "plain-user", "unknownToEverybody": {"kept": [1, 2]},
            "mcpServers": {"of-the-base": {"type": "stdio", "command": "false", "args": [], "env": {}}},
        });
        put(&self.base_json(), format!("{state:#}").as_bytes());
    }

    /// `~/.claude`.
    pub fn base(&self) -> PathBuf {
        self.home.path().join(".claude")
    }

    /// `~/.claude.json`.
    pub fn base_json(&self) -> PathBuf {
        self.home.path().join(".claude.json")
    }

    fn bin(&self) -> PathBuf {
        self.home.path().join("bin")
    }

    /// Where the base's SessionStart hook writes a line.
    pub fn hook_log(&self) -> PathBuf {
        self.home.path().join("hook.log")
    }

    /// The directory of an account.
    pub fn account(&self, number: u16) -> PathBuf {
        let accounts = self.home.path().join(".cc-pool/accounts");
        accounts.join(format!("acct-{number:02}"))
    }

    /// Writes `config.toml`.
    pub fn configure(&self, text: &str) {
        let home = self.home.path().join(".cc-pool");
        ccp::adapters::files::create_private_dir(&home).expect("makes CCP_HOME");
        put(&home.join("config.toml"), text.as_bytes());
    }

    /// A command in the sealed environment: this home, this service, the real client.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.home.command(program, &self.standin);
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", self.bin().display());
        command
            .env("PATH", path)
            .env("CCP_CLAUDE", &self.claude)
            .env("BROWSER", self.home.path().join("browser"));
        command
    }

    /// Makes an account of this name on the service, one day's use of it, and signs it in with the real client.
    pub fn add(&self, name: &str) {
        let service = &self.standin.service;
        service.add_account(AccountSpec::new(name));
        service.set_window(name, WindowKind::FiveHour, 10.0, Resets::In(7200));
        service.set_window(name, WindowKind::SevenDay, 20.0, Resets::In(200_000));
        service.set_next_login(Some(name));
        self.ccp(&["add", "--run-login", "-y", "--no-alias"]).good();
    }

    /// Starts `ccp` with these arguments.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let mut command = self.command(CCP);
        command.args(arguments);
        Running::start(command).expect("starts ccp")
    }

    /// Runs `ccp` to its end, without input.
    pub fn ccp(&self, arguments: &[&str]) -> Ended {
        let mut command = self.command(CCP);
        command.args(arguments);
        finish(command)
    }

    /// `ccp run` under an account forced by its name.
    pub fn run_as(&self, account: &str, arguments: &[&str]) -> Ended {
        let mut command = self.command(CCP);
        command
            .env("CCP_ACCOUNT", account)
            .arg("run")
            .args(arguments);
        finish(command)
    }

    /// The person's plain claude, which knows nothing of ccp.
    pub fn plain(&self, arguments: &[&str]) -> Ended {
        let mut command = self.command(&self.claude);
        command.args(arguments);
        finish(command)
    }

    /// Takes claude's note of an account's usage away: for a minute it would answer from it.
    pub fn forget_usage(&self, number: u16) {
        self.edit(&self.account(number).join(".claude.json"), |state| {
            state["cachedUsageUtilization"].take();
            if let Some(keys) = state.as_object_mut() {
                keys.remove("cachedUsageUtilization");
            }
        });
    }

    /// Changes a JSON file while nobody else does.
    pub fn edit(&self, file: &Path, change: impl FnOnce(&mut Value)) {
        let mut value = json_of(file);
        change(&mut value);
        put(file, format!("{value:#}").as_bytes());
    }

    /// Puts the problem that ccp noted about an account a minute and a second into the past.
    pub fn a_minute_passes(&self, number: u16) {
        let id = AccountId::new(number).expect("in range");
        let home = ccp::contract::paths::Home::new(&self.home.path().join(".cc-pool"));
        let mut store = Store::open(&home.expect("absolute")).expect("opens");
        let account = store.account(id).expect("reads").expect("is there");
        let problem = account.health.problem.expect("a problem").text;
        let probed_at = account.health.probed_at.expect("probed");
        let before = Timestamp::from_unix_ms(probed_at.unix_ms() - 61_000);
        store
            .set_probed(id, Some(&problem), before)
            .expect("writes");
    }

    /// `ccp status --json`, freshly sampled where `live`.
    pub fn status(&self, live: bool) -> Value {
        let arguments: &[&str] = if live {
            &["status", "--live", "--json"]
        } else {
            &["status", "--json"]
        };
        let text = self.ccp(arguments).good().stdout;
        serde_json::from_str(&text).expect("JSON")
    }

    /// One account of a status.
    pub fn status_of(&self, label: &str, live: bool) -> Value {
        let status = self.status(live);
        let accounts = status["accounts"].as_array().expect("a list");
        let found = accounts.iter().find(|a| a["label"] == label);
        found
            .unwrap_or_else(|| panic!("{label} in {status:#}"))
            .clone()
    }

    /// The message requests with this very prompt.
    pub fn prompts(&self, prompt: &str) -> Vec<Recorded> {
        let requests = self.standin.service.requests().into_iter();
        requests
            .filter(|r| r.endpoint == Endpoint::Messages && r.prompt.as_deref() == Some(prompt))
            .collect()
    }

    /// That this prompt was sent once, under this account's token and in its name.
    pub fn was_asked_by(&self, prompt: &str, account: &str) {
        let records = self.prompts(prompt);
        let uuid = self.standin.service.spec(account).uuid;
        let who: Vec<_> = records
            .iter()
            .map(|r| (r.account.as_deref(), r.claimed_account_uuid.as_deref()))
            .collect();
        assert_eq!(who, [(Some(account), Some(uuid.as_str()))], "{prompt}");
    }

    /// The processes that have this home anywhere in their environment.
    pub fn processes(&self) -> Vec<(u32, String)> {
        let wanted = self.home.path().as_os_str().as_bytes();
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries
            .filter_map(|entry| {
                let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
                let environment = fs::read(entry.path().join("environ")).ok()?;
                let here = environment.windows(wanted.len()).any(|e| e == wanted);
                let words = fs::read(entry.path().join("cmdline")).ok()?;
                here.then(|| (pid, String::from_utf8_lossy(&words).replace('\0', " ")))
            })
            .collect()
    }

    /// Waits until nothing runs in this home any more; what still does after the bound is returned.
    pub fn wait_for_quiet(&self) -> Vec<(u32, String)> {
        let deadline = Instant::now() + ASIDE;
        loop {
            let left = self.processes();
            if left.is_empty() || Instant::now() >= deadline {
                return left;
            }
            pause(Duration::from_millis(50));
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let left = self.wait_for_quiet();
        for (pid, words) in &left {
            let _ = Command::new("kill")
                .args(["-KILL", &pid.to_string()])
                .status();
            eprintln!("left behind: {pid} {words}");
        }
        assert!(
            left.is_empty() || std::thread::panicking(),
            "processes outlived the test"
        );
    }
}

/// A program that has ended.
#[derive(Debug)]
pub struct Ended {
    what: String,
    pub output: Output,
}

impl Ended {
    /// Its output, after it ended well.
    #[track_caller]
    pub fn good(self) -> Output {
        let Self { what, output } = self;
        assert_eq!(output.code, 0, "{what}: {output:#?}");
        output
    }

    /// That it answered this prompt.
    #[track_caller]
    pub fn answers(self, prompt: &str) -> Output {
        let what = self.what.clone();
        let output = self.good();
        let answer = format!("simulated answer to: {prompt}");
        assert_eq!(output.stdout.trim(), answer, "{what}: {output:#?}");
        output
    }
}

/// Runs a command to its end, without input.
pub fn finish(command: Command) -> Ended {
    let what = format!("{command:?}");
    let what = what
        .rsplit_once("bin/")
        .map_or(what.clone(), |(_, tail)| tail.to_owned());
    let mut running = Running::start(command).expect("starts");
    running.close_stdin();
    let output = running.output(BOUND);
    let output = output.unwrap_or_else(|| panic!("{what} ends"));
    Ended { what, output }
}

/// The JSON in a file.
pub fn json_of(file: &Path) -> Value {
    let text = fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}
