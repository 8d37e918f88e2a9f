//! A prompt is text for the model: it arrives as it was given, whatever the client makes of such text when a person types it.

use super::stage::PoolStage;
use crate::support::put;
use serde_json::json;

/// Prompts, and what the model is shown where that is something else.
const PROMPTS: &[(&str, Option<&str>)] = &[
    (
        "first line\nsecond line\n\n    indented\n- a list\n\nlast",
        None,
    ),
    (
        "family 👩‍👩‍👧‍👦, flag 🇪🇺, hand 👋🏽, 漢字かな交じり文, 한국어, Ελληνικά, عربي",
        None,
    ),
    ("# a heading, not a memory", None),
    ("!touch must-not-run", Some(" !touch must-not-run")),
    ("ends with a backslash \\", None),
    ("/etc/hosts is a file", None),
    ("a\ttab", Some("a    tab")),
    (
        "colour \u{1b}[31mred\u{1b}[0m and \u{1b}[201~ the end of a paste",
        Some("colour red and  the end of a paste"),
    ),
    ("trailing blanks   \n\n", Some("trailing blanks")),
    ("? what is this", None),
    (
        "@nobody and $HOME and `ticks` and \"quotes\" and 'more'",
        None,
    ),
    ("[Pasted text #1 +20 lines]", None),
    ("exit the building", None),
    ("please /clear", None),
];

#[test]
fn prompts_arrive_as_they_were_given() {
    let Some(pool) = PoolStage::open(1) else {
        return;
    };
    let session = pool.start("begin");
    pool.wait(&session);
    let long: String = (0..2500)
        .map(|n| format!("line {n} of a long, long prompt: ünï 漢\n"))
        .collect();
    assert!(long.len() > 100_000, "{}", long.len());
    let prompts = PROMPTS
        .iter()
        .copied()
        .chain([(long.as_str(), Some(long.trim_end()))]);
    let mut before = vec!["begin".to_owned()];
    for (prompt, shown) in prompts {
        let shown = shown.unwrap_or(prompt);
        let said = pool.turn(&session, prompt);
        assert!(
            said.starts_with("simulated answer to:"),
            "{prompt:?}: {said:?}"
        );
        let earlier: Vec<&str> = before.iter().map(String::as_str).collect();
        let last = pool
            .stage
            .standin
            .service
            .requests()
            .into_iter()
            .rev()
            .find_map(|r| r.prompt);
        assert_eq!(
            last.as_deref().map(|p| &p[..p.len().min(300)]),
            Some(&shown[..shown.len().min(300)])
        );
        pool.asked_once(shown, &earlier);
        before.push(shown.to_owned());
        // Nothing that stood in the box was taken for a person's line.
        assert_eq!(pool.saved_input(&session), None, "{shown:.100}");
    }
    let ran = pool.stage.home.work_dir().join("must-not-run");
    assert!(!ran.exists(), "a prompt was run as a command");
    let info = pool.info(&session);
    assert_eq!(
        (&info["status"], &info["pendingInput"]),
        (&json!("idle"), &json!(""))
    );
    // From a file, too.
    let file = pool.stage.home.path().join("prompt.txt");
    put(&file, "from a file\nof two lines\n".as_bytes());
    let file = file.to_str().expect("is text");
    let arguments = [
        "followup",
        "--session",
        &session,
        "--prompt-file",
        file,
        "--block",
    ];
    pool.cli(&arguments).good();
    assert_eq!(pool.asked("from a file\nof two lines").len(), 1);
}

#[test]
fn commands_of_the_client_are_refused_and_own_ones_pass() {
    let Some(pool) = PoolStage::open(1) else {
        return;
    };
    let session = pool.start("begin");
    pool.wait(&session);
    let uuid = pool.info(&session)["claudeUUID"].clone();
    for prompt in [
        "/clear",
        " /clear",
        "\n/reset all",
        "/model opus",
        "/undo",
        "/nonsense x",
        "exit",
        " :q\n",
        "QUIT",
        "/",
    ] {
        let start = json!({"type": "start", "prompt": prompt});
        assert_eq!(pool.refused(start), "reserved_prompt", "{prompt:?}");
        let followup = json!({"type": "followup", "sessionId": session, "prompt": prompt});
        let reply = pool.ask(followup);
        assert_eq!(reply["code"], "reserved_prompt", "{prompt:?}");
        let word = prompt.split_whitespace().next().expect("a word");
        assert!(
            reply["error"].as_str().expect("text").contains(word),
            "{reply}"
        );
    }
    for prompt in ["", " \n\t "] {
        let followup = json!({"type": "followup", "sessionId": session, "prompt": prompt});
        assert_eq!(pool.refused(followup), "bad_request", "{prompt:?}");
    }
    let info = pool.info(&session);
    assert_eq!(
        (&info["status"], &info["claudeUUID"]),
        (&json!("idle"), &uuid)
    );
    assert_eq!(
        pool.good(json!({"type": "ls"}))["sessions"]
            .as_array()
            .expect("a list")
            .len(),
        1
    );
    // One that the person wrote is a prompt.
    let said = pool.turn(&session, "/greet the world");
    assert_eq!(
        said.trim_end(),
        "simulated answer to: Say hello to the world."
    );
    pool.followup(&session, "and then");
    pool.wait(&session);
    assert_eq!(pool.asked("and then").len(), 1);
}
