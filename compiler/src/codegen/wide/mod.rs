//! Kernels on x86-64 with AVX2 or AVX-512, assembled without Cranelift, whose x86-64 back end has vectors of 128 bits.
//!
//! A task is *recorded* as instructions ([`inst`]) over virtual registers ([`code`]), in blocks of structured loops and arms
//! ([`record`]), by an implementation of [`VectorEmitter`](super::emitter::VectorEmitter) ([`emitter`] and the files named by
//! themes). Then it is *simplified* ([`simplify`]: what is unused goes, loads become operands, two-address instructions get
//! copies), registers are *allocated* ([`allocate`], with [`liveness`] and [`spill`]), and it is *encoded* ([`encode`], with
//! [`assemble`] and [`frame`]) by `iced-x86` to bytes that may stand anywhere: they refer to nothing but constants behind
//! themselves.
//!
//! # Registers
//!
//! | class | holds | AVX2 | AVX-512 |
//! |---|---|---|---|
//! | general | words; scalar integers and bools | 15 | 15 |
//! | vector | scalar floats; vectors | 16 of 32 bytes | 32 of 64 bytes |
//! | mask | vectors of bools | | 7 |
//!
//! The stack pointer is the only register that is reserved; mask 0 stands for no mask. What does not fit lives in the
//! stack frame, and is loaded where it is used into registers that the allocator finds like any other.
//!
//! # Values
//!
//! | dtype | scalar | vector |
//! |---|---|---|
//! | f32, f64 | lowest lane of a vector register | lanes of the same size |
//! | i32, i64 | general register; upper bits of an i32 mean nothing | lanes of the same size |
//! | u8 | general register, zero-extended to 32 bits | lanes of 32 bits, below 256 |
//! | bool | general register, 0 or 1 | AVX-512: bits of a mask. AVX2: all bits of a lane, of 32 bits in vectors of eight, of 64 in smaller ones |
//!
//! A vector of any power of two of lanes that fits a register is kept in one; of vectors below 16 bytes, and of partial ones,
//! other lanes hold anything. Partial loads and stores touch active elements only: with masks, with `vmaskmov`, and bytes of
//! AVX2 piece by piece.
//!
//! # Calls
//!
//! Tasks follow System V's convention; targets with another one have their kernels through Cranelift. A task saves the
//! caller's MXCSR, sets flush-to-zero and denormals-are-zero, and restores it; it ends with `vzeroupper`. The only call in
//! it reports an index out of range: it is in a block that seldom runs, and saves by itself what is live, so that no
//! other code pays for it.

mod allocate;
mod assemble;
mod code;
mod conversions;
mod disassemble;
mod emitter;
mod encode;
mod floats;
mod frame;
mod inst;
mod ints;
mod lanes;
mod liveness;
mod masks;
mod memory;
mod opcodes;
mod pool;
mod record;
mod registers;
mod simplify;
mod spill;
mod task;
mod transpose;
mod words;

#[cfg(test)]
#[expect(unsafe_code, reason = "assembled functions are called")]
mod testing;
#[cfg(test)]
mod tests;

pub(super) use disassemble::disassemble;
pub(super) use task::assemble_task;

use super::plan::is_shift;
use crate::kernel::{BinaryOp, InstKind};
use crate::types::DType;

/// What the code of a task is placed at a multiple of, in bytes.
pub(super) const ALIGNMENT: u64 = 64;

/// Which registers and instructions there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// AVX2 and FMA, of 256 bits: x86-64-v3.
    Avx2,
    /// AVX-512 F, BW, CD, DQ and VL, of 512 bits: x86-64-v4.
    Avx512,
}

impl Level {
    /// Bytes of the widest vector.
    pub(super) fn vector_bytes(self) -> usize {
        match self {
            Level::Avx2 => 32,
            Level::Avx512 => 64,
        }
    }

    /// Vector registers.
    pub(super) fn registers(self) -> usize {
        registers::count(self, code::Class::Vector)
    }

    /// Whether vectors of this many lanes can hold elements of this dtype.
    pub(super) fn fits(self, dtype: DType, lanes: usize) -> bool {
        let element = match dtype {
            DType::U8 | DType::Bool => 4,
            dtype => dtype.bytes(),
        };
        lanes > 1 && lanes.is_power_of_two() && lanes * element <= self.vector_bytes()
    }

    /// Whether as many vectors of this type as they have lanes can be turned.
    pub(super) fn has_transpose(self, dtype: DType, lanes: usize) -> bool {
        let lane = dtype.bytes().max(4);
        self.fits(dtype, lanes) && dtype != DType::Bool && lane * lanes >= 16
    }

    /// Whether an instruction that is no load and no shift, with a result of this type and operands of dtype `operand`,
    /// has a form over vectors.
    pub(super) fn has_form(self, kind: &InstKind, dtype: DType, operand: DType, lanes: usize) -> bool {
        if !self.fits(dtype, lanes) || !self.fits(operand, lanes) {
            return false;
        }
        match kind {
            InstKind::Binary(op, ..) => !is_shift(*op) && (*op != BinaryOp::Div || dtype.is_float()),
            // AVX2 knows no floats from and to 64-bit integers.
            InstKind::Convert(_) => {
                let is_long = [dtype, operand].contains(&DType::I64);
                self == Level::Avx512 || !is_long || !(dtype.is_float() || operand.is_float())
            }
            InstKind::InBounds(_) | InstKind::Check { .. } | InstKind::Philox { .. } => false,
            _ => true,
        }
    }
}
