//! Exec fidelity: what a program inherits through `ccp run` is what it inherits from a direct exec.

use crate::support::{CCP, CCPD, Pool, copy_executable, exec_probe, put, put_executable};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{ExitStatus, Stdio};

/// How a run is prepared, in the child, after the standard library has done its own part.
type Prepare = fn() -> std::io::Result<()>;

fn nothing() -> std::io::Result<()> {
    Ok(())
}

fn set_signal(signal: i32, handler: libc::sighandler_t) {
    // SAFETY: between fork and exec, in a child with one thread.
    unsafe { libc::signal(signal, handler) };
}

fn block(signals: &[i32]) {
    // SAFETY: as above; the set is initialised before it is used.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
}

fn close(descriptors: &[i32]) {
    for descriptor in descriptors {
        // SAFETY: as above.
        unsafe { libc::close(*descriptor) };
    }
}

/// The facts that a run reported, and how it ended. `program` is the launcher, or the probe itself.
fn facts(
    pool: &Pool,
    program: &Path,
    arguments: &[OsString],
    prepare: Prepare,
    extra: &[(&str, &str)],
) -> (Vec<String>, ExitStatus) {
    let out = pool.user_home().join("facts");
    let _ = fs::remove_file(&out);
    let mut command = pool.command(program);
    if program == exec_probe() {
        command.arg0("claude");
        let plugins = pool.base.plugins();
        command
            .env("CLAUDE_CONFIG_DIR", pool.account_dir(1))
            .env("CLAUDE_CODE_PLUGIN_CACHE_DIR", plugins);
    } else {
        command.arg("run");
    }
    command
        .args(arguments)
        .env("PROBE_OUT", &out)
        .env("CCP_CLAUDE", exec_probe());
    command
        .envs(extra.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // SAFETY: the closures only make system calls.
    unsafe { command.pre_exec(prepare) };
    let mut child = command.spawn().expect("starts");
    let pid = child.id();
    let status = child.wait().expect("ends");
    let text = fs::read_to_string(&out).expect("the probe wrote its facts");
    let mut lines: Vec<String> = Vec::new();
    let mut environment = BTreeSet::new();
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("pid", reported)) => assert_eq!(reported, pid.to_string(), "the pid survives"),
            // The order of the environment is nobody's promise; its entries are.
            Some(("env", entry)) => assert!(
                environment.insert(entry.to_owned()),
                "an entry occurs twice: {entry}"
            ),
            _ => lines.push(line.to_owned()),
        }
    }
    lines.extend(environment.into_iter().map(|e| format!("env {e}")));
    (lines, status)
}

fn compare(prepare: Prepare, arguments: &[&[u8]], extra: &[(&str, &str)]) -> ExitStatus {
    let pool = Pool::new(&[(10.0, 10.0)]);
    let arguments: Vec<OsString> = arguments
        .iter()
        .map(|a| OsString::from_vec(a.to_vec()))
        .collect();
    let (direct, direct_status) = facts(&pool, exec_probe(), &arguments, prepare, extra);
    for launcher in [CCP, CCPD] {
        let (launched, status) = facts(&pool, Path::new(launcher), &arguments, prepare, extra);
        for (a, b) in direct.iter().zip(&launched) {
            assert_eq!(a, b, "{launcher}");
        }
        assert_eq!(direct.len(), launched.len(), "{launcher}");
        assert_eq!(direct_status, status, "{launcher}");
    }
    direct_status
}

#[test]
fn by_default() {
    compare(nothing, &[b"-p", b"hi"], &[]);
}

#[test]
fn under_nohup() {
    compare(
        || {
            set_signal(libc::SIGHUP, libc::SIG_IGN);
            Ok(())
        },
        &[],
        &[],
    );
}

#[test]
fn with_sigpipe_ignored() {
    compare(
        || {
            set_signal(libc::SIGPIPE, libc::SIG_IGN);
            Ok(())
        },
        &[],
        &[],
    );
}

#[test]
fn with_sigpipe_default() {
    compare(
        || {
            set_signal(libc::SIGPIPE, libc::SIG_DFL);
            Ok(())
        },
        &[],
        &[],
    );
}

#[test]
fn in_the_background_of_a_shell_without_job_control() {
    let prepare = || {
        for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGCHLD] {
            set_signal(signal, libc::SIG_IGN);
        }
        Ok(())
    };
    compare(prepare, &[], &[]);
}

#[test]
fn with_blocked_signals() {
    compare(
        || {
            block(&[libc::SIGTERM, libc::SIGUSR1, libc::SIGPIPE, libc::SIGCHLD]);
            Ok(())
        },
        &[],
        &[],
    );
}

#[test]
fn with_closed_standard_descriptors() {
    compare(
        || {
            close(&[0]);
            Ok(())
        },
        &[],
        &[],
    );
    compare(
        || {
            close(&[2]);
            Ok(())
        },
        &[],
        &[],
    );
    compare(
        || {
            close(&[0, 1, 2]);
            Ok(())
        },
        &[],
        &[],
    );
}

