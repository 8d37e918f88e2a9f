use super::*;
use crate::core::time::Timestamp;
use proptest::prelude::*;
use std::path::Path;

/// Transcripts that the real clients wrote, long values cut.
const OLDER: &str = include_str!("../../../tests/data/transcripts/tui-197-echo-sleep-bash.jsonl");
const NEWER: &str = include_str!("../../../tests/data/transcripts/tui-329-bash-tool.jsonl");

/// Everything a conversation is made of, one record each.
const CONVERSATION: &str = r#"{"type":"user","message":{"role":"user","content":"before the clear"}}
{"type":"assistant","message":{"content":[{"type":"text","text":"old"}]}}
{"type":"user","isMeta":true,"message":{"content":"<local-command-caveat>The command below…</local-command-caveat>"}}
{"type":"user","message":{"role":"user","content":"<command-name>/clear</command-name>\n            <command-message>clear</command-message>"}}
{"type":"user","message":{"role":"user","content":"one"},"uuid":"u1","cwd":"/srv/a"}
{"type":"attachment","attachment":{"type":"date"}}
{"type":"assistant","message":{"role":"assistant","content":[{"type":"thinking","thinking":"hm"}]},"requestId":"r"}
{"type":"assistant","message":{"role":"assistant","content":[{"type":"text","text":"let me see"}],"usage":{"a":1},"stop_reason":null}}
{"type":"assistant","message":{"role":"assistant","content":[{"type":"text","text":"now"},{"type":"tool_use","id":"t","name":"Bash","input":{"command":"ls  -l"}}],"id":"m"}}
{"type":"user","message":{"role":"user","content":[{"tool_use_id":"t","type":"tool_result","content":"file"}]},"toolUseResult":{"stdout":"file"}}
{"type":"assistant","isSidechain":true,"message":{"content":[{"type":"text","text":"of a helper"}]}}
{"type":"user","isMeta":true,"message":{"content":"not typed by anybody"}}
{"type":"assistant","message":{"role":"assistant","content":[{"type":"text","text":"done"}],"model":"m-1","stop_reason":"end_turn"}}
{"type":"system","subtype":"turn_duration"}
not a record
{"type":"user","message":{"role":"user","content":"<command-message>greet</command-message>\n<command-name>/greet</command-name>\n<command-args>you</command-args>"}}
{"type":"user","isMeta":true,"message":{"content":[{"type":"text","text":"Say hello to you."}]}}
{"type":"assistant","message":{"role":"assistant","content":"hello"}}
{"type":"user","message":{"role":"user","content":[{"type":"text","text":"two"},{"type":"image","source":{}}]},"promptId":"p","permissionMode":"default"}
{"type":"assistant","message":{"content":[{"type":"text","text":"partly"}],"stop_reason":null}}
{"type":"user","message":{"role":"user","content":[{"type":"text","text":"[Request interrupted by user]"}]},"interruptedMessageId":"x"}
"#;

fn capture(transcript: &str, turns: usize, detail: Detail) -> String {
    let mut capture = Capture::new(Wanted { turns, detail });
    for line in transcript.lines().rev() {
        if !capture.take(0, line.as_bytes()) {
            break;
        }
    }
    text_of(capture)
}

fn text_of(capture: Capture) -> String {
    let lines: Vec<String> = capture
        .finish()
        .into_iter()
        .map(|part| match part {
            Part::Text(text) => text,
            Part::Line { .. } => panic!("it is short"),
        })
        .collect();
    lines.join("\n")
}

fn last_turn(transcript: &str) -> LastTurn {
    let mut reader = LastTurnReader::default();
    for line in transcript.lines().rev() {
        if !reader.take(line.as_bytes()) {
            break;
        }
    }
    reader.finish()
}

#[test]
fn the_last_turn_is_its_prompt_and_the_last_thing_said() {
    let expected = concat!(
        r#"{"type":"user","message":{"role":"user","content":[{"type":"text","text":"two"},{"type":"image","source":{}}]}}"#,
        "\n",
        r#"{"type":"assistant","message":{"content":[{"type":"text","text":"partly"}]}}"#
    );
    assert_eq!(capture(CONVERSATION, 1, Detail::Last), expected);
}

