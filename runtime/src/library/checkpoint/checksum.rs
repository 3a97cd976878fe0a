//! The checksum of a checkpoint.

/// The FNV-1a hash, 64 bits, of the little-endian words of eight bytes that some bytes make; zeros fill up the last.
///
/// Each step is a bijection of the hash and of the word. So two sequences of one length that differ in a single word
/// have different checksums.
///
/// Reference: Fowler, Noll, Vo, Eastlake, RFC 9923.
pub(super) struct Checksum {
    hash: u64,
    /// The word that is not complete yet.
    word: [u8; 8],
    filled: usize,
}

impl Checksum {
    pub(super) const fn new() -> Checksum {
        Checksum { hash: 0xcbf2_9ce4_8422_2325, word: [0; 8], filled: 0 }
    }

    /// Takes in more bytes.
    pub(super) fn add(&mut self, mut bytes: &[u8]) {
        while self.filled > 0 && !bytes.is_empty() {
            self.word[self.filled % 8] = bytes[0];
            self.filled = (self.filled + 1) % 8;
            bytes = &bytes[1..];
            if self.filled == 0 {
                self.step(u64::from_le_bytes(self.word));
            }
        }
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.step(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            self.word[..rest.len()].copy_from_slice(rest);
            self.filled = rest.len();
        }
    }

    fn step(&mut self, word: u64) {
        self.hash = (self.hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
    }

    /// The checksum of all that was taken in.
    pub(super) fn finish(mut self) -> u64 {
        if self.filled > 0 {
            self.word[self.filled..].fill(0);
            self.step(u64::from_le_bytes(self.word));
        }
        self.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parts: &[&[u8]]) -> u64 {
        let mut sum = Checksum::new();
        parts.iter().for_each(|part| sum.add(part));
        sum.finish()
    }

    #[test]
    fn it_does_not_matter_how_bytes_are_cut() {
        let bytes: [u8; 41] = core::array::from_fn(|i| i as u8 * 5);
        let whole = of(&[&bytes]);
        for cut in 0..bytes.len() {
            assert_eq!(of(&[&bytes[..cut], &bytes[cut..]]), whole);
            assert_eq!(of(&[&bytes[..cut / 2], &bytes[cut / 2..cut], &bytes[cut..]]), whole);
        }
    }

    #[test]
    fn every_bit_counts() {
        let bytes = [0x5au8; 19];
        let whole = of(&[&bytes]);
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(of(&[&flipped]), whole, "bit {bit}");
        }
    }
}
