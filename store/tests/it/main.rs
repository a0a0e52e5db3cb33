//! The store from outside: what it remembers across ends of every kind.

#![expect(clippy::unwrap_used, reason = "what cannot be had ends the test")]

mod crash;
mod keys;
mod limits;
mod owners;
mod usage;
mod world;
mod writes;
