//! One request, one answer.

use super::{Scripted, Stage, end, error};
use ccp::contract::pool::Request;
use ccp_standin::Running;
use serde_json::{Value, json};
use std::fs;

/// What a friendly pool answers.
fn friendly(request: &Request) -> Vec<String> {
    let session = |id: &str| json!({"sessionId": id, "status": "idle"});
    let reply = match request {
        Request::Ping => json!({"type": "pong", "version": "9.9", "protocol": 1}),
        Request::Config { .. } => json!({"type": "config", "config": {"size": 2}}),
        Request::Resize { size } => json!({"type": "pool", "pool": {"size": size}}),
        Request::Start(_) | Request::Followup { .. } => {
            json!({"type": "started", "sessionId": "0123456789ab", "status": "processing"})
        }
        Request::Wait(_) | Request::Capture { .. } | Request::DebugCapture { .. } => {
            json!({"type": "result", "sessionId": "0123456789ab", "content": "the answer"})
        }
        Request::Ls(_) => json!({"type": "sessions", "sessions": [session("a"), session("b")]}),
        Request::Info(_) => json!({"type": "session", "session": session("a")}),
        Request::DebugSlots => json!({"type": "slots", "slots": []}),
        Request::DebugLogs { .. } => json!({"type": "logs", "lines": ["one", "two"]}),
        _ => json!({"type": "ok"}),
    };
    vec![reply.to_string()]
}

#[test]
fn every_command_asks_what_it_says() {
    let stage = Stage::new();
    let pool = Scripted::start(&stage, "default", friendly);
    let file = stage.path().join("prompt");
    fs::write(&file, "from a file\n").expect("writes");
    let file = file.to_str().expect("text");
    let work = fs::canonicalize(stage.path().join("work")).expect("is there");
    let rows: &[(&[&str], Value)] = &[
        (&["ping"], json!({"type": "ping"})),
        (
            &["resize", "--size", "4"],
            json!({"type": "resize", "size": 4}),
        ),
        (&["config"], json!({"type": "config"})),
        (
            &[
                "config",
                "--set",
                "size=3",
                "--set",
                "flags=--model x",
                "--set",
                "mine={\"a\":1}",
                "--set",
                "old=",
            ],
            json!({"type": "config", "set": {"size": 3, "flags": "--model x", "mine": {"a": 1}, "old": null}}),
        ),
        (
            &["destroy", "--confirm"],
            json!({"type": "destroy", "confirm": true}),
        ),
        (&["destroy"], json!({"type": "destroy"})),
        (
            &[
                "start",
                "--prompt",
                "-x",
                "--meta",
                "name=n",
                "--cwd",
                ".",
                "--account",
                "work",
            ],
            json!({"type": "start", "prompt": "-x", "metadata": {"name": "n"}, "cwd": work, "account": "work"}),
        ),
        (
            &["start", "--prompt-file", file],
            json!({"type": "start", "prompt": "from a file"}),
        ),
        (&["start"], json!({"type": "start"})),
        (
            &["followup", "--session", "01", "--prompt", "p"],
            json!({"type": "followup", "sessionId": "01", "prompt": "p"}),
        ),
        (
            &[
                "wait",
                "--session",
                "01",
                "--timeout",
                "5",
                "--turns",
                "0",
                "--detail",
                "raw",
            ],
            json!({"type": "wait", "sessionId": "01", "timeout": 5, "turns": 0, "detail": "raw"}),
        ),
        (
            &["capture", "01", "--source", "buffer"],
            json!({"type": "capture", "sessionId": "01", "source": "buffer"}),
        ),
        (&["stop", "01"], json!({"type": "stop", "sessionId": "01"})),
        (&["ls"], json!({"type": "ls"})),
        (
            &[
                "ls",
                "--parent",
                "p",
                "--status",
                "idle,queued",
                "--archived",
                "--verbosity",
                "full",
                "--tree",
            ],
            json!({"type": "ls", "parent": "p", "statuses": ["idle", "queued"], "archived": true, "verbosity": "full", "tree": true}),
        ),
        (
            &["info", "--session", "01"],
            json!({"type": "info", "sessionId": "01"}),
        ),
        (
            &["archive", "01", "--recursive"],
            json!({"type": "archive", "sessionId": "01", "recursive": true}),
        ),
        (
            &["unarchive", "01"],
            json!({"type": "unarchive", "sessionId": "01"}),
        ),
        (
            &[
                "set",
                "01",
                "--priority",
                "-2",
                "--pinned",
                "60",
                "--meta",
                "old=",
            ],
            json!({"type": "set", "sessionId": "01", "priority": -2, "pinned": 60, "metadata": {"old": null}}),
        ),
        (
            &["set", "01", "--pinned", "false"],
            json!({"type": "set", "sessionId": "01", "pinned": false}),
        ),
        (
            &["debug", "input", "--session", "01", "hi\\r"],
            json!({"type": "input", "sessionId": "01", "data": "hi\r"}),
        ),
        (
            &["debug", "capture", "--slot", "1", "--raw"],
            json!({"type": "debug-capture", "slot": 1, "raw": true}),
        ),
        (&["debug", "slots"], json!({"type": "debug-slots"})),
        (
            &["debug", "logs", "-n", "3"],
            json!({"type": "debug-logs", "lines": 3}),
        ),
    ];
    for (arguments, request) in rows {
        if *arguments == ["set", "01"] {
            continue;
        }
        stage.ok(arguments);
        assert_eq!(pool.next(), *request, "{arguments:?}");
    }
}

