//! The daemon: whether it runs, what it says, what one that died left, and the service that is to keep it running.

use super::{age, or_ok};
use crate::adapters::files::Lock;
use crate::adapters::foreign::holder;
use crate::adapters::service::Definition;
use crate::adapters::store::Meta;
use crate::client::read_note;
use crate::contract::build::launcher_version;
use crate::contract::proto::note::Found;
use crate::contract::proto::{Health, Phase};
use crate::contract::vars;
use crate::core::time::Timestamp;
use crate::daemon::spawn;
use crate::doctor::patient::{Daemon, Database};
use crate::doctor::{Check, Finding, Mend, Patient, Remedy};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The version of this executable.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Idle accounts are asked each 15 min, so that something must have been completed in this time.
const OLD_SWEEP: Duration = Duration::from_secs(2 * 3600);
/// The largest launcher that is read, in bytes.
const MAX_EXECUTABLE: u64 = 128 * 1024 * 1024;

/// The process.
pub const DAEMON: Check = Check {
    id: "daemon",
    question: "does the daemon run, and is it of this version?",
    look: |patient| {
        vec![match &patient.daemon {
            Daemon::Absent => absent(patient),
            Daemon::Answers(health) => running(patient, health),
            Daemon::Silent { pid, why } => {
                let who = pid.map_or_else(|| "something".to_owned(), |p| format!("process {p}"));
                let text = format!("{who} holds daemon.lock, and {why}");
                Finding::problem(text, restart(patient))
            }
        }]
    },
};

fn absent(patient: &Patient<'_>) -> Finding {
    if let Some(service) = patient.surroundings.own_service() {
        let file = service.file.display();
        let hint = "`ccp service status` says how it is, `ccp service install` starts it";
        return Finding::problem(format!("{file} is to keep it, and it does not run"), hint);
    }
    if spawn::is_given_up(patient.home(), patient.now()) {
        let text = "it was started again and again within a minute, and does not run";
        return Finding::problem(text, "`ccp logs` says why");
    }
    let setting = patient.settings.as_ref().is_ok_and(|s| s.autostart);
    let variable = |name| patient.surroundings.variable(name).map(OsStr::to_owned);
    Finding::ok(if vars::may_autostart(setting, variable) {
        "it does not run; the next launch starts it"
    } else {
        "it does not run; launches refresh the numbers"
    })
}

fn running(patient: &Patient<'_>, health: &Health) -> Finding {
    let pid = health.pid;
    if health.version != VERSION {
        let text = format!("process {pid} is {}, and ccp is {VERSION}", health.version);
        return Finding::note(text, restart(patient));
    }
    if health.phase == Phase::Degraded {
        let problem = health.problem.as_deref().unwrap_or("it does not say why");
        let text = format!("process {pid} cannot do its work: {problem}");
        return Finding::problem(text, "`ccp logs` says more");
    }
    let since = patient
        .now()
        .since(Timestamp::from_unix_ms(health.started_at_ms));
    Finding::ok(format!("process {pid}, for {}", age(since)))
}

/// A supervisor starts its daemon again by itself; one that ends politely it takes for one that wanted to end.
fn restart(patient: &Patient<'_>) -> Remedy {
    let Some(service) = patient.surroundings.own_service() else {
        return Mend::RestartDaemon.into();
    };
    Remedy::Hint(if service.by_homebrew {
        "`brew services restart ccp`".to_owned()
    } else if cfg!(target_os = "macos") {
        "`launchctl kickstart -k gui/$(id -u)/ccp.daemon`".to_owned()
    } else {
        "`systemctl --user restart ccp`".to_owned()
    })
}

/// What it is there for.
pub const SWEEP: Check = Check {
    id: "daemon-sweep",
    question: "does the daemon keep the numbers fresh?",
    look: sweep,
};

