//! The store from outside: what it remembers across ends of every kind.

#![expect(clippy::unwrap_used, reason = "what cannot be had ends the test")]

mod begun;
mod books;
mod counted;
mod crash;
mod crowd;
mod holds;
mod keys;
mod limits;
mod once;
mod owners;
mod play;
mod supply;
mod usage;
mod world;
mod writes;