#[test]
fn people_read_words_and_programs_the_reply() {
    let stage = Stage::new();
    let _pool = Scripted::start(&stage, "default", friendly);
    let rows: &[(&[&str], &str)] = &[
        (&["ping"], "pong 9.9\n"),
        (&["start", "--prompt", "p"], "0123456789ab  processing\n"),
        (&["wait", "--session", "a"], "the answer\n"),
        (&["ls"], "a  idle\nb  idle\n"),
        (&["debug", "logs"], "one\ntwo\n"),
        (&["stop", "a"], "ok\n"),
    ];
    for (arguments, expected) in rows {
        assert_eq!(stage.ok(arguments), *expected, "{arguments:?}");
    }
    let expected = r#"{"protocol":1,"type":"pong","version":"9.9"}"#.to_owned() + "\n";
    for arguments in [["ping", "--json"], ["--json", "ping"]] {
        assert_eq!(stage.ok(&arguments), expected);
        // By its other name it needs no `pool`.
        assert_eq!(
            end(stage.command("claude-pool-cli", &arguments)).stdout,
            expected
        );
    }
}

#[test]
fn a_launcher_that_is_called_as_the_client_is_the_client() {
    let stage = Stage::new();
    let _pool = Scripted::start(&stage, "default", friendly);
    // Beside its sibling, as an installation has it.
    let beside = std::path::Path::new(crate::support::CCP);
    let link = stage.path().join("bin").join("claude-pool-cli");
    fs::remove_file(&link).expect("goes");
    std::os::unix::fs::symlink(beside, &link).expect("links");
    let output = end(stage.command("claude-pool-cli", &["--json", "ping"]));
    assert!(output.stdout.contains("pong"), "{output:?}");
}

#[test]
fn what_fails_is_told_with_exit_code_1() {
    let stage = Stage::new();
    assert!(stage.refused(&["ping"]).starts_with("no pool listens at "));
    assert!(
        stage
            .refused(&["ping", "--pool", "../x"])
            .contains("is no name for a pool")
    );
    assert!(stage.refused(&["nonsense"]).contains("nonsense"));
    assert!(
        stage
            .refused(&["followup", "--session", "a"])
            .contains("no prompt")
    );
    assert!(
        stage
            .refused(&["start", "--prompt-file", "/nowhere"])
            .contains("/nowhere")
    );
    assert!(
        stage
            .refused(&["start", "--prompt", "p", "--cwd", "/nowhere"])
            .contains("/nowhere")
    );
    let _pool = Scripted::start(&stage, "default", |request| match request {
        Request::Ls(_) => vec!["not json".to_owned()],
        Request::Health => vec!["close".to_owned()],
        _ => error("session_not_found", "session not found: x"),
    });
    assert_eq!(stage.refused(&["info", "x"]), "session not found: x");
    assert!(stage.refused(&["ls"]).contains("cannot be read"));
    assert_eq!(stage.refused(&["health"]), "the pool closed the connection");
    let output = stage.pool(&["info", "x", "--json"]);
    assert_eq!(
        (output.code, output.stderr.as_str()),
        (1, "error: session not found: x\n")
    );
    assert!(
        output.stdout.contains("session_not_found"),
        "{}",
        output.stdout
    );
    // The same by the other name, where a mistake of the command line is no other code.
    assert_eq!(end(stage.command("claude-pool-cli", &["nonsense"])).code, 1);
    assert_eq!(end(stage.command("claude-pool-cli", &["--help"])).code, 0);
}

