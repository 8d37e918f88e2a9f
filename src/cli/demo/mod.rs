//! `ccp demo`: the whole product in a throw-away home against the simulated service.
//!
//! Sealed: nothing of the person's environment, home or logins is seen or touched. Every step is a command of ccp's own,
//! run as a person would run it.

pub mod client;
mod stage;
mod story;

use super::failure::{Failure, Outcome};
use crate::adapters::simulated;
use crate::contract::{exit, vars};
use stage::Stage;
use std::ffi::OsString;

/// Runs the demo; with `real`, the claude that is installed is launched instead of the stand-in.
pub fn run(real: bool) -> Outcome {
    let stage = Stage::build(real)?;
    let told = story::tell(&stage);
    // Cleaned up also when the story broke off, and before its end is told.
    let cleaned = stage.leave();
    told?;
    cleaned?;
    story::farewell();
    Ok(exit::OK)
}

/// What the stand-in's script runs: the pretend client, or the pretend browser that completes a sign-in.
#[must_use]
pub fn stand_in(arguments: &[OsString]) -> u8 {
    let [browse, url] = arguments else {
        return client::run(arguments);
    };
    if browse != "browse" {
        return client::run(arguments);
    }
    let service = std::env::var_os(vars::SIMULATED_SERVICE).unwrap_or_default();
    match simulated::client::browse(&service.to_string_lossy(), &url.to_string_lossy()) {
        Ok(_) => exit::OK,
        Err(error) => {
            Failure::new(format!("cannot complete the simulated sign-in: {error}")).tell()
        }
    }
}
