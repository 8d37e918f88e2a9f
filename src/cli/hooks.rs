//! `ccp hooks`: what claude runs when a turn fails. Where the plan's limit refused it, launches know within a moment until
//! when the account is out of service, and the person is told where the conversation could go on. It never fails towards
//! claude, and says nothing outside account directories.

pub mod install;

use super::arguments::HooksAction;
use super::context::Context;
use super::failure::{Failure, Outcome};
use super::prompt::Prompt;
use super::refresh;
use super::statusline;
use super::statusline::advice;
use crate::adapters::agent::identity;
use crate::adapters::files::pause;
use crate::adapters::{inbox, transcripts};
use crate::contract::paths::Home;
use crate::contract::report::Report;
use crate::contract::{exit, vars};
use crate::core::account::AccountId;
use crate::core::registry::{HookReport, Reported, TurnError};
use crate::core::time::Timestamp;
use crate::core::usage::Source;
use install::Done;
use serde_json::json;
use std::io::{Read, Write as _};
use std::path::Path;
use std::time::Duration;

/// The largest input that is read: it holds the last text of the turn.
const MAX_INPUT: u64 = 4 * 1024 * 1024;
/// The transcript gets its record of the failure at about the time when the hook begins.
const LOOKS: u32 = 25;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Runs `ccp hooks`.
pub fn run(context: &Context, action: HooksAction) -> Outcome {
    match action {
        HooksAction::Install { yes } => put_in(context, yes),
        HooksAction::Remove { .. } => take_out(context),
        HooksAction::Report => {
            report(context);
            // Whatever happened: a hook that fails would be shown to the person.
            Ok(exit::OK)
        }
    }
}

fn report(context: &Context) {
    let mut text = Vec::new();
    if std::io::stdin()
        .take(MAX_INPUT)
        .read_to_end(&mut text)
        .is_err()
    {
        return;
    }
    let dir = std::env::var_os(vars::CLAUDE_CONFIG_DIR);
    let account = dir.and_then(|dir| statusline::account_of(&context.home, Path::new(&dir)));
    let Some((account, until)) = account.zip(limited_until(&text)) else {
        return;
    };
    if until <= context.now {
        return;
    }
    if hand_in(&context.home, account, until, context.now).is_ok() {
        refresh::take_in(context);
    }
    let session = advice::Session {
        home: &context.home,
        user_home: &context.user_home,
        // Where claude runs its hooks.
        dir: &std::env::current_dir().unwrap_or_default(),
        account,
    };
    if let Some(advice) = advice::after_limit(&session, until, context.now) {
        let line = json!({"terminalSequence": notification(&advice)}).to_string();
        // claude may have ended meanwhile.
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}

/// The sequence by which a terminal notifies the person (OSC 9). It is the one thing of this event's hooks that claude
/// passes on: messages, output and errors of theirs are shown nowhere, and they have no terminal (2.1.329).
fn notification(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    format!("\u{1b}]9;{text}\u{7}")
}

/// Until when the plan's limit refuses, where that is why the turn failed. The hook's own input names the reset in words
/// only (2.1.197, 2.1.329); the transcript has it as a number.
fn limited_until(input: &[u8]) -> Option<Timestamp> {
    let report = HookReport::parse(input).ok()?;
    let Reported::TurnFailed {
        error: TurnError::RateLimit,
        resets_at,
        ..
    } = report.what
    else {
        return None;
    };
    if resets_at.is_some() {
        return resets_at;
    }
    let transcript = report.transcript?;
    for look in 0..LOOKS {
        if look > 0 {
            pause(BETWEEN_LOOKS);
        }
        let turn = transcripts::last_turn(&transcript).ok()?;
        if let Some(failure) = turn.failure {
            // A throttle that outlasted every retry has no limit in it.
            return failure.resets_at.filter(|_| failure.is_plan_limit);
        }
    }
    None
}

fn hand_in(
    home: &Home,
    account: AccountId,
    until: Timestamp,
    now: Timestamp,
) -> std::io::Result<()> {
    let identity = identity::load(&home.account(account)).identity;
    let report = Report {
        account: account.number(),
        account_uuid: identity.map(|identity| identity.account_uuid),
        measured_at_ms: now.unix_ms(),
        source: Source::Live.name().to_owned(),
        windows: Vec::new(),
        extra: None,
        limited_until_ms: Some(until.unix_ms()),
    };
    inbox::hand_in(&home.inbox(), &report)
}

fn put_in(context: &Context, yes: bool) -> Outcome {
    let settings = context.base()?.settings();
    if !yes && !install::is_installed(&settings).map_err(Failure::new)? {
        let mut prompt = Prompt::open().ok_or_else(|| {
            Failure::new("cannot ask: there is no terminal").hint("--yes asks nothing")
        })?;
        prompt.say(&format!(
            "{} will run this when a turn fails:\n  {}",
            settings.display(),
            install::COMMAND
        ));
        if !prompt.confirm("Change it?", true)? {
            eprintln!("nothing was changed");
            return Ok(exit::OK);
        }
    }
    match install::install(&settings).map_err(Failure::new)? {
        Done::Changed => eprintln!("{} runs `ccp hooks report` now", settings.display()),
        Done::Nothing => eprintln!("it is installed already"),
    }
    Ok(exit::OK)
}

/// Takes the hook out of the person's settings, where it is in them.
pub fn take_out(context: &Context) -> Outcome {
    let settings = context.base()?.settings();
    match install::remove(&settings).map_err(Failure::new)? {
        Done::Changed => eprintln!("{} has no hook of ccp any more", settings.display()),
        Done::Nothing => eprintln!("there is no hook to take out"),
    }
    Ok(exit::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESET: i64 = 1_900_000_000;

    fn transcript(limits: &str) -> (tempfile::TempDir, String) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("t.jsonl");
        let text = format!(
            "{{\"type\":\"user\",\"message\":{{\"content\":\"hi\"}}}}\n{{\"type\":\"assistant\",\"isApiErrorMessage\":true,\"error\":\"rate_limit\"{limits},\"message\":{{\"content\":[{{\"type\":\"text\",\"text\":\"no\"}}]}}}}\n"
        );
        let mut file = std::fs::File::create(&path).expect("creates");
        file.write_all(text.as_bytes()).expect("writes");
        (dir, path.to_string_lossy().into_owned())
    }

    fn check(error: &str, limits: &str, expected: Option<i64>) {
        let (_dir, path) = transcript(limits);
        let input = json!({
            "session_id": "s", "transcript_path": path, "hook_event_name": "StopFailure", "error": error,
        });
        let found = limited_until(input.to_string().as_bytes());
        let expected = expected.map(|s| Timestamp::from_unix_ms(s * 1000));
        assert_eq!(found, expected, "{error} {limits}");
    }

    #[test]
    fn a_notification_is_one_sequence() {
        assert_eq!(notification("a\u{7}\u{1b}]0;b"), "\u{1b}]9;a]0;b\u{7}");
    }

    #[test]
    fn only_the_plans_limit_is_one() {
        let quota = format!(",\"quotaLimits\":{{\"resetsAt\":{RESET}}}");
        check("rate_limit", &quota, Some(RESET));
        check("rate_limit", "", None);
        check("server_error", &quota, None);
        for input in ["", "{", "[]", "{}", r#"{"hook_event_name":"Stop"}"#] {
            assert_eq!(limited_until(input.as_bytes()), None, "{input}");
        }
    }
}
