//! Whatever is ended by force, nothing that was accepted is lost, and nothing is asked twice.

use super::stage::{PoolStage, id_of, kill, kill_if_there, signal, until_gone};
use crate::real::stage::{BOUND, finish, json_of};
use crate::support::CCP;
use ccp::adapters::files::pause;
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn a_claude_that_dies_in_a_turn_takes_nothing_but_the_turn() {
    let Some(pool) = PoolStage::open(1) else {
        return;
    };
    let session = pool.start("begin");
    pool.wait(&session);
    let pid = pool.pid(&session);
    let long = "unfinished [[wait:60000]]";
    pool.followup(&session, long);
    pool.until_asked(long);
    let mut waiting = pool.client();
    waiting.send(&json!({"type": "wait", "sessionId": session}));
    // Answered, so the one before is waiting by now.
    assert_eq!(pool.ask(json!({"type": "ping"}))["type"], "pong");
    kill(pid);
    let reply = waiting.line(BOUND).expect("an answer");
    assert_eq!(
        (&reply["error"], &reply["code"]),
        (&json!("session died"), &json!("session_died"))
    );
    assert_eq!(pool.info(&session)["status"], "offloaded");
    assert_eq!(pool.turn(&session, "after"), "simulated answer to: after");
    let asked = pool.asked("after");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].turns.first().map(String::as_str), Some("begin"));
    assert_eq!(pool.asked(long).len(), 1);

    // One that dies while nothing goes on is offloaded too.
    let pid = pool.pid(&session);
    kill(pid);
    pool.until(&session, "offloaded");
    assert_eq!(pool.turn(&session, "again"), "simulated answer to: again");
    assert_ne!(pool.pid(&session), pid);
}

#[test]
fn a_prompt_that_no_claude_took_is_delivered_again() {
    let Some(pool) = PoolStage::open(1) else {
        return;
    };
    let session = pool.start("begin");
    pool.wait(&session);
    // Stopped, it takes nothing; what is typed meanwhile dies with it.
    let pid = pool.pid(&session);
    signal(pid, "STOP");
    pool.followup(&session, "to be taken once");
    let mut waiting = pool.client();
    waiting.send(&json!({"type": "wait", "sessionId": session}));
    pool.until_logged("idle -> processing");
    kill(pid);
    let reply = waiting.line(BOUND).expect("an answer");
    assert_eq!(reply["type"], "result", "{reply}");
    pool.asked_once("to be taken once", &["begin"]);
    assert_ne!(pool.pid(&session), pid);
}

#[test]
fn a_daemon_that_is_killed_in_a_turn_finds_it_again() {
    let Some(pool) = PoolStage::open(2) else {
        return;
    };
    let session = pool.start("begin");
    pool.wait(&session);
    let idle = pool.start("idle");
    pool.wait(&idle);
    let pids = [pool.pid(&session), pool.pid(&idle)];
    let long = "meanwhile [[wait:4000]]";
    pool.followup(&session, long);
    pool.until_asked(long);
    pool.kill_daemon();
    let health = pool.init_again();
    assert_eq!(health["readopted"], 2, "{health:#}");
    assert_eq!(pool.wait(&session), format!("simulated answer to: {long}"));
    pool.asked_once(long, &["begin"]);
    assert_eq!([pool.pid(&session), pool.pid(&idle)], pids);
    // Its whole screen is there as well.
    pool.until_shown(&session, "simulated answer to: begin");
    assert_eq!(pool.turn(&idle, "go on"), "simulated answer to: go on");
    pool.asked_once("go on", &["idle"]);

    // A turn that ended while there was no daemon.
    let short = "alone [[wait:1000]]";
    pool.followup(&session, short);
    pool.until_asked(short);
    pool.kill_daemon();
    pool.until_idle_file(pids[0]);
    pool.init_again();
    assert_eq!(pool.wait(&session), format!("simulated answer to: {short}"));
    pool.asked_once(short, &["begin", long]);
    assert_eq!(pool.turn(&session, "last"), "simulated answer to: last");
    pool.asked_once("last", &["begin", long, short]);
    // What is queued outlives it too.
    for session in [&session, &idle] {
        pool.followup(session, "busy [[wait:60000]]");
    }
    let queued = pool.start("queued");
    assert_eq!(pool.info(&queued)["status"], "queued");
    pool.kill_daemon();
    pool.init_again();
    assert_eq!(pool.info(&queued)["status"], "queued");
    pool.good(json!({"type": "stop", "sessionId": idle}));
    assert_eq!(pool.wait(&queued), "simulated answer to: queued");
    pool.asked_once("queued", &[]);
}

#[test]
fn a_daemon_that_is_killed_at_a_delivery_neither_loses_nor_repeats_it() {
    let Some(pool) = PoolStage::open(1) else {
        return;
    };
    let session = pool.start("begin");
    pool.wait(&session);
    let pid = pool.pid(&session);
    // Somewhere between the reply and the acknowledgement.
    for delay in [0, 5, 20, 60, 100, 140, 180, 250, 400] {
        let prompt = format!("killed after {delay} ms");
        let daemon = pool.daemon();
        pool.followup(&session, &prompt);
        pause(Duration::from_millis(delay));
        kill(daemon);
        until_gone(daemon);
        pool.init_again();
        assert_eq!(
            pool.wait(&session),
            format!("simulated answer to: {prompt}")
        );
        assert_eq!(pool.asked(&prompt).len(), 1, "{prompt}");
        assert_eq!(pool.info(&session)["pendingInput"], "", "{prompt}");
    }
    assert_eq!(pool.pid(&session), pid);
}

