//! The systemd user unit, from `install` to `uninstall`.
#![cfg(target_os = "linux")]

use super::{asked, script, shown, unit_file, with_supervisors};
use crate::life::Terminal;
use crate::life::world::{BOUND, World};
use ccp::contract::paths::Home as CcpHome;
use ccp_standin::service::AccountSpec;
use ccp_standin::{Home, Running};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

/// The real checker's opinion of a unit; it has none when it likes it.
fn verify(unit: &Path, runtime: &Path) -> Option<String> {
    if !Path::new("/usr/bin/systemd-analyze").exists() {
        skip("systemd-analyze is not installed");
        return None;
    }
    fs::create_dir_all(runtime).expect("creates");
    let output = Command::new("/usr/bin/systemd-analyze")
        .args(["--user", "verify"])
        .arg(unit)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", runtime)
        .env("XDG_RUNTIME_DIR", runtime)
        .output()
        .expect("runs");
    Some(format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// A `PATH` on which there is `ccp` and nothing that supervises.
fn without_supervisors(world: &mut World) {
    let bin = world.home.path().join("lonely");
    fs::create_dir(&bin).expect("creates");
    for name in ["ccp", "ccpd"] {
        symlink(world.bin(name), bin.join(name)).expect("links");
    }
    world.set("PATH", bin);
}

/// Says aloud that a test leaves something out; never in CI.
fn skip(why: &str) {
    let set = |name| std::env::var_os(name).filter(|v| !v.is_empty());
    assert!(set("CI").is_none_or(|ci| ci != "true"), "{why}");
    eprintln!("SKIPPED: {why}");
    if let Some(skips) = set("CCP_TEST_SKIPS") {
        let name = std::thread::current().name().unwrap_or("a test").to_owned();
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .append(true)
            .create(true)
            .open(skips)
            .expect("opens the list of skipped tests");
        writeln!(file, "{name}: {why}").expect("writes");
    }
}

#[test]
fn installing_writes_enables_and_starts_and_a_second_time_changes_nothing() {
    let world = with_supervisors(World::new());
    let output = world.run(&["service", "install"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(output.stderr.contains("enable-linger"), "{}", output.stderr);
    let file = unit_file(&world);
    let text = fs::read_to_string(&file).expect("is there");
    let program = format!("ExecStart=\"{}\" daemon\n", world.bin("ccpd").display());
    assert!(
        text.contains(&program),
        "the link, not what it leads to: {text}"
    );
    assert!(!text.contains("Environment="), "{text}");
    let mode = fs::metadata(&file).expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    assert_eq!(
        asked(&world),
        [
            "--user show --property=Version",
            "--user daemon-reload",
            "--user enable ccp.service",
            "--user reset-failed ccp.service",
            "--user restart ccp.service",
        ]
    );
    let output = world.run(&["service", "install"]);
    assert!(output.stderr.contains("already"), "{}", output.stderr);
    assert_eq!(fs::read_to_string(&file).expect("is there"), text);
    assert_eq!(
        asked(&world).last().expect("was asked"),
        "--user start ccp.service"
    );
    let runtime = world.home.path().join("runtime");
    assert_eq!(verify(&file, &runtime).unwrap_or_default(), "");
}

#[test]
fn a_home_and_a_path_with_odd_names_are_understood_by_systemd() {
    let home = Home::new().expect("a home");
    let ccp_home = home.path().join("my $HOME 100% \"pool\" \\é");
    let mut world = with_supervisors(World::with_ccp_home(home, ccp_home));
    let bin = world.home.path().join("o d$d %h");
    fs::rename(world.home.path().join("bin"), &bin).expect("renames");
    symlink(&bin, world.home.path().join("bin")).expect("links");
    world.set("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    world.ok(&["service", "install"]);
    let file = unit_file(&world);
    let text = fs::read_to_string(&file).expect("is there");
    assert!(text.contains("/o d$d %%h/ccpd\" daemon\n"), "{text}");
    assert!(text.contains("100%% \\\"pool\\\" \\\\é\"\n"), "{text}");
    let runtime = world.home.path().join("runtime");
    assert_eq!(verify(&file, &runtime).unwrap_or_default(), "");
    // The checker does object where there is something to object to.
    fs::write(&file, text.replace("/ccpd", "/nobody")).expect("writes");
    let opinion = verify(&file, &runtime);
    assert!(opinion.is_none_or(|o| o.contains("not executable")));
}

#[test]
fn where_no_user_instance_answers_it_is_said_and_nothing_is_written() {
    let mut world = with_supervisors(World::new());
    fs::write(world.home.path().join("no-bus"), "").expect("writes");
    let error = world.fails(1, &["service", "install"]);
    assert!(error.contains("No medium found"), "{error}");
    assert!(error.contains("sample on demand"), "{error}");
    let said = world.ok(&["service", "status"]);
    assert!(
        said.starts_with("state    not installed (there is no systemd"),
        "{said}"
    );
    assert!(said.contains("\ndaemon   does not run\n"), "{said}");
    world.set("CCP_AUTOSTART", "1");
    world.leave_account(1, &AccountSpec::new("jo"));
    let said = world.ok(&["service", "status"]);
    assert!(
        said.contains("daemon   does not run; the next launch starts it"),
        "{said}"
    );
    without_supervisors(&mut world);
    let error = world.fails(1, &["service", "install"]);
    assert!(error.contains("cannot run systemctl"), "{error}");
    assert!(!unit_file(&world).exists());
    let output = world.run(&["service", "uninstall"]);
    assert_eq!(
        output.code, 0,
        "nothing is there to uninstall: {}",
        output.stderr
    );
}

#[test]
fn a_refusal_is_told_in_systemds_words() {
    let world = with_supervisors(World::new());
    script(
        &world.bin("systemctl"),
        "#!/bin/sh\ncase \"$*\" in *restart*) echo 'Unit is masked.' >&2; exit 1;; esac\n",
    );
    let error = world.fails(1, &["service", "install"]);
    assert!(error.contains("Unit is masked."), "{error}");
}

#[test]
fn the_status_names_process_and_path_and_says_when_the_path_is_gone() {
    let world = with_supervisors(World::new());
    assert!(
        world
            .ok(&["service", "status"])
            .starts_with("state    not installed")
    );
    world.ok(&["service", "install"]);
    shown(
        &world,
        "LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nMainPID=4711\n",
    );
    let text = world.ok(&["service", "status"]);
    for line in [
        "state    running (active, running, enabled)".to_owned(),
        "pid      4711".to_owned(),
        format!("file     {}", unit_file(&world).display()),
        format!("program  {}", world.bin("ccpd").display()),
    ] {
        assert!(text.lines().any(|l| l == line), "{line}: {text}");
    }
    let unit = fs::read_to_string(unit_file(&world)).expect("is there");
    fs::write(unit_file(&world), unit.replace("/ccpd", "/gone")).expect("writes");
    assert!(world.ok(&["service", "status"]).contains("/gone (missing)"));
    let json = world.ok(&["service", "status", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("is JSON");
    assert_eq!(json["pid"], 4711);
    assert_eq!(json["program_exists"], false);
    assert_eq!(json["supervisor"], "systemd");
}

#[test]
fn uninstalling_is_refused_while_sessions_run_unless_it_is_forced() {
    let world = with_supervisors(World::new());
    world.leave_account(1, &AccountSpec::new("jo"));
    world.leave_account(2, &AccountSpec::new("solo"));
    world.ok(&["init"]);
    world.ok(&["service", "install"]);
    let mut command = world.command("/bin/sh", &["-c", "echo up; read x"]);
    command.env("CLAUDE_CONFIG_DIR", world.account_dir(2));
    let mut session = Running::start(command).expect("starts");
    session.wait_for_line(|l| l == "up", BOUND).expect("is up");
    asked(&world);
    let error = world.fails(69, &["service", "uninstall"]);
    let name = format!("solo (acct-02) is in use by process {}", session.pid());
    assert!(
        error.contains("solo is in use") || error.contains(&name),
        "{error}"
    );
    assert!(error.contains("--force"), "{error}");
    assert!(unit_file(&world).exists() && asked(&world).is_empty());

    let output = world.run(&["service", "uninstall", "--force"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(!unit_file(&world).exists());
    assert_eq!(
        asked(&world),
        [
            "--user show --property=Version",
            "--user disable --now ccp.service",
            "--user daemon-reload",
        ]
    );
    session.write_line("end").expect("it was left alone");
    session.output(BOUND).expect("ends");
    let output = world.run(&["service", "uninstall"]);
    assert!(
        output.stderr.contains("no service was installed"),
        "{}",
        output.stderr
    );
}

#[test]
fn the_service_of_another_home_is_left_alone() {
    let mut world = with_supervisors(World::new());
    let other = world.home.path().join("other");
    world.set("CCP_HOME", &other);
    world.ok(&["service", "install"]);
    world.set("CCP_HOME", world.ccp_home().path());
    for arguments in [
        &["service", "install"][..],
        &["service", "uninstall", "--force"],
    ] {
        let error = world.fails(1, arguments);
        assert!(error.contains(other.to_str().expect("text")), "{error}");
    }
    asked(&world);
    world.ok(&["service", "uninstall", "--purge", "-y"]);
    assert!(asked(&world).is_empty() && unit_file(&world).exists());
    world.set("CCP_HOME", &other);
    world.ok(&["service", "uninstall"]);
    assert!(!unit_file(&world).exists());
}

#[test]
fn a_daemon_whose_unit_somebody_deleted_is_still_stopped() {
    let world = with_supervisors(World::new());
    shown(
        &world,
        "LoadState=not-found\nActiveState=active\nMainPID=5\n",
    );
    world.ok(&["service", "uninstall"]);
    assert_eq!(
        asked(&world).last().expect("was asked"),
        "--user stop ccp.service"
    );
}

#[test]
fn another_tools_home_gets_no_service() {
    let world = with_supervisors(World::new());
    let home: CcpHome = world.ccp_home();
    fs::create_dir(home.path()).expect("creates");
    fs::write(home.path().join("pool-v1.db"), "theirs").expect("writes");
    let error = world.fails(1, &["service", "install"]);
    assert!(error.contains("belongs to another tool"), "{error}");
    assert!(!unit_file(&world).exists());
}

#[test]
fn a_daemon_that_homebrew_runs_is_not_joined_by_a_second() {
    let world = with_supervisors(World::new());
    let theirs = unit_file(&world).with_file_name("homebrew.ccp.service");
    fs::create_dir_all(theirs.parent().expect("has one")).expect("creates");
    fs::write(&theirs, "").expect("writes");
    let error = world.fails(1, &["service", "install"]);
    assert!(
        error.contains("Homebrew runs the daemon already"),
        "{error}"
    );
    assert!(!unit_file(&world).exists());
}

#[test]
fn init_offers_the_service_on_a_terminal_and_takes_no_for_an_answer() {
    let world = with_supervisors(World::new());
    let question = "Let the system keep ccp's daemon running from sign-in on? [y/N]";
    let mut terminal = Terminal::start(&world, &["init"], None);
    terminal.answer(question, "\n");
    let (code, shown) = terminal.end();
    assert_eq!(code, 0, "{shown}");
    assert!(!unit_file(&world).exists());
    let (code, shown) = Terminal::start(&world, &["init", "--no-service"], None).end();
    assert!(code == 0 && !shown.contains(question), "{shown}");
    let mut terminal = Terminal::start(&world, &["init"], None);
    terminal.answer(question, "y\n");
    let (code, shown) = terminal.end();
    assert!(code == 0 && unit_file(&world).exists(), "{shown}");
    let (code, shown) = Terminal::start(&world, &["init"], None).end();
    assert!(
        code == 0 && !shown.contains(question),
        "it is there: {shown}"
    );
    fs::remove_file(unit_file(&world)).expect("removes");
    fs::write(world.home.path().join("no-bus"), "").expect("writes");
    let (code, shown) = Terminal::start(&world, &["init"], None).end();
    assert!(
        code == 0 && !shown.contains(question),
        "nobody to keep it: {shown}"
    );
}
