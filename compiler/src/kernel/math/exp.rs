//! The exponential functions.
//!
//! `x = n·ln 2 + r` with `|r| ≤ ln 2 / 2` (Cody and Waite, "Software Manual for the Elementary Functions", 1980): ln 2 is
//! a sum of two parts, the first so short that `n` times it is exact. Then `eˣ = 2ⁿ·(1 + e)` with
//! `e = r + r²·q(r)`, and 2ⁿ is added to the exponent.

use super::float::{Coefficients, FloatBuilder};
use crate::kernel::ScalarId;

/// `q` with the least relative error in `1 + e`: 2^-27.9 and 2^-56.3.
const Q_EXP: Coefficients = Coefficients {
    f32: &[4.9999994e-1, 1.6666521e-1, 4.166839e-2, 8.3687175e-3, 1.3814599e-3],
    f64: &[
        0.5000000000000011,
        0.16666666666666413,
        0.04166666666653016,
        0.008333333333494465,
        0.0013888888943628945,
        0.0001984126950656571,
        2.480149310007098e-5,
        2.755758638843295e-6,
        2.7630247990155085e-7,
        2.5000056708160523e-8,
    ],
};

/// `q` with the least relative error in `e`: 2^-28.7 and 2^-60.6.
const Q_EXPM1: Coefficients = Coefficients {
    f32: &[5e-1, 1.6666667e-1, 4.1666355e-2, 8.333273e-3, 1.3941008e-3, 1.9914168e-4],
    f64: &[
        0.5,
        0.16666666666666677,
        0.0416666666666667,
        0.008333333333321615,
        0.0013888888888866783,
        0.00019841269886158766,
        2.480158736064858e-5,
        2.755724418146198e-6,
        2.7557242688610376e-7,
        2.510904508572255e-8,
        2.092446390249643e-9,
    ],
};

/// The largest argument whose exponential is finite.
fn highest(m: FloatBuilder) -> ScalarId {
    m.pick_c(88.72283, 709.782712893384)
}

/// `x` as `n·ln 2 + r`; returns bits with `n` at the low end, and `r`, which is ±0 only where `x` is.
fn reduce(m: FloatBuilder, x: ScalarId) -> (ScalarId, ScalarId) {
    let (shifted, n) = m.round_product(x, std::f64::consts::LOG2_E);
    let (high, low) = m.ln2_parts();
    (shifted, m.fma(n, m.c(-low), m.fma(n, m.c(-high), x)))
}

/// `e = r + r²·q`.
fn tail(m: FloatBuilder, r: ScalarId, q: ScalarId) -> ScalarId {
    m.fma(q, m.mul(r, r), r)
}

/// `p · 2ⁿ` by adding `n` to the exponent of `p`, which must be a number. `n` stands at the low end of `shifted`.
pub(super) fn scale(m: FloatBuilder, p: ScalarId, shifted: ScalarId) -> ScalarId {
    m.with_bits(m.add(m.bits_of(p), m.at_exponent(shifted)))
}

/// Where `x` lies above `limit`, +∞, and where it is NaN, NaN; else `y`.
fn saturate(m: FloatBuilder, x: ScalarId, limit: ScalarId, y: ScalarId) -> ScalarId {
    m.select(m.le(x, limit), y, m.mul(x, m.c(f64::INFINITY)))
}

/// `eˣ` where it is a normal number; anything elsewhere.
pub(super) fn exp_moderate(m: FloatBuilder, x: ScalarId) -> ScalarId {
    let (shifted, r) = reduce(m, x);
    scale(m, m.add(m.c(1.0), tail(m, r, m.polynomial(r, &Q_EXP))), shifted)
}

/// `eˣ`.
pub(super) fn exp(m: FloatBuilder, x: ScalarId) -> ScalarId {
    let y = saturate(m, x, highest(m), exp_moderate(m, x));
    // The result would be subnormal.
    m.select(m.lt(x, m.pick_c(-87.33654, -708.396418532264)), m.c(0.0), y)
}

/// `eˣ - 1`.
pub(super) fn expm1(m: FloatBuilder, x: ScalarId) -> ScalarId {
    let (shifted, r) = reduce(m, x);
    let e = tail(m, r, m.polynomial(r, &Q_EXPM1));
    // Half of the result, so that 2ⁿ⁻¹ is finite wherever the result is.
    let half = m.c(0.5);
    let s = scale(m, half, shifted);
    let h = m.fma(s, e, m.sub(s, half));
    // Keeps the sign of zeros and what is too small to be halved.
    let y = m.select(m.eq(h, m.c(0.0)), r, m.add(h, h));
    let y = saturate(m, x, highest(m), y);
    m.select(m.lt(x, m.pick_c(-18.0, -38.0)), m.c(-1.0), y)
}

/// `eˣ - 1` for `0 ≤ x` where the result is finite; anything elsewhere, but NaN for NaN. What the error in f32 adds to
/// that of [`expm1`] is small beside `eˣ + 1`: it is `n·2⁻²⁹`, since ln 2 is a single number, which has 21 bits there, so that
/// without a fused multiply-add its products with the first few `n` are exact.
pub(super) fn expm1_moderate(m: FloatBuilder, x: ScalarId) -> ScalarId {
    let (shifted, r) = match m.pick(true, false) {
        true => {
            let (shifted, n) = m.round_product(x, std::f64::consts::LOG2_E);
            (shifted, m.fma(n, m.c(-std::f64::consts::LN_2), x))
        }
        false => reduce(m, x),
    };
    let one = m.c(1.0);
    let s = scale(m, one, shifted);
    m.fma(s, tail(m, r, m.polynomial_in_halves(r, &Q_EXPM1)), m.sub(s, one))
}
