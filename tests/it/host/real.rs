//! The real client in a slot.

use super::slot::{Slot, wait, wait_gone};
use ccp::contract::proto::host::{FromHost, Look, Step, ToHost};
use ccp_standin::service::AccountSpec;
use ccp_standin::{Home, Standin, require_real_claude};
use std::time::Duration;

#[test]
fn the_real_client_is_typed_to_looked_at_and_ended() {
    let Some(claude) = require_real_claude() else {
        return;
    };
    let home = Home::new().expect("makes a home");
    let standin = Standin::start(&home.ca_file()).expect("starts");
    let tokens = standin.service.add_account(AccountSpec::new("work"));
    let spec = standin.service.spec("work");
    let dir = home
        .write_account_dir("work", &spec, &tokens)
        .expect("writes");
    let mut slot = Slot::new();
    let mut launch = slot.launch("");
    launch.argv = vec![claude.into()];
    launch.env = home.command_env(&standin);
    launch
        .env
        .push(("CLAUDE_CONFIG_DIR".into(), dir.clone().into()));
    launch.cwd = home.work_dir();
    launch.config_dir = Some(dir.clone());
    slot.start(&launch);
    let mut daemon = slot.daemon();
    let session = dir.join(format!("sessions/{}.json", daemon.state.agent.pid));
    let is_idle =
        || std::fs::read_to_string(&session).is_ok_and(|text| text.contains("\"status\":\"idle\""));
    wait("idle session", is_idle);

    daemon.type_script(1, false, &[Step::Write(b"half a thought".to_vec())]);
    daemon.hear("half a thought", |message| match message {
        FromHost::Pending { text } => (text == "half a thought").then_some(()),
        _ => None,
    });
    let prompt = [
        Step::Write(b"\x15".to_vec()),
        Step::Pause(100),
        Step::Write(b"\x1b[200~hi there\x1b[201~".to_vec()),
        Step::Pause(150),
        Step::Write(b"\r".to_vec()),
    ];
    daemon.type_script(2, true, &prompt);
    daemon.wait_for("simulated answer to: hi there");
    let bottom = String::from_utf8(daemon.screen(Look::Bottom(3))).expect("is text");
    assert!(bottom.contains('❯'), "{bottom}");

    daemon.say(&ToHost::End {
        grace_ms: u64::try_from(Duration::from_secs(10).as_millis()).expect("fits"),
    });
    let ended = daemon.hear("end", |message| match message {
        FromHost::Exited(ended) => Some(ended.clone()),
        _ => None,
    });
    assert_eq!(
        ended.code,
        Some(143),
        "as claude ends when it is asked to: {ended:?}"
    );
    wait_gone(daemon.state.agent.pid);
    assert_eq!(slot.ended(), Some(0));
    assert!(!session.exists(), "it could tidy up");
}