#[test]
fn with_inherited_descriptors() {
    let prepare = || {
        for descriptor in [3, 7, 42] {
            // SAFETY: between fork and exec; /dev/null is descriptor 0 here.
            unsafe { libc::dup2(0, descriptor) };
        }
        Ok(())
    };
    compare(prepare, &[], &[]);
}

#[test]
fn with_a_tight_mask_and_tight_limits() {
    let prepare = || {
        let limit = |which, soft, hard| {
            let limit = libc::rlimit {
                rlim_cur: soft,
                rlim_max: hard,
            };
            // SAFETY: the structure is complete and lives across the call.
            unsafe { libc::setrlimit(which, &raw const limit) };
        };
        limit(libc::RLIMIT_NOFILE, 40, 64);
        limit(libc::RLIMIT_CORE, 0, 0);
        limit(libc::RLIMIT_STACK, 4 << 20, 16 << 20);
        // SAFETY: takes a number.
        unsafe { libc::umask(0o077) };
        Ok(())
    };
    compare(prepare, &[], &[]);
}

#[test]
fn in_a_process_group_or_session_of_its_own() {
    compare(
        || {
            // SAFETY: between fork and exec; takes numbers.
            unsafe { libc::setpgid(0, 0) };
            Ok(())
        },
        &[],
        &[],
    );
    compare(
        || {
            // SAFETY: between fork and exec; takes nothing.
            unsafe { libc::setsid() };
            Ok(())
        },
        &[],
        &[],
    );
}

#[test]
fn on_a_controlling_terminal() {
    // The master is opened by each child before exec and inherited by the probe like any descriptor.
    let prepare = || {
        // SAFETY: between fork and exec; every pointer is to a local or null.
        unsafe {
            let (mut master, mut slave) = (0, 0);
            libc::setsid();
            if libc::openpty(
                &raw mut master,
                &raw mut slave,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            ) != 0
            {
                return Err(std::io::Error::last_os_error());
            }
            libc::ioctl(slave, libc::TIOCSCTTY as _, 0);
            for descriptor in 0..3 {
                libc::dup2(slave, descriptor);
            }
            libc::close(slave);
        }
        Ok(())
    };
    let pool = Pool::new(&[(10.0, 10.0)]);
    let terminal = |lines: Vec<String>| -> Vec<String> {
        // Each run has a terminal of another number.
        lines
            .into_iter()
            .filter(|l| !l.starts_with("fd "))
            .collect()
    };
    let (direct, _) = facts(&pool, exec_probe(), &[], prepare, &[]);
    let (launched, _) = facts(&pool, Path::new(CCP), &[], prepare, &[]);
    assert!(
        direct.contains(&"controlling-terminal 1 foreground 1".to_owned()),
        "{direct:?}"
    );
    assert_eq!(terminal(direct), terminal(launched));
}

#[test]
fn arguments_of_every_kind() {
    compare(
        nothing,
        &[
            b"",
            b" ",
            b"a b",
            b"a\nb",
            b"\xff\xfe",
            b"--",
            b"run",
            b"'\"$(x)`",
            "größe".as_bytes(),
            b"",
        ],
        &[],
    );
}

#[test]
fn a_megabyte_of_arguments() {
    // The kernel takes at most 128 KiB in one argument, so there are many.
    let one = vec![b'x'; 100_000];
    let mut arguments: Vec<&[u8]> = vec![one.as_slice(); 10];
    let small: Vec<Vec<u8>> = (0..5_000_u32).map(|n| n.to_string().into_bytes()).collect();
    arguments.extend(small.iter().map(Vec::as_slice));
    compare(nothing, &arguments, &[]);
}

#[test]
fn exit_codes_and_deaths() {
    for code in ["0", "1", "37", "255"] {
        let status = compare(nothing, &[], &[("PROBE_EXIT", code)]);
        assert_eq!(status.code().map(|c| c.to_string()).as_deref(), Some(code));
    }
    for signal in [libc::SIGTERM, libc::SIGKILL, libc::SIGINT] {
        let status = compare(nothing, &[], &[("PROBE_SIGNAL", &signal.to_string())]);
        assert_eq!(status.signal(), Some(signal));
    }
}

#[test]
fn the_environment_differs_as_specified_and_in_nothing_else() {
    let pool = Pool::new(&[(10.0, 10.0)]);
    let out = pool.user_home().join("facts");
    let mut command = pool.command(CCP);
    command
        .arg("run")
        .env("PROBE_OUT", &out)
        .env("CCP_CLAUDE", exec_probe());
    command
        .env("CLAUDE_CONFIG_DIR", "/elsewhere")
        .env("ANTHROPIC_API_KEY", "hidden-value")
        .env("KEEP", "me");
    let output = command.output().expect("runs");
    let stderr = String::from_utf8(output.stderr).expect("text");
    let hex = |text: &str| text.bytes().map(|b| format!("{b:02x}")).collect::<String>();
    let facts = fs::read_to_string(&out).expect("reads");
    let has = |entry: &str| facts.lines().any(|l| l == format!("env {}", hex(entry)));
    assert!(has(&format!(
        "CLAUDE_CONFIG_DIR={}",
        pool.account_dir(1).display()
    )));
    assert!(has(&format!(
        "CLAUDE_CODE_PLUGIN_CACHE_DIR={}",
        pool.base.plugins().display()
    )));
    assert!(has("KEEP=me"));
    assert!(!facts.contains(&hex("ANTHROPIC_API_KEY")) && !facts.contains(&hex("/elsewhere")));
    assert!(
        stderr.contains("ANTHROPIC_API_KEY") && !stderr.contains("hidden-value"),
        "{stderr}"
    );
    assert!(stderr.contains("/elsewhere"), "{stderr}");
}

