//! Powers of floats and of integers.

use super::exp::scale;
use super::float::{Coefficients, FloatBuilder};
use super::log::{Parts, parts};
use crate::kernel::{BodyBuilder, ScalarId};

/// `3·(atanh(s)/s - 1) - s²` is `s⁴·l(s²)`, with an error of 2^-38.6 and 2^-67 relative to 3.
const L: Coefficients = Coefficients {
    f32: &[5.9999996e-1, 4.2857814e-1, 3.3277354e-1, 2.9204723e-1],
    f64: &[
        0.6,
        0.4285714285714286,
        0.3333333333333191,
        0.2727272727304638,
        0.23076923033869676,
        0.20000003712286188,
        0.17646849441827014,
        0.15797157793176844,
        0.14109445480582958,
        0.15317478570066487,
    ],
};

/// `2ʳ = 1 + r·(c + e(r))` for `|r| ≤ ½`, where `c` is ln 2 rounded, so that the first coefficient is what it lacks.
/// Relative error 2^-28.9 and 2^-64.
const E: Coefficients = Coefficients {
    f32: &[-1.9046542e-9, 2.4022648e-1, 5.5503324e-2, 9.618438e-3, 1.33989e-3, 1.535332e-4],
    f64: &[
        2.3190468138462996e-17,
        0.24022650695910072,
        0.05550410866482169,
        0.00961812910762833,
        0.0013333558146392632,
        0.00015403530393641232,
        1.5252733854380139e-5,
        1.3215486594616721e-6,
        1.0178051914033821e-7,
        7.054974546888191e-9,
        4.4565750249297763e-10,
        2.5625378243056755e-11,
    ],
};

/// A number as a sum: `high` has half of the significand's bits, `low` what is left.
struct Double {
    high: ScalarId,
    low: ScalarId,
}

/// `log₂ x` of a positive normal number, to about one and a half times the precision of its type.
///
/// `x = 2ᵏ·m`, `s = (m - 1)/(m + 1)`, `log₂ m = 2/(3·ln 2) · s·(3 + s² + s⁴·l(s²))`. Products of high parts are exact,
/// with a fused multiply-add or without. Reference: the `e_pow.c` of fdlibm (Sun Microsystems, 1993).
fn log2_double(m: FloatBuilder, x: ScalarId) -> Double {
    let Parts { k, significand, .. } = parts(m, x);
    let k = m.small_int_to_float(k);
    let one = m.c(1.0);
    let numerator = m.sub(significand, one);
    let denominator = m.add(significand, one);
    let d_high = m.upper_half(denominator);
    let d_low = m.sub(significand, m.sub(d_high, one));
    let s = m.div(numerator, denominator);
    let s_high = m.upper_half(s);
    let minus_s = m.neg(s_high);
    let residual = m.fma(minus_s, d_low, m.fma(minus_s, d_high, numerator));
    let s_low = m.div(residual, denominator);

    // t = 3 + s² + s⁴·l(s²).
    let three = m.c(3.0);
    let square = m.mul(s, s);
    let rest = m.mul(m.mul(square, square), m.polynomial(square, &L));
    let rest = m.fma(s_low, m.add(s_high, s), rest);
    let square_high = m.mul(s_high, s_high);
    let t_high = m.upper_half(m.add(m.add(three, square_high), rest));
    let t_low = m.sub(rest, m.sub(m.sub(t_high, three), square_high));

    // p = s·t.
    let u = m.mul(s_high, t_high);
    let v = m.fma(s_low, t_high, m.mul(t_low, s));
    let p_high = m.upper_half(m.add(u, v));
    let p_low = m.sub(v, m.sub(p_high, u));

    // z = 2/(3·ln 2)·p, and k + z.
    let (c_high, c_low) =
        m.pick((0.961669921875, 0.00012677205086220056), (0.9617966860532761, 7.872699542894897e-9));
    let z_high = m.mul(m.c(c_high), p_high);
    let z_low = m.fma(m.c(c_low), p_high, m.mul(p_low, m.c(c_high + c_low)));
    let high = m.upper_half(m.add(m.add(z_high, z_low), k));
    Double { high, low: m.sub(z_low, m.sub(m.sub(high, k), z_high)) }
}

