//! The unit under a real systemd user instance, in namespaces of its own: needs root and systemd, and takes half a minute,
//! so that it runs where `CCP_TEST_SYSTEMD` is set, and says aloud where it does not.
#![cfg(target_os = "linux")]

use crate::life::world::World;
use ccp_standin::Running;
use ccp_standin::service::AccountSpec;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Five restarts take ten seconds, and probes end before a daemon does.
const BOUND: Duration = Duration::from_secs(180);

#[test]
fn a_real_instance_starts_restarts_gives_up_and_forgets_the_daemon() {
    if std::env::var_os("CCP_TEST_SYSTEMD").is_none() {
        // `tests/run` sets it for root.
        eprintln!("SKIPPED: CCP_TEST_SYSTEMD is not set");
        return;
    }
    let world = World::new();
    world.leave_account(1, &AccountSpec::new("jo"));
    let story = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/systemd-story.sh");
    let words = ["--mount", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let mut command = world.command("unshare", &words);
    let claude = story.with_file_name("slot_claude.sh");
    command.arg(story).env("SLOT_CLAUDE", claude);
    let mut running = Running::start(command).expect("starts");
    running.close_stdin();
    let output = running.output(BOUND).expect("ends");
    let log = fs::read_to_string(world.home.path().join("systemd.log")).unwrap_or_default();
    assert_eq!(
        output.stdout.lines().last(),
        Some("done"),
        "{}\n{}\n{log}",
        output.stdout,
        output.stderr
    );
}
