//! What the tests of whole programs share: a throw-away home with accounts, and commands that see nothing else.

use ccp::adapters::{clock, stamp};
use ccp::contract::paths::{Base, Home, claude_json};
use ccp::contract::snapshot::{
    AccountEntry, FileStamp, SCHEMA, SampleEntry, Snapshot, WindowEntry,
};
use ccp::core::account::AccountId;
use ccp::core::overlay::{Class, classify};
use ccp::core::time::Timestamp;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

/// The launcher and everything else, as cargo built them for the tests.
pub const CCP: &str = env!("CARGO_BIN_EXE_ccp");
pub const CCPD: &str = env!("CARGO_BIN_EXE_ccpd");

/// A home directory with a base, accounts and a published snapshot; gone when dropped.
pub struct Pool {
    dir: TempDir,
    pub home: Home,
    pub base: Base,
    pub snapshot: Snapshot,
}

impl Pool {
    /// A pool whose accounts have used this much of their five-hour and weekly windows.
    pub fn new(accounts: &[(f64, f64)]) -> Self {
        Self::in_dir(
            tempfile::Builder::new()
                .prefix("ccp")
                .tempdir()
                .expect("a directory"),
            accounts,
        )
    }

    pub fn in_dir(dir: TempDir, accounts: &[(f64, f64)]) -> Self {
        let home = Home::new(&dir.path().join(".cc-pool")).expect("absolute");
        let base = Base::default_in(dir.path());
        fs::create_dir_all(base.dir.join("projects")).expect("creates the base");
        fs::create_dir_all(home.leases()).expect("creates the leases");
        put(&base.settings(), b"{}");
        let now = clock::now();
        let snapshot = Snapshot {
            schema: SCHEMA,
            version: "test".to_owned(),
            generated_at_ms: now.unix_ms(),
            base_dir: base.dir.clone(),
            base_json: base.json.clone(),
            keep_env: Vec::new(),
            two_way: false,
            api_key_helper: false,
            autostart: false,
            paused_since_ms: None,
            config: FileStamp::default(),
            rules: Vec::new(),
            accounts: Vec::new(),
            pins: Vec::new(),
        };
        let mut pool = Self {
            dir,
            home,
            base,
            snapshot,
        };
        for (number, (five, week)) in (1..).zip(accounts) {
            pool.add(number, *five, *week, now);
        }
        pool.publish();
        pool
    }

    fn add(&mut self, number: u16, five: f64, week: f64, now: Timestamp) {
        let id = AccountId::new(number).expect("in range");
        let dir = self.home.account(id);
        fs::create_dir_all(&dir).expect("creates the account");
        put(
            &claude_json(&dir),
            b"{\"oauthAccount\":{\"accountUuid\":\"test\"}}",
        );
        let window = |kind: &str, used| WindowEntry {
            kind: kind.to_owned(),
            model: None,
            used,
            resets_at_ms: None,
        };
        let sample = SampleEntry {
            measured_at_ms: now.unix_ms(),
            source: "claude".to_owned(),
            windows: vec![window("five_hour", five), window("seven_day", week)],
            extra: None,
        };
        self.snapshot.accounts.push(AccountEntry {
            id: number,
            label: format!("label{number}"),
            email: Some(format!("person{number}@example.test")),
            dir,
            sample: Some(sample),
            burn: 0.0,
            cadence_ms: 0,
            limited_until_ms: None,
            needs_login: false,
            renewal_failed: false,
            unleased_sessions: 0,
            stamp: None,
        });
    }

    /// Links what is shared, takes the stamps and writes the snapshot.
    pub fn publish(&mut self) {
        for account in &mut self.snapshot.accounts {
            for entry in fs::read_dir(&self.base.dir).expect("lists the base") {
                let name = entry.expect("an entry").file_name();
                if classify(name.as_bytes()) == Class::Shared {
                    let _ = std::os::unix::fs::symlink(
                        self.base.dir.join(&name),
                        account.dir.join(&name),
                    );
                }
            }
            let stamp = stamp::take(&self.base, &account.dir, clock::now());
            account.stamp = Some(stamp.expect("takes the stamp"));
        }
        let text = serde_json::to_vec(&self.snapshot).expect("serialises");
        put(&self.home.snapshot(), &text);
    }

    /// The person's home directory.
    pub fn user_home(&self) -> &Path {
        self.dir.path()
    }

    /// The directory of an account.
    pub fn account_dir(&self, number: u16) -> PathBuf {
        self.home.account(AccountId::new(number).expect("in range"))
    }

    /// A directory to launch from.
    pub fn work_dir(&self, name: &str) -> PathBuf {
        let dir = self.user_home().join(name);
        fs::create_dir_all(&dir).expect("creates");
        dir
    }

    /// A command that sees this home and nothing of the machine's user.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.user_home())
            .env("PATH", "/usr/bin:/bin")
            .env("CCP_AUTOSTART", "0")
            .current_dir(self.user_home());
        command
    }

    /// Every lease file, with its contents.
    pub fn leases(&self) -> Vec<(String, serde_json::Value)> {
        let entries = fs::read_dir(self.home.leases()).expect("lists the leases");
        let mut found: Vec<_> = entries
            .map(|e| e.expect("an entry"))
            .filter(|e| !e.file_name().as_bytes().starts_with(b"."))
            .map(|e| {
                let text = fs::read(e.path()).expect("reads the lease");
                let name = e.file_name().into_string().expect("a lease's name is text");
                (
                    name,
                    serde_json::from_slice(&text).expect("a lease is JSON"),
                )
            })
            .collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }
}

/// Writes a file.
pub fn put(path: &Path, contents: &[u8]) {
    fs::File::create(path)
        .and_then(|mut f| f.write_all(contents))
        .expect("writes the file");
}

/// Writes an executable. Another process does it: a descriptor of ours, open for writing and inherited by whatever
/// another test starts at that moment, would make the file "busy" for an instant.
pub fn put_executable(path: &Path, contents: &[u8]) {
    let script = "cat > \"$1\" && chmod 755 \"$1\"";
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", script, "sh"])
        .arg(path)
        .stdin(Stdio::piped());
    let mut child = command.spawn().expect("starts a shell");
    let mut pipe = child.stdin.take().expect("piped");
    pipe.write_all(contents).expect("passes the contents on");
    drop(pipe);
    assert!(
        child.wait().expect("ends").success(),
        "{} is written",
        path.display()
    );
}

/// Copies an executable, for the same reason by another process.
pub fn copy_executable(from: impl AsRef<Path>, to: &Path) {
    let status = Command::new("cp").arg(from.as_ref()).arg(to).status();
    assert!(
        status.expect("runs cp").success(),
        "{} is copied",
        to.display()
    );
}

/// The probe program, compiled once per test run.
pub fn exec_probe() -> &'static Path {
    static PROBE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = PROBE.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("claude");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/exec_probe.c");
        let status = Command::new("cc")
            .arg("-o")
            .arg(&path)
            .arg(source)
            .status()
            .expect("runs the C compiler");
        assert!(status.success(), "the probe compiles");
        (dir, path)
    });
    path
}
