//! What Weir is tested and measured with. Nothing here is shipped, and nothing in the product
//! depends on it: the fake provider keeps its own log, so that it can contradict the gateway.

pub mod attack;
pub mod audit;
pub mod bare_proxy;
pub mod bench;
pub mod caller;
pub mod dice;
pub mod fake_provider;
pub mod load;
pub mod process;
pub mod scene;
pub mod serving;
pub mod torture;
