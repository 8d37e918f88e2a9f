//! The machine against a simulated week: a service that throttles and vanishes, logins that die, clocks that jump.

mod jumps;
mod properties;
mod rows;
mod week;
mod world;
