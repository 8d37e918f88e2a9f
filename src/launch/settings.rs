//! Before a pick: are the settings in the snapshot those of `config.toml`? If not, `ccpd config apply` takes the file in,
//! so that what was just written holds for this very launch.

use super::child;
use super::place::Place;
use crate::claim::roster;
use std::time::Duration;

/// How long a launch waits for that. It does so once for each change of the file, and a launch that does not know the
/// rules goes nowhere, so that a busy machine gets its time.
const PATIENCE: Duration = Duration::from_secs(3);

/// Sees to it that the settings are the file's, as far as that can be had. Returns what to say on stderr.
pub(super) fn ensure(place: &mut Place) -> Vec<String> {
    // Where there is nobody to launch as, that is what is wrong.
    if !place.roster.is_behind || place.roster.snapshot.accounts.is_empty() {
        return Vec::new();
    }
    let applied = child::sibling()
        .map_err(|failure| failure.error)
        .and_then(|ccpd| {
            child::start_aside(&ccpd, &["config", "apply"], PATIENCE)
                .map_err(|e| format!("cannot run {}: {e}", ccpd.display()))
        });
    place.roster = roster::load(&place.home, &place.user_home);
    if !place.roster.is_behind {
        return Vec::new();
    }
    let why = match applied {
        Ok(Some(said)) if said.is_empty() => {
            "ccpd, which has to be beside ccp, did not do it".to_owned()
        }
        Ok(Some(said)) => in_one_line(&said),
        Ok(None) => format!("that takes longer than {} s", PATIENCE.as_secs()),
        Err(problem) => problem,
    };
    let config = place.home.config();
    vec![format!(
        "warning: {} changed and is not in force: {why}",
        config.display()
    )]
}

/// What ccpd said, without the words that mark errors there, and without hints.
fn in_one_line(said: &str) -> String {
    let lines = said.lines().filter(|line| !line.starts_with("hint: "));
    let lines = lines.map(|line| line.trim_start_matches("error: ").trim());
    lines.collect::<Vec<_>>().join(" ")
}
