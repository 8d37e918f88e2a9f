//! The life of an account, from `ccp add` to `ccp remove`, with the real executables and the pretend client.
#![expect(
    clippy::disallowed_methods,
    reason = "tests write what people and other programs would"
)]

pub use terminal::Terminal;

mod adding;
mod choosing;
mod keeping;
mod shells;
mod terminal;
pub mod world;
