//! The command line of ccp, as clap reads it. Also the source of the man pages and completions.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

/// Runs Claude Code on whichever of your own subscriptions has the most headroom.
#[derive(Debug, Parser)]
#[command(
    name = "ccp",
    version,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct CommandLine {
    /// What to do; without a command: status, or the first steps when there are no accounts yet.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sign in one more account.
    Add(Add),
    /// Pick an account and become claude, with every argument passed on as it is.
    ///
    /// `CCP_ACCOUNT=NAME` forces an account, `CCP_CLAUDE=PATH` the claude executable.
    Run {
        /// claude's own arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Go on with the last conversation of this directory, on the emptiest account.
    ///
    /// For a session that ran into its limit: the conversation goes on under another account, with everything said so far.
    /// Refused while it is still open elsewhere.
    Continue {
        /// Choose among the last conversations of this directory; has to come first.
        #[arg(long)]
        pick: bool,
        /// claude's own arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Print the config directory of the emptiest account: `CLAUDE_CONFIG_DIR=$(ccp select) claude`.
    Select(Select),
    /// Print export lines for a shell.
    Env(Env),
    /// Show every account: score, usage, resets.
    Status(Status),
    /// Show ids, labels, emails and directories.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Explain a pick: every account's inputs, terms and score.
    Why {
        /// Which: 1 is the last one.
        #[arg(default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        number: u32,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Use one account for a directory whenever it can serve.
    Pin {
        /// Id, acct-NN, label or email.
        account: String,
        /// The directory; the current one by default.
        dir: Option<PathBuf>,
    },
    /// Take a pin back.
    Unpin {
        /// The directory; the current one by default.
        dir: Option<PathBuf>,
    },
    /// Sign an account in again.
    Login(Login),
    /// Remove an account.
    Remove(Remove),
    /// Give an account another label.
    Rename(Rename),
    /// Prepare `CCP_HOME`: settings, base, accounts found on disk.
    Init(Init),
    /// Put the overlay of the accounts in order.
    Sync(Sync),
    /// Sample the accounts whose numbers are old, and publish the result.
    Refresh {
        /// Sample every account, however fresh its numbers are.
        #[arg(long)]
        all: bool,
        /// Say nothing.
        #[arg(long, short)]
        quiet: bool,
    },
    /// Keep the accounts fresh: sample, publish, sync; in the foreground until it is told to end.
    Daemon(Daemon),
    /// Tee the usage that a session's status line carries, and print a line of it.
    Statusline(Statusline),
    /// Let sessions report it at once when a turn fails on the plan's limit.
    Hooks {
        /// What to do with the hook.
        #[command(subcommand)]
        action: HooksAction,
    },
    /// Make `claude` mean `ccp run` in your shells.
    Alias {
        /// What to do with the alias.
        #[command(subcommand)]
        action: AliasAction,
    },
    /// Show or change settings.
    Config {
        /// What to do with the settings.
        #[command(subcommand)]
        action: Option<ConfigAction>,
    },
    /// Look whether everything is in order, and mend what can be mended.
    Doctor(Doctor),
    /// Run the daemon as a service of this system, from every sign-in on.
    Service {
        /// What to do with the service.
        #[command(subcommand)]
        action: ServiceAction,
    },
    /// Keep interactive claude sessions warm, and use them from programs.
    Pool(super::pool::arguments::Pool),
    /// The daemon of a pool.
    #[command(hide = true, name = "pool-daemon")]
    PoolDaemon(super::pool::arguments::PoolDaemon),
    /// Offer a pool to MCP clients: tools to start, await, read and stop sessions, over standard input and output.
    ///
    /// `claude mcp add pool -- ccp mcp` adds it to claude.
    Mcp {
        /// Which pool.
        #[arg(long, value_name = "NAME", default_value = crate::contract::paths::pool::DEFAULT_POOL)]
        pool: String,
    },
    /// Print the daemon's log.
    Logs(Logs),
    /// Show the whole product in a throw-away home: no login, no network.
    Demo(Demo),
    /// Print a completion script.
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Print a man page, or write all of them into a directory.
    Man {
        /// Write `ccp.1` and one page a command here.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Explain a command or a topic: config, selection, environment, files, exit-codes.
    Help {
        /// What to explain.
        topic: Option<String>,
    },
    /// The stand-in client of the demo.
    #[command(
        hide = true,
        name = "demo-client",
        disable_help_flag = true,
        disable_version_flag = true
    )]
    DemoClient {
        /// The stand-in's own arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

/// `ccp add`.
#[derive(Debug, Args)]
pub struct Add {
    /// The new account's label; by default made from its email.
    #[arg(long)]
    pub label: Option<String>,
    /// How many accounts to add, one after the other.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=20))]
    pub count: u16,
    /// Ask nothing: take what would be proposed.
    #[arg(long, short)]
    pub yes: bool,
    /// Run claude's sign-in in this terminal; otherwise ccp asks where.
    #[arg(long)]
    pub run_login: bool,
    /// Do not offer the shell alias.
    #[arg(long)]
    pub no_alias: bool,
}

/// `ccp select`.
#[derive(Debug, Args)]
pub struct Select {
    /// Use this account: id, acct-NN, label or email.
    #[arg(long, short)]
    pub account: Option<String>,
    /// Block until an account has headroom.
    #[arg(long)]
    pub wait: bool,
    /// Sample in this process, whoever else may keep the numbers fresh.
    #[arg(long)]
    pub no_daemon: bool,
    /// Accept only numbers this recent (`30s`, `5m`, `1h`); older ones are sampled first.
    #[arg(long, value_name = "DUR", value_parser = parse_duration)]
    pub fresh: Option<std::time::Duration>,
    /// Print the pick as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `ccp env`.
#[derive(Debug, Args)]
pub struct Env {
    /// Use this account: id, acct-NN, label or email.
    #[arg(long, short)]
    pub account: Option<String>,
    /// For which shell; by default the one that `SHELL` names.
    #[arg(long)]
    pub shell: Option<EnvShell>,
}

/// The syntaxes of `ccp env`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EnvShell {
    /// bash and other POSIX shells.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
    /// Nushell.
    Nu,
    /// A JSON object.
    Json,
}

/// `ccp status`.
#[derive(Debug, Default, Args)]
pub struct Status {
    /// Print a table, also on a terminal.
    #[arg(long)]
    pub plain: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print the table again whenever something changes.
    #[arg(long, short)]
    pub watch: bool,
    /// Sample every account first.
    #[arg(long)]
    pub live: bool,
}

/// `ccp login`.
#[derive(Debug, Args)]
pub struct Login {
    /// Id, acct-NN, label or email.
    pub account: String,
    /// Run claude's sign-in in this terminal; otherwise ccp asks where.
    #[arg(long)]
    pub run_login: bool,
}

/// `ccp remove`.
#[derive(Debug, Args)]
pub struct Remove {
    /// Id, acct-NN, label or email.
    pub account: String,
    /// Leave the login in the Keychain (macOS).
    #[arg(long)]
    pub keep_credential: bool,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
}

/// `ccp rename`.
#[derive(Debug, Args)]
pub struct Rename {
    /// Id, acct-NN, label or email.
    #[arg(required_unless_present = "auto")]
    pub account: Option<String>,
    /// The new label.
    #[arg(required_unless_present = "auto", conflicts_with = "auto")]
    pub name: Option<String>,
    /// Make labels from emails where the label is still the one that was made up.
    #[arg(long)]
    pub auto: bool,
    /// With --auto: also replace labels that a person chose.
    #[arg(long, requires = "auto")]
    pub force: bool,
}

/// `ccp init`.
#[derive(Debug, Args)]
pub struct Init {
    /// The config directory that the accounts present; `~/.claude` by default.
    #[arg(long)]
    pub base: Option<PathBuf>,
    /// Use a `CCP_HOME` in which another, stopped tool left files.
    #[arg(long)]
    pub adopt: bool,
    /// Leave it at that: set up no background service.
    #[arg(long)]
    pub no_service: bool,
}

/// `ccp sync`.
#[derive(Debug, Args)]
pub struct Sync {
    /// Only this account.
    #[arg(long)]
    pub account: Option<String>,
    /// Say nothing unless something was mended or failed.
    #[arg(long, short)]
    pub quiet: bool,
    /// The lease of the launch that waits for this: its session has not begun.
    #[arg(long, hide = true, value_name = "LEASE")]
    pub launching: Option<String>,
}

/// `ccp daemon`.
#[derive(Debug, Args)]
pub struct Daemon {
    /// Leave the terminal: how other commands start it.
    #[arg(long, hide = true)]
    pub detach: bool,
    /// Only where none runs, the settings allow it, and no service keeps one: how launches start it.
    #[arg(long, hide = true)]
    pub auto: bool,
    /// Speak this protocol, for tests of how one daemon takes another's place.
    #[arg(long, hide = true, value_name = "N")]
    pub proto: Option<u32>,
}

/// `ccp statusline`.
#[derive(Debug, Args)]
pub struct Statusline {
    /// What to do with the settings; without: tee and print.
    #[command(subcommand)]
    pub action: Option<StatuslineAction>,
    /// Run this command for the line itself, as claude would.
    #[arg(long, value_name = "COMMAND")]
    pub wrap: Option<String>,
}

/// `ccp statusline install|remove`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum StatuslineAction {
    /// Put ccp's status line into your settings, around your own if you have one.
    Install {
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
    /// Put your settings back as they were.
    Remove {
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
}

/// `ccp hooks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum HooksAction {
    /// Put ccp's hook into your settings, beside your own.
    Install {
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
    /// Take it out again.
    Remove {
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
    /// What claude runs.
    #[command(hide = true)]
    Report,
}

/// `ccp alias`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum AliasAction {
    /// Add one marked line to the start-up file of each of your shells.
    Install,
    /// Take that line out again.
    Remove,
    /// Print the lines and where they would go.
    Show,
}

/// `ccp config`.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum ConfigAction {
    /// Print every setting with its value.
    Show,
    /// Print one setting.
    Get {
        /// Such as `usage.sources`.
        key: String,
    },
    /// Change one setting; comments stay.
    Set {
        /// Such as `overlay.settings`.
        key: String,
        /// The new value.
        value: String,
    },
    /// Take in what was written into the file by hand. Launches and the daemon do this by themselves.
    Apply,
    /// Print where the file is.
    Path,
}

/// `ccp doctor`.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Doctor {
    /// Mend what can be mended without harm, and say what was done.
    #[arg(long)]
    pub fix: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `ccp service`.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ServiceAction {
    /// Start the daemon now and at every sign-in.
    Install,
    /// Stop the daemon and take it from the system.
    Uninstall(Uninstall),
    /// Show whether it runs, as which process and from which path.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// `ccp service uninstall`.
#[derive(Clone, Copy, Debug, Args)]
pub struct Uninstall {
    /// Also while sessions run; they go on without it.
    #[arg(long)]
    pub force: bool,
    /// Remove the accounts, their logins and everything in `CCP_HOME` too, and what was put into your files; never
    /// while sessions run.
    #[arg(long)]
    pub purge: bool,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
}

/// `ccp logs`.
#[derive(Clone, Copy, Debug, Args)]
pub struct Logs {
    /// Go on printing what is added, until Ctrl-C.
    #[arg(long, short)]
    pub follow: bool,
    /// Only so many of the last lines; all of them by default, 10 with --follow.
    #[arg(long, short = 'n', value_name = "N")]
    pub lines: Option<usize>,
}

/// `ccp demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Launch the real claude instead of the built-in stand-in.
    #[arg(long)]
    pub real: bool,
}

/// Reads `90`, `90s`, `5m`, `1h`, `2d`; a bare number is seconds.
fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err("use a number and s, m, h or d, such as 5m".to_owned()),
    };
    let count: u64 = digits
        .parse()
        .map_err(|_| "use a number and s, m, h or d, such as 5m")?;
    count
        .checked_mul(unit)
        .map(std::time::Duration::from_secs)
        .ok_or_else(|| "too long".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn durations() {
        let rows = [
            ("90", Some(90)),
            ("5m", Some(300)),
            ("2h", Some(7200)),
            ("1d", Some(86_400)),
            ("x", None),
            ("5y", None),
            ("", None),
            ("99999999999999999d", None),
        ];
        for (text, expected) in rows {
            assert_eq!(
                parse_duration(text).ok().map(|d| d.as_secs()),
                expected,
                "{text}"
            );
        }
    }
}
