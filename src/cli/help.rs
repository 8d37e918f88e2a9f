//! `ccp help [TOPIC]`: the long help of a command, or a topic that is larger than one command.

use super::arguments::CommandLine;
use super::failure::{Failure, Outcome};
use crate::contract::{exit, settings, vars};
use clap::CommandFactory as _;
use std::io::{self, Write as _};

/// The topics beside the commands.
const TOPICS: &[(&str, MakeText)] = &[
    ("config", config),
    ("selection", selection),
    ("environment", environment),
    ("files", files),
    ("exit-codes", exit_codes),
];

type MakeText = fn() -> String;

/// Runs `ccp help`.
pub fn run(topic: Option<&str>) -> Outcome {
    let text = match topic {
        None => overview(),
        Some(name) => text_of(name).ok_or_else(|| unknown(name))?,
    };
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(|e| Failure::new(format!("cannot print the help: {e}")))?;
    Ok(exit::OK)
}

fn overview() -> String {
    let names: Vec<&str> = TOPICS.iter().map(|(name, _)| *name).collect();
    format!(
        "{}\nTopics of `ccp help TOPIC`: {}, and every command\n",
        CommandLine::command().render_help(),
        names.join(", ")
    )
}

/// The text of a topic. Where a topic and a command share a name, both are shown.
fn text_of(name: &str) -> Option<String> {
    let topic = TOPICS
        .iter()
        .find(|(n, _)| *n == name)
        .map(|(_, text)| text());
    let command = long_help(name);
    match (topic, command) {
        (Some(topic), Some(command)) => Some(format!("{command}\n{topic}")),
        (topic, command) => topic.or(command),
    }
}

fn long_help(name: &str) -> Option<String> {
    let mut root = CommandLine::command();
    root.build();
    let command = root.find_subcommand_mut(name)?;
    Some(command.render_long_help().to_string())
}

fn unknown(name: &str) -> Failure {
    let names: Vec<&str> = TOPICS.iter().map(|(name, _)| *name).collect();
    Failure::new(format!("there is no help on `{name}`"))
        .hint(format!("topics: {}, and every command", names.join(", ")))
        .code(exit::USAGE)
}

fn config() -> String {
    format!(
        "Settings are in config.toml in CCP_HOME; `ccp config path` prints where.\n\n{}",
        settings::help()
    )
}

fn selection() -> String {
    "\
How an account is picked

Every account gets a score: the percent of headroom it has left, higher is emptier.

  score = 0.70 x headroom of the 5-hour window
        + 0.25 x headroom of the week
        - 2 for each running session or reservation
        - 20 where the numbers are stale or were never measured
        - up to 20 for each window with less than 20 % left
        - up to 15 where the present pace would use the 5-hour window up within 5 hours
        - 100 where the plan limit refuses it, or it needs a sign-in

A window that resets soon counts as emptier, over 5 hours. A weekly window of one model counts only for a launch that
names that model. Extra usage never enters the score.

Accounts that are used up (99.5 % of a window, until its reset), refused or signed out are not picked while another one
can serve. When none can, the best of the full ones is taken, and a line says so.

A launch in a directory sticks to the account that was used there within the hour (its prompt cache is warm), while that
account has 10 % of its 5-hour window left. `ccp pin ACCOUNT [DIR]` makes it a standing order. A second session beside a
running one in the same directory is ranked freely.

CCP_ACCOUNT=NAME forces an account for one launch. `ccp why` explains the last pick, number by number.
"
    .to_owned()
}

fn environment() -> String {
    let mut text = String::from(
        "\
Variables that ccp reads

  CCP_HOME          where ccp keeps its state; ~/.cc-pool by default
  CCP_ACCOUNT       forces an account for one launch: id, acct-NN, label or email
  CCP_CLAUDE        forces the claude executable
  CCP_AUTOSTART     0: this command starts no daemon in the background; 1: it may, whatever `daemon.autostart` says
  CCP_API_BASE      base URL for the `oauth` usage source; loopback or https
  CCP_OAUTH_BASE    base URL for direct renewal of logins; loopback or https
  ANTHROPIC_MODEL   the model of a launch, after --model: its weekly window counts
  NO_COLOR          no colours

  CLAUDE_POOL_HOME    where session pools are; ~/.claude-pool by default
  CLAUDE_POOL_DAEMON  the program that `ccp pool init` starts as a pool's daemon; ccp itself by default
  CLAUDE_CODE_SESSION_ID
                      the conversation in which `ccp pool` is run: the usual parent of what it starts

Variables that a launch sets

  CLAUDE_CONFIG_DIR              the account's directory
  CLAUDE_CODE_PLUGIN_CACHE_DIR   the plugin store of your own configuration, unless you set it

Variables that a launch removes, because claude would ignore the account's login; `env.keep` in the settings keeps them

",
    );
    for name in vars::OVERRIDES {
        text.push_str("  ");
        text.push_str(name);
        text.push('\n');
    }
    text
}

