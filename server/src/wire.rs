//! Where bytes become an [`domain::ask::Ask`] and a [`domain::usage::Usage`]: the dialects of the
//! providers' APIs, read in place and changed only where they must be. Pure: no sockets, no clock,
//! no store, and no knowledge of keys, limits or prices.

mod checks;
mod content;
mod form;
mod hosted;
pub mod json;
mod members;
mod observed;
mod read;
mod splice;
mod sse;
mod stream;
mod text;
mod usage;

pub use observed::{Observed, read_answer};
pub use read::{Dialect, Request, read};
pub use splice::Rewrite;
pub use stream::StreamReader;
