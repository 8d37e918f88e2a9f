//! `ccp pool`: sessions that are kept warm, for people and for programs. The same commands go by the name
//! `claude-pool-cli`, and the pool's daemon by the name `claude-pool`.

pub mod arguments;
mod attach;
pub mod daemon;
mod debug;
mod init;
pub(super) mod keep;
pub(super) mod link;
pub(super) mod parent;
pub(super) mod places;
mod prompt;
mod sessions;
mod show;
mod spawn;
pub(super) mod stand;
mod subscribe;

use super::context::Context;
use super::failure::{Failure, Outcome};
use super::pool_skill;
use crate::client::pool::{Answer, PoolClientError};
use crate::contract::exit;
use crate::contract::pool::Request;
use arguments::{Command, Pool, PoolCommandLine};
use clap::Parser as _;
use link::Link;
use serde_json::{Map, Value};
use stand::Stand;
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

/// The name under which the commands of a pool need no `pool` before them.
const CLIENT_NAME: &str = "claude-pool-cli";
/// The name under which this program is the daemon of a pool.
const DAEMON_NAME: &str = "claude-pool";
/// How long a pool has for what it can answer at once.
pub(super) const SOON: Duration = Duration::from_secs(30);
/// How long it has for what waits for a claude: a stop takes up to 30 s.
pub(super) const SLOW: Duration = Duration::from_secs(90);

/// What the process was called as.
#[derive(Debug)]
pub enum Called {
    /// `ccp` or `ccpd`, with these arguments.
    Ccp(Vec<OsString>),
    /// A client of a pool, with its arguments as clap read them.
    Client(Result<Box<Pool>, clap::Error>),
}

/// Tells by the first argument which of our names it was.
#[must_use]
pub fn called(arguments: Vec<OsString>) -> Called {
    let name = arguments.first().map(Path::new).and_then(Path::file_name);
    match name.and_then(OsStr::to_str) {
        Some(CLIENT_NAME) => {
            let parsed = PoolCommandLine::try_parse_from(arguments);
            Called::Client(parsed.map(|line| Box::new(line.pool)))
        }
        Some(DAEMON_NAME) => {
            let word = arguments.get(1).and_then(|word| word.to_str());
            // Its other two commands are the client's.
            let own = match word {
                Some("install" | "uninstall") => ["ccpd", "pool"],
                _ => ["ccpd", "pool-daemon"],
            };
            let own = own.map(OsString::from);
            Called::Ccp(
                own.into_iter()
                    .chain(arguments.into_iter().skip(1))
                    .collect(),
            )
        }
        _ => Called::Ccp(arguments),
    }
}

/// Runs a command of a pool.
pub fn run(pool: &Pool) -> Outcome {
    let stand = Stand::new(&pool.pool, pool.json)?;
    let stand = &stand;
    match &pool.command {
        Command::Init(arguments) => init::run(stand, arguments),
        Command::Keep => keep::run(stand),
        Command::Pools => places::run(stand),
        Command::Ping => simple(stand, &Request::Ping, SOON),
        Command::Health => simple(stand, &Request::Health, SOON),
        Command::Resize { size } => simple(stand, &Request::Resize { size: *size }, SOON),
        Command::Config { set } => simple(stand, &config(set)?, SOON),
        Command::Destroy { confirm } => {
            simple(stand, &Request::Destroy { confirm: *confirm }, SLOW)
        }
        Command::Start(arguments) => prompt::start(stand, arguments),
        Command::Followup(arguments) => prompt::followup(stand, arguments),
        Command::Wait(arguments) => prompt::wait(stand, arguments),
        Command::Capture { target, excerpt } => {
            let session_id = target.session();
            let excerpt = (*excerpt).into();
            simple(
                stand,
                &Request::Capture {
                    session_id,
                    excerpt,
                },
                SLOW,
            )
        }
        Command::Stop { target } => {
            let session_id = target.session();
            simple(stand, &Request::Stop { session_id }, SLOW)
        }
        Command::Ls(arguments) => simple(stand, &sessions::ls(stand, arguments), SOON),
        Command::Info { target, verbosity } => {
            simple(stand, &sessions::info(target, *verbosity), SOON)
        }
        Command::Archive { target, recursive } => {
            simple(stand, &sessions::archive(target, *recursive), SLOW)
        }
        Command::Unarchive { target } => {
            let session_id = target.session();
            simple(stand, &Request::Unarchive { session_id }, SOON)
        }
        Command::Set(arguments) => simple(stand, &sessions::set(arguments), SOON),
        Command::Attach { target } => attach::run(stand, &target.session()),
        Command::Subscribe(arguments) => subscribe::run(stand, arguments),
        Command::Install { links } => pool_skill::install(&Context::of_process()?, *links),
        Command::Uninstall => pool_skill::uninstall(&Context::of_process()?),
        Command::Debug { action } => debug::run(stand, action),
    }
}

