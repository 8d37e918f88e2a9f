//! Asking the real `claude` how much of an account is used. It answers from its own login, renewing it where needed,
//! in a session that loads no hooks and no servers, sends nothing to a model and leaves no transcript. Its exit code is
//! always 0, so the answer alone is judged; it may come from a cache without saying so, so the age of the numbers is
//! read where claude writes it down.

use super::identity::{self, CachedUsage, ClaudeState, Identity};
use super::process::{Agent, Environment, Output, Unread, send_line};
use super::until::Until;
use crate::adapters::files::create_private_dir;
use crate::contract::usage_body::{self, Report};
use crate::contract::vars;
use crate::core::time::Timestamp;
use crate::core::usage::{Sample, Source};
use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// How long a probe may take: claude gives up on the service after 5 s, and on renewing a login after a few more.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Of that, what is kept for its end: with its input closed it takes 0.05 s.
const END_RESERVE: Duration = Duration::from_secs(1);

/// Names our question in claude's answer.
const REQUEST_ID: &str = "ccp-usage";
const QUESTION: &str = r#"{"type":"control_request","request_id":"ccp-usage","request":{"subtype":"get_usage","skip_behaviors":true}}"#;

/// What keeps a session free of side effects, for both questions.
const QUIET: &[&str] = &[
    "--no-session-persistence",
    "--strict-mcp-config",
    "--settings",
    r#"{"disableAllHooks":true}"#,
];

/// Whom to ask, and in which surroundings.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The claude executable.
    pub claude: &'a Path,
    /// The account's directory.
    pub account_dir: &'a Path,
    /// An empty directory to run in; made when missing.
    pub probe_dir: &'a Path,
    /// The account's environment.
    pub environment: Environment,
    /// At most this long; [`PATIENCE`] is what claude may need.
    pub timeout: Duration,
    /// Nobody wants to know any more once this is set.
    pub stop: Option<&'a AtomicBool>,
}

/// A judged answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// What it says about usage.
    pub answer: Answer,
    /// Who is signed in there, by claude's own record.
    pub identity: Option<Identity>,
    /// The plan, in claude's word for it.
    pub subscription: Option<String>,
    /// Parts of the numbers that were not understood and are left out.
    pub problems: Vec<usage_body::Problem>,
}

/// What a probe found out.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// New numbers.
    Measured(Sample),
    /// The very numbers that claude held before: it was asked moments ago, or the service gave no new ones. Neither a
    /// new sample nor an error.
    Unchanged {
        /// When they were measured.
        measured_at: Timestamp,
    },
    /// No numbers, though somebody is signed in: the service throttles, or cannot be reached.
    Throttled,
    /// No numbers and no plan: the login is dead or absent. To be confirmed by [`super::auth::status`].
    LoginSuspected,
}

/// Why a probe has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The directory to run in cannot be made.
    #[error("cannot prepare {}: {source}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// claude could not be started.
    #[error("cannot start {}: {source}", path.display())]
    Start {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It said nothing in time, and was ended.
    #[error("claude did not answer within {} s", after.as_secs_f32().ceil())]
    Hang {
        /// How long it was waited for.
        after: Duration,
    },
    /// It said something that is no answer, or ended without one.
    #[error("claude gave no usage answer")]
    NoAnswer,
    /// It said more than any answer is long.
    #[error("claude said too much")]
    TooMuch,
    /// Its answer has no window that could be read.
    #[error("claude's usage answer has no window that can be read")]
    NoWindows,
    /// The numbers are of an account other than the one signed in.
    #[error("claude's usage numbers belong to another account")]
    Foreign,
}

/// Asks. `now` is read once, when the answer has come.
pub fn probe(question: &Question<'_>, now: impl Fn() -> Timestamp) -> Result<Probe, ProbeError> {
    let deadline = Until::new(Instant::now() + question.timeout, question.stop);
    create_private_dir(question.probe_dir).map_err(|source| ProbeError::Directory {
        path: question.probe_dir.to_owned(),
        source,
    })?;
    let before = identity::load(question.account_dir);
    let said = match ask(question, deadline)? {
        Said::Usage(answer) => Some(answer),
        // A client that does not know the question: its own command writes the numbers down.
        Said::Unknown => {
            run_usage_command(question, deadline)?;
            None
        }
    };
    let after = identity::load(question.account_dir);
    judge(said.as_ref(), &before, after, now())
}

/// What came back on our question.
#[derive(Debug)]
enum Said {
    /// The inner answer.
    Usage(Value),
    /// The client does not know the question.
    Unknown,
}

