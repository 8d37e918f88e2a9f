//! The command line of `ccp pool`, as clap reads it.

use crate::contract::paths::pool::DEFAULT_POOL;
use crate::contract::pool::{
    DEFAULT_LOG_LINES, DEFAULT_TIMEOUT_MS, Detail, Excerpt, Source, Status, Verbosity,
};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Keeps interactive claude sessions warm and lets programs use them.
#[derive(Debug, Parser)]
#[command(
    name = "claude-pool-cli",
    version,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct PoolCommandLine {
    /// What to do.
    #[command(flatten)]
    pub pool: Pool,
}

/// `ccp pool`.
#[derive(Debug, Args)]
pub struct Pool {
    /// Which pool.
    #[arg(long, global = true, value_name = "NAME", default_value = DEFAULT_POOL)]
    pub pool: String,
    /// Print the reply as one line of JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of a pool.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the pool where there is none, start its daemon, and spawn its slots.
    Init(Init),
    /// Begin the pool where it does not run, and make it as config.toml says: what the daemon of the accounts runs.
    #[command(hide = true)]
    Keep,
    /// Show how the pool does.
    Health,
    /// Have more or fewer slots.
    Resize {
        /// How many.
        #[arg(long, value_name = "N")]
        size: u32,
    },
    /// Show or change the configuration.
    Config {
        /// Change a key: flags, size, dir, keepFresh, or one of your own; `KEY=` deletes it.
        #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
        set: Vec<(String, String)>,
    },
    /// End the pool. Its sessions stay, and the next init brings them back.
    Destroy {
        /// Yes, end it.
        #[arg(long)]
        confirm: bool,
    },
    /// Ask whether the pool is there.
    Ping,
    /// List the pools and whether each is there.
    Pools,
    /// Begin a session.
    Start(Start),
    /// Give a session another prompt.
    Followup(Followup),
    /// Wait until a session has finished, and print what it said.
    Wait(Wait),
    /// Print what a session said.
    Capture {
        /// Which.
        #[command(flatten)]
        target: Target,
        /// How much.
        #[command(flatten)]
        excerpt: ExcerptArguments,
    },
    /// Interrupt a session, or take its request back.
    Stop {
        /// Which.
        #[command(flatten)]
        target: Target,
    },
    /// List sessions.
    Ls(Ls),
    /// Show one session.
    Info {
        /// Which.
        #[command(flatten)]
        target: Target,
        /// How much of it: flat, nested or full.
        #[arg(long, value_parser = verbosity, default_value = "full")]
        verbosity: Verbosity,
    },
    /// Hide a session; it is removed 30 days later.
    Archive {
        /// Which.
        #[command(flatten)]
        target: Target,
        /// The sessions that it started too.
        #[arg(long)]
        recursive: bool,
    },
    /// Bring an archived session back.
    Unarchive {
        /// Which.
        #[command(flatten)]
        target: Target,
    },
    /// Change a session's priority, pin or metadata.
    Set(Set),
    /// Use a session's terminal: `~.` at the beginning of a line leaves, `~~` types `~`.
    Attach {
        /// Which.
        #[command(flatten)]
        target: Target,
    },
    /// Print events as they come, until Ctrl-C.
    Subscribe(Subscribe),
    /// Teach claude's sessions to use pools: a skill in your own configuration.
    Install {
        /// Also link `claude-pool` and `claude-pool-cli` beside ccp, or into ~/.local/bin.
        #[arg(long)]
        links: bool,
    },
    /// Take away what install has put there.
    Uninstall,
    /// Look inside.
    Debug {
        /// At what.
        #[command(subcommand)]
        action: Debug,
    },
}

/// A session, named by an option or by its place.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Target {
    /// The session: its id or a unique prefix.
    #[arg(long = "session", value_name = "SESSION")]
    option: Option<String>,
    /// The same.
    #[arg(value_name = "SESSION")]
    place: Option<String>,
}

impl Target {
    /// Its id or prefix.
    #[must_use]
    pub fn session(&self) -> String {
        let given = self.option.as_ref().or(self.place.as_ref());
        given.cloned().unwrap_or_default()
    }
}

/// `ccp pool init`.
#[derive(Debug, Args)]
pub struct Init {
    /// How many slots.
    #[arg(long, value_name = "N")]
    pub size: Option<u32>,
    /// Arguments for every claude of the pool.
    #[arg(long, allow_hyphen_values = true)]
    pub flags: Option<String>,
    /// The directory in which they run.
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// How many slots are kept fresh; 0 keeps none.
    #[arg(long, value_name = "N")]
    pub keep_fresh: Option<u32>,
    /// Leave the sessions of the last time where they are.
    #[arg(long)]
    pub no_restore: bool,
}

