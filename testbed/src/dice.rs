//! Chance that a seed repeats: which call is made, when it is left, when the kill comes.

use crate::fake_provider::words::scramble;

/// A row of throws that its seed decides.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The throws of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(scramble(seed))
    }

    /// Other throws that the same seed decides: one row for each `number`.
    #[must_use]
    pub fn apart(&self, number: u64) -> Self {
        Self(scramble(self.0 ^ scramble(number)))
    }

    /// The next throw.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        scramble(self.0)
    }

    /// Something from `least` to `most`, both included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.roll() % (most.saturating_sub(least) + 1)
    }

    /// True so many times of a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.between(1, 100) <= percent
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        let last = u64::try_from(of.len()).unwrap_or(1).saturating_sub(1);
        of[usize::try_from(self.between(0, last)).unwrap_or(0)]
    }
}
