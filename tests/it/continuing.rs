//! `ccp continue` and `ccp hooks` as whole programs: which conversation goes on, under whom, and what claude is given.

use crate::support::{CCP, Pool, put, put_executable};
use ccp::adapters::transcripts::path_of;
use ccp::adapters::{clock, procs};
use ccp::cli::hooks::install::COMMAND;
use ccp::contract::snapshot::PinEntry;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

const OLD: &str = "11111111-2222-4333-8444-555555555555";
const NEW: &str = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee";

/// A claude that prints its directory, its account and its arguments, a line each.
fn teller(pool: &Pool) -> PathBuf {
    let path = pool.user_home().join("teller");
    put_executable(
        &path,
        b"#!/bin/sh\npwd\nprintf '%s\\n' \"$CLAUDE_CONFIG_DIR\" \"$@\"\n",
    );
    path
}

/// A conversation in `cwd`, last written so many seconds ago.
fn converse(pool: &Pool, cwd: &Path, session: &str, age: u64, prompts: &[&str]) -> PathBuf {
    let path = path_of(&pool.base.dir, cwd, session);
    let record = |prompt: &&str| {
        json!({"type": "user", "cwd": cwd, "message": {"content": prompt}}).to_string() + "\n"
    };
    let text: String = prompts.iter().map(record).collect();
    fs::create_dir_all(path.parent().expect("has one")).expect("creates");
    put(&path, text.as_bytes());
    let file = fs::File::options().append(true).open(&path).expect("opens");
    let now = u64::try_from(clock::now().unix_ms()).expect("after 1970");
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(now) - Duration::from_secs(age);
    file.set_modified(at).expect("sets");
    path
}

fn continuing(pool: &Pool, cwd: &Path, arguments: &[&str]) -> Command {
    let mut command = pool.command(CCP);
    command
        .arg("continue")
        .args(arguments)
        .env("CCP_CLAUDE", teller(pool))
        .current_dir(cwd)
        .stdin(Stdio::null());
    command
}

#[track_caller]
fn goes_on(output: &Output, cwd: &Path, account: &Path, arguments: &[&str]) {
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = text.lines().collect();
    let (cwd, account) = (cwd.to_string_lossy(), account.to_string_lossy());
    let expected = [&[cwd.as_ref(), account.as_ref()], arguments].concat();
    assert_eq!(lines, expected, "{output:?}");
}

#[track_caller]
fn refused(output: &Output, error: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said.contains(error), "{error} in {said}");
    assert!(
        output.stdout.is_empty(),
        "claude was not started: {output:?}"
    );
}

#[test]
fn the_newest_conversation_with_a_prompt_goes_on_under_the_emptiest_account() {
    let pool = Pool::new(&[(80.0, 10.0), (22.0, 46.0)]);
    let work = fs::canonicalize(pool.work_dir("w.1")).expect("is there");
    let twin = fs::canonicalize(pool.work_dir("w-1")).expect("is there");
    let none = continuing(&pool, &work, &[]).output().expect("runs");
    refused(
        &none,
        &format!("there is no conversation in {}", work.display()),
    );

    converse(&pool, &work, OLD, 100, &["first"]);
    converse(&pool, &work, NEW, 10, &[]);
    // Its transcripts are in the same place.
    converse(
        &pool,
        &twin,
        &NEW.replace('a', "b"),
        1,
        &["of another directory"],
    );
    let output = continuing(&pool, &work, &[]).output().expect("runs");
    goes_on(&output, &work, &pool.account_dir(2), &["--resume", OLD]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("Selected label2 · 5h 22% used"), "{said}");

    converse(&pool, &work, NEW, 10, &["second"]);
    let own = ["-p", "a b", "--pick", "", "--", "-x"];
    let output = continuing(&pool, &work, &own).output().expect("runs");
    let expected = [&["--resume", NEW][..], &own].concat();
    goes_on(&output, &work, &pool.account_dir(2), &expected);
}

