//! Where ids come from: a counter, spread by a mixer that was seeded once from the entropy that was
//! passed in. Ids are unique and hard to mistake for one another; they are no secrets.

use std::sync::atomic::{AtomicU64, Ordering};

use domain::{
    CredentialId, Entropy, HoldId, KeyId, LimitId, ProjectId, RequestId, TeamId, Timestamp, UserId,
};

/// Makes ids. Shared by all threads.
pub struct Ids {
    seed: [u64; 2],
    next: AtomicU64,
}

impl Ids {
    pub fn new(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; 16];
        entropy.fill(&mut bytes);
        let (low, high) = bytes.split_at(8);
        let word = |half: &[u8]| half.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte));
        Self { seed: [word(low), word(high)], next: AtomicU64::new(0) }
    }

    pub fn credential(&self, at: Timestamp) -> CredentialId {
        CredentialId::new(at, self.random())
    }

    pub fn hold(&self, at: Timestamp) -> HoldId {
        HoldId::new(at, self.random())
    }

    pub fn request(&self, at: Timestamp) -> RequestId {
        RequestId::new(at, self.random())
    }

    pub fn key(&self, at: Timestamp) -> KeyId {
        KeyId::new(at, self.random())
    }

    pub fn project(&self, at: Timestamp) -> ProjectId {
        ProjectId::new(at, self.random())
    }

    pub fn team(&self, at: Timestamp) -> TeamId {
        TeamId::new(at, self.random())
    }

    pub fn user(&self, at: Timestamp) -> UserId {
        UserId::new(at, self.random())
    }

    pub fn limit(&self, at: Timestamp) -> LimitId {
        LimitId::new(at, self.random())
    }

    /// The upper half is a bijection of the counter under one seed: no two are the same.
    fn random(&self) -> u128 {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let unique = mix(count.wrapping_add(self.seed[0]));
        let rest = mix(unique ^ self.seed[1]);
        (u128::from(rest) << 64) | u128::from(unique)
    }
}

/// The finalizer of `SplitMix64` (Steele, Lea, Flood 2014): one output for every input.
fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    struct Fixed;

    impl Entropy for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    #[test]
    fn no_id_comes_twice() {
        let ids = Ids::new(&Fixed);
        let at = Timestamp::from_seconds(1);
        let made: HashSet<_> = (0..10_000).map(|_| ids.request(at)).collect();
        assert_eq!(made.len(), 10_000);
    }
}
