//! placeholder
pub mod prices;
