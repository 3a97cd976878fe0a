//! How fast one thread copies memory.

use std::hint::black_box;

/// Two blocks of memory, one to be copied to the other.
pub struct Copy {
    from: Vec<u8>,
    to: Vec<u8>,
}

impl Copy {
    /// Blocks that have `bytes` bytes together, of which a copy reads one half and writes the other.
    pub fn new(bytes: usize) -> Copy {
        Copy { from: vec![1; bytes / 2], to: vec![0; bytes / 2] }
    }

    /// Copies once.
    pub fn run(&mut self) {
        self.to.copy_from_slice(black_box(&self.from));
        black_box(&self.to);
    }
}
