//! A person's machine: a home, a simulated service, `ccp`, `ccpd` and a `claude` on PATH.

use ccp::adapters::store::Store;
use ccp::contract::paths::{Home as CcpHome, NOWHERE};
use ccp::contract::snapshot::Snapshot;
use ccp::core::account::AccountId;
use ccp_standin::service::AccountSpec;
use ccp_standin::{Home, Output, Running, Standin, fake_claude};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long anything may take on a busy machine.
pub const BOUND: Duration = Duration::from_secs(60);

pub struct World {
    pub home: Home,
    pub standin: Standin,
    /// Variables beside the sealed ones.
    pub variables: Vec<(OsString, OsString)>,
    ccp_home: PathBuf,
}

impl World {
    pub fn new() -> Self {
        let home = Home::new().expect("a home");
        let ccp_home = home.path().join(".cc-pool");
        Self::with_ccp_home(home, ccp_home)
    }

    pub fn with_ccp_home(home: Home, ccp_home: PathBuf) -> Self {
        let standin = Standin::start(&home.ca_file()).expect("a service");
        let bin = home.path().join("bin");
        fs::create_dir(&bin).expect("creates");
        for (name, target) in [
            ("ccp", Path::new(env!("CARGO_BIN_EXE_ccp"))),
            ("ccpd", Path::new(env!("CARGO_BIN_EXE_ccpd"))),
            ("claude", fake_claude()),
        ] {
            symlink(target, bin.join(name)).expect("links");
        }
        let base = home.path().join(".claude");
        fs::create_dir(&base).expect("creates");
        fs::write(base.join("settings.json"), "{}").expect("writes");
        Self {
            home,
            standin,
            variables: Vec::new(),
            ccp_home,
        }
    }

    /// A browser that signs in as this account, whoever is asked for.
    pub fn with_browser(mut self, account: &str) -> Self {
        self.sign_up(account);
        let browser = self.home.write_browser(fake_claude()).expect("writes");
        self.set("BROWSER", browser);
        self.standin.service.set_next_login(Some(account));
        self
    }

    pub fn sign_up(&self, account: &str) {
        self.standin.service.add_account(AccountSpec::new(account));
    }

    pub fn set(&mut self, name: &str, value: impl AsRef<OsStr>) {
        self.variables.retain(|(n, _)| n != name);
        self.variables
            .push((name.into(), value.as_ref().to_owned()));
    }

    pub fn ccp_home(&self) -> CcpHome {
        CcpHome::new(&self.ccp_home).expect("absolute")
    }

    pub fn account_dir(&self, number: u16) -> PathBuf {
        self.ccp_home().account(id(number))
    }

    pub fn bin(&self, name: &str) -> PathBuf {
        self.home.path().join("bin").join(name)
    }

    /// Puts a script in the place of claude.
    pub fn replace_claude(&self, script: &str) {
        let path = self
            .home
            .write_script("claude-script", script)
            .expect("writes");
        fs::remove_file(self.bin("claude")).expect("removes");
        symlink(path, self.bin("claude")).expect("links");
    }

    pub fn command(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
        let mut command = self.home.command(program, &self.standin);
        let path = format!(
            "{}:/usr/local/bin:/usr/bin:/bin",
            self.home.path().join("bin").display()
        );
        command
            .args(arguments)
            .env("PATH", path)
            .env("CCP_HOME", &self.ccp_home)
            .envs(self.variables.iter().map(|(n, v)| (n, v)));
        command
    }

    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::start(self.command(self.bin("ccp"), arguments)).expect("starts")
    }

    /// Runs a command without a terminal, and without input, to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut running = self.start(arguments);
        running.close_stdin();
        running.output(BOUND).expect("it ends")
    }

    /// The same for one that has to succeed; its standard output.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.code, 0, "{arguments:?}: {}", output.stderr);
        output.stdout
    }

    /// The same for one that has to fail so; its standard error.
    pub fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.code, code, "{arguments:?}: {}", output.stderr);
        assert!(output.stderr.contains("error: "), "{}", output.stderr);
        let selects = arguments.first() == Some(&"select") && !arguments.contains(&"--json");
        let nowhere = format!("{NOWHERE}\n");
        let expected = if selects { nowhere.as_str() } else { "" };
        assert_eq!(output.stdout, expected, "no data is printed on failure");
        output.stderr
    }

    /// An account that is signed in already, as if ccp had made it and lost its database.
    pub fn leave_account(&self, number: u16, spec: &AccountSpec) {
        let tokens = self.standin.service.add_account(spec.clone());
        let made = self
            .home
            .write_account_dir(&spec.name, spec, &tokens)
            .expect("writes");
        fs::create_dir_all(self.ccp_home().accounts()).expect("creates");
        fs::rename(made, self.account_dir(number)).expect("moves");
    }

    pub fn store(&self) -> Store {
        Store::open(&self.ccp_home()).expect("opens")
    }

    /// `acct-NN label` of every account.
    pub fn accounts(&self) -> Vec<String> {
        let accounts = self.store().accounts().expect("lists");
        accounts
            .iter()
            .map(|a| format!("{} {}", a.id, a.label))
            .collect()
    }

    pub fn snapshot(&self) -> Snapshot {
        let text = fs::read(self.ccp_home().snapshot()).expect("was published");
        serde_json::from_slice(&text).expect("is a snapshot")
    }
}

pub fn id(number: u16) -> AccountId {
    AccountId::new(number).expect("in range")
}
