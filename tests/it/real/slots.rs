//! The real client as a slot of a pool: started as planned, driven by the steps of `core::prompt`, read by its session
//! file, its hooks and its transcript.

use super::slot_terminal::{HooksLog, Slot};
use super::stage::BOUND;
use ccp::adapters::transcripts::{capture, has_prompt, last_turn, length, path_of};
use ccp::core::prompt::{Prompt, Step, clear_steps, delivery_steps, restore_steps};
use ccp::core::registry::{Readiness, Reported, SessionSource, TurnError};
use ccp::core::transcript::{Detail, Wanted};
use std::path::Path;
use std::time::Duration;

fn text(words: &str) -> Prompt {
    Prompt::parse(words, |_| false).expect("a text")
}

/// The last prompt that was reported.
fn last_prompt(log: &HooksLog) -> Option<String> {
    let prompts = log.reports().into_iter().rev();
    prompts.into_iter().find_map(|report| match report.what {
        Reported::PromptSubmitted { prompt } => Some(prompt),
        _ => None,
    })
}

fn turns_over(log: &HooksLog) -> usize {
    let is_over = |what: &Reported| {
        matches!(
            what,
            Reported::TurnEnded { .. } | Reported::TurnFailed { .. }
        )
    };
    log.reports().iter().filter(|r| is_over(&r.what)).count()
}

impl Slot {
    /// Delivers a prompt and waits for the end of its turn.
    #[track_caller]
    fn ask(&self, words: &str) {
        let before = turns_over(&self.log);
        self.perform(&delivery_steps(&text(words)));
        self.wait("the end of the turn", || turns_over(&self.log) > before);
        self.wait("idle", || self.readiness() == Some(Readiness::Idle));
    }

    /// Types a command of claude's own, which no prompt of a client can be.
    fn command(&self, words: &str) {
        self.perform(&restore_steps(words));
        self.perform(&[
            Step::Pause(Duration::from_millis(150)),
            Step::Write(b"\r".to_vec()),
        ]);
    }
}

#[test]
fn a_prompt_arrives_as_the_text_it_is() {
    let Some(slot) = Slot::start("--dangerously-skip-permissions") else {
        return;
    };
    let many_lines: Vec<String> = (0..60).map(|n| format!("line {n} of the prompt")).collect();
    let long = "lorem ipsum dolor sit amet ".repeat(3800) + "end";
    for words in [
        "one line",
        &many_lines.join("\n"),
        "a\n\n\n\n\nb",
        &long,
        "tab\there",
        "!echo not run",
        "trailing backslash \\",
        "look at @wor",
        "/etc/passwd is a path",
        "# heading",
        "?",
        &format!("{}/picture.png", slot.stage_dir().display()),
        "日本語 👩\u{200d}👩\u{200d}👧 é ".repeat(90).trim_end(),
        "half an escape \u{1b}[201~ and \u{1b}[31mcolour\u{7}",
        "  indented",
    ] {
        let path = slot.transcript();
        let offset = length(&path).expect("looks");
        slot.ask(words);
        let typed = text(words).typed().to_owned();
        let seen = last_prompt(&slot.log).expect("a prompt was reported");
        assert_eq!(seen.trim(), typed.trim(), "{words:.60}");
        // claude writes its transcript a moment after it reports.
        slot.wait("the record of the prompt", || {
            has_prompt(&path, offset, &typed).expect("reads")
        });
        assert!(!has_prompt(&path, offset, "never asked").expect("reads"));
    }
    let quota = slot
        .requests()
        .into_iter()
        .filter(|r| r.max_tokens == Some(1));
    assert_eq!(quota.count(), 0, "being warm costs nothing");
}

#[test]
fn the_box_is_emptied_wherever_the_cursor_is() {
    let Some(slot) = Slot::start("--dangerously-skip-permissions") else {
        return;
    };
    let wrapped = "words that fill more than a line of the screen ".repeat(9);
    for (left, keys) in [
        ("half typed", &b""[..]),
        ("one\ntwo\nthree", b"\x1b[A\x1b[D\x1b[D"),
        (&wrapped, b"\x1b[A\x1b[A"),
        ("", b""),
    ] {
        slot.perform(&restore_steps(left));
        for key in keys.chunks(3) {
            let pause = Step::Pause(Duration::from_millis(60));
            slot.perform(&[Step::Write(key.to_vec()), pause]);
        }
        slot.perform(&clear_steps());
        slot.ask("after that");
        assert_eq!(
            last_prompt(&slot.log).as_deref(),
            Some("after that"),
            "{left:?}"
        );
    }
}

