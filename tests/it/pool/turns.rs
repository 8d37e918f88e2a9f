//! Sessions take prompts, remember, are waited for, stopped, queued, evicted and brought back.

use super::stage::{PoolStage, id_of, said};
use serde_json::json;

#[test]
fn a_session_answers_remembers_and_is_stopped() {
    let Some(pool) = PoolStage::open(2) else {
        return;
    };
    let output = pool
        .cli(&["--json", "start", "--prompt", "one", "--block"])
        .good();
    let reply: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    let session = reply["sessionId"].as_str().expect("an id").to_owned();
    assert_eq!(
        said(reply["content"].as_str().expect("text")),
        "simulated answer to: one"
    );
    pool.asked_once("one", &[]);

    let arguments = [
        "followup",
        "--session",
        &session[..6],
        "--prompt",
        "two",
        "--block",
    ];
    let printed = pool.cli(&arguments).good().stdout;
    assert!(printed.contains("simulated answer to: two"), "{printed}");
    pool.asked_once("two", &["one"]);

    let long = "never answered [[wait:60000]]";
    pool.followup(&session, long);
    pool.until_asked(long);
    assert_eq!(pool.info(&session)["status"], "processing");
    let refused = pool.refused(json!({"type": "followup", "sessionId": session, "prompt": "x"}));
    assert_eq!(refused, "session_busy");
    pool.good(json!({"type": "stop", "sessionId": session}));
    let info = pool.info(&session);
    assert_eq!(
        (&info["status"], &info["pendingInput"]),
        (&json!("idle"), &json!(""))
    );
    assert_eq!(
        pool.refused(json!({"type": "stop", "sessionId": session})),
        "not_stoppable"
    );
    assert_eq!(pool.turn(&session, "three"), "simulated answer to: three");
    let asked = pool.asked("three");
    assert_eq!(asked.len(), 1, "{asked:#?}");
    assert_eq!(asked[0].turns[..2], ["one", "two"]);
    assert_eq!(pool.asked(long).len(), 1);
    assert_eq!(pool.asked("x").len(), 0);
}

#[test]
fn whoever_waits_for_any_of_several_gets_the_first_of_that_parent() {
    let Some(pool) = PoolStage::open(3) else {
        return;
    };
    let start = |prompt: &str, parent: &str| {
        id_of(&pool.good(json!({"type": "start", "prompt": prompt, "parent": parent})))
    };
    let slow = start("slow [[wait:60000]]", "mother");
    let quick = start("quick [[wait:1500]]", "mother");
    let orphan = pool.start("orphan [[wait:60000]]");
    assert_eq!(
        pool.refused(json!({"type": "wait", "parent": "aunt"})),
        "no_busy_sessions"
    );
    let result = pool.good(json!({"type": "wait", "parent": "mother", "timeout": 90_000}));
    assert_eq!(result["sessionId"], quick.as_str());
    let content = result["content"].as_str().expect("text");
    assert_eq!(said(content), "simulated answer to: quick [[wait:1500]]");
    let early = json!({"type": "wait", "parent": "mother", "timeout": 50});
    assert_eq!(pool.refused(early), "timeout");
    let any = json!({"type": "wait", "timeout": 50});
    assert_eq!(pool.refused(any), "timeout");
    pool.good(json!({"type": "stop", "sessionId": orphan}));
    assert_eq!(pool.refused(json!({"type": "wait"})), "no_busy_sessions");
    // Whoever waits for a session that is stopped hears of it.
    let mut waiting = pool.client();
    waiting.send(&json!({"type": "wait", "sessionId": slow}));
    pool.good(json!({"type": "stop", "sessionId": slow}));
    let result = waiting.line(crate::real::stage::BOUND).expect("an answer");
    assert_eq!(result["type"], "result", "{result}");
}

#[test]
fn sessions_queue_are_evicted_least_recently_used_first_and_come_back() {
    let Some(pool) = PoolStage::open(2) else {
        return;
    };
    pool.until_fresh(2);
    let first = pool.start("first a");
    let second = pool.start("second a");
    pool.wait(&first);
    pool.wait(&second);
    pool.turn(&first, "first b");
    let pids = [pool.pid(&first), pool.pid(&second)];
    // The second was used before the first.
    let third = pool.start("third a [[wait:60000]]");
    pool.until(&second, "offloaded");
    pool.until_asked("third a [[wait:60000]]");
    pool.asked_once("third a [[wait:60000]]", &[]);
    assert_eq!(pool.info(&first)["status"], "idle");
    assert!(pids.contains(&pool.pid(&third)), "a process is used again");

    // Both slots busy: the next one queues, and nothing is interrupted.
    pool.followup(&first, "first c [[wait:60000]]");
    pool.until_asked("first c [[wait:60000]]");
    let request = json!({"type": "followup", "sessionId": second, "prompt": "second b"});
    assert_eq!(pool.good(request)["status"], "queued");
    let fourth = pool.good(json!({"type": "start", "prompt": "fourth"}));
    assert_eq!(fourth["status"], "queued");
    let fourth = id_of(&fourth);
    assert_eq!(pool.health()["queueDepth"], 2);
    let queued = json!({"type": "capture", "sessionId": fourth});
    assert_eq!(pool.refused(queued), "no_content");
    pool.good(json!({"type": "stop", "sessionId": fourth}));
    assert_eq!(
        pool.refused(json!({"type": "info", "sessionId": fourth})),
        "session_not_found"
    );

    // A slot comes free, and the conversation goes on where it was.
    pool.good(json!({"type": "stop", "sessionId": third}));
    assert_eq!(pool.wait(&second), "simulated answer to: second b");
    pool.asked_once("second b", &["second a"]);
    assert!(
        pids.contains(&pool.pid(&second)),
        "resumed inside the process"
    );
    pool.good(json!({"type": "stop", "sessionId": first}));
    assert_eq!(pool.turn(&third, "third b"), "simulated answer to: third b");
    assert_eq!(pool.asked("third b").len(), 1);
    assert_eq!(pool.asked("fourth").len(), 0);
}

#[test]
fn a_session_begins_without_a_prompt() {
    let Some(pool) = PoolStage::open(1) else {
        return;
    };
    pool.until_fresh(1);
    let started = pool.good(json!({"type": "start", "metadata": {"name": "empty", "tag": 1}}));
    assert_eq!(started["status"], "idle");
    let session = id_of(&started);
    let empty = pool.good(json!({"type": "capture", "sessionId": session}));
    assert_eq!(empty["content"], "");
    assert_eq!(
        pool.info(&session)["metadata"],
        json!({"name": "empty", "tag": 1})
    );
    assert_eq!(
        pool.turn(&session, "and now"),
        "simulated answer to: and now"
    );
    pool.asked_once("and now", &[]);
    // One more has to wait for the slot, and gets it.
    let next = pool.good(json!({"type": "start"}));
    assert_eq!(next["status"], "queued");
    pool.until(&id_of(&next), "idle");
    assert_eq!(pool.info(&session)["status"], "offloaded");
}
