//! `ccp daemon`: keeps the accounts fresh, in the foreground.

use super::arguments::Daemon;
use super::background;
use super::claude;
use super::context::Context;
use super::failure::{Failure, Outcome};
use crate::adapters::procs::background::leave;
use crate::contract::proto::PROTO;
use crate::contract::{exit, vars};
use crate::daemon::serve::{self, Ended, Options, Places};

/// Runs `ccp daemon`.
pub fn run(context: &Context, arguments: &Daemon) -> Outcome {
    if arguments.detach {
        leave(context.home.path());
    }
    if arguments.auto && background::refuses(context).is_some() {
        return Ok(exit::OK);
    }
    // A home of another tool is refused before anything is made in it.
    let found = context.foreign()?;
    if !found.is_empty() {
        context.open_store()?;
    }
    let options = Options {
        proto: arguments.proto.unwrap_or(PROTO),
        owner: owner(),
    };
    match serve::run(places(context), options) {
        Ok(Ended::Ran) => Ok(exit::OK),
        Ok(Ended::RunsAlready { pid: Some(pid) }) => {
            eprintln!("a daemon runs already, as process {pid}");
            Ok(exit::OK)
        }
        Ok(Ended::RunsAlready { pid: None }) => {
            let path = context.home.daemon_lock();
            Err(Failure::new(format!(
                "{} is held by a process that does not answer",
                path.display()
            )))
        }
        Err(error) => Err(Failure::new(error)),
    }
}

fn owner() -> Option<u32> {
    let text = std::env::var_os(vars::CCP_TEST_OWNER_PID)?;
    text.to_str()?.parse().ok()
}

fn places(context: &Context) -> Places {
    let (for_claude, for_settings, for_store) = (context.clone(), context.clone(), context.clone());
    Places {
        home: context.home.clone(),
        user_home: context.user_home.clone(),
        inherited: std::env::vars_os().collect(),
        find_claude: Box::new(move || claude::find_claude(&for_claude.user_home).ok()),
        settings: Box::new(move || for_settings.settings().map_err(|e| e.to_string())),
        open_store: Box::new(move || for_store.open_store().map_err(|e| e.to_string())),
    }
}
