//! What the demo shows, in order.

use super::super::failure::Failure;
use super::stage::{CAST, Stage};
use serde_json::Value;

/// So many prompts of this size fill the window of the first subscription.
const PROMPTS: usize = 3;
const PERCENT_EACH: f64 = 24.5;

pub(super) fn tell(stage: &Stage) -> Result<(), Failure> {
    say("A throw-away home, a simulated service on this machine, three made-up subscriptions.");
    say("No login of yours is read, and nothing leaves this machine.");
    chapter("Sign each subscription in, once, through claude's own sign-in");
    for (number, member) in CAST.iter().enumerate() {
        stage.sign_in_as(member.label);
        let arguments = [
            "add",
            "--run-login",
            "--yes",
            "--no-alias",
            "--label",
            member.label,
        ];
        show(&arguments);
        if number == 0 {
            stage.ccp(&arguments)?;
        } else {
            // Seen once, a sign-in is known.
            stage.ccp_quietly(&arguments)?;
        }
    }
    chapter("How they stand");
    step(stage, &["status", "--plain"])?;
    chapter(
        "`alias claude='ccp run'`: a session lands on the emptiest one, and the directory stays with it",
    );
    let first = CAST[0].label;
    stage.burn(first, PERCENT_EACH);
    for number in 1..=PROMPTS {
        step(stage, &["run", "-p", &format!("prompt number {number}")])?;
    }
    chapter("Those prompts used it up");
    step(stage, &["status", "--plain", "--live"])?;
    chapter("So the next session lands elsewhere, and ccp says why");
    step(stage, &["run", "-p", "and one more"])?;
    step(stage, &["why"])?;
    let told = tell_of_pool(stage);
    // There may be none.
    let _ = stage.ccp_quietly(&["pool", "destroy", "--confirm"]);
    stage.wait_for_end_of_pool();
    told
}

fn tell_of_pool(stage: &Stage) -> Result<(), Failure> {
    chapter("A pool keeps sessions warm for programs, spread over the subscriptions");
    let init = [
        "pool",
        "init",
        "--size",
        "1",
        "--keep-fresh",
        "0",
        "--dir",
        ".",
    ];
    show(&init);
    stage.ccp_quietly(&init)?;
    let start = ["pool", "start", "--prompt", "the door is green", "--block"];
    step(stage, &start)?;
    step(stage, &["pool", "ls"])?;
    let listed = stage.ask(&["pool", "ls", "--verbosity", "full"])?;
    let session = &listed["sessions"][0];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (id, account) = (
        text(&session["sessionId"]),
        text(&session["account"]["label"]),
    );
    chapter(&format!(
        "`{account}` runs into its limit in the middle of that conversation, which goes on elsewhere"
    ));
    stage.exhaust(&account);
    let prompt = "and which colour is it?";
    step(
        stage,
        &[
            "pool",
            "followup",
            "--session",
            &id,
            "--prompt",
            prompt,
            "--block",
        ],
    )?;
    step(stage, &["pool", "ls", "--verbosity", "full"])?;
    step(stage, &["why"])
}

pub(super) fn farewell() {
    chapter("That was all");
    say(
        "The throw-away home is removed. With subscriptions of your own: `ccp add`, then `ccp run`.",
    );
}

fn step(stage: &Stage, arguments: &[&str]) -> Result<(), Failure> {
    show(arguments);
    stage.ccp(arguments)
}

fn show(arguments: &[&str]) {
    let shown: Vec<String> = arguments.iter().map(|a| quote(a)).collect();
    say(&format!("$ ccp {}", shown.join(" ")));
}

fn quote(argument: &str) -> String {
    if argument.contains(' ') {
        format!("\"{argument}\"")
    } else {
        argument.to_owned()
    }
}

fn chapter(title: &str) {
    say("");
    say(&format!("── {title}"));
}

/// A person who pipes the demo away and stops reading has seen enough.
fn say(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{line}");
}