#[test]
fn a_habit_gives_way_when_its_account_is_at_the_limit() {
    let mut pool = Pool::new(&[(40.0, 10.0), (60.0, 46.0)]);
    let work = fs::canonicalize(pool.work_dir("work")).expect("is there");
    converse(&pool, &work, OLD, 100, &["first"]);
    pool.snapshot.pins.push(PinEntry {
        dir: work.clone(),
        account: 2,
        manual: false,
        at_ms: clock::now().unix_ms() - 1000,
    });
    pool.publish();
    let output = continuing(&pool, &work, &[]).output().expect("runs");
    goes_on(&output, &work, &pool.account_dir(2), &["--resume", OLD]);
    for (name, _) in pool.leases() {
        fs::remove_file(pool.home.leases().join(name)).expect("removes");
    }
    let later = clock::now().plus(Duration::from_secs(7200)).unix_ms();
    pool.snapshot.accounts[1].limited_until_ms = Some(later);
    pool.publish();
    let output = continuing(&pool, &work, &[]).output().expect("runs");
    goes_on(&output, &work, &pool.account_dir(1), &["--resume", OLD]);
}

#[test]
fn a_rule_of_where_it_began_binds() {
    let pool = Pool::new(&[(40.0, 10.0), (60.0, 46.0)]);
    let work = fs::canonicalize(pool.work_dir("work")).expect("is there");
    converse(&pool, &work, OLD, 100, &["first"]);
    let rule = "[[rule]]\npath = \"~/work\"\naccounts = [2]\n";
    put(&pool.home.config(), rule.as_bytes());
    let output = continuing(&pool, &work, &[]).output().expect("runs");
    goes_on(&output, &work, &pool.account_dir(2), &["--resume", OLD]);
    let forced = continuing(&pool, &work, &[])
        .env("CCP_ACCOUNT", "1")
        .output();
    let forced = forced.expect("runs");
    assert_eq!(forced.status.code(), Some(69), "{forced:?}");
    assert!(forced.stdout.is_empty(), "{forced:?}");
}

#[test]
fn a_conversation_that_is_open_is_refused() {
    let pool = Pool::new(&[(10.0, 10.0)]);
    let work = fs::canonicalize(pool.work_dir("work")).expect("is there");
    converse(&pool, &work, OLD, 100, &["first"]);
    let pid = std::process::id();
    let start = procs::start_time(pid).expect("runs");
    let error = format!("session is open elsewhere (pid {pid})");
    for (dir, entrypoint) in [
        (pool.account_dir(1), "cli"),
        (pool.base.dir.clone(), "sdk-cli"),
    ] {
        let sessions = dir.join("sessions");
        fs::create_dir_all(&sessions).expect("creates");
        let file = sessions.join(format!("{pid}.json"));
        let entry = |session: &str, start: u64| {
            json!({
                "pid": pid, "procStart": start.to_string(), "sessionId": session, "kind": "interactive",
                "entrypoint": entrypoint, "status": "idle",
            })
        };
        put(&file, entry(OLD, start).to_string().as_bytes());
        let output = continuing(&pool, &work, &[]).output().expect("runs");
        refused(&output, &error);
        // Another conversation of a living process, and this one of a process that is gone, are no reason.
        let mut harmless = vec![entry(NEW, start)];
        if cfg!(target_os = "linux") {
            harmless.push(entry(OLD, start + 1));
        }
        for entry in harmless {
            put(&file, entry.to_string().as_bytes());
            let output = continuing(&pool, &work, &[]).output().expect("runs");
            goes_on(&output, &work, &pool.account_dir(1), &["--resume", OLD]);
        }
        fs::remove_file(file).expect("removes");
    }
}

#[test]
fn choosing_needs_a_terminal() {
    let pool = Pool::new(&[(10.0, 10.0)]);
    let work = fs::canonicalize(pool.work_dir("work")).expect("is there");
    converse(&pool, &work, OLD, 100, &["first"]);
    let output = continuing(&pool, &work, &["--pick"])
        .output()
        .expect("runs");
    refused(&output, "there is no terminal to ask on");
}

