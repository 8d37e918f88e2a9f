//! `ccp service` and `ccp logs` as whole programs. The supervisors' own programs are stand-ins that write down what they
//! were asked; what is written for them is judged by the real ones' own checkers where they are installed.
#![expect(
    clippy::disallowed_methods,
    reason = "tests write what people and other programs would"
)]

mod homebrew;
mod instance;
mod launchagent;
mod logs;
mod purge;
mod systemd;

use crate::life::world::World;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A systemctl that is reachable unless there is `no-bus`, and shows what is in `shown`.
const SYSTEMCTL: &str = r#"#!/bin/sh
echo "$*" >> "$HOME/asked"
case "$*" in
*--property=Version)
    if [ -f "$HOME/no-bus" ]; then
        echo "Failed to connect to bus: No medium found" >&2
        exit 1
    fi
    echo Version=252
    ;;
*"show ccp.service"*) cat "$HOME/shown" ;;
esac
"#;

/// A launchctl that knows no agent, so that no test on a Mac asks the real one.
const LAUNCHCTL: &str = "#!/bin/sh\n[ \"$1\" != print ] || exit 113\n";

/// A person's machine whose systemctl and launchctl are stand-ins.
fn with_supervisors(world: World) -> World {
    script(&world.bin("systemctl"), SYSTEMCTL);
    script(&world.bin("launchctl"), LAUNCHCTL);
    shown(
        &world,
        "LoadState=not-found\nActiveState=inactive\nMainPID=0\n",
    );
    world
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).expect("writes");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("is executable");
}

fn shown(world: &World, text: &str) {
    fs::write(world.home.path().join("shown"), text).expect("writes");
}

/// What the stand-in was asked since the last look.
fn asked(world: &World) -> Vec<String> {
    let file = world.home.path().join("asked");
    let text = fs::read_to_string(&file).unwrap_or_default();
    let _ = fs::remove_file(file);
    text.lines().map(str::to_owned).collect()
}

fn unit_file(world: &World) -> PathBuf {
    world.home.path().join(".config/systemd/user/ccp.service")
}
