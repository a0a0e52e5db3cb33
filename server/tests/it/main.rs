//! Weir tried over HTTP: the real program, a provider in a process of its own, a clock that stands
//! still until it is told to move. Every file of this folder is listed here; `tidy` checks it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod answers;
mod audit;
mod bad_input;
mod bridge;
mod bridge_hammer;
mod calls;
mod ceilings;
mod commands;
mod documented;
mod effective;
mod every_route_is_guarded;
mod explain;
mod idempotency;
mod import;
mod internal;
mod key_limits;
mod key_lists;
mod keys;
mod limits;
mod meter;
mod models;
mod openapi;
mod owners;
mod plans;
mod prices;
mod process;
mod promises;
mod providers;
mod reconcile;
mod revisions;
mod rotation;
mod sessions;
mod spend_limits;
mod tidy;
mod usage;
mod world;
