//! Kernels through an assembler of our own: AVX2 and AVX-512.

mod allocate;
mod assemble;
mod code;
mod encode;
mod frame;
mod liveness;
mod opcodes;
mod pool;
mod record;
mod registers;
mod simplify;
mod spill;
mod words;

#[cfg(test)]
#[expect(unsafe_code, reason = "assembled functions are called")]
mod testing;
#[cfg(test)]
mod tests;

/// Which registers and instructions there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// AVX2 and FMA, of 256 bits: x86-64-v3.
    Avx2,
    /// AVX-512 F, BW, CD, DQ and VL, of 512 bits: x86-64-v4.
    Avx512,
}
