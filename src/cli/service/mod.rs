//! `ccp service`: the daemon under the system's own supervisor. Never two of them: where Homebrew installed ccp, its
//! service is the one, and a service that keeps another home is left alone.

mod purge;

use super::arguments::{ServiceAction, Uninstall};
use super::background;
use super::context::Context;
use super::failure::{Failure, Outcome};
use super::sessions;
use crate::adapters::service::{
    Cellar, Homebrew, Installed, Service, ServiceError, State, Status, Unit, stable_program,
};
use crate::contract::exit;
use crate::contract::paths::DEFAULT_HOME_NAME;
use crate::contract::vars;
use serde_json::json;
use std::env;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

/// What one can do where no supervisor answers.
const WITHOUT: &str =
    "ccp works without a service: launches start the daemon in the background, or sample on demand";

/// Runs `ccp service ACTION`.
pub fn run(context: &Context, action: ServiceAction) -> Outcome {
    let here = Here::find(context)?;
    match action {
        ServiceAction::Install => install(context, &here),
        ServiceAction::Uninstall(arguments) => uninstall(context, &here, arguments),
        ServiceAction::Status { json } => status(context, &here, json),
    }
}

/// Who would supervise the daemon of this home here, and by which path it would run.
struct Here {
    unit: Unit,
    service: Service,
    /// The system's own supervisor where Homebrew's is to be used: what it has of ours has to go.
    superseded: Option<Service>,
}

impl Here {
    fn find(context: &Context) -> Result<Self, Failure> {
        let path = env::var_os("PATH");
        let own = env::current_exe()
            .map_err(|e| Failure::new(format!("cannot tell the path of this program: {e}")))?;
        let unit = Unit {
            program: stable_program(&own, path.as_deref()),
            home: context.home.clone(),
            is_default_home: context.home.path() == context.user_home.join(DEFAULT_HOME_NAME),
        };
        let cellar = fs::canonicalize(&own)
            .ok()
            .and_then(|real| Cellar::of(&real));
        let homebrew = cellar.and_then(|cellar| Homebrew::find(&cellar, path.as_deref()));
        let native = native(context);
        Ok(match homebrew {
            Some(homebrew) => Self {
                unit,
                service: Service::Homebrew(homebrew),
                superseded: Some(native),
            },
            None => Self {
                unit,
                service: native,
                superseded: None,
            },
        })
    }

    fn services(&self) -> impl Iterator<Item = &Service> {
        std::iter::once(&self.service).chain(self.superseded())
    }

    /// What the system's own supervisor still has where Homebrew's is to be used.
    fn superseded(&self) -> Option<&Service> {
        let native = self.superseded.as_ref()?;
        native.file().map(|_| native)
    }

    /// The other home that a service keeps, and the command that removes it; none where it is this home's.
    fn foreign(&self, service: &Service) -> Result<Option<Failure>, Failure> {
        if let Service::Homebrew(homebrew) = service {
            return Ok(homebrew.must_keep(&self.unit).err().map(Failure::from));
        }
        let Some(file) = service.file() else {
            return Ok(None);
        };
        let named = service.home()?;
        let own = (!self.unit.is_default_home).then(|| self.unit.home.path());
        if named.as_deref() == own {
            return Ok(None);
        }
        let (theirs, prefix) = match &named {
            Some(home) => (
                home.display().to_string(),
                format!("{}={}", vars::CCP_HOME, home.display()),
            ),
            None => (
                "the default home".to_owned(),
                format!("env -u {}", vars::CCP_HOME),
            ),
        };
        let failure = Failure::new(format!("the service in {} keeps {theirs}", file.display()))
            .hint(format!("`{prefix} ccp service uninstall` removes it"));
        Ok(Some(failure))
    }

    /// Refuses where a service that is there keeps another home: that daemon is not ours to change.
    fn must_be_ours(&self) -> Result<(), Failure> {
        for service in self.services() {
            if let Some(failure) = self.foreign(service)? {
                return Err(failure);
            }
        }
        Ok(())
    }

    /// Takes out whatever keeps this home.
    fn take_out(&self) -> Result<bool, Failure> {
        let mut gone = false;
        for service in self.services() {
            if self.foreign(service)?.is_none() {
                gone |= service.uninstall()?;
            }
        }
        Ok(gone)
    }
}

#[cfg(target_os = "macos")]
fn native(context: &Context) -> Service {
    use crate::adapters::procs::user_id;
    use crate::adapters::service::Launchd;
    Service::Launchd(Launchd::new(&context.user_home, user_id()))
}

#[cfg(not(target_os = "macos"))]
fn native(context: &Context) -> Service {
    use crate::adapters::service::Systemd;
    use std::path::PathBuf;
    let config = env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .unwrap_or_else(|| context.user_home.join(".config"));
    Service::Systemd(Systemd::new(&config))
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        let failure = Self::new(&error);
        match error {
            ServiceError::Unreachable(_) => failure.hint(WITHOUT),
            ServiceError::Taken(_) => failure.hint(
                "one daemon is enough: `brew services stop ccp` ends Homebrew's, or unset CCP_HOME to use it",
            ),
            ServiceError::Unspeakable { .. } => {
                failure.hint("install ccp, or put CCP_HOME, where the path is plain")
            }
            _ => failure,
        }
    }
}

