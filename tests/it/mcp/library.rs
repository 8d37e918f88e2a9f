//! The server as the protocol's own client library sees it.

use super::scripted::{BOUND, SESSION, Scripted};
use crate::support::CCP;
use ccp_standin::{Running, skip};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The script, where `npm ci` has put the library beside it; else said aloud.
pub fn script() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node");
    if std::env::var_os("CCP_TEST_FAST").is_some_and(|v| !v.is_empty()) {
        skip("the MCP client library is left out of a fast run");
        return None;
    }
    let has_node = Command::new("node").arg("--version").output().is_ok();
    if !has_node || !dir.join("node_modules/@modelcontextprotocol/sdk").is_dir() {
        skip("the MCP client library is not installed: run `npm ci` in tests/node");
        return None;
    }
    Some(dir.join("mcp-client.mjs"))
}

#[test]
fn the_client_library_accepts_every_answer() {
    let Some(script) = script() else { return };
    let mut builder = tempfile::Builder::new();
    let home = builder.prefix("ccp").tempdir_in("/tmp").expect("a home");
    let pool = Scripted::start(home.path(), "default");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut command = Command::new("node");
    command
        .env_clear()
        .env("HOME", home.path())
        .env("PATH", path)
        .env("CLAUDE_CODE_SESSION_ID", "the-conversation")
        .current_dir(home.path())
        .arg(script)
        .args([CCP, "mcp"]);
    let mut running = Running::start(command).expect("starts node");
    // The first wait is given up, the second is that of the start that blocks.
    pool.wait_for_waiting(1);
    running.write_line("it waits").expect("writes");
    pool.wait_for_given_up(1);
    pool.wait_for_waiting(2);
    pool.finish("it is done");
    running.close_stdin();
    let output = running.output(BOUND).expect("ends");
    assert_eq!(output.code, 0, "{}", output.stderr);
    let seen: Value = serde_json::from_str(&output.stdout).expect("JSON");

    assert_eq!(seen["server"]["name"], "ccp");
    assert!(
        seen["instructions"]
            .as_str()
            .is_some_and(|text| text.contains("`start`"))
    );
    let tools = seen["tools"].as_array().expect("a list").iter();
    let names: Vec<_> = tools.filter_map(|tool| tool["name"].as_str()).collect();
    assert_eq!(
        names,
        ["start", "followup", "wait", "capture", "ls", "stop"]
    );
    let text = |name: &str| {
        seen[name]["content"][0]["text"]
            .as_str()
            .unwrap_or_default()
    };
    assert_eq!(
        seen["start"]["structuredContent"],
        json!({"sessionId": SESSION, "status": "processing"})
    );
    assert_eq!(
        seen["ls"]["structuredContent"]["sessions"][0]["name"],
        "parser"
    );
    assert_eq!(seen["aborted"], "given up");
    assert_eq!(
        seen["blocked"]["structuredContent"],
        json!({"sessionId": SESSION, "text": "it is done"})
    );
    assert!(
        text("captured").contains("\"type\":\"assistant\""),
        "{}",
        text("captured")
    );
    assert_eq!(text("stopped"), format!("session {SESSION} is stopped"));
    for name in ["failed", "wrong"] {
        assert_eq!(seen[name]["isError"], true, "{seen:#}");
    }
    assert!(text("failed").contains("next step: "), "{}", text("failed"));
    assert_eq!(seen["unknown"], -32602);
}
