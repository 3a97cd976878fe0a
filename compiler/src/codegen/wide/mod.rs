//! Kernels through an assembler of our own: AVX2 and AVX-512.

mod allocate;
mod assemble;
mod code;
mod conversions;
mod disassemble;
mod emitter;
mod encode;
mod floats;
mod frame;
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
