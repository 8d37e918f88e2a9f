//! The pool: sessions that share a few warm slots. The [`machine::Machine`] decides which session is in which slot, when
//! a prompt is typed and when it counts as taken, what clients are answered and what has to be on disk first. It knows no
//! clock, process, socket, file or terminal, and reads no text of claude: time is an argument, what happens comes in as
//! an [`event::Event`], and what is to be done goes out as [`action::Action`]s.

pub mod action;
pub mod archive;
mod book;
mod deliver;
pub mod event;
mod half_typed;
pub mod handoff;
pub mod id;
mod life;
pub mod machine;
pub mod notice;
mod offload;
mod persist;
pub mod process;
pub mod prompt_text;
mod query;
pub mod record;
pub mod refusal;
mod report;
mod requests;
mod resume;
mod schedule;
mod session;
mod slot;
pub mod status;
pub mod stop;
mod tell;
#[cfg(test)]
mod tests;
mod turn;
pub mod view;
pub mod wait;
