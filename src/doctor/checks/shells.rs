//! How a person gets to ccp: the two executables, `PATH`, and what `claude` means in each shell. No shell is started for
//! it; a start-up file that reads others may say more than is seen here.

use super::or_ok;
use crate::adapters::shells::{places, read};
use crate::contract::build::launcher_version;
use crate::core::alias::{Meaning, meaning_of};
use crate::doctor::{Check, Finding, Patient};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The largest launcher that is read, in bytes; a debug build has 14 MB.
const MAX_EXECUTABLE: u64 = 128 * 1024 * 1024;
/// The version of this executable.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The launcher beside this executable.
pub const EXECUTABLES: Check = Check {
    id: "executables",
    question: "are ccp and ccpd side by side, and of one version?",
    look: executables,
};

fn executables(patient: &Patient<'_>) -> Vec<Finding> {
    let Some(launcher) = launcher(patient) else {
        let text = "it cannot be told where ccp is installed";
        return vec![Finding::note(text, "run it by its path")];
    };
    let shown = launcher.display();
    vec![match read_version(&launcher) {
        Ok(Some(found)) if found == VERSION => Finding::ok(format!("both are {VERSION}")),
        Ok(Some(found)) => Finding::problem(
            format!("{shown} is {found}, and ccpd is {VERSION}"),
            "install ccp again",
        ),
        Ok(None) => Finding::problem(
            format!("{shown} is not the launcher of this version"),
            "install ccp again",
        ),
        Err(error) => Finding::problem(
            format!("{shown} cannot be read: {error}"),
            "install ccp again",
        ),
    }]
}

fn launcher(patient: &Patient<'_>) -> Option<PathBuf> {
    let own = patient.surroundings.executable.as_ref()?;
    Some(own.with_file_name("ccp"))
}

fn read_version(launcher: &Path) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    File::open(launcher)?
        .take(MAX_EXECUTABLE)
        .read_to_end(&mut bytes)?;
    Ok(launcher_version(&bytes))
}

/// `ccp` on `PATH`: aliases and the status line call it by its name.
pub const ON_PATH: Check = Check {
    id: "ccp-on-path",
    question: "is this the ccp that PATH leads to?",
    look: on_path,
};

fn on_path(patient: &Patient<'_>) -> Vec<Finding> {
    let Some(found) = patient.surroundings.on_path("ccp") else {
        return vec![Finding::note(
            "ccp is not on PATH",
            "add its directory to PATH: the alias and the status line do nothing without",
        )];
    };
    let really = |path: &Path| fs::canonicalize(path).ok();
    let own = launcher(patient);
    if own.is_some_and(|own| really(&own) == really(&found)) {
        vec![Finding::ok(found.display().to_string())]
    } else {
        vec![Finding::note(
            format!("{} is another one", found.display()),
            "remove one of the two, or change the order of PATH",
        )]
    }
}

/// What `claude` means.
pub const ALIAS: Check = Check {
    id: "shell-alias",
    question: "what does `claude` mean in your shells?",
    look: |patient| {
        let surroundings = patient.surroundings;
        let variable = |name: &str| surroundings.variable(name).map(OsStr::to_owned);
        let places = places(&surroundings.user_home, variable);
        let program = match surroundings.on_path("claude") {
            Some(path) => path.display().to_string(),
            None => "nothing".to_owned(),
        };
        let findings = places
            .iter()
            .map(|place| {
                let shell = place.shell.name();
                let text = match read(&place.path) {
                    Ok(text) => text,
                    Err(error) => {
                        let text =
                            format!("{shell}: {} cannot be read: {error}", place.path.display());
                        return Finding::note(text, "look at the file");
                    }
                };
                match meaning_of(&text) {
                    Meaning::Ours => Finding::ok(format!("{shell}: ccp run")),
                    Meaning::Program => Finding::note(
                        format!("{shell}: {program}, not ccp"),
                        "`ccp alias install`, or start sessions with `ccp`",
                    ),
                    Meaning::Own(line) => Finding::note(
                        format!("{shell}: your own `{line}`"),
                        "`ccp alias show` prints the line that would make it ccp",
                    ),
                }
            })
            .collect();
        or_ok(findings, "no start-up file of zsh, bash or fish")
    },
};
