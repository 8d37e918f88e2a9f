//! People at a session's terminal, and the pool beside them.

use super::stage::{FLAGS, PoolStage, id_of};
use crate::real::terminal::Terminal;
use crate::support::put;
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

#[test]
fn a_person_attaches_types_and_leaves() {
    let Some(pool) = PoolStage::open(1) else {
        return;
    };
    let session = pool.start("begin");
    pool.wait(&session);
    let pid = pool.pid(&session);
    let mut watch = pool
        .watch(json!({"sessions": [session], "events": ["updated"], "fields": ["pendingInput"]}));
    let terminal = Terminal::start(&pool.stage, &pool.attach_line(&session));
    terminal.wait("repaint", |s| s.contains("simulated answer to: begin"));
    terminal.keys(&["-l", "half a thought"]);
    terminal.wait("echo", |s| s.contains("half a thought"));
    watch.next("pending input", |e| {
        e["changes"]["pendingInput"] == "half a thought"
    });
    assert_eq!(pool.info(&session)["pendingInput"], "half a thought");
    terminal.keys(&["C-u"]);
    watch.next("empty box", |e| e["changes"]["pendingInput"] == "");
    terminal.prompt("typed by hand");
    terminal.wait("answer", |s| {
        s.contains("simulated answer to: typed by hand")
    });
    pool.asked_once("typed by hand", &["begin"]);
    pool.until(&session, "idle");
    let captured = pool.wait(&session);
    assert_eq!(captured, "simulated answer to: typed by hand");
    // A second person sees the same, at once.
    let second = pool.good(json!({"type": "attach", "sessionId": session}));
    let socket = second["socketPath"].as_str().expect("a path");
    assert_eq!(
        (&second["cols"], &second["rows"]),
        (&json!(100), &json!(40))
    );
    let mut raw = std::os::unix::net::UnixStream::connect(socket).expect("connects");
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("typed by hand") {
        let mut chunk = [0; 4096];
        let count = std::io::Read::read(&mut raw, &mut chunk).expect("reads");
        assert!(count > 0, "the attachment is over");
        seen.extend_from_slice(&chunk[..count]);
    }
    terminal.keys(&["Enter"]);
    terminal.keys(&["-l", "~."]);
    terminal.ended(0);
    assert_eq!(pool.pid(&session), pid);
    assert_eq!(pool.turn(&session, "go on"), "simulated answer to: go on");
    pool.asked_once("go on", &["begin", "typed by hand"]);
}

#[test]
fn what_somebody_half_typed_is_put_back_after_a_delivery() {
    let Some(pool) = PoolStage::open(1) else {
        return;
    };
    let session = pool.start("begin");
    pool.wait(&session);
    let half = "half a line, with ünï";
    pool.press(&session, half);
    pool.until_pending(&session, half);
    assert_eq!(
        pool.turn(&session, "in between"),
        "simulated answer to: in between"
    );
    pool.asked_once("in between", &["begin"]);
    pool.until_pending(&session, half);
    // Several lines, and a turn that lasts.
    pool.press(&session, "\u{15}");
    pool.until_pending(&session, "");
    pool.press(&session, "\u{1b}[200~two\nlines\u{1b}[201~");
    pool.until_pending(&session, "two\nlines");
    pool.turn(&session, "once more [[wait:1500]]");
    pool.asked_once("once more [[wait:1500]]", &["begin", "in between"]);
    pool.until_pending(&session, "two\nlines");
    pool.press(&session, "\r");
    pool.until_asked("two\nlines");
}

#[test]
fn a_question_of_the_client_is_told_and_answered_through_the_pool() {
    let Some(pool) = PoolStage::open(1) else {
        return;
    };
    let session = pool.start("begin");
    pool.wait(&session);
    let mut watch = pool.watch(json!({"sessions": [session], "fields": ["waitingFor"]}));
    let marker = pool.stage.home.work_dir().join("marker");
    let prompt = "[[tool:Bash:touch marker]]";
    pool.followup(&session, prompt);
    let event = watch.next("question", |e| e["changes"]["waitingFor"].is_string());
    let info = pool.info(&session);
    assert_eq!(info["status"], "processing");
    assert_eq!(info["waitingFor"], event["changes"]["waitingFor"]);
    assert!(!marker.exists());
    assert_eq!(
        pool.refused(json!({"type": "wait", "sessionId": session, "timeout": 50})),
        "timeout"
    );
    pool.until_shown(&session, "Do you want to proceed?");
    // Claude passes over keys that come just when a question appears.
    let answered = |e: &Value| e["changes"]["waitingFor"].is_null();
    loop {
        pool.press(&session, "1");
        if watch.within(Duration::from_secs(2), answered) {
            break;
        }
    }
    assert!(pool.wait(&session).starts_with("simulated answer to"));
    assert!(marker.exists());
    assert!(pool.info(&session)["waitingFor"].is_null());

    // One that nobody answers can be stopped.
    pool.followup(&session, "[[tool:Bash:touch another]]");
    watch.next("question", |e| e["changes"]["waitingFor"].is_string());
    pool.good(json!({"type": "stop", "sessionId": session}));
    let info = pool.info(&session);
    assert_eq!(
        (&info["status"], &info["pendingInput"]),
        (&json!("idle"), &json!(""))
    );
    assert!(info["waitingFor"].is_null());
    assert!(!pool.stage.home.work_dir().join("another").exists());
    assert_eq!(pool.turn(&session, "next"), "simulated answer to: next");
    assert_eq!(pool.asked("next").len(), 1);
}