/// Where a prompt comes from.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct Prompt {
    /// The prompt.
    #[arg(long, allow_hyphen_values = true)]
    pub prompt: Option<String>,
    /// A file with the prompt.
    #[arg(long, value_name = "FILE")]
    pub prompt_file: Option<PathBuf>,
    /// Read the prompt from standard input.
    #[arg(value_name = "-", value_parser = ["-"])]
    pub stdin: Option<String>,
}

/// How much of a session is printed.
#[derive(Clone, Copy, Debug, Args)]
pub struct ExcerptArguments {
    /// Where it is read: jsonl (the transcript) or buffer (the terminal).
    #[arg(long, value_parser = source, default_value = "jsonl")]
    pub source: Source,
    /// How many turns from the end; 0 is all.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub turns: u32,
    /// How much of each: last, assistant, tools or raw.
    #[arg(long, value_parser = detail, default_value = "last")]
    pub detail: Detail,
}

impl From<ExcerptArguments> for Excerpt {
    fn from(given: ExcerptArguments) -> Self {
        Self {
            source: given.source,
            turns: given.turns,
            detail: given.detail,
        }
    }
}

/// Waiting for the answer.
#[derive(Clone, Copy, Debug, Args)]
pub struct Block {
    /// Wait until it has finished, and print what it said.
    #[arg(long)]
    pub block: bool,
    /// How long, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = DEFAULT_TIMEOUT_MS)]
    pub timeout: u64,
    /// How much is printed.
    #[command(flatten)]
    pub excerpt: ExcerptArguments,
}

/// `ccp pool start`.
#[derive(Debug, Args)]
pub struct Start {
    /// The first prompt.
    #[command(flatten)]
    pub prompt: Prompt,
    /// The session or conversation that starts it; by default the one this is run in, `none` for none.
    #[arg(long, value_name = "ID")]
    pub parent: Option<String>,
    /// Its metadata.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub meta: Vec<(String, String)>,
    /// The directory it begins in.
    #[arg(long)]
    pub cwd: Option<PathBuf>,
    /// The account it runs on: number, acct-NN, label or email.
    #[arg(long)]
    pub account: Option<String>,
    /// Whether to wait.
    #[command(flatten)]
    pub block: Block,
}

/// `ccp pool followup`.
#[derive(Debug, Args)]
pub struct Followup {
    /// The session: its id or a unique prefix.
    #[arg(long, value_name = "SESSION")]
    pub session: String,
    /// The prompt.
    #[command(flatten)]
    pub prompt: Prompt,
    /// Whether to wait.
    #[command(flatten)]
    pub block: Block,
}

/// `ccp pool wait`.
#[derive(Debug, Args)]
pub struct Wait {
    /// The session: its id or a unique prefix.
    #[arg(long, value_name = "SESSION", conflicts_with = "parent")]
    pub session: Option<String>,
    /// The first to finish of the sessions that this one started; by default the one this is run in, `none` for none.
    #[arg(long, value_name = "ID")]
    pub parent: Option<String>,
    /// How long, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = DEFAULT_TIMEOUT_MS)]
    pub timeout: u64,
    /// How much is printed.
    #[command(flatten)]
    pub excerpt: ExcerptArguments,
}

/// `ccp pool ls`.
#[derive(Debug, Args)]
pub struct Ls {
    /// Those that this one started; by default the one this is run in, `none` for all.
    #[arg(long, value_name = "ID")]
    pub parent: Option<String>,
    /// Whatever their parent.
    #[arg(long)]
    pub all: bool,
    /// Children below their parents.
    #[arg(long)]
    pub tree: bool,
    /// Only those: queued, idle, processing, offloaded, error, archived.
    #[arg(long, value_name = "A,B", value_delimiter = ',', value_parser = status)]
    pub status: Vec<Status>,
    /// Archived ones too.
    #[arg(long)]
    pub archived: bool,
    /// How much of each: flat, nested or full.
    #[arg(long, value_parser = verbosity)]
    pub verbosity: Option<Verbosity>,
}

/// `ccp pool set`.
#[derive(Debug, Args)]
pub struct Set {
    /// Which.
    #[command(flatten)]
    pub target: Target,
    /// Higher ones get a slot first.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub priority: Option<i64>,
    /// Hold it in its slot for so many seconds; `false` lets it go.
    #[arg(long, value_name = "SECONDS|false", value_parser = pinned)]
    pub pinned: Option<PinArgument>,
    /// Change its metadata; `KEY=` deletes a key.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub meta: Vec<(String, String)>,
}

/// `--pinned`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinArgument {
    /// For so many seconds.
    Seconds(u32),
    /// No more.
    Off,
}