/// IEEE 754 `pow` of floats: `2^(y·log₂|x|)` and the special cases of §9.2.1. `x¹` is `x` and `x²` is `x·x` to the bit,
/// which lets passes say so.
pub(super) fn pow(m: FloatBuilder, x: ScalarId, y: ScalarId) -> ScalarId {
    let (zero, one, infinity) = (m.c(0.0), m.c(1.0), m.c(f64::INFINITY));
    let tiny = m.c(m.min_normal());
    let magnitude = m.abs(x);
    let ordinary = m.and(m.ge(magnitude, tiny), m.lt(magnitude, infinity));
    let log2 = log2_double(m, magnitude);

    // Beyond this the power is 0, 1 or infinite whatever the base.
    let limit = m.pick(2f64.powi(40), 2f64.powi(80));
    let clamped = m.select(m.gt(y, m.c(limit)), m.c(limit), y);
    let clamped = m.select(m.lt(y, m.c(-limit)), m.c(-limit), clamped);
    let y_high = m.upper_half(clamped);
    let z_low = m.fma(m.sub(clamped, y_high), log2.high, m.mul(clamped, log2.low));
    // The logarithm of 0 is -∞; that of ∞ and NaN is itself.
    let extreme = m.select(m.lt(magnitude, tiny), m.c(f64::NEG_INFINITY), magnitude);
    let z_high = m.select(ordinary, m.mul(y_high, log2.high), m.mul(y, extreme));

    let z = m.add(z_high, z_low);
    let (shifted, n) = m.round_shifted(z);
    let r = m.add(m.sub(z_high, n), z_low);
    let ln2 = m.pick_c(std::f32::consts::LN_2.into(), std::f64::consts::LN_2);
    let p = m.add(one, m.fma(r, ln2, m.mul(r, m.polynomial(r, &E))));
    let distance = |bound: f64| m.add(m.sub(z_high, m.c(bound)), z_low);
    let (lowest, highest) = m.pick((-126.0, 128.0), (-1022.0, 1024.0));
    let value = m.select(m.lt(distance(highest), zero), scale(m, p, shifted), m.mul(z, infinity));
    let value = m.select(m.lt(distance(lowest), zero), zero, value);

    let half = m.mul(y, m.c(0.5));
    let whole = m.eq(m.floor(y), y);
    let odd = m.and(whole, m.ne(m.floor(half), half));
    let value = m.flip_sign(value, m.select(odd, m.sign_bit(x), m.i(0)));
    let negative = m.and(m.lt(x, zero), ordinary);
    let value = m.select(m.and(negative, m.not(whole)), m.c(f64::NAN), value);
    let is_one = m.or(m.eq(x, one), m.lt(m.abs(y), tiny));
    let value = m.select(is_one, one, value);
    let value = m.select(m.eq(y, one), m.mul(x, one), value);
    m.select(m.eq(y, m.c(2.0)), m.mul(x, x), value)
}

/// `base` to the `exponent`-th on integers, wrapping, by squaring. A negative exponent gives 0, but for the bases 1 and
/// -1, whose powers depend on the exponent's lowest bit alone.
pub(super) fn pow_int(b: &BodyBuilder, base: ScalarId, exponent: ScalarId) -> ScalarId {
    let dtype = b.dtype(base);
    let (zero, one) = (b.int(dtype, 0), b.int(dtype, 1));
    let mut power = base;
    let mut product = one;
    let width = 8 * dtype.bytes();
    for bit in 0..width {
        if bit > 0 {
            power = b.mul(power, power);
        }
        let set = b.ne(b.and(exponent, b.int(dtype, 1 << bit)), zero);
        product = b.mul(product, b.select(set, power, one));
    }
    let unit = b.or(b.eq(base, one), b.eq(base, b.int(dtype, -1)));
    let vanishes = b.and(b.lt(exponent, zero), b.not(unit));
    b.select(vanishes, zero, product)
}
