//! The pool: sessions that share a few warm slots. The [`machine::Machine`] decides which session is in which slot, when
//! a prompt is typed and when it counts as taken, what clients are answered and what has to be on disk first. It knows no
//! clock, process, socket, file or terminal, and reads no text of claude: time is an argument, what happens comes in as
//! an [`event::Event`], and what is to be done goes out as [`action::Action`]s.

pub mod action;
pub mod event;
pub mod id;
pub mod machine;
pub mod notice;
pub mod record;
pub mod refusal;
pub mod status;
pub mod view;
