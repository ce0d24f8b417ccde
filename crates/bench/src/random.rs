//! Numbers that a seed and a position give, the same each time and in any order.

/// SplitMix64 (Steele, Lea, Flood 2014), from a state that seed and position are mixed into.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn of(seed: u64, position: u64) -> Self {
        let mut start = Self(seed);
        let mixed = start.next();
        Self(mixed ^ position.wrapping_mul(0xD6E8_FEB8_6659_FD93))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is small beside 2^64, so that the bias does not matter.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A number below `bound`, small ones much more often: as users and hosts are spread.
    pub(crate) fn skewed(&mut self, bound: u64) -> u64 {
        let (a, b) = (self.below(bound), self.below(bound));
        a * b / bound
    }

    pub(crate) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        // A slice's length fits into 64 bits.
        from[self.below(from.len() as u64) as usize]
    }
}
