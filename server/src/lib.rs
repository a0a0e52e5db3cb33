//! Weir speaks in this room: HTTP in and out, dialects, providers, the admin API, the command line.
//!
//! Law: it knows no SQL, and holds no policy of its own. What may be done is decided in `domain`;
//! what is remembered, in `store`. Where to begin reading: `surface` has every URL, `gate` the life
//! of one call.

pub mod admin;
pub mod app;
pub mod bridge;
pub mod call;
pub mod ceiling;
pub mod cli;
pub mod config;
pub mod exchange;
pub mod failure;
pub mod fit;
pub mod gate;
pub mod ids;
pub mod keyless;
pub mod lane;
pub mod machine;
pub mod meter;
pub mod models;
pub mod pieces;
pub mod prices;
pub mod providers;
pub mod rates;
pub mod relay;
pub mod reservation;
pub mod sessions;
pub mod sources;
pub mod surface;
pub mod tokenizer;
pub mod upstream;
pub mod vault;
pub mod wire;
