//! `ccp` alone: the first steps where there are no accounts yet, the status where there are.

use super::add;
use super::arguments::Add;
use super::context::Context;
use super::failure::{Failure, Outcome};
use super::prompt::Prompt;
use crate::claim::roster;
use crate::contract::exit;

const WELCOME: &str = "\
ccp runs Claude Code on whichever of your own subscriptions has the most headroom.

Each account gets a directory of its own with a login of its own; settings, history, plugins and projects stay those of
your present configuration. Your present login and ~/.claude are not touched. You sign in through Claude Code itself.
";

/// Runs `ccp` without a command; `status` shows the accounts.
pub fn run(context: &Context, status: impl FnOnce() -> Outcome) -> Outcome {
    let roster = roster::load(&context.home, &context.user_home);
    if !roster.snapshot.accounts.is_empty() {
        return status();
    }
    let Some(mut prompt) = Prompt::open() else {
        return Err(Failure::new("there are no accounts yet")
            .hint("`ccp add` signs one in; `ccp help` shows the commands"));
    };
    prompt.say(WELCOME);
    if !prompt.confirm("Add your first account now?", true)? {
        prompt.say("`ccp add` does it later; `ccp help` shows the commands");
        return Ok(exit::OK);
    }
    add::run(
        context,
        &Add {
            label: None,
            count: 1,
            yes: false,
            run_login: false,
            no_alias: false,
        },
    )
}