#[test]
fn nothing_is_left_beside_the_session() {
    // A launch that has to start helpers must not leave claude a child it does not know.
    let mut pool = Pool::new(&[(10.0, 10.0)]);
    pool.snapshot.accounts[0].sample = None;
    pool.snapshot.accounts[0].stamp = None;
    put(
        &pool.home.snapshot(),
        &serde_json::to_vec(&pool.snapshot).expect("serialises"),
    );
    let script = pool.user_home().join("claude");
    put_executable(&script, b"#!/bin/sh\ncat /proc/$$/task/$$/children\n");
    let output = pool
        .command(CCP)
        .arg("run")
        .env("CCP_CLAUDE", &script)
        .output()
        .expect("runs");
    // The only child is `cat` itself.
    let children = String::from_utf8(output.stdout).expect("text");
    assert_eq!(children.split_whitespace().count(), 1, "{children}");
}

#[test]
fn ccp_never_executes_itself() {
    let pool = Pool::new(&[(10.0, 10.0)]);
    let bin = pool.work_dir("bin");
    let link = bin.join("claude");
    std::os::unix::fs::symlink(CCP, &link).expect("links");
    let run = |path: &OsStr| {
        let mut command = pool.command(CCP);
        command
            .arg("run")
            .arg("x")
            .env("PATH", path)
            .output()
            .expect("runs")
    };
    let output = run(bin.as_os_str());
    assert_eq!(output.status.code(), Some(127));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        stderr.contains("claude not found") && stderr.contains("hint:"),
        "{stderr}"
    );

    // A wrapper behind it on PATH that is no claude either, and then the real thing.
    fs::remove_file(&link).expect("removes");
    put_executable(
        &link,
        format!("#!/bin/sh\nexec ccp run \"$@\"\n# {CCP}\n").as_bytes(),
    );
    let real = pool.work_dir("real");
    copy_executable(exec_probe(), &real.join("claude"));
    let mut path = bin.clone().into_os_string();
    path.push(":");
    path.push(&real);
    let out = pool.user_home().join("facts");
    let output = pool
        .command(CCP)
        .arg("run")
        .env("PATH", &path)
        .env("PROBE_OUT", &out)
        .output()
        .expect("runs");
    assert!(output.status.success(), "{output:?}");
    assert!(out.exists(), "the real one ran");
}

#[test]
fn a_wrapper_that_cannot_be_told_is_noticed_when_it_leads_back() {
    // A compiled wrapper, here a link to a shell with a start-up script, calls ccp again in the same process.
    let pool = Pool::new(&[(10.0, 10.0)]);
    let bin = pool.work_dir("bin");
    let wrapper = bin.join("claude");
    // Longer than what is looked at, so that its last line is not seen.
    let filler = "# filler\n".repeat(1_000);
    put_executable(
        &wrapper,
        format!("#!/bin/sh\n{filler}exec {CCP} run \"$@\"\n").as_bytes(),
    );
    let output = pool
        .command(CCP)
        .arg("run")
        .env("PATH", &bin)
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(127), "{output:?}");

    let real = pool.work_dir("real");
    copy_executable(exec_probe(), &real.join("claude"));
    let out = pool.user_home().join("facts");
    let path = format!("{}:{}", bin.display(), real.display());
    let output = pool
        .command(CCP)
        .args(["run", "word"])
        .env("PATH", path)
        .env("PROBE_OUT", &out)
        .output()
        .expect("runs");
    assert!(output.status.success(), "{output:?}");
    let facts = fs::read_to_string(&out).expect("the real one ran");
    assert!(
        facts.contains("arg 776f7264"),
        "with the arguments: {facts}"
    );
}

#[test]
fn a_script_without_an_interpreter_line_runs_as_from_a_shell() {
    let pool = Pool::new(&[(10.0, 10.0)]);
    let script = pool.user_home().join("claude");
    put_executable(&script, b"echo \"$# $1\"\n");
    let output = pool
        .command(CCP)
        .args(["run", "a b"])
        .env("CCP_CLAUDE", &script)
        .output()
        .expect("runs");
    assert_eq!(output.stdout, b"1 a b\n");
}

#[test]
fn what_cannot_be_executed_leaves_no_lease() {
    let pool = Pool::new(&[(10.0, 10.0)]);
    let broken = pool.user_home().join("claude");
    put_executable(&broken, b"#!/no/such/interpreter\n");
    let output = pool
        .command(CCP)
        .arg("run")
        .env("CCP_CLAUDE", &broken)
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(127));
    assert!(pool.leases().is_empty());
}
