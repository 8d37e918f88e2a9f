//! What the demo shows, in order.

use super::super::failure::Failure;
use super::stage::{CAST, Stage};

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