#[test]
fn clear_and_resume_change_the_session_and_nothing_else() {
    let Some(slot) = Slot::start("--dangerously-skip-permissions") else {
        return;
    };
    let first = slot.session();
    slot.ask("the first of this session");
    let transcript = slot.transcript();
    // The directory has more than 200 characters, some of them no ASCII: its name is cut and hashed.
    let reported = slot
        .log
        .reports()
        .pop()
        .and_then(|report| report.transcript);
    assert_eq!(reported.as_deref(), Some(transcript.as_path()));
    assert!(transcript.is_file());

    slot.command("/clear");
    slot.wait("another session", || slot.session() != first);
    let second = slot.session();
    slot.ask("the first after the clear");
    let after = path_of(&slot.config_dir(), slot.cwd(), &second);
    let wanted = Wanted {
        turns: 0,
        detail: Detail::Last,
    };
    slot.wait("both records of the turn", || {
        capture(&after, wanted).is_ok_and(|answer| answer.count() == 2)
    });
    let starts = |wanted: &SessionSource| {
        let is_wanted = |what: &Reported| matches!(what, Reported::SessionStart { source, .. } if source == wanted);
        slot.log
            .reports()
            .iter()
            .filter(|r| is_wanted(&r.what))
            .count()
    };
    assert_eq!(
        (
            starts(&SessionSource::Startup),
            starts(&SessionSource::Clear)
        ),
        (1, 1)
    );

    slot.command(&format!("/resume {first}"));
    slot.wait("the first session", || slot.session() == first);
    slot.wait("idle", || slot.readiness() == Some(Readiness::Idle));
    slot.ask("the second of this session");
    assert_eq!(starts(&SessionSource::Resume), 1);
    let sent = slot.requests().pop().expect("a request");
    assert_eq!(
        sent.turns,
        ["the first of this session", "the second of this session"]
    );
    assert_eq!(sent.account.as_deref(), Some("work"));
    let modes: Vec<_> = slot
        .log
        .reports()
        .into_iter()
        .filter_map(|r| r.permission_mode)
        .collect();
    assert!(
        modes.iter().all(|mode| mode == "bypassPermissions"),
        "{modes:?}"
    );
}

#[test]
fn a_plan_limit_opens_no_question_and_is_told_from_a_throttle() {
    let Some(slot) = Slot::start("--dangerously-skip-permissions") else {
        return;
    };
    slot.ask("[[fail:limit]] over");
    let failed = slot
        .log
        .reports()
        .into_iter()
        .find_map(|report| match report.what {
            Reported::TurnFailed { error, shown, .. } => Some((error, shown)),
            _ => None,
        });
    let (error, shown) = failed.expect("reported");
    assert_eq!(error, TurnError::RateLimit);
    assert!(shown.is_some_and(|shown| shown.contains("limit")));
    let path = slot.transcript();
    let turn = || last_turn(&path).expect("reads");
    slot.wait("the record of the failure", || turn().failure.is_some());
    let turn = turn();
    let failure = turn.failure.expect("failed");
    assert!(
        failure.is_plan_limit && failure.resets_at.is_some(),
        "{failure:?}"
    );
    assert!(turn.finished && !turn.followed, "it may be delivered again");
    assert_eq!(slot.readiness(), Some(Readiness::Idle), "no dialog");

    // claude would go on by itself at the reset; one Escape calls that off.
    slot.perform(&[Step::Write(b"\x1b".to_vec())]);
    slot.wait("the end of the waiting", || {
        slot.screen_has("Automatic continue cancelled")
    });
    assert_eq!(slot.readiness(), Some(Readiness::Idle));
    slot.ask("and on");
}

#[test]
fn a_question_of_claude_is_seen_and_an_interrupt_fires_no_hook() {
    let Some(slot) = Slot::start("--permission-mode default") else {
        return;
    };
    slot.perform(&delivery_steps(&text(
        "[[tool:Bash:touch made-by-a-tool]] go",
    )));
    let asked = Readiness::Waiting("permission prompt".to_owned());
    slot.wait("a question", || slot.readiness().as_ref() == Some(&asked));
    slot.perform(&[Step::Write(b"\x1b".to_vec())]);
    slot.wait("idle", || slot.readiness() == Some(Readiness::Idle));
    let path = slot.transcript();
    slot.wait("the note of the interrupt", || {
        last_turn(&path).is_ok_and(|t| t.interrupted)
    });
    let turn = last_turn(&path).expect("reads");
    assert!(turn.finished && turn.followed, "{turn:?}");
    assert_eq!(turns_over(&slot.log), 0, "no hook tells of it");
    assert!(!Path::new(slot.cwd()).join("made-by-a-tool").exists());
    assert!(BOUND > Duration::ZERO);
}