fn environment(question: &Question<'_>) -> Environment {
    question
        .environment
        .clone()
        // It would switch the usage read off.
        .without(vars::NONESSENTIAL_TRAFFIC)
        .with("DISABLE_AUTOUPDATER", "1")
        .with("DISABLE_TELEMETRY", "1")
        .with("DISABLE_ERROR_REPORTING", "1")
        .with("ENABLE_CLAUDEAI_MCP_SERVERS", "false")
}

fn start(
    question: &Question<'_>,
    arguments: &[&str],
) -> Result<(Agent, std::process::ChildStdin, Output), ProbeError> {
    let mut command = environment(question).command(question.claude);
    command
        .args(arguments)
        .args(QUIET)
        .current_dir(question.probe_dir);
    Agent::start_piped(command, question.account_dir).map_err(|source| ProbeError::Start {
        path: question.claude.to_owned(),
        source,
    })
}

fn ask(question: &Question<'_>, deadline: Until<'_>) -> Result<Said, ProbeError> {
    let stream = [
        "-p",
        "--input-format",
        "stream-json",
        "--output-format",
        "stream-json",
        "--verbose",
    ];
    let (mut agent, mut stdin, mut output) = start(question, &stream)?;
    // A client that ends at once closes the pipe; its output tells more than the failed write.
    let _ = send_line(&mut stdin, QUESTION);
    let answer_by = deadline.minus(END_RESERVE.min(question.timeout / 4));
    let said = read_answer(&mut output, answer_by);
    drop(stdin);
    if said.is_ok() {
        // Whatever else it says goes nowhere; a full pipe must not keep it from ending.
        let _ = output.rest(deadline);
        agent.wait(deadline);
    }
    drop(agent);
    said.map_err(|unread| unread_error(&unread, question))
}

fn unread_error(unread: &Unread, question: &Question<'_>) -> ProbeError {
    match unread {
        Unread::Late => ProbeError::Hang {
            after: question.timeout,
        },
        Unread::TooMuch => ProbeError::TooMuch,
        Unread::Failed => ProbeError::NoAnswer,
    }
}

/// Passes over everything that is not the answer to our question: events of the session's start, other languages.
fn read_answer(output: &mut Output, deadline: Until<'_>) -> Result<Said, Unread> {
    while let Some(line) = output.next_line(deadline)? {
        let Ok(message) = serde_json::from_slice::<Value>(line) else {
            continue;
        };
        let response = &message["response"];
        if message["type"] != "control_response" || response["request_id"] != REQUEST_ID {
            continue;
        }
        return Ok(match response["subtype"].as_str() {
            Some("success") => Said::Usage(response["response"].clone()),
            _ => Said::Unknown,
        });
    }
    Ok(Said::Unknown)
}

/// The older question. What it prints is text for people and is not read.
fn run_usage_command(question: &Question<'_>, deadline: Until<'_>) -> Result<(), ProbeError> {
    let (mut agent, stdin, mut output) = start(question, &["-p", "/usage"])?;
    drop(stdin);
    let read = output.rest(deadline).map(|_| ());
    if read.is_ok() {
        agent.wait(deadline);
    }
    drop(agent);
    read.map_err(|unread| unread_error(&unread, question))
}

fn judge(
    said: Option<&Value>,
    before: &ClaudeState,
    after: ClaudeState,
    now: Timestamp,
) -> Result<Probe, ProbeError> {
    let subscription = said.and_then(|answer| answer["subscription_type"].as_str());
    let mut probe = Probe {
        answer: Answer::Throttled,
        identity: after.identity.clone(),
        subscription: subscription.map(str::to_owned),
        problems: Vec::new(),
    };
    let body = match said.map(|answer| &answer["rate_limits"]) {
        Some(Value::Null) if subscription.is_some() => return Ok(probe),
        Some(Value::Null) => {
            probe.answer = Answer::LoginSuspected;
            return Ok(probe);
        }
        Some(body) => Some(body),
        None => None,
    };
    let cached = after.usage.as_ref();
    if let (Some(cached), Some(identity)) = (cached, &after.identity)
        && let Some(owner) = &cached.account_uuid
        && *owner != identity.account_uuid
    {
        return Err(ProbeError::Foreign);
    }
    let Some(body) = body.or(cached.map(|c| &c.body)) else {
        return Err(ProbeError::NoAnswer);
    };
    let (report, problems) = usage_body::parse(body);
    probe.problems = problems;
    if report.windows.is_empty() {
        return Err(ProbeError::NoWindows);
    }
    probe.answer = match age(&report, said.is_some(), before.usage.as_ref(), cached, now) {
        Age::Measured(measured_at) => Answer::Measured(Sample {
            measured_at,
            source: Source::Claude,
            windows: report.windows,
            extra: report.extra,
        }),
        Age::Unchanged(measured_at) => Answer::Unchanged { measured_at },
    };
    Ok(probe)
}

enum Age {
    Measured(Timestamp),
    Unchanged(Timestamp),
}

