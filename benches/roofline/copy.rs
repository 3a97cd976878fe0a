//! How fast one thread copies memory.

use std::hint::black_box;

/// Bytes of a page.
const PAGE: usize = 4096;

/// Two blocks of memory, one to be copied to the other.
///
/// Their places in a page are half a page apart: where a block is written a little behind what is read, in its page,
/// some CPUs copy at a tenth of their speed. Reference: glibc bug 30994.
pub struct Copy {
    memory: Vec<u8>,
    /// Where the second block begins.
    second: usize,
    bytes: usize,
}

impl Copy {
    /// Blocks that have `bytes` bytes together, of which a copy reads one half and writes the other.
    pub fn new(bytes: usize) -> Copy {
        let bytes = bytes / 2;
        let second = bytes.next_multiple_of(PAGE) + PAGE / 2;
        Copy { memory: vec![1; second + bytes], second, bytes }
    }

    /// Copies once.
    pub fn run(&mut self) {
        let (first, second) = self.memory.split_at_mut(self.second);
        second.copy_from_slice(black_box(&first[..self.bytes]));
        black_box(second);
    }
}