fn files() -> String {
    "\
Files in CCP_HOME (~/.cc-pool by default)

  accounts/acct-NN/   an account's configuration directory: its own login and identity, everything else linked to yours
  config.toml         your settings
  state.db            accounts, usage samples, picks, pins, events; no secrets
  snapshot.json       what a launch reads; rebuilt from state.db
  status.json         the output of `ccp status --json` after the last sweep
  daemon.lock         held by the daemon while it runs; says who it is and where it listens
  daemon.sock         where the daemon listens
  daemon.starts       when other commands started a daemon
  pools.json          how the session pools stand that the daemon keeps running, while it runs
  leases/             one small file for each running or just reserved session
  inbox/              usage that sessions reported, until it is folded in
  statusline/         what each session's status line reported last
  statusline.json     your own status line, while ccp's stands in its place
  logs/               the daemon's log, and damaged files that were moved out of the way
  probe/              an empty directory in which claude is asked for usage
  *.lock, .*          locks, and the record of what was merged into an account

ccp makes the directory readable by you alone, and every file in it.

Files in CLAUDE_POOL_HOME (~/.claude-pool by default)

  pools.json          where each pool listens: a socket, or ssh://user@host/path of one on another machine
  NAME/config.json    a pool's configuration: flags, size, dir, keepFresh
  NAME/pool.db        its sessions and what waits for a slot
  NAME/api.sock       where it listens; docs/protocol.md says what it understands
  NAME/attach-*.sock  terminals of sessions that somebody is attached to
  NAME/daemon.lock    held by its daemon while that runs
  NAME/daemon.log     what it did; prompts and answers are not in it
  NAME/daemon.err     what its daemon said on stderr since it was started last
  NAME/slots/         its slots
  NAME/ended          there after `ccp pool destroy`, until its next daemon begins

Where such a path is too long for a socket, a short link to the directory is in `ccp` below XDG_RUNTIME_DIR, or in
/tmp/ccp-UID. Local ends of sockets on other machines are there too.

Logins are where Claude Code puts them: .credentials.json in the account's directory on Linux, the Keychain on macOS.
~/.claude and ~/.claude.json are yours: ccp links to what is in them and never moves them.

Outside CCP_HOME, only on request: one line in a shell's start-up file (`ccp alias`), the status line and a hook in your
settings (`ccp statusline`, `ccp hooks`), a unit or LaunchAgent (`ccp service`), a skill in your configuration and two links beside ccp or in
~/.local/bin (`ccp pool install`). Each has its `remove` or `uninstall`, and `ccp service uninstall --purge` does them all.
"
    .to_owned()
}

fn exit_codes() -> String {
    format!(
        "\
Exit codes

  {:>3}  all went well; also a launch on a used-up account, which is announced loudly
  {:>3}  something failed: stderr has an `error:` line and, where there is a next step, a `hint:` line
  {:>3}  the command line was wrong
  {:>3}  no account can serve, or a rule forbids it
  {:>3}  claude was not found
  {:>3}  ended by Ctrl-C

After `ccp run` has started claude, the exit code is claude's own.
",
        exit::OK,
        exit::FAILURE,
        exit::USAGE,
        exit::UNAVAILABLE,
        exit::NOT_FOUND,
        exit::INTERRUPTED
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_and_every_command_is_explained() {
        for (name, _) in TOPICS {
            assert!(text_of(name).is_some_and(|t| t.len() > 100), "{name}");
        }
        for command in CommandLine::command().get_subcommands() {
            let text = text_of(command.get_name()).expect("is explained");
            assert!(text.contains("Usage: ccp "), "{text}");
        }
        assert_eq!(run(Some("nothing")).map_err(|f| f.code), Err(exit::USAGE));
    }

    #[test]
    fn what_the_texts_promise_is_what_there_is() {
        for name in vars::OVERRIDES {
            assert!(environment().contains(name), "{name}");
        }
        for key in settings::keys::KEYS {
            assert!(config().contains(key.name), "{}", key.path());
        }
        assert!(overview().contains("exit-codes"));
    }
}