#[test]
fn what_a_person_changed_in_a_slot_is_gone_for_the_next_session() {
    let Some(pool) = PoolStage::before_init() else {
        return;
    };
    // The person's own hook notes what the client says of itself.
    let noted = pool.stage.home.path().join("noted");
    let command = format!("cat >> '{0}'; echo >> '{0}'", noted.display());
    let hook = json!([{"hooks": [{"type": "command", "command": command}]}]);
    let settings = json!({"hooks": {"UserPromptSubmit": hook}});
    put(
        &pool.stage.base().join("settings.json"),
        settings.to_string().as_bytes(),
    );
    pool.init(1, 0, &format!("{FLAGS} --model sonnet"));
    let mode_of = |prompt: &str| -> Value {
        let text = fs::read_to_string(&noted).expect("reads");
        let entries = text.lines().filter(|l| !l.is_empty());
        let entries: Vec<Value> = entries
            .map(|l| serde_json::from_str(l).expect("JSON"))
            .collect();
        let entry = entries.iter().find(|e| e["prompt"] == prompt);
        entry.unwrap_or_else(|| panic!("{prompt} in {text}"))["permission_mode"].clone()
    };
    let first = pool.start("first");
    pool.wait(&first);
    let usual = pool.asked("first")[0].model.clone();
    assert_eq!(mode_of("first"), "default");
    pool.press(&first, "\u{1b}[Z");
    pool.turn(&first, "in another mode");
    assert_eq!(mode_of("in another mode"), "acceptEdits");
    let second = pool.start("second");
    pool.wait(&second);
    assert_eq!(mode_of("second"), "default");

    let terminal = Terminal::start(&pool.stage, &pool.attach_line(&second));
    terminal.wait("repaint", |s| s.contains("simulated answer to: second"));
    terminal.prompt("/model haiku");
    terminal.wait("confirmation", |s| s.contains("Yes, switch to Haiku"));
    terminal.keys(&["Enter"]);
    terminal.wait("other model", |s| s.to_lowercase().contains("set model to"));
    terminal.keys(&["-l", "~."]);
    terminal.ended(0);
    drop(terminal);
    pool.turn_when_idle(&second, "on another model");
    assert_ne!(pool.asked("on another model")[0].model, usual);
    let third = pool.start("third");
    pool.wait(&third);
    assert_eq!(pool.asked("third")[0].model, usual);
    assert_eq!(mode_of("third"), "default");
    pool.asked_once("third", &[]);
}

#[test]
fn a_person_who_clears_a_session_begins_its_history_anew() {
    let Some(pool) = PoolStage::open(2) else {
        return;
    };
    let session = pool.start("before");
    pool.wait(&session);
    let uuid = pool.info(&session)["claudeUUID"].clone();
    let terminal = Terminal::start(&pool.stage, &pool.attach_line(&session));
    terminal.wait("repaint", |s| s.contains("simulated answer to: before"));
    terminal.prompt("/clear");
    terminal.wait("clear screen", |s| {
        !s.contains("simulated answer to: before")
    });
    pool.turn_when_idle(&session, "after");
    pool.asked_once("after", &[]);
    let info = pool.info(&session);
    assert!(
        info["claudeUUID"].is_string() && info["claudeUUID"] != uuid,
        "{info}"
    );
    let all = json!({"type": "capture", "sessionId": session, "turns": 0});
    let content = pool.good(all)["content"].as_str().expect("text").to_owned();
    assert!(
        content.contains("after") && !content.contains("before"),
        "{content}"
    );
    // The session that took the slot over has nothing of it, and this one comes back with its new history.
    let others =
        ["one", "two"].map(|prompt| id_of(&pool.good(json!({"type": "start", "prompt": prompt}))));
    others.iter().for_each(|other| drop(pool.wait(other)));
    pool.until(&session, "offloaded");
    terminal.ended(0);
    pool.turn(&session, "back");
    pool.asked_once("back", &["after"]);
}