#[test]
fn block_starts_and_then_waits() {
    let stage = Stage::new();
    let pool = Scripted::start(&stage, "default", friendly);
    let output = stage.pool(&[
        "start",
        "--prompt",
        "p",
        "--block",
        "--timeout",
        "7000",
        "--turns",
        "2",
    ]);
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str()),
        ("the answer\n", "session 0123456789ab\n")
    );
    assert_eq!(pool.next(), json!({"type": "start", "prompt": "p"}));
    let wait = json!({"type": "wait", "sessionId": "0123456789ab", "timeout": 7000, "turns": 2});
    assert_eq!(pool.next(), wait);
    let json = stage.ok(&[
        "followup",
        "--session",
        "01",
        "--prompt",
        "q",
        "--block",
        "--json",
    ]);
    let reply: Value = serde_json::from_str(&json).expect("is one line of JSON");
    assert_eq!(reply["content"], "the answer");
}

#[test]
fn the_parent_is_the_conversation_that_runs_the_command() {
    let stage = Stage::new();
    let pool = Scripted::start(&stage, "default", friendly);
    let ask = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = stage.command("ccp", arguments);
        command.envs(variables.iter().copied());
        assert_eq!(end(command).code, 0);
        pool.next()["parent"].clone()
    };
    let inside = [("CLAUDE_CODE_SESSION_ID", "conversation-1")];
    for command in [&["pool", "start"][..], &["pool", "wait"], &["pool", "ls"]] {
        assert_eq!(ask(command, &inside), "conversation-1", "{command:?}");
        let mut none = command.to_vec();
        none.extend(["--parent", "none"]);
        assert_eq!(ask(&none, &inside), Value::Null);
        let mut other = command.to_vec();
        other.extend(["--parent", "conversation-2"]);
        assert_eq!(ask(&other, &inside), "conversation-2");
        assert_eq!(ask(command, &[]), Value::Null);
    }
    assert_eq!(
        ask(&["pool", "wait", "--session", "a"], &inside),
        Value::Null
    );
    // Without the variable: the session file of an ancestor, which this process is.
    let sessions = stage.path().join(".claude/sessions");
    fs::create_dir_all(&sessions).expect("creates");
    let own = std::process::id();
    let start = ccp::adapters::procs::start_time(own).expect("runs");
    for (start, expected) in [(start, json!("conversation-3")), (start + 1, Value::Null)] {
        let file =
            json!({"pid": own, "sessionId": "conversation-3", "procStart": start.to_string()});
        fs::write(sessions.join(format!("{own}.json")), file.to_string()).expect("writes");
        assert_eq!(ask(&["pool", "start"], &[]), expected);
    }
}

#[test]
fn prompts_and_replies_of_any_size_go_through() {
    let stage = Stage::new();
    let pool = Scripted::start(&stage, "default", |request| match request {
        Request::Capture { .. } => {
            let content = "a long line ".repeat(1024 * 1024) + "\n" + &"\u{1}".repeat(1024 * 1024);
            vec![json!({"type": "result", "sessionId": "a", "content": content}).to_string()]
        }
        other => friendly(other),
    });
    let prompt = "word \u{e4} ".repeat(700_000);
    let file = stage.path().join("prompt");
    fs::write(&file, &prompt).expect("writes");
    let mut command = stage.command("ccp", &["pool", "start", "-"]);
    command.stdin(fs::File::open(&file).expect("opens"));
    let output = command.output().expect("runs");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        pool.next()["prompt"],
        Value::from(prompt.trim_end_matches('\n'))
    );
    let mut running =
        Running::start(stage.command("ccp", &["pool", "capture", "a"])).expect("starts");
    let output = running.output(super::BOUND).expect("ends");
    assert_eq!(
        (output.code, output.stdout.len()),
        (0, 13 * 1024 * 1024 + 2)
    );
}

#[test]
fn pools_are_listed_with_whether_they_are_there() {
    let stage = Stage::new();
    assert_eq!(stage.ok(&["pools"]), "");
    let _pool = Scripted::start(&stage, "near", friendly);
    let (near, gone) = (
        stage.pool_dir("near").join("api.sock"),
        stage.pool_dir("gone").join("api.sock"),
    );
    let pools = json!({"near": {"socket": near}, "gone": {"socket": gone}, "odd": {"socket": 1}});
    fs::write(
        stage.path().join(".claude-pool/pools.json"),
        pools.to_string(),
    )
    .expect("writes");
    let text = stage.ok(&["pools"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("gone  stopped "), "{text}");
    assert!(lines[1].starts_with("near  runs 9.9 "), "{text}");
    assert!(lines[2].starts_with("odd   it has no"), "{text}");
    let json: Value = serde_json::from_str(&stage.ok(&["pools", "--json"])).expect("is JSON");
    assert_eq!(json["pools"][1]["running"], true);
    assert_eq!(json["pools"][0]["running"], false);
}
