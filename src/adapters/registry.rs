//! stub
use crate::core::registry::SessionFile;
use std::path::Path;
/// stub
pub fn load(dir: &Path, pid: u32) -> Option<SessionFile> {
    let text = std::fs::read(dir.join(format!("{pid}.json"))).ok()?;
    SessionFile::parse(&text).ok()
}
