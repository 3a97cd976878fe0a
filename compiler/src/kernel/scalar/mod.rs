//! What scalar operators compute, one element at a time: the definition that generated code must match bit for bit.
//!
//! # Floats
//! - Operands of arithmetic that are subnormal count as zeros of their sign, and results are *settled*: a result is
//!   replaced by a zero of its sign if, rounded to the precision of its type with no limit on the exponent, it is smaller
//!   than the smallest normal number. That is what x86-64 does with DAZ and FTZ set ("tiny after rounding", Intel SDM
//!   vol. 1, §4.9.1.5 and §10.2.3.3). AArch64 looks before rounding, so that there a result that rounds up to the
//!   smallest normal number may be zero.
//! - Arithmetic is everything but constants, `neg` and `abs` (which change the sign bit alone), `select`, `bitcast` and
//!   conversions to the same type.
//! - Which NaN a result is, sign and payload, is not defined; here it is always the same one.
//!
//! # Integers and bool
//! As the operators' doc comments say. Comparisons order false before true.
//!
//! # Functions
//! The functions that are expanded into primitive operators before code is generated are computed in f64 and rounded;
//! after the expansion the bits are those of the primitive operators.

mod float;
mod functions;
mod philox;

pub use functions::erf_inv;
pub use philox::philox;

use self::float::Float;
use super::{BinaryOp, CompareOp, UnaryOp};
use crate::tensor::Scalar;
use crate::types::DType;

/// The value of a function of one operand.
///
/// # Panics
/// If the operator does not take the type: the caller has verified the function. So do all of this module.
pub fn unary(op: UnaryOp, a: Scalar) -> Scalar {
    macro_rules! int {
        ($a:expr) => {
            match op {
                UnaryOp::Neg => $a.wrapping_neg(),
                UnaryOp::Abs => $a.wrapping_abs(),
                UnaryOp::Not => !$a,
                UnaryOp::Sign => $a.signum(),
                _ => panic!("`{}` of an integer", op.name()),
            }
        };
    }
    match a {
        Scalar::F32(v) => Scalar::F32(unary_float(op, v)),
        Scalar::F64(v) => Scalar::F64(unary_float(op, v)),
        Scalar::I32(v) => Scalar::I32(int!(v)),
        Scalar::I64(v) => Scalar::I64(int!(v)),
        // The same rules in a wider type, modulo 2⁸.
        Scalar::U8(v) => unary(op, Scalar::I32(i32::from(v))).convert(DType::U8),
        Scalar::Bool(v) if op == UnaryOp::Not => Scalar::Bool(!v),
        Scalar::Bool(_) => panic!("`{}` of bool", op.name()),
    }
}

fn unary_float<F: Float>(op: UnaryOp, a: F) -> F {
    match op {
        UnaryOp::Neg => -a,
        UnaryOp::Abs => a.abs(),
        UnaryOp::Sqrt => a.flush().sqrt().settle_exact(),
        UnaryOp::Floor => a.flush().floor().settle_exact(),
        UnaryOp::Ceil => a.flush().ceil().settle_exact(),
        UnaryOp::Round => a.flush().round_ties_even().settle_exact(),
        UnaryOp::Not => panic!("`not` of a float"),
        function => F::from_f64(functions::unary(function, a.flush().to_f64())),
    }
}

/// The value of a function of two operands of one type.
pub fn binary(op: BinaryOp, a: Scalar, b: Scalar) -> Scalar {
    macro_rules! int {
        ($a:expr, $b:expr) => {
            match op {
                BinaryOp::Add => $a.wrapping_add($b),
                BinaryOp::Sub => $a.wrapping_sub($b),
                BinaryOp::Mul => $a.wrapping_mul($b),
                BinaryOp::Div if $b == 0 => 0,
                BinaryOp::Div => $a.wrapping_div($b),
                BinaryOp::Min => $a.min($b),
                BinaryOp::Max => $a.max($b),
                BinaryOp::And => $a & $b,
                BinaryOp::Or => $a | $b,
                BinaryOp::Xor => $a ^ $b,
                BinaryOp::Pow => pow_int!($a, $b),
                BinaryOp::Shl | BinaryOp::ShrLogical | BinaryOp::ShrArith => shift!($a, $b),
            }
        };
    }
    macro_rules! shift {
        ($a:expr, $b:expr) => {
            match op {
                BinaryOp::Shl => $a.wrapping_shl($b as u32),
                BinaryOp::ShrArith => $a.wrapping_shr($b as u32),
                _ => $a.cast_unsigned().wrapping_shr($b as u32).cast_signed(),
            }
        };
    }
    macro_rules! pow_int {
        ($a:expr, $b:expr) => {{
            let (mut power, mut base, mut exponent) = (1, $a, $b);
            match (base, exponent < 0) {
                // A unit's powers repeat: the sign of the exponent does not matter.
                (-1 | 1, true) => exponent &= 1,
                (_, true) => (base, exponent) = (0, 1),
                _ => {}
            }
            while exponent > 0 {
                if exponent & 1 == 1 {
                    power = base.wrapping_mul(power);
                }
                base = base.wrapping_mul(base);
                exponent >>= 1;
            }
            power
        }};
    }
    match (a, b) {
        (Scalar::F32(a), Scalar::F32(b)) => Scalar::F32(binary_float(op, a, b)),
        (Scalar::F64(a), Scalar::F64(b)) => Scalar::F64(binary_float(op, a, b)),
        (Scalar::I32(a), Scalar::I32(b)) => Scalar::I32(int!(a, b)),
        (Scalar::I64(a), Scalar::I64(b)) => Scalar::I64(int!(a, b)),
        // The same rules in a wider type, modulo 2⁸; u8 has no shifts.
        (Scalar::U8(a), Scalar::U8(b)) => {
            let wide = binary(op, Scalar::I32(i32::from(a)), Scalar::I32(i32::from(b)));
            wide.convert(DType::U8)
        }
        (Scalar::Bool(a), Scalar::Bool(b)) => Scalar::Bool(match op {
            BinaryOp::And => a & b,
            BinaryOp::Or => a | b,
            BinaryOp::Xor => a ^ b,
            _ => panic!("`{}` of bool", op.name()),
        }),
        _ => panic!("`{}` of {} and {}", op.name(), a.dtype(), b.dtype()),
    }
}