/// Runs what the settings have for a turn that fails, as claude would.
fn fails(pool: &Pool, config_dir: &Path, transcript: &Path) -> Output {
    let bin = pool.user_home().join("bin");
    fs::create_dir_all(&bin).expect("creates");
    let _ = symlink(CCP, bin.join("ccp"));
    let mut command = pool.command("/bin/sh");
    command
        .args(["-c", COMMAND])
        .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
        .env("CLAUDE_CONFIG_DIR", config_dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    let report = json!({
        "session_id": OLD, "transcript_path": transcript, "hook_event_name": "StopFailure", "error": "rate_limit",
        "last_assistant_message": "You've hit your 5-hour limit · resets 6pm (UTC)",
    });
    let input = child.stdin.take().expect("piped");
    serde_json::to_writer(input, &report).expect("writes");
    child.wait_with_output().expect("ends")
}

#[test]
fn a_turn_that_fails_on_the_limit_is_reported_with_the_way_on() {
    let pool = Pool::new(&[(100.0, 10.0), (22.0, 46.0)]);
    let work = pool.work_dir("work");
    let transcript = converse(&pool, &work, OLD, 0, &["first"]);
    let until = clock::now().unix_ms() / 1000 + 7200;
    let failure = json!({
        "type": "assistant", "isApiErrorMessage": true, "error": "rate_limit", "quotaLimits": {"resetsAt": until},
        "message": {"content": [{"type": "text", "text": "limit"}]},
    });
    let text = fs::read_to_string(&transcript).expect("reads") + &failure.to_string() + "\n";
    put(&transcript, text.as_bytes());
    let letters = || fs::read_dir(pool.home.inbox()).map_or(0, Iterator::count);

    let output = fails(&pool, &pool.base.dir, &transcript);
    assert_eq!(
        (output.status.code(), output.stdout.len()),
        (Some(0), 0),
        "{output:?}"
    );
    assert_eq!(letters(), 0, "plain claude is nobody's account");

    let output = fails(&pool, &pool.account_dir(1), &transcript);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let said = said["terminalSequence"].as_str().expect("a notification");
    assert!(
        said.contains("label1") && said.contains("`ccp continue`") && said.contains("label2"),
        "{said}"
    );
    let letter = fs::read_dir(pool.home.inbox()).expect("is there").next();
    let letter = letter.expect("a report").expect("an entry").path();
    let report: Value = serde_json::from_slice(&fs::read(letter).expect("reads")).expect("JSON");
    assert_eq!(report["account"], 1);
    assert_eq!(report["limited_until_ms"], until * 1000);
}

#[test]
fn the_status_line_says_near_the_limit_where_to_go_on() {
    let pool = Pool::new(&[(50.0, 10.0), (22.0, 46.0), (90.0, 10.0)]);
    let line = |dir: &Path, used: f64, minutes: i64| {
        let resets_at = clock::now().unix_ms() / 1000 + minutes * 60;
        let limits = json!({"five_hour": {"used_percentage": used, "resets_at": resets_at}});
        let mut command = pool.command(CCP);
        command
            .arg("statusline")
            .env("CLAUDE_CONFIG_DIR", dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("starts");
        let input = child.stdin.take().expect("piped");
        serde_json::to_writer(input, &json!({"rate_limits": limits})).expect("writes");
        let output = child.wait_with_output().expect("ends");
        String::from_utf8(output.stdout).expect("is text")
    };
    let own = pool.account_dir(1);
    let advice = "`ccp continue` goes on as label2";
    assert_eq!(
        line(&own, 95.0, 90),
        format!("label1 · 5h 95% · {advice}\n")
    );
    assert_eq!(line(&own, 94.0, 90), "label1 · 5h 94%\n");
    // The reset is near.
    assert_eq!(line(&own, 100.0, 20), "label1 · 5h 100%\n");
    assert_eq!(line(&pool.base.dir, 100.0, 90), "5h 100%\n");
}