/// `ccp pool subscribe`.
#[derive(Debug, Args)]
pub struct Subscribe {
    /// Only of these sessions.
    #[arg(long, value_name = "SESSION", value_delimiter = ',')]
    pub session: Vec<String>,
    /// Only these: status, created, updated, archived, unarchived, deleted, pool.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub event: Vec<String>,
    /// Only changes into one of these.
    #[arg(long, value_name = "A,B", value_delimiter = ',', value_parser = status)]
    pub status: Vec<Status>,
    /// Only updates of one of these fields.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub field: Vec<String>,
}

/// `ccp pool debug`.
#[derive(Debug, Subcommand)]
pub enum Debug {
    /// Send bytes to a session's terminal.
    Input {
        /// Which.
        #[arg(long, value_name = "SESSION")]
        session: String,
        /// The bytes; `\r`, `\n`, `\t`, `\e`, `\\` and `\xNN` stand for themselves.
        #[arg(allow_hyphen_values = true)]
        data: String,
    },
    /// Print the terminal of a slot.
    Capture {
        /// Its number.
        #[arg(long, value_name = "N")]
        slot: u32,
        /// With escape sequences.
        #[arg(long)]
        raw: bool,
    },
    /// List the slots.
    Slots,
    /// Print the last lines of the daemon's log.
    Logs {
        /// How many.
        #[arg(long, short = 'n', value_name = "N", default_value_t = DEFAULT_LOG_LINES)]
        lines: u32,
        /// Go on with what is added, until Ctrl-C.
        #[arg(long, short)]
        follow: bool,
    },
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("use KEY=VALUE".to_owned()),
    }
}

fn word<T>(text: &str, words: &str, of: impl Fn(&str) -> Option<T>) -> Result<T, String> {
    let words = words.trim_start_matches('|').replace('|', ", ");
    of(text).ok_or_else(|| format!("use one of {words}"))
}

fn source(text: &str) -> Result<Source, String> {
    word(text, Source::WORDS, Source::of)
}

fn detail(text: &str) -> Result<Detail, String> {
    word(text, Detail::WORDS, Detail::of)
}

fn verbosity(text: &str) -> Result<Verbosity, String> {
    word(text, Verbosity::WORDS, Verbosity::of)
}

fn status(text: &str) -> Result<Status, String> {
    word(text, Status::WORDS, Status::of)
}

fn pinned(text: &str) -> Result<PinArgument, String> {
    if text == "false" {
        return Ok(PinArgument::Off);
    }
    let seconds = text.parse().map(PinArgument::Seconds);
    seconds.map_err(|_| "use a number of seconds, or false".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        PoolCommandLine::command().debug_assert();
    }

    fn parsed(line: &str) -> Result<Pool, String> {
        let words = std::iter::once("claude-pool-cli").chain(line.split_whitespace());
        let parsed = PoolCommandLine::try_parse_from(words);
        parsed.map(|line| line.pool).map_err(|e| e.to_string())
    }

    #[test]
    fn the_globals_stand_anywhere() {
        for line in [
            "--pool work --json ls --archived",
            "ls --pool work --archived --json",
            "ls --archived --json --pool work",
        ] {
            let pool = parsed(line).expect("is right");
            assert_eq!((pool.pool.as_str(), pool.json), ("work", true), "{line}");
            assert!(matches!(
                pool.command,
                Command::Ls(Ls { archived: true, .. })
            ));
        }
        assert_eq!(parsed("ping").expect("is right").pool, "default");
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, told) in [
            ("set abc --pinned soon", "use a number of seconds, or false"),
            ("ls --status idle,sleepy", "use one of queued, idle"),
            ("capture abc --detail all", "use one of last, assistant"),
            ("start --prompt a --prompt-file b", "cannot be used with"),
            ("start x", "invalid value 'x'"),
            ("config --set size", "use KEY=VALUE"),
            ("stop", "required"),
            ("stop a --session b", "cannot be used with"),
        ] {
            let error = parsed(line).expect_err("is wrong");
            assert!(error.contains(told), "{line}: {error}");
        }
    }

    #[test]
    fn sessions_are_named_by_an_option_or_by_their_place() {
        for line in ["stop abc", "stop --session abc"] {
            let Command::Stop { target } = parsed(line).expect("is right").command else {
                panic!("is a stop")
            };
            assert_eq!(target.session(), "abc");
        }
        let Command::Set(set) = parsed("set abc --priority -3 --pinned false --meta a=b=c")
            .expect("is right")
            .command
        else {
            panic!("is a set")
        };
        assert_eq!(
            (set.priority, set.pinned),
            (Some(-3), Some(PinArgument::Off))
        );
        assert_eq!(set.meta, [("a".to_owned(), "b=c".to_owned())]);
    }
}

/// `ccpd pool-daemon`: a pool's daemon, in the foreground.
#[derive(Debug, clap::Args)]
pub struct PoolDaemon {
    /// The pool's directory.
    #[arg(long, value_name = "DIR")]
    pub pool_dir: std::path::PathBuf,
}
