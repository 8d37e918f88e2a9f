//! How long it takes until a session goes on under another account, after the service refused its turn.

use super::stage::{Stage, write_private};
use super::warm::session_of;
use super::{Times, times_row};
use ccp::adapters::files::pause;
use ccp_standin::service::{AccountSpec, Recorded, Resets, WindowKind};
use std::fs;
use std::time::{Duration, Instant};

const ACCOUNTS: [&str; 2] = ["one", "two"];
/// A limit of so many seconds is over when the session comes back to the account.
const LIMIT: u64 = 5;

/// Runs the rows.
pub fn run(stage: &Stage, rounds: usize) {
    println!("\na session whose account runs into its limit");
    sign_in(stage);
    stage.begin("handoff", 1, 0);
    let started = stage.ccp("handoff", &["start", "--prompt", "say begin", "--block"]);
    let session = session_of(&started.0);
    let (mut refused_to_answer, mut whole) = (Times::default(), Times::default());
    for round in 0..rounds {
        let account = last(stage).account.expect("an account");
        let service = &stage.standin.service;
        service.set_window(&account, WindowKind::FiveHour, 100.0, Resets::In(LIMIT));
        let prompt = format!("say round {round}");
        let began = Instant::now();
        let words = [
            "followup",
            "--session",
            &session,
            "--prompt",
            &prompt,
            "--block",
        ];
        let (_, took) = stage.ccp("handoff", &words);
        let asked: Vec<Recorded> = service
            .requests()
            .into_iter()
            .filter(|r| r.prompt.as_deref() == Some(&prompt) && r.max_tokens != Some(1))
            .collect();
        let refused = asked.iter().find(|r| r.status == 429).expect("a refusal");
        let answered = asked.iter().find(|r| r.status == 200).expect("an answer");
        assert_ne!(refused.account, answered.account);
        let service_time = answered.sent_at.expect("sent") - answered.received_at;
        let since = answered.sent_at.expect("sent") - refused.sent_at.expect("sent");
        refused_to_answer.add(since.saturating_sub(service_time));
        whole.add(took.saturating_sub(service_time));
        pause(Duration::from_secs(LIMIT + 1).saturating_sub(began.elapsed()));
    }
    let aim = "(aim 2500 ms)";
    times_row(
        "from the refusal to the answer",
        &refused_to_answer,
        None,
        aim,
    );
    times_row("followup --block, all of it", &whole, None, "");
    stage.end("handoff");
}

/// The last message request.
fn last(stage: &Stage) -> Recorded {
    let requests = stage.standin.service.requests().into_iter();
    let mut real = requests.filter(|r| r.prompt.is_some() && r.max_tokens != Some(1));
    real.next_back().expect("one was asked")
}

/// Two accounts, found on disk as after a move.
fn sign_in(stage: &Stage) {
    let home = stage.home.path().join(".cc-pool");
    ccp::adapters::files::create_private_dir(&home).expect("makes");
    let accounts = home.join("accounts");
    ccp::adapters::files::create_private_dir(&accounts).expect("makes");
    for (number, name) in (1..).zip(ACCOUNTS) {
        let service = &stage.standin.service;
        let tokens = service.add_account(AccountSpec::new(name));
        service.set_window(name, WindowKind::FiveHour, 10.0, Resets::In(7200));
        let spec = service.spec(name);
        let written = stage.home.write_account_dir(name, &spec, &tokens);
        let dir = accounts.join(format!("acct-{number:02}"));
        fs::rename(written.expect("writes"), dir).expect("moves");
    }
    // A limit of seconds would be waited for.
    let config = "[pool]\nhandoff = \"always\"\n[daemon]\nautostart = false\n";
    write_private(&home.join("config.toml"), config.as_bytes());
    stage.timed(&super::stage::ccpd(), &["init", "--no-service"]);
}
