//! What subscribers are told, and what becomes of turns that the service fails.

use super::stage::PoolStage;
use serde_json::{Value, json};

#[test]
fn subscribers_get_what_they_asked_for_and_nothing_else() {
    let Some(pool) = PoolStage::open(2) else {
        return;
    };
    pool.until_fresh(2);
    let mut all = pool.watch(json!({}));
    let first = pool.start("first");
    let mut of_first = pool.watch(json!({"sessions": [first]}));
    let mut idle = pool.watch(json!({"events": ["status"], "statuses": ["idle"]}));
    let mut created = pool.watch(json!({"events": ["created"]}));
    let mut names = pool.watch(json!({"events": ["updated"], "fields": ["metadata", "priority"]}));
    pool.wait(&first);
    let second = pool.start("second");
    pool.wait(&second);
    pool.good(
        json!({"type": "set", "sessionId": second, "metadata": {"name": "b"}, "priority": 7}),
    );
    pool.good(json!({"type": "set", "sessionId": second, "pinned": 60}));
    pool.good(json!({"type": "resize", "size": 3}));
    pool.good(json!({"type": "archive", "sessionId": second}));
    pool.good(json!({"type": "unarchive", "sessionId": second}));

    all.next("end", |e| e["event"] == "unarchived");
    let of = |wanted: &str| -> Vec<Value> {
        all.seen()
            .iter()
            .filter(|e| e["event"] == wanted)
            .cloned()
            .collect()
    };
    let created_all = of("created");
    assert_eq!(created_all.len(), 2);
    assert_eq!(
        created_all[0],
        json!({"type": "event", "event": "created", "sessionId": first, "status": "processing", "parent": ""})
    );
    let moves: Vec<(Value, Value)> = of("status")
        .into_iter()
        .filter(|e| e["sessionId"] == first.as_str())
        .map(|e| (e["prevStatus"].clone(), e["status"].clone()))
        .collect();
    assert_eq!(moves, [(json!("processing"), json!("idle"))]);
    assert_eq!(
        of("pool"),
        [json!({"type": "event", "event": "pool", "action": "resize", "size": 3})]
    );
    assert!(of("updated").iter().any(|e| e["changes"]["pinned"] == true));

    let event = created.next("created", |e| e["sessionId"] == second.as_str());
    assert_eq!(event["event"], "created");
    let name = names.next("name", |e| e["changes"].get("metadata").is_some());
    assert_eq!(name["changes"]["metadata"]["name"], "b");
    idle.next("idle", |e| e["sessionId"] == second.as_str());
    of_first.next("idle", |e| e["status"] == "idle");
    // Nothing that was not asked for came in between.
    assert!(created.seen().iter().all(|e| e["event"] == "created"));
    assert!(
        idle.seen()
            .iter()
            .all(|e| e["event"] == "status" && e["status"] == "idle"),
        "{:?}",
        idle.seen()
    );
    assert!(
        of_first
            .seen()
            .iter()
            .all(|e| e["sessionId"] == first.as_str())
    );
    assert!(
        names.seen().iter().all(|e| {
            let changes = e["changes"].as_object();
            changes.is_some_and(|c| c.contains_key("metadata") || c.contains_key("priority"))
        }),
        "{:?}",
        names.seen()
    );

    // Who subscribes once more gets only what was asked for last.
    let mut both = pool.watch(json!({"events": ["pool"], "sessions": [second]}));
    let mut client = pool.client();
    for events in [json!(["created"]), json!(["pool"])] {
        let reply = client.ask(json!({"type": "subscribe", "events": events, "ack": true}));
        assert_eq!(reply["type"], "subscribed");
    }
    pool.good(json!({"type": "resize", "size": 2}));
    let event = client.line(crate::real::stage::BOUND).expect("an event");
    assert_eq!(
        (&event["action"], &event["size"]),
        (&json!("resize"), &json!(2))
    );
    pool.start("third");
    assert!(
        !both.within(std::time::Duration::from_millis(200), |_| true),
        "{:?}",
        both.seen()
    );
}

#[test]
fn failures_of_the_service_are_retried_and_the_plans_limit_is_told() {
    let Some(pool) = PoolStage::open(1) else {
        return;
    };
    let session = pool.start("begin");
    pool.wait(&session);
    let mut before = vec!["begin".to_owned()];
    for kind in ["500", "529", "throttled"] {
        let prompt = format!("in spite of [[fail:{kind}:2]]");
        assert_eq!(
            pool.turn(&session, &prompt),
            format!("simulated answer to: {prompt}")
        );
        let statuses: Vec<u16> = pool.asked(&prompt).iter().map(|r| r.status).collect();
        assert_eq!(statuses.len(), 3, "{kind}: {statuses:?}");
        assert_eq!(statuses[2], 200);
        before.push(prompt);
    }
    let limited = "too much [[fail:limit]]";
    let told = pool.turn(&session, limited);
    assert!(told.contains("hit your 5-hour limit"), "{told}");
    assert_eq!(pool.asked(limited).len(), 1);
    let info = pool.info(&session);
    assert_eq!(
        (&info["status"], &info["pendingInput"]),
        (&json!("idle"), &json!(""))
    );
    pool.until_logged("rate_limit");
    // When it is over, the session goes on.
    assert_eq!(pool.turn(&session, "again"), "simulated answer to: again");
    assert_eq!(pool.asked("again").len(), 1);
}