#[test]
fn what_is_said_comes_without_calls_of_tools() {
    let text = capture(CONVERSATION, 0, Detail::Assistant);
    let lines: Vec<&str> = text.lines().collect();
    let expected = [
        r#"{"type":"user","message":{"role":"user","content":"one"}}"#,
        r#"{"type":"assistant","message":{"role":"assistant","content":[{"type":"text","text":"let me see"}]}}"#,
        r#"{"type":"assistant","message":{"role":"assistant","content":[{"type":"text","text":"now"}]}}"#,
        r#"{"type":"assistant","message":{"role":"assistant","content":[{"type":"text","text":"done"}]}}"#,
    ];
    assert_eq!(lines[..4], expected, "{text}");
    assert!(
        lines[4].contains("/greet") && lines[5].contains("hello"),
        "{text}"
    );
    assert_eq!(lines.len(), 8, "{text}");
}

#[test]
fn tools_are_everything_of_both_sides_and_raw_is_every_line() {
    let tools = capture(CONVERSATION, 0, Detail::Tools);
    assert_eq!(tools.lines().count(), 14, "{tools}");
    assert!(
        tools.contains(r#"{"command":"ls  -l"}"#),
        "inputs as they were written"
    );
    assert!(
        !tools.contains("attachment") && !tools.contains("requestId"),
        "{tools}"
    );
    let lines: Vec<&str> = CONVERSATION.lines().collect();
    let raw = lines[4..].iter().filter(|line| line.starts_with('{'));
    let raw: Vec<&str> = raw.copied().collect();
    assert_eq!(capture(CONVERSATION, 0, Detail::Raw), raw.join("\n"));
    assert_eq!(
        capture(CONVERSATION, 1, Detail::Raw),
        lines[18..].join("\n")
    );
}

#[test]
fn turns_are_counted_from_the_end() {
    for (turns, prompts) in [(1, 1), (2, 2), (3, 3), (9, 3), (0, 3)] {
        let text = capture(CONVERSATION, turns, Detail::Last);
        let found = text
            .lines()
            .filter(|line| line.contains(r#""user""#))
            .count();
        assert_eq!(found, prompts, "{turns}: {text}");
    }
    assert_eq!(capture("", 1, Detail::Last), "");
    assert_eq!(
        capture("{\"type\":\"mode\"}\n", 0, Detail::Raw),
        "",
        "no turn, nothing"
    );
}

#[test]
fn transcripts_of_the_real_clients_have_their_golden_answers() {
    let details = [
        (Detail::Last, "last"),
        (Detail::Assistant, "assistant"),
        (Detail::Tools, "tools"),
        (Detail::Raw, "raw"),
    ];
    for (transcript, golden) in [
        (
            OLDER,
            include_str!("../../../tests/data/transcripts/tui-197.golden"),
        ),
        (
            NEWER,
            include_str!("../../../tests/data/transcripts/tui-329.golden"),
        ),
    ] {
        let mut answers = String::new();
        for (detail, name) in details {
            for turns in [1, 0] {
                let text = capture(transcript, turns, detail);
                // Lines as they are need not be kept twice.
                let text = match detail {
                    Detail::Raw => format!("{} lines", text.lines().count()),
                    _ => text,
                };
                answers.push_str(&format!("== turns {turns} detail {name}\n{text}\n"));
            }
        }
        assert_eq!(answers, golden);
    }
}

#[test]
fn the_last_turn_of_the_real_clients_is_over() {
    for (transcript, text) in [(OLDER, "DONE: hi-from-bash"), (NEWER, "DONE: tool-ok")] {
        let turn = last_turn(transcript);
        assert!(
            turn.finished && turn.followed && !turn.interrupted,
            "{turn:?}"
        );
        assert!(
            turn.prompt
                .as_deref()
                .is_some_and(|p| p.starts_with("BASH echo")),
            "{turn:?}"
        );
        assert!(turn.last_text.is_some_and(|last| last.starts_with(text)));
        assert_eq!(turn.cwd.as_deref(), Some(Path::new("/srv/demo")));
        assert!(
            turn.model
                .is_some_and(|model| model.starts_with("claude-opus"))
        );
    }
}

#[test]
fn how_a_turn_stands_is_read_off_its_records() {
    let prompt = r#"{"type":"user","message":{"content":"go"}}"#;
    let said = r#"{"type":"assistant","message":{"content":[{"type":"text","text":"a"}],"stop_reason":null}}"#;
    let ended = r#"{"type":"assistant","message":{"content":[{"type":"text","text":"a"}],"stop_reason":"end_turn"}}"#;
    let called = r#"{"type":"assistant","message":{"content":[{"type":"tool_use","name":"Bash"}],"stop_reason":"tool_use"}}"#;
    let thought =
        r#"{"type":"assistant","message":{"content":[{"type":"thinking","thinking":"h"}]}}"#;
    let limit = r#"{"type":"assistant","isApiErrorMessage":true,"error":"rate_limit","apiError":"usage_limit_reached","quotaLimits":{"resetsAt":1795264920},"message":{"model":"<synthetic>","content":[{"type":"text","text":"You've hit your limit"}],"stop_reason":"stop_sequence"}}"#;
    let throttle = r#"{"type":"assistant","isApiErrorMessage":true,"error":"rate_limit","message":{"content":[{"type":"text","text":"API Error"}]}}"#;
    let result = r#"{"type":"user","message":{"content":[{"type":"tool_result","content":"x"}]}}"#;
    let stopped = r#"{"type":"user","message":{"content":[{"type":"text","text":"[Request interrupted by user for tool use]"}]}}"#;
    // records, followed, finished, interrupted, the plan's limit
    type Row<'r> = (&'r [&'r str], bool, bool, bool, Option<bool>);
    let rows: &[Row<'_>] = &[
        (&[prompt], false, false, false, None),
        (&[prompt, thought], false, false, false, None),
        (&[prompt, said], true, false, false, None),
        (&[prompt, ended], true, true, false, None),
        (&[prompt, called], true, false, false, None),
        (&[prompt, called, result], true, false, false, None),
        (&[prompt, called, stopped], true, true, true, None),
        (&[prompt, stopped], false, true, true, None),
        (&[prompt, limit], false, true, false, Some(true)),
        (
            &[prompt, called, result, limit],
            true,
            true,
            false,
            Some(true),
        ),
        (&[prompt, throttle], false, true, false, Some(false)),
        (&[prompt, throttle, ended], true, true, false, None),
    ];
    for (records, followed, finished, interrupted, limited) in rows {
        let turn = last_turn(&records.join("\n"));
        let found = (turn.followed, turn.finished, turn.interrupted);
        assert_eq!(found, (*followed, *finished, *interrupted), "{records:#?}");
        assert_eq!(
            turn.failure.as_ref().map(|f| f.is_plan_limit),
            *limited,
            "{records:#?}"
        );
        assert_eq!(turn.prompt.as_deref(), Some("go"));
    }
    let failure = last_turn(limit).failure.expect("failed");
    assert_eq!(
        failure.resets_at,
        Some(Timestamp::from_unix_ms(1_795_264_920_000))
    );
    assert_eq!(failure.error, "rate_limit");
    assert_eq!(last_turn(CONVERSATION).prompt.as_deref(), Some("two"));
}

#[test]
fn a_prompt_is_found_by_its_record() {
    let lines: Vec<&str> = CONVERSATION.lines().collect();
    for (at, typed, expected) in [
        (4, "one", true),
        (4, "One", false),
        (15, "/greet you", true),
        (15, "/greet me", false),
        (15, "/greet", false),
        (18, "two", true),
        (9, "file", false),
        (11, "not typed by anybody", false),
        (14, "not a record", false),
        (20, "[Request interrupted by user]", false),
    ] {
        assert_eq!(
            is_record_of(lines[at].as_bytes(), typed),
            expected,
            "{typed}"
        );
    }
    let queued = r#"{"type":"queue-operation","operation":"enqueue","content":"later"}"#;
    assert!(is_record_of(queued.as_bytes(), "later"));
    assert!(!is_record_of(b"\xff{", "x"));
}

#[test]
fn a_project_has_the_directory_claude_gives_it() {
    let long = format!("/srv/{}", "a".repeat(220));
    let cut = format!("-srv-{}", "a".repeat(195));
    for (cwd, name) in [
        ("/srv/w.3_x y", "-srv-w-3-x-y".to_owned()),
        ("/srv/é/日👩", "-srv------".to_owned()),
        ("/", "-".to_owned()),
        (
            &format!("/{}", "b".repeat(199)),
            format!("-{}", "b".repeat(199)),
        ),
        (&long, format!("{cut}-LONG")),
    ] {
        let found = project_dir_name(cwd);
        match name.strip_suffix("LONG") {
            Some(start) => assert!(
                found.starts_with(start) && found.len() > start.len(),
                "{found}"
            ),
            None => assert_eq!(found, name, "{cwd}"),
        }
    }
}

proptest! {
    #[test]
    fn no_text_is_too_strange(lines in prop::collection::vec("\\PC{0,60}|\\{\"type\":\"(user|assistant)\",\"message\":.{0,30}\\}", 0..20)) {
        let text = lines.join("\n");
        for detail in [Detail::Last, Detail::Assistant, Detail::Tools, Detail::Raw] {
            let _ = capture(&text, 1, detail);
        }
        let _ = last_turn(&text);
    }
}
