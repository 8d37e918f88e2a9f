//! What another process, or another version of ccp, can see: files, variables, exit codes. Each is named once, here.

pub mod build;
pub mod exit;
pub mod lease;
pub mod path_text;
pub mod paths;
pub mod record;
pub mod snapshot;
pub mod vars;

#[cfg(feature = "full")]
pub mod kept;
#[cfg(feature = "full")]
pub mod pool;
#[cfg(feature = "full")]
pub mod proto;
#[cfg(feature = "full")]
pub mod report;
#[cfg(feature = "full")]
pub mod settings;
#[cfg(feature = "full")]
pub mod status;
#[cfg(feature = "full")]
pub mod usage_body;
