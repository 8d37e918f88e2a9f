//! The text of claude's `.claude.json`: who is logged in, and which of its keys the base and an account share. It knows
//! texts alone; where the files are and how they are locked is the overlay adapter's.

mod document;
pub mod identity;
mod ids;
pub mod keys;
pub mod merge;
mod merged;
mod render;
mod side;
pub mod trust;

pub use merged::Merged;
