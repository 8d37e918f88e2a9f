//! A local stand-in of everything Claude Code talks to, and the harness to run Claude Code against it.
//!
//! `Standin` is the simulated service of `ccp` behind a CONNECT proxy that ends TLS with a certificate authority made
//! for this one start. The real client accepts it without being changed: it is told of the proxy (`HTTPS_PROXY`) and of
//! the authority (`NODE_EXTRA_CA_CERTS`), and then signs in, renews, probes usage and answers prompts as it would
//! against the real hosts. Every other host is refused and listed in `Standin::refused`.
//!
//! ```no_run
//! use ccp_standin::{Home, Standin, require_real_claude, service::AccountSpec};
//! let Some(claude) = require_real_claude() else { return Ok(()) };
//! let home = Home::new()?;
//! let standin = Standin::start(&home.ca_file())?;
//! let tokens = standin.service.add_account(AccountSpec::new("work"));
//! let dir = home.write_account_dir("work", &standin.service.spec("work"), &tokens)?;
//! let mut command = home.command(&claude, &standin);
//! command.env("CLAUDE_CONFIG_DIR", dir).args(["-p", "hi"]);
//! let mut claude = ccp_standin::Running::start(command)?;
//! claude.close_stdin();
//! let output = claude.output(std::time::Duration::from_secs(60));
//! # let _ = output;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! `Home` is a short temporary HOME with a sealed environment, `Running` a child process that is ended with its group
//! when the value is dropped and whose lines and exit are waited for with a bound. `fake_claude` names the built-in
//! pretend client (`ccp::cli::demo::client`), which needs only `CCP_SIMULATED_SERVICE` and is fast. By hand:
//! `cargo run -p ccp-standin --bin ccp-standin` prints the variables to set and runs until its input closes.
//!
//! The real client is the one pinned in `tests/node`; install it with `npm ci` there. Where it is absent, tests say
//! `SKIPPED` and pass, except under `CI=true`, where that is a failure.

mod certificates;
mod clients;
mod home;
mod proxy;
mod running;

use std::io;
use std::path::{Path, PathBuf};

pub use ccp::adapters::simulated as service;
pub use clients::{fake_claude, real_claude, require_real_claude, skip};
pub use home::Home;
pub use running::{Line, Output, Running};

use proxy::Proxy;

/// The simulated service and the proxy before it.
#[derive(Debug)]
pub struct Standin {
    /// Dropped first: its end releases the connections that the proxy waits for.
    pub service: service::Service,
    proxy: Proxy,
    ca_file: PathBuf,
}

impl Standin {
    /// Starts both, and writes the new authority's certificate to `ca_file`.
    ///
    /// # Errors
    /// When a socket cannot be had or the file cannot be written.
    pub fn start(ca_file: &Path) -> io::Result<Self> {
        let service = service::Service::start()?;
        let authority = certificates::issue(proxy::HOSTS)?;
        home::write_private(ca_file, authority.ca_pem.as_bytes())?;
        let proxy = Proxy::start(authority.server, service.handle())?;
        Ok(Self {
            service,
            proxy,
            ca_file: ca_file.to_owned(),
        })
    }

    /// `http://127.0.0.1:PORT`, for `HTTPS_PROXY`.
    #[must_use]
    pub fn proxy_url(&self) -> String {
        self.proxy.url()
    }

    /// For `NODE_EXTRA_CA_CERTS`.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// Hosts that somebody wanted and did not get.
    #[must_use]
    pub fn refused(&self) -> Vec<String> {
        self.proxy.refused()
    }
}
