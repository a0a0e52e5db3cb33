//! Where a scope's account is found. Ids are made here, from random bits: nobody outside can choose
//! ones that collide, so a few multiplications spread them as well as a keyed hash does.

use std::hash::{BuildHasherDefault, Hasher};

/// For maps by scope.
pub(super) type ByScope = BuildHasherDefault<Spread>;

/// The bits seen so far, spread.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spread(u64);

impl Spread {
    fn add(&mut self, bits: u64) {
        // 2⁶⁴ divided by the golden ratio: odd, and without a pattern of its own.
        self.0 = (self.0.rotate_left(5) ^ bits).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.add(u64::from(*byte));
        }
    }

    /// The kind of a scope.
    fn write_isize(&mut self, kind: isize) {
        self.add(u64::try_from(kind).unwrap_or(0));
    }

    /// Its id.
    fn write_u128(&mut self, id: u128) {
        self.add(u64::try_from(id >> 64).unwrap_or(0));
        self.add(u64::try_from(id & u128::from(u64::MAX)).unwrap_or(0));
    }

    fn finish(&self) -> u64 {
        // A product's best bits are its highest, and a map looks at the lowest first.
        self.0.rotate_left(26)
    }
}