fn sweep(patient: &Patient<'_>) -> Vec<Finding> {
    let Daemon::Answers(health) = &patient.daemon else {
        return vec![Finding::ok("no daemon runs")];
    };
    if health.accounts == 0 {
        return vec![Finding::ok("there are no accounts")];
    }
    let is_paused = match &patient.database {
        Database::Open(store) => matches!(store.meta(Meta::PausedSince), Ok(Some(_))),
        Database::Missing | Database::Refused(_) => false,
    };
    if is_paused {
        return vec![Finding::ok("it pauses, for nobody launches anything")];
    }
    let started = Timestamp::from_unix_ms(health.started_at_ms);
    let swept = health.swept_at_ms.map(Timestamp::from_unix_ms);
    let last = swept.map_or(started, |at| at.max(started));
    let old = patient.now().since(last);
    vec![if old <= OLD_SWEEP {
        Finding::ok("it does")
    } else {
        let text = format!("its last sweep was {} ago", age(old));
        Finding::note(
            text,
            "`ccp refresh --all` says what is wrong, or `ccp logs`",
        )
    }]
}

/// The lock and the socket.
pub const FILES: Check = Check {
    id: "daemon-files",
    question: "are the daemon's lock and socket its own?",
    look: files,
};

fn files(patient: &Patient<'_>) -> Vec<Finding> {
    let home = patient.home();
    let lock = home.daemon_lock();
    let note = read_note(home);
    if note == Found::Foreign {
        let who =
            holder(&lock).map_or_else(String::new, |pid| format!(", and process {pid} holds it"));
        let text = format!("{} is another program's{who}", lock.display());
        return vec![Finding::problem(
            text,
            "stop that program and remove the file, or set CCP_HOME",
        )];
    }
    let mut sockets = vec![home.daemon_socket()];
    if let Found::Note(note) = note
        && !sockets.contains(&note.socket)
    {
        sockets.push(note.socket);
    }
    let is_held = Lock::is_held(&lock).unwrap_or(true);
    let findings = sockets
        .into_iter()
        .filter_map(|path| socket(path, is_held))
        .collect();
    or_ok(findings, "they are")
}

fn socket(path: PathBuf, is_held: bool) -> Option<Finding> {
    let metadata = fs::symlink_metadata(&path).ok()?;
    let shown = path.display();
    if !metadata.file_type().is_socket() {
        let text = format!("{shown} is in the way: it is no socket");
        return Some(Finding::problem(text, "move it away"));
    }
    let text = format!("{shown} is left of a daemon that died");
    (!is_held).then(|| Finding::note(text, Mend::RemoveSocket(path)))
}

/// The service's file.
pub const SERVICE: Check = Check {
    id: "service",
    question: "does the service, where there is one, run this ccp?",
    look: |patient| {
        let services = patient.surroundings.services();
        let found: Vec<Finding> = services.iter().map(|s| service(patient, s)).collect();
        or_ok(found, "none is installed")
    },
};

fn service(patient: &Patient<'_>, service: &Definition) -> Finding {
    let file = service.file.display();
    let own = patient.surroundings.own_service();
    if own.is_none_or(|own| own.file != service.file) {
        return Finding::ok(format!("{file} keeps another home"));
    }
    let hint = if service.by_homebrew {
        "`brew services restart ccp`"
    } else {
        "`ccp service install` writes it anew"
    };
    let Some(program) = &service.program else {
        return Finding::note(format!("{file} does not say what it runs"), hint);
    };
    let shown = program.display();
    let Ok(real) = fs::canonicalize(program) else {
        return Finding::problem(format!("{file} runs {shown}, which is missing"), hint);
    };
    let this = patient.surroundings.executable.as_ref();
    if this.is_none_or(|this| *this == real) {
        return Finding::ok(format!("{file} runs {shown}"));
    }
    let version = version_beside(&real).unwrap_or_else(|| "of an unknown version".to_owned());
    let text = format!("{file} runs {shown}, which is {version}, and this is {VERSION} elsewhere");
    Finding::note(text, hint)
}

/// The version of a ccpd, by the launcher beside it: nothing is started for it.
fn version_beside(program: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    let launcher = File::open(program.with_file_name("ccp")).ok()?;
    launcher.take(MAX_EXECUTABLE).read_to_end(&mut bytes).ok()?;
    launcher_version(&bytes)
}
