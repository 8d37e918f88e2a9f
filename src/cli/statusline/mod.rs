//! `ccp statusline`: what claude runs after each turn. It hands in the usage that the session saw for free, marks the
//! session as active, and prints one line, or what the person's own command prints. It never fails towards claude:
//! whatever is missing, a line comes out.

pub mod advice;
pub mod command;
pub mod install;
pub mod of_slot;
mod wrapped;

use crate::adapters::agent::identity;
use crate::adapters::files::{PRIVATE_FILE, create_private_dir, replace_rebuildable};
use crate::adapters::{inbox, leases, procs};
use crate::contract::paths::Home;
use crate::contract::report::Report;
use crate::contract::snapshot::WindowEntry;
use crate::contract::usage_body;
use crate::core::account::AccountId;
use crate::core::accounts::lease::Holder;
use crate::core::hash::hash;
use crate::core::time::Timestamp;
use crate::core::usage::{Source, Window, WindowKind};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The largest input that is read: claude's has about 2 kB.
const MAX_INPUT: u64 = 1024 * 1024;
/// Notes of sessions that are kept before old ones are cleared away.
const MAX_NOTES: usize = 500;
/// A session that said nothing for so long is over, or may as well report once more.
const NOTE_AGE: Duration = Duration::from_secs(2 * 24 * 3600);

/// What a run of the status line stands on.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// Where ccp keeps its state.
    pub home: &'a Home,
    /// `CLAUDE_CONFIG_DIR`.
    pub config_dir: Option<&'a Path>,
    /// `CLAUDE_PID`, which newer clients set; the process's ancestors are looked at too.
    pub claude_pid: Option<u32>,
    /// The person's own command.
    pub wrap: Option<&'a OsStr>,
    /// The status line of a slot runs this one, and has reported already.
    pub is_told: bool,
    /// Now.
    pub now: Timestamp,
}

/// Runs once; the exit code is the wrapped command's, else 0.
pub fn run(
    surroundings: &Surroundings<'_>,
    input: impl Read,
    mut output: impl Write,
) -> io::Result<u8> {
    let mut text = Vec::new();
    input.take(MAX_INPUT).read_to_end(&mut text)?;
    let said: Value = serde_json::from_slice(&text).unwrap_or_default();
    let limits = &said["rate_limits"];
    let windows = if limits.is_object() {
        usage_body::parse(limits).0.windows
    } else {
        Vec::new()
    };
    let account = surroundings
        .config_dir
        .and_then(|dir| account_of(surroundings.home, dir));
    if let Some(account) = account {
        if !surroundings.is_told {
            // What could not be noted or handed in is handed in after the next turn.
            let _ = report(surroundings, account, &said, &windows);
        }
        touch_lease(surroundings);
    }
    if let Some(command) = surroundings.wrap {
        return wrapped::run(command, &text, &mut output);
    }
    let snapshot = account.and_then(|_| advice::snapshot(surroundings.home));
    let label = account.map(|account| advice::label_of(snapshot.as_ref(), account));
    let place = account
        .zip(snapshot.as_ref())
        .and_then(|(account, snapshot)| {
            let now = surroundings.now;
            advice::beside_numbers(surroundings.home, snapshot, account, &windows, now)
        });
    writeln!(
        output,
        "{}",
        line(label.as_deref(), &windows, place.as_deref())
    )?;
    Ok(0)
}

/// The account whose directory this is, spelled as ccp spells it.
pub(super) fn account_of(home: &Home, dir: &Path) -> Option<AccountId> {
    let id = AccountId::from_dir_name(dir.file_name()?.to_str()?)?;
    (home.account(id) == dir).then_some(id)
}

/// Hands the windows in, when the session has not handed in the same before.
fn report(
    surroundings: &Surroundings<'_>,
    account: AccountId,
    said: &Value,
    windows: &[Window],
) -> io::Result<()> {
    if windows.is_empty() {
        return Ok(());
    }
    let session = said["session_id"].as_str().unwrap_or_default();
    let directory = surroundings.home.statusline_notes();
    let note = directory.join(format!("{account}-{:016x}", hash(session.as_bytes())));
    let windows: Vec<WindowEntry> = windows.iter().map(WindowEntry::from).collect();
    let numbers = serde_json::to_vec(&windows).map_err(io::Error::other)?;
    if fs::read(&note).is_ok_and(|last| last == numbers) {
        return Ok(());
    }
    let identity = identity::load(&surroundings.home.account(account)).identity;
    inbox::hand_in(
        &surroundings.home.inbox(),
        &Report {
            account: account.number(),
            account_uuid: identity.map(|identity| identity.account_uuid),
            measured_at_ms: surroundings.now.unix_ms(),
            source: Source::Live.name().to_owned(),
            windows,
            extra: None,
            limited_until_ms: None,
        },
    )?;
    create_private_dir(&directory)?;
    clear_old_notes(&directory, surroundings.now);
    replace_rebuildable(&note, &numbers, PRIVATE_FILE)
}

fn clear_old_notes(directory: &Path, now: Timestamp) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    let notes: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    if notes.len() < MAX_NOTES {
        return;
    }
    let too_old = system_time(now) - NOTE_AGE;
    for note in notes {
        let modified = fs::metadata(&note).and_then(|m| m.modified());
        if modified.is_ok_and(|at| at < too_old) {
            let _ = fs::remove_file(note);
        }
    }
}

