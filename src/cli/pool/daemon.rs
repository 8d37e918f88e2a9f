//! The daemon of one pool: `claude-pool --pool-dir DIR`, or `ccpd pool-daemon --pool-dir DIR`.

use super::arguments::PoolDaemon;
use crate::adapters::{files, procs};
use crate::cli::claude;
use crate::cli::context::Context;
use crate::cli::failure::{Failure, Outcome};
use crate::client;
use crate::contract::paths::pool::PoolDir;
use crate::contract::proto::{Request, Response};
use crate::contract::{exit, vars};
use crate::daemon::pool::serve::{self, Places};
use crate::daemon::pool::settings::Surroundings;
use std::time::Duration;

/// How long the accounts' daemon may take for a report; then the report goes into its inbox.
const ACCOUNTS_PATIENCE: Duration = Duration::from_secs(1);

/// Becomes the daemon of the pool in this directory, until it is told to end.
pub fn run(context: &Context, arguments: &PoolDaemon) -> Outcome {
    // Whoever started it goes on with its terminal.
    procs::leave_session();
    let umask = files::make_private_by_default();
    let given = &arguments.pool_dir;
    let absolute = std::path::absolute(given)
        .map_err(|error| Failure::new(format!("{}: {error}", given.display())))?;
    let dir = PoolDir::new(&absolute)
        .ok_or_else(|| Failure::new(format!("{} is not an absolute path", given.display())))?;
    let settings = context.settings()?;
    let for_claude = context.user_home.clone();
    let (for_settings, name) = (context.clone(), dir.name());
    let for_accounts = context.home.clone();
    let places = Places {
        dir,
        surroundings: Surroundings {
            user_home: context.user_home.clone(),
            home: context.home.clone(),
            base: settings.base(&context.user_home),
            environment: std::env::vars_os().collect(),
            find_claude: Box::new(move |path| {
                let found = claude::find_claude(&for_claude);
                let found = found.or_else(|failure| match path {
                    Some(path) => claude::find_claude_on(&for_claude, Some(path)),
                    None => Err(failure),
                });
                found.map_err(|failure| failure.error)
            }),
            pool_settings: Box::new(move || {
                let settings = for_settings.settings();
                settings.map(|s| s.pool(&name)).map_err(|e| e.to_string())
            }),
            program: super::spawn::own_program()?,
            umask,
            tell_accounts: Box::new(move |report| {
                let request = Request::Report(Box::new(report.clone()));
                let answer = client::ask(&for_accounts, &request, ACCOUNTS_PATIENCE);
                matches!(answer, Ok(Response::Report { .. }))
            }),
        },
        owner: owner(),
    };
    serve::run(places).map_err(Failure::new)?;
    Ok(exit::OK)
}

fn owner() -> Option<u32> {
    let text = std::env::var_os(vars::CLAUDE_POOL_TEST_OWNER_PID)?;
    text.to_str()?.parse().ok()
}
