//! The machine among simulated processes, hosts, disks and clients.

mod accounts;
mod checks;
mod chooser;
mod claude;
mod clients;
mod half_typed;
mod hosts;
mod people;
mod rows;
mod simulation;
mod world;