/// When the numbers were measured. claude's own note of it counts, and one that did not move means old numbers. Without
/// a note (clients before 2.1.329 write none and keep no cache), or with one that is about other numbers (left behind
/// by a newer client), an answer on our question was measured now.
fn age(
    report: &Report,
    was_said: bool,
    before: Option<&CachedUsage>,
    after: Option<&CachedUsage>,
    now: Timestamp,
) -> Age {
    let Some(after) = after else {
        return Age::Measured(now);
    };
    if before.is_none_or(|before| before.fetched_at != after.fetched_at) {
        // A note from the future is a clock that was set back since.
        return Age::Measured(after.fetched_at.min(now));
    }
    let is_of_these_numbers = usage_body::parse(&after.body).0.windows == report.windows;
    if was_said && !is_of_these_numbers {
        Age::Measured(now)
    } else {
        Age::Unchanged(after.fetched_at.min(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: i64 = 1_000_000;

    fn state(fetched_at: i64, owner: &str, percent: f64) -> ClaudeState {
        ClaudeState {
            identity: Some(Identity {
                account_uuid: "me".into(),
                organization_uuid: None,
                organization_name: None,
                email: None,
                profile_fetched_at_ms: None,
            }),
            usage: (fetched_at != 0).then(|| CachedUsage {
                fetched_at: Timestamp::from_unix_ms(fetched_at),
                account_uuid: Some(owner.into()),
                body: body(percent),
            }),
        }
    }

    fn body(percent: f64) -> Value {
        json!({"five_hour": {"utilization": percent, "resets_at": null}})
    }

    fn said(limits: Value) -> Value {
        json!({"subscription_type": "max", "rate_limits": limits})
    }

    fn shown(said: Option<&Value>, before: &ClaudeState, after: &ClaudeState) -> String {
        match judge(said, before, after.clone(), Timestamp::from_unix_ms(NOW)) {
            Err(error) => error.to_string(),
            Ok(probe) => match probe.answer {
                Answer::Measured(sample) => format!(
                    "{} measured at {}",
                    sample.windows[0].used.percent(),
                    sample.measured_at.unix_ms()
                ),
                Answer::Unchanged { measured_at } => {
                    format!("unchanged since {}", measured_at.unix_ms())
                }
                other => format!("{other:?}"),
            },
        }
    }

    #[test]
    fn an_answer_is_as_old_as_claude_says_it_is() {
        let none = state(0, "me", 0.0);
        let old = state(500, "me", 5.0);
        let new = state(900, "me", 9.0);
        let nine = said(body(9.0));
        assert_eq!(shown(Some(&nine), &old, &new), "9 measured at 900");
        assert_eq!(shown(Some(&nine), &none, &new), "9 measured at 900");
        assert_eq!(
            shown(Some(&said(body(5.0))), &old, &old),
            "unchanged since 500"
        );
        // A client that writes no note: alone, or beside the note of a newer one.
        assert_eq!(shown(Some(&nine), &none, &none), "9 measured at 1000000");
        assert_eq!(shown(Some(&nine), &old, &old), "9 measured at 1000000");
        // A clock that was set back.
        let future = state(NOW + 5, "me", 9.0);
        assert_eq!(shown(Some(&nine), &old, &future), "9 measured at 1000000");
    }

    #[test]
    fn null_is_a_throttle_with_a_plan_and_a_dead_login_without() {
        let none = state(0, "me", 0.0);
        let dead = json!({"subscription_type": null, "rate_limits": null});
        assert_eq!(shown(Some(&said(Value::Null)), &none, &none), "Throttled");
        assert_eq!(shown(Some(&dead), &none, &none), "LoginSuspected");
        assert_eq!(shown(Some(&json!({})), &none, &none), "LoginSuspected");
    }

    #[test]
    fn numbers_that_are_missing_or_of_somebody_else_are_no_sample() {
        let none = state(0, "me", 0.0);
        let foreign = state(900, "other", 9.0);
        let no_windows = "claude's usage answer has no window that can be read";
        assert_eq!(shown(Some(&said(json!({}))), &none, &none), no_windows);
        assert_eq!(shown(Some(&said(json!("x"))), &none, &none), no_windows);
        assert_eq!(
            shown(Some(&said(body(9.0))), &none, &foreign),
            "claude's usage numbers belong to another account"
        );
    }

    #[test]
    fn the_older_question_lives_off_the_note_alone() {
        let none = state(0, "me", 0.0);
        let (old, new) = (state(500, "me", 5.0), state(900, "me", 9.0));
        assert_eq!(shown(None, &old, &new), "9 measured at 900");
        assert_eq!(shown(None, &old, &old), "unchanged since 500");
        assert_eq!(shown(None, &none, &none), "claude gave no usage answer");
    }
}
