//! The LaunchAgent of macOS, on any system: launchctl is a stand-in, and the plist is read by Python's own reader.

use super::script;
use ccp::adapters::service::{Installed, Launchd, Service, State, Unit};
use ccp::contract::paths::Home as CcpHome;
use ccp_standin::Home;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A launchctl that knows the agent after a bootstrap and, as the real one, forgets it a moment after a bootout.
const LAUNCHCTL: &str = r#"#!/bin/sh
place=$(dirname "$0")
echo "$*" >> "$place/asked"
case "$1" in
print)
    if [ -f "$place/leaving" ]; then
        rm "$place/leaving" "$place/loaded"
    elif ! [ -f "$place/loaded" ]; then
        echo "Could not find service" >&2
        exit 113
    fi
    printf 'gui/501/ccp.daemon = {\n\tstate = running\n\tpid = 77\n}\n'
    ;;
bootstrap)
    if [ -f "$place/loaded" ]; then
        echo "Bootstrap failed: 5: Input/output error" >&2
        exit 5
    fi
    touch "$place/loaded"
    ;;
bootout) touch "$place/leaving"; exit 36 ;;
esac
"#;

struct Mac {
    home: Home,
    service: Service,
}

impl Mac {
    fn new() -> Self {
        let home = Home::new().expect("a home");
        let launchctl = home.path().join("launchctl");
        script(&launchctl, LAUNCHCTL);
        let launchd = Launchd::new(home.path(), 501).with_launchctl(&launchctl);
        Self {
            home,
            service: Service::Launchd(launchd),
        }
    }

    fn unit(&self, program: &str, ccp_home: &str, is_default_home: bool) -> Unit {
        Unit {
            program: PathBuf::from(program),
            home: CcpHome::new(&self.home.path().join(ccp_home)).expect("absolute"),
            is_default_home,
        }
    }

    fn file(&self) -> PathBuf {
        self.home
            .path()
            .join("Library/LaunchAgents/ccp.daemon.plist")
    }

    fn asked(&self) -> Vec<String> {
        let file = self.home.path().join("asked");
        let text = fs::read_to_string(&file).unwrap_or_default();
        let _ = fs::remove_file(file);
        text.lines().map(str::to_owned).collect()
    }
}

/// The plist as Python reads it.
fn read_by_python(file: &Path) -> serde_json::Value {
    let output = Command::new("python3")
        .args([
            "-c",
            "import json,plistlib,sys; print(json.dumps(plistlib.load(open(sys.argv[1],'rb'))))",
        ])
        .arg(file)
        .output()
        .expect("python3 is installed");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).expect("is JSON")
}

#[test]
fn the_plist_says_what_is_meant_whatever_the_paths_are_called() {
    let mac = Mac::new();
    for (program, home, is_default) in [
        ("/opt/homebrew/bin/ccpd", ".cc-pool", true),
        ("/a & <b>/\"c\" 'd' é/ccpd", "my <pool> & more", false),
    ] {
        let unit = mac.unit(program, home, is_default);
        mac.service.install(&unit).expect("installs");
        let plist = read_by_python(&mac.file());
        assert_eq!(plist["Label"], "ccp.daemon");
        assert_eq!(
            plist["ProgramArguments"],
            serde_json::json!([program, "daemon"])
        );
        assert_eq!(
            plist["KeepAlive"],
            serde_json::json!({"SuccessfulExit": false, "Crashed": true})
        );
        assert_eq!(plist["RunAtLoad"], true);
        assert_eq!(plist["ProcessType"], "Background");
        assert_eq!(plist["AbandonProcessGroup"], true);
        assert_eq!(plist["ThrottleInterval"], 12);
        assert_eq!(plist["Umask"], 0o077);
        let logs = unit.home.logs();
        let output = logs.join("service.log");
        assert_eq!(plist["StandardOutPath"], output.to_str().expect("text"));
        assert_eq!(plist["StandardErrorPath"], output.to_str().expect("text"));
        assert!(logs.is_dir(), "launchd makes no directories");
        let named = (!is_default).then(|| unit.home.path().to_str().expect("text"));
        assert_eq!(plist["EnvironmentVariables"]["CCP_HOME"].as_str(), named);
        assert_eq!(
            mac.service
                .home()
                .expect("reads")
                .as_deref()
                .and_then(Path::to_str),
            named
        );
        let mode = fs::metadata(mac.file())
            .expect("is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o644);
    }
}

#[test]
fn an_agent_is_taken_in_changed_and_taken_out_in_launchds_order() {
    let mac = Mac::new();
    let install = |program| mac.service.install(&mac.unit(program, ".cc-pool", true));
    assert_eq!(mac.service.status().expect("asks").state, State::Absent);
    mac.asked();

    assert_eq!(install("/one/ccpd").expect("installs"), Installed::Fresh);
    let bootstrap = format!("bootstrap gui/501 {}", mac.file().display());
    assert_eq!(
        mac.asked(),
        [
            "print gui/501/ccp.daemon",
            "enable gui/501/ccp.daemon",
            &bootstrap
        ]
    );
    assert_eq!(install("/one/ccpd").expect("again"), Installed::Already);
    assert_eq!(
        mac.asked(),
        ["print gui/501/ccp.daemon", "kickstart gui/501/ccp.daemon"]
    );
    let status = mac.service.status().expect("asks");
    assert_eq!((status.state, status.pid), (State::Running, Some(77)));
    assert_eq!(status.program.as_deref(), Some(Path::new("/one/ccpd")));
    mac.asked();

    assert_eq!(install("/two/ccpd").expect("changes"), Installed::Fresh);
    assert_eq!(
        mac.asked(),
        [
            "print gui/501/ccp.daemon",
            "bootout gui/501/ccp.daemon",
            "print gui/501/ccp.daemon",
            "print gui/501/ccp.daemon",
            "enable gui/501/ccp.daemon",
            &bootstrap,
        ],
        "what is on its way out is waited for"
    );
    assert!(mac.service.uninstall().expect("uninstalls"));
    assert!(!mac.file().exists());
    assert!(!mac.service.uninstall().expect("a second time is no error"));
    fs::remove_file(mac.home.path().join("launchctl")).expect("removes");
    let error = install("/one/ccpd").expect_err("nobody to ask");
    assert!(
        error.to_string().contains("there is no launchd here"),
        "{error}"
    );
}
