//! How fast one thread reads and writes memory.

use std::hint::black_box;

/// Bytes of a page.
const PAGE: usize = 4096;

/// Memory that is read, and memory that is written: as much of the one as is wanted of the other is a copy.
///
/// Their places in a page are half a page apart: where a block is written a little behind what is read, in its page,
/// some CPUs copy at a tenth of their speed. Reference: glibc bug 30994.
pub struct Traffic {
    memory: Vec<u64>,
    /// Where what is written begins.
    second: usize,
    /// How much is read, and how much is written.
    words: [usize; 2],
}

impl Traffic {
    /// So many bytes that are read, and so many that are written, both rounded down to words.
    pub fn new(read: usize, written: usize) -> Traffic {
        const WORD: usize = size_of::<u64>();
        let second = (read.next_multiple_of(PAGE) + PAGE / 2) / WORD;
        let words = [read, written].map(|bytes| bytes / WORD);
        Traffic { memory: vec![1; second + words[1]], second, words }
    }

    /// Reads and writes once.
    pub fn run(&mut self) {
        let (first, second) = self.memory.split_at_mut(self.second);
        let (read, written) = (black_box(&first[..self.words[0]]), second);
        let copied = read.len().min(written.len());
        let (copy, rest) = written.split_at_mut(copied);
        copy.copy_from_slice(&read[..copied]);
        rest.fill(1);
        black_box(sum(&read[copied..]));
        black_box(written);
    }
}

/// The sum of all words, by the widest vectors that the machine surely has where it has them.
fn sum(words: &[u64]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        #[target_feature(enable = "avx2")]
        fn sum(words: &[u64]) -> u64 {
            plain_sum(words)
        }
        // SAFETY: the machine has the instructions.
        return unsafe { sum(words) };
    }
    plain_sum(words)
}

/// As many sums side by side as keep the loads apart from the additions before them.
#[inline(always)]
fn plain_sum(words: &[u64]) -> u64 {
    let (chunks, rest) = words.as_chunks::<32>();
    let mut sums = [0u64; 32];
    for chunk in chunks {
        for (sum, word) in sums.iter_mut().zip(chunk) {
            *sum = sum.wrapping_add(*word);
        }
    }
    sums.iter().chain(rest).fold(0, |sum, word| sum.wrapping_add(*word))
}
