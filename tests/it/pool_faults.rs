//! The pool against what must not happen and does: broken requests, full disks, files in the way, clients that vanish,
//! processes that die. The whole program, with a shell script in the place of claude.

mod claude;
mod clients;
mod disk;
mod ground;
mod kept;
mod left_behind;
mod lengths;
mod mutated;
mod places;
mod reports;
mod requests;
mod taken_over;