/// One request, whose reply is printed.
fn simple(stand: &Stand, request: &Request, patience: Duration) -> Outcome {
    let exchange = Exchange::open(stand)?;
    let answer = exchange.ask(request, patience)?;
    exchange.print(&answer)
}

/// Requests to the pool of a command.
#[derive(Debug)]
struct Exchange<'a> {
    stand: &'a Stand,
    link: Link,
}

impl<'a> Exchange<'a> {
    /// With the pool that the command names.
    fn open(stand: &'a Stand) -> Result<Self, Failure> {
        Ok(Self::with(stand, Link::open(stand)?))
    }

    /// By a link that is open.
    fn with(stand: &'a Stand, link: Link) -> Self {
        Self { stand, link }
    }

    /// Asks on a connection of its own.
    fn ask(&self, request: &Request, patience: Duration) -> Result<Answer, Failure> {
        let answer = self.attempt(request, patience);
        answer.map_err(|error| self.failure(error))
    }

    /// The same for somebody who knows what to do about an error.
    fn attempt(&self, request: &Request, patience: Duration) -> Result<Answer, PoolClientError> {
        self.link.client()?.call(request, patience)
    }

    /// Prints a reply as the person wants it.
    fn print(&self, answer: &Answer) -> Outcome {
        if self.stand.json {
            say(&format!("{}\n", answer.raw))?;
        } else {
            say(&show::reply(&answer.reply, self.stand.colour))?;
        }
        Ok(exit::OK)
    }

    /// What went wrong. A refusal is a reply too, so with --json it is printed like one.
    fn failure(&self, error: PoolClientError) -> Failure {
        if let (true, PoolClientError::Refused(_, raw)) = (self.stand.json, &error) {
            // What went wrong is told on stderr in any case.
            let _ = say(&format!("{raw}\n"));
        }
        self.link.failure(error)
    }
}

/// Writes to stdout at once: a reader may wait for the line.
fn say(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    written.map_err(|error| Failure::new(format!("cannot write the output: {error}")))
}

/// `--set` of the configuration: numbers are numbers, and a key of somebody else may be any JSON.
fn config(set: &[(String, String)]) -> Result<Request, Failure> {
    let mut object = Map::new();
    for (key, value) in set {
        let value = match key.as_str() {
            _ if value.is_empty() => Value::Null,
            "flags" | "dir" => Value::from(value.as_str()),
            "size" | "keepFresh" => {
                let number: Result<u32, _> = value.parse();
                let wrong = |_| {
                    Failure::new(format!(
                        "`{key}` is a number, not `{}`",
                        value.escape_debug()
                    ))
                };
                Value::from(number.map_err(wrong)?)
            }
            _ => serde_json::from_str(value).unwrap_or_else(|_| Value::from(value.as_str())),
        };
        object.insert(key.clone(), value);
    }
    let set = (!object.is_empty()).then_some(object);
    Ok(Request::Config { set })
}

/// `--meta`: strings; an empty one deletes the key.
fn metadata(pairs: &[(String, String)]) -> Option<Map<String, Value>> {
    let value = |text: &str| match text {
        "" => Value::Null,
        text => Value::from(text),
    };
    let object: Map<_, _> = pairs.iter().map(|(k, v)| (k.clone(), value(v))).collect();
    (!object.is_empty()).then_some(object)
}

/// The absolute path of a directory that is there, as text.
fn directory(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let found = std::fs::canonicalize(path)
        .map_err(|error| Failure::new(format!("cannot use {shown}: {error}")))?;
    if !found.is_dir() {
        return Err(Failure::new(format!("{shown} is no directory")));
    }
    let text = found.into_os_string().into_string();
    text.map_err(|_| {
        Failure::new(format!(
            "{shown} is no text, and the protocol has no other paths"
        ))
    })
}
