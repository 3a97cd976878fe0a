//! The counter-based random number generator Philox-4x32-10.

/// A word of the block for `(seed, step, key, element)`, as [`InstKind::Philox`](crate::kernel::InstKind::Philox)
/// defines it.
pub fn philox(key: u64, seed: i64, step: i64, element: i64, word: u8) -> i64 {
    let mixed = (seed as u64) ^ key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let words = |v: u64| [v as u32, (v >> 32) as u32];
    let [e0, e1] = words(element as u64);
    let [s0, s1] = words(step as u64);
    i64::from(block([e0, e1, s0, s1], words(mixed))[usize::from(word)])
}

/// The four words for a counter and a key: `philox4x32` with 10 rounds of Salmon et al., "Parallel random numbers: as
/// easy as 1, 2, 3", 2011.
pub(super) fn block(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    const ROUNDS: usize = 10;
    let product = |a: u32, b: u32| {
        let wide = u64::from(a) * u64::from(b);
        ((wide >> 32) as u32, wide as u32)
    };
    for _ in 0..ROUNDS {
        let (high0, low0) = product(0xD251_1F53, counter[0]);
        let (high1, low1) = product(0xCD9E_8D57, counter[2]);
        counter = [high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}
