//! K0107: the types that operators ask for.
//!
//! | operator | operands | result |
//! |---|---|---|
//! | `neg` `abs` `sign` `add` `sub` `mul` `div` `min` `max` `pow` | floats or integers, all alike | that type |
//! | `sqrt` `floor` `ceil` `round`, the other functions, `fma` | floats, all alike | that type |
//! | `not` `and` `or` `xor` | integers or bool, all alike | that type |
//! | `shl` `shr_logical` `shr_arith` | i32 or i64, both alike | that type |
//! | comparisons | any, both alike | bool |
//! | `select` | bool, two of one type | that type |
//! | `convert` | any | any |
//! | `bitcast` | any but bool | another of the same size, not bool |
//! | `in_bounds` | – | bool |
//! | `index`, `check` | i32 or i64 | i32 or i64, that of the operand |
//! | `philox` | i64; `word` is 0 to 3 | i64 |

use super::super::{BinaryOp, InstKind, ScalarId, UnaryOp};
use crate::types::DType;

/// Whether values can be calculated with: not bool.
pub(super) fn is_number(dtype: DType) -> bool {
    dtype.is_float() || dtype.is_int()
}

/// Whether values can be coordinates.
pub(super) fn is_index(dtype: DType) -> bool {
    matches!(dtype, DType::I32 | DType::I64)
}

/// What is wrong with the types of an instruction, given those of its operands. Loads and accumulators, which have the
/// types of what they read, are checked where that is known.
pub(super) fn type_error(kind: &InstKind, result: DType, of: impl Fn(ScalarId) -> DType) -> Option<String> {
    let (allowed, operands): (fn(DType) -> bool, Vec<ScalarId>) = match *kind {
        InstKind::Load(_) | InstKind::Acc { .. } | InstKind::Convert(_) => return None,
        InstKind::Const(value) => {
            return (value.dtype() != result)
                .then(|| format!("a constant of {} is not {result}", value.dtype()));
        }
        InstKind::InBounds(_) => return (result != DType::Bool).then(|| "`in_bounds` gives bool".into()),
        InstKind::Compare(_, a, b) => {
            return if result != DType::Bool {
                Some("a comparison gives bool".into())
            } else {
                (of(a) != of(b)).then(|| format!("{} is compared with {}", of(a), of(b)))
            };
        }
        InstKind::Bitcast(a) => {
            let fits = of(a).bytes() == result.bytes() && of(a) != DType::Bool && result != DType::Bool;
            return (!fits).then(|| format!("the bits of {} are not those of a {result}", of(a)));
        }
        InstKind::Select(condition, _, _) if of(condition) != DType::Bool => {
            return Some(format!("the condition is {}, not bool", of(condition)));
        }
        InstKind::Philox { word, .. } if word > 3 => return Some("a block has words 0 to 3".into()),
        InstKind::Select(_, a, b) => (|_| true, vec![a, b]),
        InstKind::Index(_) => (is_index, vec![]),
        InstKind::Extent(_) => (|d| d == DType::I64, vec![]),
        InstKind::Check { value, .. } => (is_index, vec![value]),
        InstKind::Philox { seed, step, element, .. } => (|d| d == DType::I64, vec![seed, step, element]),
        InstKind::Unary(op, a) => (unary(op), vec![a]),
        InstKind::Binary(op, a, b) => (binary(op), vec![a, b]),
        InstKind::Fma(a, b, c) => (DType::is_float, vec![a, b, c]),
    };
    if !allowed(result) {
        return Some(format!("the operator does not give {result}"));
    }
    let other = operands.into_iter().find(|&a| of(a) != result)?;
    Some(format!("`{other}` is {}, but must be {result}", of(other)))
}

fn unary(op: UnaryOp) -> fn(DType) -> bool {
    match op {
        UnaryOp::Neg | UnaryOp::Abs | UnaryOp::Sign => is_number,
        UnaryOp::Not => |d| d.is_int() || d == DType::Bool,
        UnaryOp::Sqrt
        | UnaryOp::Floor
        | UnaryOp::Ceil
        | UnaryOp::Round
        | UnaryOp::Rsqrt
        | UnaryOp::Exp
        | UnaryOp::Expm1
        | UnaryOp::Log
        | UnaryOp::Log1p
        | UnaryOp::Sin
        | UnaryOp::Cos
        | UnaryOp::Tanh
        | UnaryOp::Erf
        | UnaryOp::ErfInv
        | UnaryOp::Sigmoid => DType::is_float,
    }
}

fn binary(op: BinaryOp) -> fn(DType) -> bool {
    match op {
        BinaryOp::Add
        | BinaryOp::Sub
        | BinaryOp::Mul
        | BinaryOp::Div
        | BinaryOp::Min
        | BinaryOp::Max
        | BinaryOp::Pow => is_number,
        BinaryOp::And | BinaryOp::Or | BinaryOp::Xor => |d| d.is_int() || d == DType::Bool,
        BinaryOp::Shl | BinaryOp::ShrLogical | BinaryOp::ShrArith => is_index,
    }
}
