//! The LaunchAgent of macOS. Rendering and reading are pure, so they are tested everywhere; the keys are launchd.plist(5),
//! the commands launchctl(1) as of macOS 13. What `launchctl print` says is for people and may change, so whatever is
//! not understood in it counts as unknown.

use super::ask::Question;
use super::{Installed, ServiceError, State, Status, Unit, decimal, read, remove, write};
use crate::adapters::files::{create_private_dir, pause};
use crate::contract::vars;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What launchd knows the agent by.
pub(super) const LABEL: &str = "ccp.daemon";
/// What `brew services` calls its agent.
const HOMEBREW: &str = "homebrew.mxcl.ccp.plist";
/// The files of both.
#[cfg(target_os = "macos")]
pub(super) const FILES: (&str, &str) = ("ccp.daemon.plist", HOMEBREW);
/// launchctl waits for the agent's end in a bootout, for which the plist allows 20 s.
const BOUND: Duration = Duration::from_secs(30);
/// Between two looks at an agent that is on its way out.
const LOOK: Duration = Duration::from_millis(100);
const TEMPLATE: &str = include_str!("../../../launchagent/ccp.daemon.plist.in");
/// The file in `logs/` for what the daemon could not log.
const OUTPUT: &str = "service.log";

/// launchd, in the session of one person.
#[derive(Clone, Debug)]
pub struct Launchd {
    launchctl: PathBuf,
    agents: PathBuf,
    file: PathBuf,
    /// `gui/UID`.
    domain: String,
}

/// Where the agents of a person are.
#[cfg(target_os = "macos")]
pub(super) fn directory(user_home: &Path, _config: Option<&std::ffi::OsStr>) -> PathBuf {
    user_home.join("Library/LaunchAgents")
}

impl Launchd {
    /// The session of this user, whose agents are below this home directory.
    #[must_use]
    pub fn new(user_home: &Path, user: u32) -> Self {
        let agents = user_home.join("Library/LaunchAgents");
        Self {
            launchctl: PathBuf::from("launchctl"),
            file: agents.join(format!("{LABEL}.plist")),
            agents,
            domain: format!("gui/{user}"),
        }
    }

    /// The same with this launchctl.
    #[must_use]
    pub fn with_launchctl(mut self, launchctl: &Path) -> Self {
        launchctl.clone_into(&mut self.launchctl);
        self
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    fn target(&self) -> String {
        format!("{}/{LABEL}", self.domain)
    }

    fn question(&self, arguments: &[&std::ffi::OsStr]) -> Question<'_> {
        Question::new(&self.launchctl, arguments, BOUND)
    }

    fn about_target(&self, verb: &str) -> Question<'_> {
        self.question(&[verb.as_ref(), self.target().as_ref()])
    }

    /// What launchd prints of the agent; none where it does not know it.
    fn printed(&self) -> Result<Option<String>, ServiceError> {
        match self.about_target("print").ask() {
            Ok(answer) if answer.good => Ok(Some(answer.stdout)),
            Ok(_) => Ok(None),
            Err(ServiceError::Start { source, .. }) => Err(ServiceError::Unreachable(format!(
                "there is no launchd here: cannot run launchctl: {source}"
            ))),
            Err(error) => Err(error),
        }
    }

    pub(super) fn install(&self, unit: &Unit) -> Result<Installed, ServiceError> {
        let text = render(unit)?;
        let known = self.printed()?.is_some();
        let theirs = self.agents.join(HOMEBREW);
        if theirs.exists() {
            return Err(ServiceError::Taken(format!(
                "Homebrew runs the daemon already: {}",
                theirs.display()
            )));
        }
        let logs = unit.home.logs();
        create_private_dir(&logs).map_err(|source| ServiceError::File { path: logs, source })?;
        let changed = write(&self.file, &text)?;
        if known && !changed {
            self.about_target("kickstart").demand()?;
            return Ok(Installed::Already);
        }
        if known {
            self.bootout()?;
        }
        // One that was disabled by hand is not taken in before.
        self.about_target("enable").demand()?;
        let bootstrap = [
            "bootstrap".as_ref(),
            self.domain.as_ref(),
            self.file.as_os_str(),
        ];
        self.question(&bootstrap).demand()?;
        Ok(Installed::Fresh)
    }

    /// Takes the agent out, and waits until it is: launchctl may return before.
    fn bootout(&self) -> Result<(), ServiceError> {
        let question = self.about_target("bootout");
        let answer = question.ask()?;
        let asked = Instant::now();
        while self.printed()?.is_some() {
            if asked.elapsed() >= BOUND {
                return Err(question.refused(&answer));
            }
            pause(LOOK);
        }
        Ok(())
    }

    pub(super) fn uninstall(&self) -> Result<bool, ServiceError> {
        let known = match self.printed() {
            Ok(printed) => printed.is_some(),
            // Nobody runs it, then.
            Err(ServiceError::Unreachable(_)) => false,
            Err(error) => return Err(error),
        };
        if known {
            self.bootout()?;
        }
        Ok(remove(&self.file)? || known)
    }

    pub(super) fn status(&self) -> Result<Status, ServiceError> {
        let mut status = self
            .printed()?
            .as_deref()
            .map_or_else(Status::default, status_in);
        let program = program_in(&read(&self.file)?);
        status.file = self.file.exists().then(|| self.file.clone());
        status.program = program.or(status.program);
        if status.state == State::Absent && status.file.is_some() {
            status.state = State::Stopped;
        }
        Ok(status)
    }
}

