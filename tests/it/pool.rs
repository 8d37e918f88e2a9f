//! Session pools from end to end: `ccp pool` and clients on the socket, the real Claude Code in the slots, a stand-in of
//! its service whose log says what the model was shown.

mod attaching;
mod events;
mod keeping;
mod prompts;
mod recovery;
mod remote;
pub mod stage;
mod tools;
mod turns;
