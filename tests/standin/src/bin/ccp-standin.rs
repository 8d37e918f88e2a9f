//! Runs the stand-in for use by hand, until standard input closes; then lists what was asked of it.

use std::io::Read;
use std::process::ExitCode;

use ccp_standin::service::{AccountSpec, Endpoint, Resets, WindowKind};
use ccp_standin::{Home, Standin};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> std::io::Result<()> {
    let home = Home::new()?;
    let standin = Standin::start(&home.ca_file())?;
    for (name, used) in [("work", 31.0), ("home", 72.0)] {
        let tokens = standin.service.add_account(AccountSpec::new(name));
        standin
            .service
            .set_window(name, WindowKind::FiveHour, used, Resets::In(2 * 3600));
        let dir = home.write_account_dir(name, &standin.service.spec(name), &tokens)?;
        println!("# account {name}: CLAUDE_CONFIG_DIR={}", dir.display());
    }
    standin.service.set_next_login(Some("work"));
    for (name, value) in home.command_env(&standin) {
        println!(
            "export {}={}",
            name.to_string_lossy(),
            value.to_string_lossy()
        );
    }
    eprintln!("running; close standard input (Ctrl-D) to stop");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    for record in standin.service.requests() {
        let account = record.account.as_deref().unwrap_or("-");
        let known = if record.endpoint == Endpoint::Unknown {
            "  (unknown path)"
        } else {
            ""
        };
        eprintln!(
            "{} {} {} {account}{known}",
            record.status, record.method, record.path
        );
    }
    for host in standin.refused() {
        eprintln!("refused: {host}");
    }
    Ok(())
}