/// The text of the agent's plist.
pub(super) fn render(unit: &Unit) -> Result<String, ServiceError> {
    let environment = if unit.is_default_home {
        String::new()
    } else {
        format!(
            "\t<key>EnvironmentVariables</key>\n\t<dict>\n\t\t<key>{}</key>\n\t\t<string>{}</string>\n\t</dict>\n",
            vars::CCP_HOME,
            escaped(unit.home.path())?
        )
    };
    let values = [
        ("LABEL", LABEL.to_owned()),
        ("PROGRAM", escaped(&unit.program)?),
        ("ENVIRONMENT", environment),
        ("OUTPUT", escaped(&unit.home.logs().join(OUTPUT))?),
    ];
    let mut text = String::with_capacity(TEMPLATE.len() + 256);
    // In one pass, so that a path may spell a name of the template.
    for (index, piece) in TEMPLATE.split('@').enumerate() {
        match values.iter().find(|(name, _)| *name == piece) {
            Some((_, value)) if index % 2 == 1 => text.push_str(value),
            _ => text.push_str(piece),
        }
    }
    Ok(text)
}

fn escaped(path: &Path) -> Result<String, ServiceError> {
    let unspeakable = |reason| ServiceError::Unspeakable {
        path: path.to_owned(),
        reason,
    };
    let text = path
        .to_str()
        .ok_or_else(|| unspeakable("it is not UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(unspeakable("it holds control characters"));
    }
    Ok(text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;"))
}

/// The home that a plist of ours names.
pub(super) fn home_in(text: &str) -> Option<PathBuf> {
    string_after(text, vars::CCP_HOME)
}

pub(super) fn program_in(text: &str) -> Option<PathBuf> {
    string_after(text, "ProgramArguments")
}

/// The first string behind a key.
fn string_after(text: &str, key: &str) -> Option<PathBuf> {
    let (_, rest) = text.split_once(&format!("<key>{key}</key>"))?;
    let (_, rest) = rest.split_once("<string>")?;
    let (value, _) = rest.split_once("</string>")?;
    let value = value
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    Some(PathBuf::from(value))
}

/// What `launchctl print` says. Deeper blocks have states of their own, so only the outermost lines count.
fn status_in(text: &str) -> Status {
    let value = |name: &str| {
        text.lines().find_map(|line| {
            let line = line.strip_prefix('\t').filter(|l| !l.starts_with('\t'))?;
            line.strip_prefix(name)?.strip_prefix(" = ").map(str::trim)
        })
    };
    let word = value("state").unwrap_or("unknown");
    let exit = value("last exit code").filter(|code| *code != "(never exited)");
    let failed = exit.is_some_and(|code| !code.starts_with('0'));
    let state = match word {
        "running" | "spawn scheduled" | "spawning" => State::Running,
        _ if failed => State::Failed,
        _ => State::Stopped,
    };
    Status {
        state,
        detail: exit.map_or_else(
            || word.to_owned(),
            |code| format!("{word}, last exit code {code}"),
        ),
        pid: value("pid").and_then(decimal),
        program: value("program").map(PathBuf::from),
        ..Status::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::paths::Home;
    use proptest::prelude::*;

    fn unit(program: &str, home: &str, is_default_home: bool) -> Unit {
        Unit {
            program: PathBuf::from(program),
            home: Home::new(Path::new(home)).expect("absolute"),
            is_default_home,
        }
    }

    #[test]
    fn nothing_of_the_template_is_left() {
        let text = render(&unit("/opt/bin/ccpd", "/h/.cc-pool", true)).expect("renders");
        assert!(!text.contains('@') && !text.contains("CCP_HOME"), "{text}");
        assert!(text.contains("<string>/h/.cc-pool/logs/service.log</string>"));
        let odd = unit("/@PROGRAM@/@LABEL@/ccpd", "/@OUTPUT@", false);
        let text = render(&odd).expect("renders");
        assert_eq!(program_in(&text), Some(odd.program));
        assert_eq!(home_in(&text), Some(PathBuf::from("/@OUTPUT@")));
        assert!(render(&unit("/a\u{1}/ccpd", "/h", true)).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(program in "/[ -~é]{0,30}", home in "/[ -~é]{0,30}") {
            let unit = unit(&program, &home, false);
            let text = render(&unit).expect("no control characters");
            prop_assert_eq!(program_in(&text), Some(PathBuf::from(&program)));
            prop_assert_eq!(home_in(&text), Some(unit.home.path().to_owned()));
        }

        #[test]
        fn any_answer_is_read(text in "[\t\n a-z=0-9{}]{0,80}") {
            let _ = status_in(&text);
        }
    }

    #[test]
    fn what_launchctl_prints() {
        let running = "gui/501/ccp.daemon = {\n\tactive count = 1\n\tstate = running\n\n\tprogram = /opt/bin/ccpd\n\
            \tendpoints = {\n\t\tstate = active\n\t\tpid = 9\n\t}\n\tpid = 4711\n\tlast exit code = (never exited)\n}\n";
        let status = status_in(running);
        assert_eq!((status.state, status.pid), (State::Running, Some(4711)));
        assert_eq!(status.program.as_deref(), Some(Path::new("/opt/bin/ccpd")));
        assert_eq!(status.detail, "running");
        let ended = |code: &str| {
            status_in(&format!(
                "x = {{\n\tstate = not running\n\tlast exit code = {code}\n}}\n"
            ))
            .state
        };
        assert_eq!(ended("0"), State::Stopped);
        assert_eq!(ended("78: EX_CONFIG"), State::Failed);
        assert_eq!(status_in("").state, State::Stopped);
    }
}