fn system_time(at: Timestamp) -> SystemTime {
    let ms = u64::try_from(at.unix_ms()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_millis(ms).max(NOTE_AGE)
}

/// Marks the lease of the session that runs us as active.
fn touch_lease(surroundings: &Surroundings<'_>) {
    let dir = surroundings.home.leases();
    let ancestors = procs::ancestors(std::process::id());
    let Ok(listing) = leases::list(&dir) else {
        return;
    };
    for lease in listing.leases {
        let Holder::Process { pid, start } = lease.holder else {
            continue;
        };
        let is_ours = surroundings.claude_pid == Some(pid) || ancestors.contains(&pid);
        if is_ours && procs::start_time(pid) == Some(start) {
            let touched = File::options()
                .append(true)
                .open(dir.join(lease.to_string()))
                .and_then(|file| file.set_modified(system_time(surroundings.now)));
            // A lease that was folded in meanwhile needs no mark.
            drop(touched);
        }
    }
}

fn line(label: Option<&str>, windows: &[Window], advice: Option<&str>) -> String {
    let used = |kind: &WindowKind, name: &str| {
        let window = windows.iter().find(|window| window.kind == *kind)?;
        Some(format!("{name} {:.0}%", window.used.percent()))
    };
    let parts = [
        label.map(str::to_owned),
        used(&WindowKind::FiveHour, "5h"),
        used(&WindowKind::SevenDay, "7d"),
        advice.map(str::to_owned),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests write the files that are read"
)]
mod tests {
    use super::*;
    use crate::contract::lease::LeaseName;

    const NOW: i64 = 1_900_000_000_000;

    struct Place {
        dir: tempfile::TempDir,
        home: Home,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("a directory");
            let home = Home::new(dir.path()).expect("absolute");
            let account = home.account(AccountId::new(1).expect("1"));
            fs::create_dir_all(&account).expect("creates");
            let identity = r#"{"oauthAccount":{"accountUuid":"u1"}}"#;
            fs::write(account.join(".claude.json"), identity).expect("writes");
            Self { dir, home }
        }

        /// Runs as a session of that directory would; the line.
        fn run(&self, config_dir: &Path, input: &str, wrap: Option<&str>) -> String {
            let mut output = Vec::new();
            let surroundings = Surroundings {
                home: &self.home,
                config_dir: Some(config_dir),
                claude_pid: Some(std::process::id()),
                wrap: wrap.map(OsStr::new),
                is_told: false,
                now: Timestamp::from_unix_ms(NOW),
            };
            run(&surroundings, input.as_bytes(), &mut output).expect("runs");
            String::from_utf8(output).expect("is text")
        }

        fn run_in_account(&self, input: &str) -> String {
            let account = self.home.account(AccountId::new(1).expect("1"));
            self.run(&account, input, None)
        }

        fn reports(&self) -> Vec<Report> {
            let letters = inbox::list(&self.home.inbox()).expect("lists");
            letters.into_iter().filter_map(|l| l.report).collect()
        }
    }

    fn said(session: &str, five: f64) -> String {
        format!(
            r#"{{"session_id":"{session}","rate_limits":{{"five_hour":{{"used_percentage":{five},"resets_at":1900000100}},"seven_day":{{"used_percentage":46,"resets_at":1900000200}}}}}}"#
        )
    }

    #[test]
    fn new_numbers_are_handed_in_once_for_each_session() {
        let place = Place::new();
        assert_eq!(
            place.run_in_account(&said("a", 22.4)),
            "acct-01 · 5h 22% · 7d 46%\n"
        );
        place.run_in_account(&said("a", 22.4));
        place.run_in_account(&said("a", 23.0));
        place.run_in_account(&said("b", 23.0));
        let reports = place.reports();
        assert_eq!(reports.len(), 3);
        let sample = reports[0].sample().expect("is one");
        assert_eq!(sample.source, Source::Live);
        assert_eq!(sample.measured_at.unix_ms(), NOW);
        assert_eq!(sample.windows.len(), 2);
        assert_eq!(reports[0].account_uuid.as_deref(), Some("u1"));
    }

    #[test]
    fn other_directories_and_other_input_report_nothing() {
        let place = Place::new();
        let elsewhere = place.dir.path().join("accounts/acct-02/x");
        assert_eq!(
            place.run(&elsewhere, &said("a", 1.0), None),
            "5h 1% · 7d 46%\n"
        );
        for input in [
            "",
            "{",
            "[]",
            r#"{"rate_limits":null}"#,
            r#"{"rate_limits":{}}"#,
        ] {
            assert_eq!(place.run_in_account(input), "acct-01\n", "{input}");
        }
        assert!(place.reports().is_empty());
    }

    #[test]
    fn the_lease_of_the_session_is_marked() {
        let place = Place::new();
        let lease = LeaseName {
            account: AccountId::new(1).expect("1"),
            holder: procs::own_holder().expect("this process runs"),
            machine: 1,
            directory: 2,
            created_at: Timestamp::from_unix_ms(3),
            beside: false,
        };
        let dir = place.home.leases();
        leases::write(&dir, &lease, b"{}").expect("writes");
        place.run_in_account("{}");
        assert_eq!(
            leases::touched_at(&dir, &lease),
            Some(Timestamp::from_unix_ms(NOW))
        );
    }

    #[test]
    fn the_persons_own_command_speaks_instead() {
        let place = Place::new();
        let account = place.home.account(AccountId::new(1).expect("1"));
        let input = said("a", 5.0);
        let shown = place.run(&account, &input, Some("cat; printf '|own'"));
        assert_eq!(shown, format!("{input}|own"));
        assert_eq!(place.reports().len(), 1);
    }
}
