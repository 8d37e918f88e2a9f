//! One room per outside thing. The rooms do not know each other; `clock`, `files` and `procs` are the ground they stand
//! on, and all that the launcher needs beside `leases` and `stamp`.

pub mod clock;
pub mod files;
pub mod leases;
#[cfg(feature = "full")]
pub mod overlay;
pub mod procs;
pub mod stamp;
