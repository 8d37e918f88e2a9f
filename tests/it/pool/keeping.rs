//! Sessions that are kept, put away and brought back; what of them can be read; and how many slots there are.

use super::stage::{FLAGS, PoolStage, id_of, said};
use serde_json::{Value, json};

fn entries(content: &str) -> Vec<Value> {
    let lines = content.lines();
    lines
        .map(|l| serde_json::from_str(l).expect("JSON"))
        .collect()
}

#[test]
fn a_session_is_read_at_every_detail_and_off_its_terminal() {
    let Some(pool) = PoolStage::with(1, 0, "--permission-mode acceptEdits --allowedTools Bash")
    else {
        return;
    };
    let session = pool.start("first");
    pool.wait(&session);
    pool.turn(&session, "[[tool:Bash:echo from-a-tool]]");
    pool.turn(&session, "third");
    let capture = |fields: Value| -> String {
        let mut request = json!({"type": "capture", "sessionId": session});
        let request_fields = request.as_object_mut().expect("an object");
        request_fields.extend(fields.as_object().expect("an object").clone());
        let reply = pool.good(request);
        reply["content"].as_str().expect("text").to_owned()
    };
    let last = entries(&capture(json!({})));
    assert_eq!(last.len(), 2, "{last:#?}");
    assert_eq!(last[0]["message"]["content"], "third");
    assert_eq!(
        last[1]["message"]["content"][0]["text"],
        "simulated answer to: third"
    );
    for stripped in [
        "parentUuid",
        "uuid",
        "timestamp",
        "cwd",
        "sessionId",
        "version",
        "gitBranch",
        "promptId",
    ] {
        assert!(
            last.iter().all(|entry| entry.get(stripped).is_none()),
            "{stripped} in {last:#?}"
        );
    }
    for stripped in ["id", "model", "usage", "stop_reason"] {
        assert!(
            last[1]["message"].get(stripped).is_none(),
            "{stripped} in {last:#?}"
        );
    }
    let two = capture(json!({"turns": 2, "detail": "last"}));
    assert!(
        two.contains("from-a-tool") && !two.contains("\"first\"") && !two.contains("tool_use"),
        "{two}"
    );
    let assistant = capture(json!({"turns": 2, "detail": "assistant"}));
    assert!(
        !assistant.contains("tool_use") && !assistant.contains("tool_result"),
        "{assistant}"
    );
    let tools = capture(json!({"turns": 2, "detail": "tools"}));
    assert!(
        tools.contains("tool_use") && tools.contains("tool_result"),
        "{tools}"
    );
    assert!(
        !tools.contains("parentUuid") && !tools.contains("\"first\""),
        "{tools}"
    );
    let raw = capture(json!({"turns": 1, "detail": "raw"}));
    assert!(
        raw.contains("parentUuid") && raw.contains("\"timestamp\""),
        "{raw}"
    );
    let all = capture(json!({"turns": 0}));
    assert!(all.contains("\"first\"") && all.contains("third"), "{all}");
    assert!(!all.ends_with('\n'));
    let seven = capture(json!({"turns": 7}));
    assert_eq!(seven, all);

    let screen = capture(json!({"source": "buffer", "turns": 0}));
    for text in ["❯ first", "simulated answer to: first", "third"] {
        assert!(screen.contains(text), "{text} in {screen}");
    }
    let end = capture(json!({"source": "buffer", "turns": 1}));
    assert!(
        end.contains("simulated answer to: third") && !end.contains("answer to: first"),
        "{end}"
    );
    // Offloaded and archived ones can still be read, but have no terminal.
    let other = pool.start("other");
    pool.wait(&other);
    pool.until(&session, "offloaded");
    assert_eq!(capture(json!({"turns": 0})), all);
    let buffer = json!({"type": "capture", "sessionId": session, "source": "buffer"});
    assert_eq!(pool.refused(buffer), "not_live_buffer");
    pool.good(json!({"type": "archive", "sessionId": session}));
    assert_eq!(capture(json!({"turns": 0})), all);
    for request in ["attach", "pty-resize", "input"] {
        let request =
            json!({"type": request, "sessionId": session, "data": "x", "cols": 80, "rows": 24});
        assert_eq!(pool.refused(request), "not_live");
    }
}

