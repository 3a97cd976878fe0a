//! Math functions in f64, for the evaluation of what is not expanded yet.

use std::f64::consts::{FRAC_2_SQRT_PI, PI};

use super::UnaryOp;

/// The value of one of the operators that are expanded before code is generated.
pub(super) fn unary(op: UnaryOp, x: f64) -> f64 {
    match op {
        UnaryOp::Sign if x > 0.0 => 1.0,
        UnaryOp::Sign if x < 0.0 => -1.0,
        UnaryOp::Sign => x,
        UnaryOp::Rsqrt => 1.0 / x.sqrt(),
        UnaryOp::Exp => libm::exp(x),
        UnaryOp::Expm1 => libm::expm1(x),
        UnaryOp::Log => libm::log(x),
        UnaryOp::Log1p => libm::log1p(x),
        UnaryOp::Sin => libm::sin(x),
        UnaryOp::Cos => libm::cos(x),
        UnaryOp::Tanh => libm::tanh(x),
        UnaryOp::Erf => libm::erf(x),
        UnaryOp::ErfInv => erf_inv(x),
        UnaryOp::Sigmoid => 1.0 / (1.0 + libm::exp(-x)),
        UnaryOp::Neg
        | UnaryOp::Abs
        | UnaryOp::Sqrt
        | UnaryOp::Floor
        | UnaryOp::Ceil
        | UnaryOp::Round
        | UnaryOp::Not => panic!("`{}` is primitive", op.name()),
    }
}

/// The inverse of erf: -∞ at -1, +∞ at 1, NaN outside.
///
/// Halley's iteration on erf, from the approximation of Winitzki, "A handy approximation for the error function and its
/// inverse", 2008; on erfc towards the ends, where `1 - |x|` is exact.
pub fn erf_inv(x: f64) -> f64 {
    let target = x.abs();
    if target == 1.0 {
        return f64::INFINITY.copysign(x);
    }
    if target.is_nan() || target > 1.0 {
        return f64::NAN;
    }
    let log = libm::log1p(-target * target);
    let half = 2.0 / (PI * 0.147) + log / 2.0;
    let mut y = ((half * half - log / 0.147).sqrt() - half).max(0.0).sqrt();
    for _ in 0..3 {
        let excess = if target < 0.5 { libm::erf(y) - target } else { (1.0 - target) - libm::erfc(y) };
        let step = excess / (FRAC_2_SQRT_PI * libm::exp(-y * y));
        y -= step / (1.0 + y * step);
    }
    y.copysign(x)
}
