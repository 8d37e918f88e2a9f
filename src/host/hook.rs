//! `ccpd hook`: what claude's hooks run, and its status line in a slot. It hands what claude said to the slot's host and is gone; claude waits for it,
//! so everything it waits for has a bound. It never fails and never speaks: whatever it printed would become part of the
//! conversation.

use crate::contract::proto::host::{LimitsSeen, MAX_REPORT, ToHost};
use crate::contract::vars::{CCP_HOOK_SOCKET, CCP_HOOK_TOKEN};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// For each thing that is waited for: the connection's room, and the host's word that it has the report.
const BOUND: Duration = Duration::from_secs(1);

/// Reads a report from `input` and hands it over. Nothing that goes wrong is told.
pub fn run(input: impl Read) {
    let mut json = Vec::new();
    let read = input.take(MAX_REPORT as u64 + 1).read_to_end(&mut json);
    if read.is_ok() && json.len() <= MAX_REPORT {
        let _ = hand_over(json, false);
    }
}

/// Hands over what a status line was given of limits.
pub fn status(json: &[u8]) {
    if let Some(seen) = LimitsSeen::of_status(json) {
        let _ = hand_over(seen.text(), true);
    }
}

fn hand_over(json: Vec<u8>, is_state: bool) -> std::io::Result<()> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let (Some(socket), Some(token)) = (variable(CCP_HOOK_SOCKET), variable(CCP_HOOK_TOKEN)) else {
        return Ok(());
    };
    let Ok(token) = token.into_string() else {
        return Ok(());
    };
    let mut stream = UnixStream::connect(Path::new(&socket))?;
    stream.set_write_timeout(Some(BOUND))?;
    stream.set_read_timeout(Some(BOUND))?;
    let report = ToHost::Hook {
        token,
        is_state,
        json,
    };
    stream.write_all(&report.encode())?;
    stream.shutdown(Shutdown::Write)?;
    // The host looks at who its parents are, so it has to be there until then.
    stream.read(&mut [0]).map(drop)
}