fn binary_float<F: Float>(op: BinaryOp, a: F, b: F) -> F {
    let (a, b) = (a.flush(), b.flush());
    match op {
        // Sums that are nearly subnormal are exact.
        BinaryOp::Add => (a + b).settle_exact(),
        BinaryOp::Sub => (a - b).settle_exact(),
        BinaryOp::Mul => F::product(a, b),
        BinaryOp::Div => F::quotient(a, b),
        BinaryOp::Min => F::minimum(a, b),
        BinaryOp::Max => F::maximum(a, b),
        BinaryOp::Pow => F::from_f64(libm::pow(a.to_f64(), b.to_f64())),
        BinaryOp::And
        | BinaryOp::Or
        | BinaryOp::Xor
        | BinaryOp::Shl
        | BinaryOp::ShrLogical
        | BinaryOp::ShrArith => panic!("`{}` of floats", op.name()),
    }
}

/// `a · b + c` on floats, with one rounding or with two.
pub fn fma(a: Scalar, b: Scalar, c: Scalar, one_rounding: bool) -> Scalar {
    match (a, b, c) {
        (Scalar::F32(a), Scalar::F32(b), Scalar::F32(c)) if one_rounding => {
            Scalar::F32(Float::fused(a, b, c))
        }
        (Scalar::F64(a), Scalar::F64(b), Scalar::F64(c)) if one_rounding => {
            Scalar::F64(Float::fused(a, b, c))
        }
        _ => binary(BinaryOp::Add, binary(BinaryOp::Mul, a, b), c),
    }
}

/// Whether a comparison of two operands of one type holds.
pub fn compare(op: CompareOp, a: Scalar, b: Scalar) -> bool {
    fn holds<T: PartialOrd>(op: CompareOp, a: T, b: T) -> bool {
        match op {
            CompareOp::Eq => a == b,
            CompareOp::Ne => a != b,
            CompareOp::Lt => a < b,
            CompareOp::Le => a <= b,
            CompareOp::Gt => a > b,
            CompareOp::Ge => a >= b,
        }
    }
    match (a, b) {
        (Scalar::F32(a), Scalar::F32(b)) => holds(op, a.flush(), b.flush()),
        (Scalar::F64(a), Scalar::F64(b)) => holds(op, a.flush(), b.flush()),
        (Scalar::I32(a), Scalar::I32(b)) => holds(op, a, b),
        (Scalar::I64(a), Scalar::I64(b)) => holds(op, a, b),
        (Scalar::U8(a), Scalar::U8(b)) => holds(op, a, b),
        (Scalar::Bool(a), Scalar::Bool(b)) => holds(op, a, b),
        _ => panic!("`{}` of {} and {}", op.name(), a.dtype(), b.dtype()),
    }
}

/// The operand converted as graph op `cast` defines it.
pub fn convert(a: Scalar, dtype: DType) -> Scalar {
    match (a, dtype) {
        _ if a.dtype() == dtype => a,
        (Scalar::F32(v), DType::F64) => Scalar::F64(v.flush().to_f64()),
        (Scalar::F64(v), DType::F32) => Scalar::F32(f32::from_f64(v.flush())),
        (Scalar::F32(v), _) => Scalar::F32(v.flush()).convert(dtype),
        (Scalar::F64(v), _) => Scalar::F64(v.flush()).convert(dtype),
        _ => a.convert(dtype),
    }
}

/// The operand's bits as another type of the same size.
pub fn bitcast(a: Scalar, dtype: DType) -> Scalar {
    Scalar::from_bits(dtype, a.bits())
}

/// Whether the value is NaN.
pub fn is_nan(a: Scalar) -> bool {
    match a {
        Scalar::F32(v) => v.is_nan(),
        Scalar::F64(v) => v.is_nan(),
        _ => false,
    }
}

/// The value that is the larger of it and any other: -∞ or the least integer.
pub fn lowest(dtype: DType) -> Scalar {
    match dtype {
        DType::F32 => Scalar::F32(f32::NEG_INFINITY),
        DType::F64 => Scalar::F64(f64::NEG_INFINITY),
        DType::I32 => Scalar::I32(i32::MIN),
        DType::I64 => Scalar::I64(i64::MIN),
        DType::U8 => Scalar::U8(u8::MIN),
        DType::Bool | DType::F16 | DType::BF16 => panic!("no least value of {dtype}"),
    }
}

/// The value that is the smaller of it and any other: +∞ or the largest integer.
pub fn highest(dtype: DType) -> Scalar {
    match dtype {
        DType::F32 => Scalar::F32(f32::INFINITY),
        DType::F64 => Scalar::F64(f64::INFINITY),
        DType::I32 => Scalar::I32(i32::MAX),
        DType::I64 => Scalar::I64(i64::MAX),
        DType::U8 => Scalar::U8(u8::MAX),
        DType::Bool | DType::F16 | DType::BF16 => panic!("no largest value of {dtype}"),
    }
}

#[cfg(test)]
mod tests;
