//! The random number generator Philox-4x32-10.
//!
//! A block of four 32-bit words is a function of a counter of four words and a key of two. Here the counter is
//! `(element low, element high, step low, step high)` and the key `(low, high)` of `seed ⊕ key·0x9E3779B97F4A7C15`.
//! Reference: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

use crate::kernel::{BodyBuilder, ScalarId};
use crate::types::DType;

const ROUNDS: i64 = 10;
/// Multipliers of the counter's words 0 and 2.
const MULTIPLIERS: [i64; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// What the key's words grow by from round to round.
const WEYL: [i64; 2] = [0x9E37_79B9, 0xBB67_AE85];
const WORD: i64 = 0xFFFF_FFFF;

/// Word `word` of the block of `(seed, step, key, element)`, as i64 in 0 .. 2³².
pub(super) fn philox(b: &BodyBuilder, key: u64, [seed, step, element]: [ScalarId; 3], word: u8) -> ScalarId {
    let i = |value: i64| b.int(DType::I64, value);
    let low = |x: ScalarId| b.and(x, i(WORD));
    let high = |x: ScalarId| b.shr_logical(x, i(32));
    let mixed = b.xor(seed, i(key.wrapping_mul(0x9E37_79B9_7F4A_7C15) as i64));
    let key = [low(mixed), high(mixed)];
    let mut counter = [low(element), high(element), low(step), high(step)];
    for round in 0..ROUNDS {
        // All 64 bits of the products of two words are there, although as a signed number they wrap.
        let product = [0, 1].map(|j| b.mul(counter[2 * j], i(MULTIPLIERS[j])));
        let round_key = [0, 1].map(|j| low(b.add(key[j], i(WEYL[j] * round))));
        counter = [
            b.xor(b.xor(high(product[1]), counter[1]), round_key[0]),
            low(product[1]),
            b.xor(b.xor(high(product[0]), counter[3]), round_key[1]),
            low(product[0]),
        ];
    }
    counter[usize::from(word)]
}
