//! What a session of the real client has of the pool: its tools, and the skill that teaches its commands.

use super::stage::{Ended, Stage, finish};
use crate::mcp::scripted::{SESSION, Scripted};
use crate::support::{CCP, put};
use ccp::contract::pool::Request;
use serde_json::json;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Between the client and the service: keeps what the client sent.
struct Tap {
    url: String,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    fn before(service: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
        let url = format!("http://{}", listener.local_addr().expect("has one"));
        let service = service.trim_start_matches("http://").to_owned();
        let sent: Arc<Mutex<Vec<u8>>> = Arc::default();
        let kept = Arc::clone(&sent);
        // Ends with the process of the test; nothing holds it up.
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect(&service).expect("the service is there");
                let (there, back) = (pair(&client, &server), pair(&server, &client));
                let kept = Arc::clone(&kept);
                thread::spawn(move || {
                    pass(there, |bytes| {
                        kept.lock().expect("unpoisoned").extend_from_slice(bytes)
                    })
                });
                thread::spawn(move || pass(back, |_| ()));
            }
        });
        Self { url, sent }
    }

    /// Whether the client sent this text.
    fn has_sent(&self, text: &str) -> bool {
        let sent = self.sent.lock().expect("unpoisoned");
        sent.windows(text.len())
            .any(|window| window == text.as_bytes())
    }
}

fn pair(from: &TcpStream, to: &TcpStream) -> (TcpStream, TcpStream) {
    let clone = |stream: &TcpStream| stream.try_clone().expect("another handle");
    (clone(from), clone(to))
}

fn pass((mut from, mut to): (TcpStream, TcpStream), mut seen: impl FnMut(&[u8])) {
    let mut chunk = [0; 16 * 1024];
    loop {
        let count = match from.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(count) => count,
            Err(_) => 0,
        };
        seen(&chunk[..count]);
        if count == 0 || to.write_all(&chunk[..count]).is_err() {
            break;
        }
    }
    // The other side may have closed it.
    let _ = to.shutdown(Shutdown::Write);
}

/// Plain claude, its requests through the tap.
fn claude(stage: &Stage, tap: &Tap, arguments: &[&str]) -> Ended {
    let mut command = stage.command(&stage.claude);
    command
        .env("ANTHROPIC_BASE_URL", &tap.url)
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .args(["-p", "--dangerously-skip-permissions"])
        .args(arguments);
    finish(command)
}

#[test]
fn a_session_sees_the_tools_and_starts_another_one_as_its_child() {
    let Some(stage) = Stage::open() else { return };
    let tap = Tap::before(&stage.standin.service.url());
    let pool = Scripted::start(stage.home.path(), "default");
    let config = stage.home.path().join("mcp.json");
    let server = json!({"mcpServers": {"pool": {"command": CCP, "args": ["mcp"]}}});
    put(&config, server.to_string().as_bytes());
    let input = json!({"prompt": "inner work", "name": "inner"});
    let prompt = format!("[[tool:mcp__pool__start:{input}]]");
    let id = "11111111-2222-4333-8444-555555555555";
    let config = config.to_string_lossy();
    let arguments = [
        "--strict-mcp-config",
        "--mcp-config",
        &config,
        "--session-id",
        id,
        &prompt,
    ];
    let output = claude(&stage, &tap, &arguments).good();
    for name in ["start", "followup", "wait", "capture", "ls", "stop"] {
        assert!(tap.has_sent(&format!("mcp__pool__{name}")), "{name}");
    }
    assert!(output.stdout.contains(SESSION), "{output:#?}");
    let start = pool.asked("start", |request| match request {
        Request::Start(start) => Some(start.clone()),
        _ => None,
    });
    assert_eq!(start.prompt.as_deref(), Some("inner work"));
    assert_eq!(start.parent.as_deref(), Some(id));
}

#[test]
fn a_session_knows_the_skill_and_reads_it_on_demand() {
    let Some(stage) = Stage::open() else { return };
    let tap = Tap::before(&stage.standin.service.url());
    claude(&stage, &tap, &["hi"]).answers("hi");
    let described = "Hand work to other Claude Code sessions in a pool";
    let text = "drives a pool of interactive Claude Code sessions";
    assert!(!tap.has_sent(described));
    stage.ccp(&["pool", "install"]).good();
    claude(&stage, &tap, &["hi"]).answers("hi");
    assert!(tap.has_sent(described));
    assert!(!tap.has_sent(text), "it is read when it is needed");
    let prompt = r#"[[tool:Skill:{"skill":"claude-pool"}]]"#;
    claude(&stage, &tap, &[prompt]).good();
    assert!(tap.has_sent(text));
    stage.ccp(&["pool", "uninstall"]).good();
    let tap = Tap::before(&stage.standin.service.url());
    claude(&stage, &tap, &["hi"]).answers("hi");
    assert!(!tap.has_sent(described));
}