#[test]
fn an_ended_pool_comes_back_with_what_was_live() {
    let Some(pool) = PoolStage::open(2) else {
        return;
    };
    let sessions = ["one", "two"].map(|prompt| {
        let session = pool.start(prompt);
        pool.wait(&session);
        session
    });
    let rested = pool.start("three");
    pool.wait(&rested);
    pool.until(&sessions[0], "offloaded");
    assert_eq!(pool.refused(json!({"type": "destroy"})), "confirm_required");
    let mut watch = pool.watch(json!({}));
    let daemon = pool.daemon();
    pool.cli(&["destroy", "--confirm"]).good();
    watch.next("end", |e| e["event"] == "pool" && e["action"] == "destroy");
    until_gone(daemon);
    assert_eq!(pool.stage.wait_for_quiet(), []);
    let said = pool.cli(&["health"]).output;
    assert_eq!(said.code, 1, "{said:?}");

    let health = pool.init_again();
    assert!(health["readopted"].is_null(), "{health}");
    for session in [&sessions[1], &rested] {
        pool.until(session, "idle");
    }
    assert_eq!(pool.info(&sessions[0])["status"], "offloaded");
    assert_eq!(
        pool.turn(&rested, "three again"),
        "simulated answer to: three again"
    );
    pool.asked_once("three again", &["three"]);
    assert_eq!(
        pool.turn(&sessions[0], "one again"),
        "simulated answer to: one again"
    );
    pool.asked_once("one again", &["one"]);
    assert_eq!(pool.refused(json!({"type": "init"})), "already_initialized");

    // With nothing brought back.
    pool.cli(&["destroy", "--confirm"]).good();
    until_gone(
        pool.pids("pool-daemon")
            .first()
            .copied()
            .unwrap_or(u32::MAX),
    );
    pool.cli(&["init", "--no-restore"]).good();
    pool.until_fresh(2);
    assert_eq!(pool.health()["sessions"]["offloaded"], 3);
}

#[test]
fn a_pool_of_which_every_process_was_killed_comes_back() {
    let Some(pool) = PoolStage::open(2) else {
        return;
    };
    let idle = pool.start("idle");
    pool.wait(&idle);
    let busy = pool.start("busy");
    pool.wait(&busy);
    pool.good(json!({"type": "set", "sessionId": idle, "pinned": 3600}));
    let long = "cut off [[wait:60000]]";
    pool.followup(&busy, long);
    pool.until_asked(long);
    let queued = id_of(&pool.good(json!({"type": "start", "prompt": "queued", "priority": 0})));
    assert_eq!(pool.info(&queued)["status"], "queued");
    let claudes = [pool.pid(&idle), pool.pid(&busy)];
    let hosts = pool.pids("host");
    assert_eq!(hosts.len(), 2);
    pool.kill_daemon();
    for pid in hosts.into_iter().chain(claudes) {
        // A claude ends with its terminal, which may be sooner.
        kill_if_there(pid);
        until_gone(pid);
    }
    let health = pool.init_again();
    assert!(health["readopted"].is_null(), "{health}");
    assert_eq!(pool.wait(&queued), "simulated answer to: queued");
    pool.asked_once("queued", &[]);
    // They may be on their way back at this moment.
    assert_eq!(
        pool.turn_when_idle(&idle, "idle again"),
        "simulated answer to: idle again"
    );
    pool.asked_once("idle again", &["idle"]);
    assert_eq!(
        pool.turn_when_idle(&busy, "busy again"),
        "simulated answer to: busy again"
    );
    let asked = pool.asked("busy again");
    assert_eq!(asked.len(), 1);
    assert!(asked[0].turns.starts_with(&["busy".to_owned()]));
    // What was begun is not begun again.
    assert_eq!(pool.asked(long).len(), 1);
}

#[test]
fn doctor_tells_which_claude_runs_in_the_slots() {
    let Some(pool) = PoolStage::open(2) else {
        return;
    };
    pool.until_fresh(2);
    let doctor = || {
        let mut command = pool.stage.command(CCP);
        command
            .env("CLAUDE_POOL_HOME", pool.home())
            .args(["doctor", "--json"]);
        let said = finish(command).output.stdout;
        let report: Value = serde_json::from_str(&said).expect("JSON");
        let checks = report["checks"].as_array().expect("a list");
        let check = checks.iter().find(|c| c["id"] == "slot-versions");
        check.expect("it is checked").to_string()
    };
    let all = doctor();
    let first = pool.good(json!({"type": "debug-slots"}))["slots"][0].clone();
    let pid = &first["pid"];
    let file = pool.stage.base().join(format!("sessions/{pid}.json"));
    let version = json_of(&file)["version"]
        .as_str()
        .expect("is told")
        .to_owned();
    assert!(all.contains(&format!("{version} in 2 slots")), "{all}");
    // As if that slot had been started before an upgrade.
    pool.stage
        .edit(&file, |file| file["version"] = json!("2.0.1"));
    let mixed = doctor();
    let named = format!(
        "{version} in 1 slot; 2.0.1 in 1 slot (p {}); {version} is installed",
        first["slot"]
    );
    assert!(mixed.contains(&named), "{mixed}");
}
