//! `ccp mcp` and the skill on a pool of real claudes: for the protocol's own client library, and for the claudes in it.

use super::stage::PoolStage;
use crate::mcp::library::script;
use crate::real::stage::{BOUND, finish};
use crate::support::{CCP, put};
use ccp_standin::Running;
use serde_json::{Value, json};
use std::process::Command;

#[test]
fn the_protocols_own_client_works_with_a_pool() {
    let Some(script) = script() else { return };
    let Some(pool) = PoolStage::open(2) else {
        return;
    };
    let long = "a long one [[wait:60000]]";
    let mut command = Command::new("node");
    command
        .env_clear()
        .envs(pool.stage.home.command_env(&pool.stage.standin))
        .env("CLAUDE_POOL_HOME", pool.home())
        .env("CLAUDE_CODE_SESSION_ID", "the-conversation")
        .env("CCP_TEST_PROMPT", long)
        .current_dir(pool.stage.home.work_dir())
        .arg(script)
        .args([CCP, "mcp", "--pool", "p"]);
    let mut running = Running::start(command).expect("starts node");
    pool.until_asked(long);
    running.write_line("it works").expect("writes");
    running.close_stdin();
    let output = running.output(BOUND).expect("ends");
    assert_eq!(output.code, 0, "{}", output.stderr);
    let seen: Value = serde_json::from_str(&output.stdout).expect("JSON");

    let started = &seen["start"]["structuredContent"];
    let session = started["sessionId"].as_str().expect("an id");
    let listed = &seen["ls"]["structuredContent"]["sessions"];
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed[0]["sessionId"], session);
    assert_eq!(listed[0]["name"], "parser");
    assert_eq!(seen["aborted"], "given up");
    let blocked = &seen["blocked"]["structuredContent"];
    assert_eq!(blocked["text"], "simulated answer to: and this");
    let text = |name: &str| {
        let text = seen[name]["content"][0]["text"].as_str();
        text.unwrap_or_else(|| panic!("{name} in {seen:#}"))
    };
    assert!(text("captured").contains(long), "{}", text("captured"));
    assert_eq!(text("stopped"), format!("session {session} is stopped"));
    for name in ["failed", "wrong"] {
        assert_eq!(seen[name]["isError"], true, "{seen:#}");
    }
    assert_eq!(seen["unknown"], -32602);
    for id in [session, blocked["sessionId"].as_str().expect("an id")] {
        let info = pool.info(id);
        assert_eq!(info["parent"], "the-conversation");
        assert_eq!(info["status"], "idle");
    }
}

/// A session of the pool has the pool's tools. Its slot was another session's before, and its server with it.
#[test]
fn sessions_start_others_by_their_tools_as_their_own_children() {
    let Some(pool) = PoolStage::before_init() else {
        return;
    };
    let config = pool.stage.home.path().join("mcp.json");
    let server = json!({"command": CCP, "args": ["mcp", "--pool", "p"],
        "env": {"CLAUDE_POOL_HOME": pool.home()}});
    let servers = json!({"mcpServers": {"pool": server}});
    put(&config, servers.to_string().as_bytes());
    let flags = format!(
        "--dangerously-skip-permissions --strict-mcp-config --mcp-config '{}'",
        config.display()
    );
    pool.init(2, 0, &flags);
    for name in ["one", "two", "three"] {
        let inner = format!("inner work of {name}");
        let input = json!({"prompt": inner, "name": name, "block": true});
        let outer = pool.start(&format!("[[tool:mcp__pool__start:{input}]]"));
        pool.wait(&outer);
        pool.asked_once(&inner, &[]);
        let request = json!({"type": "capture", "sessionId": outer, "detail": "tools"});
        let content = pool.good(request)["content"].to_string();
        assert!(
            content.contains(&format!("simulated answer to: {inner}")),
            "{content}"
        );
        let listed = pool.good(json!({"type": "ls", "parent": outer}));
        let children = listed["sessions"].as_array().expect("a list");
        assert_eq!(children.len(), 1, "{name}: {listed}");
        let child = pool.info(children[0]["sessionId"].as_str().expect("an id"));
        assert_eq!(child["parent"], pool.info(&outer)["claudeUUID"], "{name}");
        assert_eq!(child["metadata"]["name"], name);
    }
}

/// What the skill teaches is what works: the commands of it, run by a claude that is no slot.
#[test]
fn a_session_hands_work_over_as_the_skill_teaches() {
    let Some(pool) = PoolStage::open(1) else {
        return;
    };
    let id = "11111111-2222-4333-8444-555555555555";
    // The stand-in repeats the beginning of what a tool said.
    let answer = "simulated answer to: work of a child";
    let shell =
        format!("ccp pool start --pool p --block --prompt 'work of a child' | grep -o '{answer}'");
    let prompt = format!("[[tool:Bash:{shell}]]");
    let mut install = pool.stage.command(CCP);
    install.args(["pool", "install"]);
    finish(install).good();
    let mut command = pool.stage.command(&pool.stage.claude);
    command
        .env("CLAUDE_POOL_HOME", pool.home())
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .args(["-p", "--dangerously-skip-permissions", "--session-id", id])
        .arg(&prompt);
    let output = finish(command).good();
    assert!(
        output.stdout.contains(&format!("\n{answer})")),
        "{output:#?}"
    );
    pool.asked_once("work of a child", &[]);
    let listed = pool.good(json!({"type": "ls", "parent": id}));
    assert_eq!(
        listed["sessions"].as_array().map(Vec::len),
        Some(1),
        "{listed}"
    );
}
