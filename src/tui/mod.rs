//! What a person looks at: the accounts as rows of text, as a table, and on a full screen. Everything here is built from
//! one [`crate::contract::status`] document, so that no two numbers on a screen can contradict each other.
//!
//! Refuses to know where that document comes from, and decides nothing about accounts.

pub mod app;
pub mod detail;
pub mod draw;
#[cfg(test)]
mod fixture;
pub mod pools;
pub mod rows;
pub mod screen;
pub mod sums;
pub mod table;
pub mod times;