#[test]
fn sessions_are_archived_with_their_children_and_brought_back() {
    let Some(pool) = PoolStage::open(2) else {
        return;
    };
    let mother = pool.start("mother");
    pool.wait(&mother);
    let uuid = pool.info(&mother)["claudeUUID"].clone();
    // A child names its mother by either name.
    let child = id_of(&pool.good(json!({"type": "start", "prompt": "child", "parent": uuid})));
    pool.wait(&child);
    let grandchild = id_of(
        &pool.good(json!({"type": "start", "prompt": "long [[wait:60000]]", "parent": child})),
    );
    pool.until_asked("long [[wait:60000]]");
    let children = pool.info(&mother)["children"].clone();
    assert_eq!(children[0]["sessionId"], child.as_str(), "{children:#}");
    assert_eq!(
        children[0]["children"][0]["sessionId"],
        grandchild.as_str(),
        "{children:#}"
    );
    let archive = json!({"type": "archive", "sessionId": mother});
    assert_eq!(pool.refused(archive.clone()), "has_children");
    let mut watch = pool.watch(json!({"events": ["archived", "unarchived"]}));
    pool.good(json!({"type": "set", "sessionId": mother, "pinned": 600}));
    pool.good(json!({"type": "archive", "sessionId": mother, "recursive": true}));
    let mut archived: Vec<Value> = (0..3)
        .map(|_| watch.next("archived", |e| e["event"] == "archived")["sessionId"].clone())
        .collect();
    archived.sort_by_key(ToString::to_string);
    let mut all = [&mother, &child, &grandchild].map(|id| json!(id));
    all.sort_by_key(ToString::to_string);
    assert_eq!(archived, all);
    for session in [&mother, &child, &grandchild] {
        let info = pool.info(session);
        assert_eq!(
            (&info["status"], &info["pinned"]),
            (&json!("archived"), &json!(false))
        );
    }
    assert_eq!(
        pool.good(json!({"type": "ls", "all": true}))["sessions"],
        json!([])
    );
    let listed = pool.good(json!({"type": "ls", "all": true, "archived": true}));
    assert_eq!(listed["sessions"].as_array().expect("a list").len(), 3);
    pool.good(archive);
    let followup = json!({"type": "followup", "sessionId": child, "prompt": "x"});
    assert_eq!(pool.refused(followup), "session_archived");
    let unarchive = json!({"type": "unarchive", "sessionId": child});
    pool.good(unarchive.clone());
    watch.next("unarchived", |e| {
        e["event"] == "unarchived" && e["sessionId"] == child.as_str()
    });
    assert_eq!(pool.info(&child)["status"], "offloaded");
    assert_eq!(pool.refused(unarchive), "not_archived");
    assert_eq!(
        pool.turn(&child, "child again"),
        "simulated answer to: child again"
    );
    pool.asked_once("child again", &["child"]);
    assert_eq!(pool.asked("long [[wait:60000]]").len(), 1);
    // Its slots are free again.
    pool.until_health("free slots", |h| h["slots"]["processing"] == 0);
}

#[test]
fn slots_are_kept_fresh_and_pinned_sessions_stay() {
    let Some(pool) = PoolStage::with(2, 1, FLAGS) else {
        return;
    };
    pool.until_fresh(2);
    let first = pool.start("first");
    pool.wait(&first);
    let started = pool.good(json!({"type": "start", "prompt": "second"}));
    assert_eq!(started["status"], "processing");
    let second = id_of(&started);
    pool.wait(&second);
    // One slot is made free, that of the session used longest ago.
    pool.until(&first, "offloaded");
    pool.until_fresh(1);
    assert_eq!(pool.info(&second)["status"], "idle");
    // Off: nothing is offloaded. Pinned: it is loaded, and not the one that leaves.
    pool.good(json!({"type": "config", "set": {"keepFresh": 0}}));
    pool.good(json!({"type": "set", "sessionId": first, "pinned": 600}));
    pool.until(&first, "idle");
    assert_eq!(pool.info(&second)["status"], "idle");
    pool.good(json!({"type": "config", "set": {"keepFresh": 1}}));
    pool.until(&second, "offloaded");
    pool.until_fresh(1);
    assert_eq!(pool.info(&first)["status"], "idle");
    let third = pool.start("third");
    pool.wait(&third);
    assert_eq!(pool.info(&first)["status"], "idle");
    pool.until(&third, "offloaded");
    pool.asked_once("third", &[]);
    assert_eq!(pool.turn(&first, "again"), "simulated answer to: again");
    pool.asked_once("again", &["first"]);
}

#[test]
fn a_pool_grows_and_shrinks_under_load() {
    let Some(pool) = PoolStage::open(1) else {
        return;
    };
    let long = |n: usize| format!("long {n} [[wait:60000]]");
    let sessions: Vec<String> = (0..3).map(|n| pool.start(&long(n))).collect();
    pool.until_asked(&long(0));
    assert_eq!(pool.health()["queueDepth"], 2);
    let resized = pool.good(json!({"type": "resize", "size": 3}));
    assert_eq!(resized, json!({"type": "pool", "pool": {"size": 3}}));
    (0..3).for_each(|n| drop(pool.until_asked(&long(n))));
    assert_eq!(pool.health()["queueDepth"], 0);
    let queued = pool.start("queued");
    pool.cli(&["resize", "--size", "1"]).good();
    // Nobody who works is interrupted.
    let health = pool.health();
    assert_eq!(
        (&health["sessions"]["processing"], &health["config"]["size"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(pool.pids("host").len(), 3);
    assert_eq!(
        pool.refused(json!({"type": "resize", "size": 0})),
        "bad_size"
    );
    for session in &sessions[..2] {
        pool.good(json!({"type": "stop", "sessionId": session}));
    }
    pool.until_health("two ended slots", |_| pool.pids("host").len() == 1);
    assert_eq!(pool.info(&sessions[2])["status"], "processing");
    assert_eq!(pool.info(&queued)["status"], "queued");
    pool.good(json!({"type": "stop", "sessionId": sessions[2]}));
    assert_eq!(pool.wait(&queued), "simulated answer to: queued");
    for n in 0..3 {
        assert_eq!(pool.asked(&long(n)).len(), 1);
    }
    assert_eq!(pool.pids("host").len(), 1);
    let content = pool.good(json!({"type": "capture", "sessionId": sessions[0]}));
    assert_eq!(said(content["content"].as_str().expect("text")), "");
}
