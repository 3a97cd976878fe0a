//! Kernels through Cranelift: scalars on every target, and 128-bit vectors on those that have them.
//!
//! | dtype | scalar | 4 lanes | 2 lanes |
//! |---|---|---|---|
//! | f32 | F32 | F32X4 | |
//! | i32 | I32 | I32X4 | |
//! | u8 | I8 | I32X4, zero-extended | |
//! | bool | I8, 0 or 1 | I32X4, 0 or -1 | I64X2, 0 or -1 |
//! | f64 | F64 | | F64X2 |
//! | i64 | I64 | | I64X2 |

mod control;
mod convert;
mod emitter;
mod float;
mod memory;
mod task;

pub(super) use task::build_task;

use cranelift_codegen::ir::{Type, types};

use super::emitter::VectorType;
use super::plan::is_shift;
use crate::kernel::{BinaryOp, InstKind};
use crate::types::DType;

/// Whether vectors of this many lanes can hold elements of this dtype.
pub(super) fn fits(dtype: DType, lanes: usize) -> bool {
    match lanes {
        2 => matches!(dtype, DType::F64 | DType::I64 | DType::Bool),
        4 => matches!(dtype, DType::F32 | DType::I32 | DType::U8 | DType::Bool),
        _ => false,
    }
}

/// Whether vectors of this type can be loaded and stored.
pub(super) fn has_vector_memory(dtype: DType, lanes: usize) -> bool {
    // Two bytes are not worth a vector.
    fits(dtype, lanes) && (lanes, dtype) != (2, DType::Bool)
}

/// Whether an instruction that is no load and no shift, with a result of this type and operands of dtype `operand`, has a
/// form over vectors.
pub(super) fn has_vector_form(kind: &InstKind, dtype: DType, operand: DType, lanes: usize) -> bool {
    if !fits(dtype, lanes) || !fits(operand, lanes) {
        return false;
    }
    match kind {
        InstKind::Binary(op, ..) => !is_shift(*op) && (*op != BinaryOp::Div || dtype.is_float()),
        InstKind::Convert(_) => lanes == 4 || dtype == operand || [dtype, operand].contains(&DType::Bool),
        InstKind::InBounds(_) | InstKind::Check { .. } | InstKind::Philox { .. } => false,
        _ => true,
    }
}

/// The type of a value in Cranelift.
fn clif_type(ty: VectorType) -> Type {
    match (ty.lanes, ty.dtype) {
        (1, DType::F32) => types::F32,
        (1, DType::F64) => types::F64,
        (1, DType::I32) => types::I32,
        (1, DType::I64) => types::I64,
        (1, DType::U8 | DType::Bool) => types::I8,
        (4, DType::F32) => types::F32X4,
        (4, DType::I32 | DType::U8 | DType::Bool) => types::I32X4,
        (2, DType::F64) => types::F64X2,
        (2, DType::I64 | DType::Bool) => types::I64X2,
        _ => unreachable!("there are no vectors of {} {}", ty.lanes, ty.dtype),
    }
}
