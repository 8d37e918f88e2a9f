//! `ccp logs` as a whole program: order, following across rotation, Ctrl-C.

use crate::life::world::{BOUND, World};
use std::fs;
use std::io::Write as _;

fn append(world: &World, text: &str) {
    let log = world.ccp_home().daemon_log();
    fs::create_dir_all(world.ccp_home().logs()).expect("creates");
    let mut options = fs::OpenOptions::new();
    let mut file = options.append(true).create(true).open(log).expect("opens");
    file.write_all(text.as_bytes()).expect("writes");
}

fn rotate(world: &World) {
    let log = world.ccp_home().daemon_log();
    fs::rename(&log, log.with_extension("log.1")).expect("renames");
}

#[test]
fn the_log_is_printed_in_order_and_without_tokens() {
    let world = World::new();
    let error = world.fails(1, &["logs"]);
    assert!(
        error.contains("there is no log yet") && error.contains("daemon.log"),
        "{error}"
    );
    assert!(!world.ccp_home().path().exists(), "looking makes nothing");
    append(&world, "one\ntwo sk-ant-oat01-secret_1\n");
    rotate(&world);
    append(&world, "three\n");
    assert_eq!(world.ok(&["logs"]), "one\ntwo sk-ant-…\nthree\n");
    assert_eq!(world.ok(&["logs", "-n", "2"]), "two sk-ant-…\nthree\n");
}

#[test]
fn following_survives_a_rotation_and_ends_well_on_ctrl_c() {
    let world = World::new();
    append(&world, "old\n");
    let mut running = world.start(&["logs", "-f"]);
    let mut wait = |line: &str| {
        running
            .wait_for_line(|l| l == line, BOUND)
            .unwrap_or_else(|| panic!("{line}"));
    };
    wait("old");
    append(&world, "before\n");
    wait("before");
    append(&world, "last of the old\n");
    rotate(&world);
    append(&world, "first of the new\n");
    wait("last of the old");
    wait("first of the new");
    running.signal("INT");
    let output = running.output(BOUND).expect("ends");
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(
        output.stdout,
        "old\nbefore\nlast of the old\nfirst of the new\n"
    );
}
