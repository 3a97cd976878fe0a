//! Philox-4x32-10, the counter-based generator behind every random op.
//!
//! Reference: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011.

/// The ten rounds for a counter and a key.
pub fn rounds(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let a = u64::from(counter[0]) * 0xD251_1F53;
        let b = u64::from(counter[2]) * 0xCD9E_8D57;
        counter = [
            (b >> 32) as u32 ^ counter[1] ^ key[0],
            b as u32,
            (a >> 32) as u32 ^ counter[3] ^ key[1],
            a as u32,
        ];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

/// The block of element `element` of the random node with this key, for an instance's seed and step: the counter is
/// (element, step), the key `seed xor (key · 0x9E3779B97F4A7C15)`, low words first.
pub fn block(seed: u64, step: u64, key: u64, element: u64) -> [u32; 4] {
    let mixed = seed ^ key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let words = |v: u64| [v as u32, (v >> 32) as u32];
    let ([e0, e1], [s0, s1]) = (words(element), words(step));
    rounds([e0, e1, s0, s1], words(mixed))
}

#[cfg(test)]
mod tests {
    use super::rounds;

    /// Known answers of the reference implementation (Random123, `kat_vectors`).
    #[test]
    fn known_answers() {
        assert_eq!(rounds([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        let ones = u32::MAX;
        assert_eq!(rounds([ones; 4], [ones; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            rounds([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }
}