fn install(context: &Context, here: &Here) -> Outcome {
    // A home that another tool lives in is refused here as everywhere.
    if context.home.state_db().exists() || !context.foreign()?.is_empty() {
        context.open_store()?;
    }
    here.must_be_ours()?;
    if !here.unit.program.exists() {
        let path = here.unit.program.display();
        return Err(Failure::new(format!("{path} is not there"))
            .hint("ccp was moved or upgraded while it ran; run the command again"));
    }
    if let Some(native) = here.superseded()
        && native.uninstall()?
    {
        eprintln!("Homebrew's service takes the place of the one that was there");
    }
    // One that a launch or a person started would keep the supervisor's from running.
    if background::supervised(context).is_none() && background::running(&context.home).is_some() {
        background::end(&context.home)?;
        eprintln!("the daemon that ran in the background makes room for the service");
    }
    let installed = here.service.install(&here.unit)?;
    let place = here.service.file().map_or_else(
        || "`brew services`".to_owned(),
        |file| file.display().to_string(),
    );
    match installed {
        Installed::Fresh => eprintln!("the daemon now runs as a service: {place}"),
        Installed::Already => eprintln!("the service is installed already: {place}"),
    }
    if let (Service::Systemd(_), Installed::Fresh) = (&here.service, installed) {
        eprintln!(
            "it runs while you are signed in; `loginctl enable-linger` lets it start at boot and outlive your last sign-out"
        );
    }
    Ok(exit::OK)
}

/// Whether a service could be installed here and none is: what `ccp init` offers on a terminal.
#[must_use]
pub fn is_possible(context: &Context) -> bool {
    background::supervised(context).is_none()
        && Here::find(context).is_ok_and(|here| {
            let status = here.service.status();
            here.must_be_ours().is_ok() && status.is_ok_and(|s| s.state == State::Absent)
        })
}

fn uninstall(context: &Context, here: &Here, arguments: Uninstall) -> Outcome {
    if !arguments.purge {
        here.must_be_ours()?;
    }
    let at_stake = match &here.service {
        Service::Homebrew(_) => true,
        native => native.file().is_some(),
    };
    if arguments.purge {
        // What a session stands on is never pulled away, whatever the command line says.
        sessions::must_all_be_idle(context, "remove everything")?;
        if !arguments.yes && !purge::ask(context)? {
            eprintln!("everything stays");
            return Ok(exit::OK);
        }
        purge::must_be_possible(context)?;
    } else if at_stake && !arguments.force {
        sessions::must_all_be_idle(context, "uninstall the service").map_err(|failure| {
            let hint = failure.hint.clone().unwrap_or_default();
            failure.hint(format!("{hint}; --force leaves them running without it"))
        })?;
    }
    if here.take_out()? {
        eprintln!("the service is gone");
    } else {
        eprintln!("no service was installed");
    }
    if arguments.purge {
        purge::run(context)?;
    }
    Ok(exit::OK)
}

fn status(context: &Context, here: &Here, as_json: bool) -> Outcome {
    let status = match here.service.status() {
        Ok(status) => status,
        // No supervisor is no failure: launches start the daemon themselves.
        Err(ServiceError::Unreachable(why)) => Status {
            detail: why,
            ..Status::default()
        },
        Err(error) => return Err(error.into()),
    };
    let text = if as_json {
        format!("{:#}\n", document(context, here, &status))
    } else {
        table(context, &status)
    };
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(|e| Failure::new(format!("cannot print the status: {e}")))?;
    if is_missing(status.program.as_deref()) {
        eprintln!("hint: `ccp service install` writes the path that is right now");
    }
    Ok(exit::OK)
}

/// The daemon itself, whoever started it.
fn daemon_line(context: &Context) -> String {
    match background::running(&context.home) {
        Some(note) => format!("process {}, version {}", note.pid, note.version),
        None if background::is_allowed(context) => {
            "does not run; the next launch starts it in the background".to_owned()
        }
        None => "does not run".to_owned(),
    }
}

fn is_missing(program: Option<&Path>) -> bool {
    program.is_some_and(|program| !program.exists())
}

fn table(context: &Context, status: &Status) -> String {
    let state = status.state.word();
    let mut rows = vec![(
        "state",
        if status.detail.is_empty() {
            state.to_owned()
        } else {
            format!("{state} ({})", status.detail)
        },
    )];
    if let Some(pid) = status.pid {
        rows.push(("pid", pid.to_string()));
    }
    if let Some(file) = &status.file {
        rows.push(("file", file.display().to_string()));
    }
    if let Some(program) = &status.program {
        let missing = if is_missing(Some(program)) {
            " (missing)"
        } else {
            ""
        };
        rows.push(("program", format!("{}{missing}", program.display())));
    }
    rows.push(("daemon", daemon_line(context)));
    rows.push(("home", context.home.path().display().to_string()));
    rows.iter()
        .map(|(name, value)| format!("{name:<9}{value}\n"))
        .collect()
}

fn document(context: &Context, here: &Here, status: &Status) -> serde_json::Value {
    let text = |path: &Path| path.display().to_string();
    json!({
        "supervisor": match &here.service {
            Service::Systemd(_) => "systemd",
            Service::Launchd(_) => "launchd",
            Service::Homebrew(_) => "homebrew",
        },
        "state": status.state.word(),
        "detail": status.detail,
        "pid": status.pid,
        "file": status.file.as_deref().map(text),
        "program": status.program.as_deref().map(text),
        "program_exists": status.program.as_deref().map(Path::exists),
        "daemon": background::running(&context.home)
            .map(|note| json!({"pid": note.pid, "version": note.version})),
        "home": text(context.home.path()),
    })
}
