//! Random choices from a seed, or from the bytes that a fuzzer mutates.

/// A source of choices. The same seed or the same bytes always give the same choices.
#[derive(Debug)]
pub(crate) struct Random<'b> {
    state: u64,
    bytes: Option<&'b [u8]>,
}

impl<'b> Random<'b> {
    #[allow(dead_code, reason = "fuzz targets do not use it")]
    pub(crate) fn seeded(seed: u64) -> Self {
        Self { state: seed, bytes: None }
    }

    /// Takes choices from bytes. When the bytes are used up, every choice is zero.
    #[allow(dead_code, reason = "only fuzz targets use it")]
    pub(crate) fn from_bytes(bytes: &'b [u8]) -> Self {
        Self { state: 0, bytes: Some(bytes) }
    }

    /// Returns the next number. SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>) generates the numbers of a seed.
    pub(crate) fn next(&mut self) -> u64 {
        if self.bytes.is_some() {
            return self.take(8);
        }
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn take(&mut self, count: usize) -> u64 {
        let bytes = self.bytes.unwrap_or_default();
        let (taken, rest) = bytes.split_at(count.min(bytes.len()));
        self.bytes = Some(rest);
        taken.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    /// Returns a number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let value = match self.bytes {
            Some(_) if bound <= 256 => self.take(1),
            _ => self.next(),
        };
        (value % bound.max(1) as u64) as usize
    }

    /// Returns `true` with a probability of one in `times`; always `false` when the bytes are used up.
    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}
