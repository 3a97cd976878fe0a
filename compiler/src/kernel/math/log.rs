//! The logarithms.
//!
//! `x = 2ᵏ·(1 + f)` with `√½ ≤ 1 + f < √2`; then `log x = k·ln 2 + f + f²·p(f)`, with ln 2 as a sum of two parts,
//! the first so short that `k` times it is exact.

use super::float::{Coefficients, FloatBuilder};
use crate::kernel::ScalarId;

/// `p`, which starts with -½, with the least relative error in `log(1 + f)`: 2^-28.2 and 2^-57.5.
const P: Coefficients = Coefficients {
    f32: &[
        -5e-1,
        3.3333313e-1,
        -2.500001e-1,
        2.0002119e-1,
        -1.6667996e-1,
        1.4219552e-1,
        -1.2405587e-1,
        1.1888168e-1,
        -1.1675669e-1,
        6.746648e-2,
    ],
    f64: &[
        -0.5,
        0.33333333333333454,
        -0.2499999999999892,
        0.1999999999994615,
        -0.1666666666691438,
        0.14285714293839935,
        -0.124999999820201,
        0.11111110516119442,
        -0.10000000383242207,
        0.09090933503613169,
        -0.08333345760387233,
        0.07691714509959768,
        -0.07142000075231761,
        0.0667514786440049,
        -0.06269801023258245,
        0.058177825890329486,
        -0.05326779745486937,
        0.05415963476807723,
        -0.06275037325241806,
        0.056968678508447314,
        -0.024276194533223616,
    ],
};

/// A positive number as `2ᵏ·significand`.
pub(super) struct Parts {
    /// `k` as an integer.
    pub k: ScalarId,
    /// `k` at the place of the exponent.
    pub k_bits: ScalarId,
    /// From √½ to √2.
    pub significand: ScalarId,
}

/// The parts of a positive normal number; for anything else, numbers without meaning.
pub(super) fn parts(m: FloatBuilder, x: ScalarId) -> Parts {
    let sqrt_half = m.pick(
        i64::from(std::f32::consts::FRAC_1_SQRT_2.to_bits()),
        std::f64::consts::FRAC_1_SQRT_2.to_bits() as i64,
    );
    let bits = m.bits_of(x);
    let k = m.exponent(m.sub(bits, m.i(sqrt_half)));
    let k_bits = m.at_exponent(k);
    Parts { k, k_bits, significand: m.with_bits(m.sub(bits, k_bits)) }
}

/// `k·ln 2 + log(1 + f)`. It is ±0 of the sign of `f` where `f` and `k` are 0: products with `-k` are -0 then, which changes
/// no sum.
fn combine(m: FloatBuilder, k: ScalarId, f: ScalarId) -> ScalarId {
    let minus_k = m.minus_small_int(k);
    let (high, low) = m.ln2_parts();
    let square = m.mul(f, f);
    let rest = m.fma(square, m.polynomial_in_halves(f, &P), m.mul(minus_k, m.c(-low)));
    m.fma(minus_k, m.c(-high), m.add(f, rest))
}

/// `log x` for positive normal `x`.
pub(super) fn log_positive(m: FloatBuilder, x: ScalarId) -> ScalarId {
    let Parts { k, significand, .. } = parts(m, x);
    combine(m, k, m.sub(significand, m.c(1.0)))
}

/// `y`, the logarithm of `x`, put right where `x` is not a positive finite number. `x` is not -0.
fn complete(m: FloatBuilder, x: ScalarId, y: ScalarId) -> ScalarId {
    let positive = m.select(m.lt(x, m.c(f64::INFINITY)), y, x);
    // -∞, or with all bits set NaN.
    let other = m.with_bits(m.or(m.all_sign(x), m.i(m.minus_infinity_bits())));
    m.select(m.lt(x, m.c(m.min_normal())), other, positive)
}

/// `log x`.
pub(super) fn log(m: FloatBuilder, x: ScalarId) -> ScalarId {
    complete(m, m.add(x, m.c(0.0)), log_positive(m, x))
}

/// `log(1 + x)`.
///
/// `k` is that of the rounded sum `1 + x`, and `f = 2⁻ᵏ·x - (1 - 2⁻ᵏ)`, of which the first term is exact, and the second too
/// unless it is next to 1.
pub(super) fn log1p(m: FloatBuilder, x: ScalarId) -> ScalarId {
    let one = m.c(1.0);
    let sum = m.add(one, x);
    let Parts { k, k_bits, .. } = parts(m, sum);
    let scaled = m.with_bits(m.sub(m.bits_of(x), k_bits));
    // 2¹⁻ᵏ is 0 or a number for every k; 2⁻ᵏ is not.
    let twice = m.with_bits(m.sub(m.i(m.two_bits()), k_bits));
    let f = m.sub(scaled, m.fma(twice, m.c(-0.5), one));
    complete(m, sum, combine(m, k, f))
}
