//! The built-in pretend client as a program of its own. `fake-claude browse URL` plays the person's browser instead:
//! it authorizes at the simulated service and returns to the client that waits.

use std::process::ExitCode;

use ccp::adapters::simulated::client;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if let [browse, url] = arguments.as_slice()
        && browse == "browse"
    {
        let service = std::env::var_os("CCP_SIMULATED_SERVICE").unwrap_or_default();
        let status = client::browse(&service.to_string_lossy(), &url.to_string_lossy());
        return if status.is_ok() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    ExitCode::from(ccp::cli::demo::client::run(&arguments))
}
