//! From candidates to one pick with its reason.

pub mod model;
pub mod moving;
pub mod pick;
pub mod pin;
pub mod remote;
pub mod rules;
pub mod score;

#[cfg(test)]
mod tests;
