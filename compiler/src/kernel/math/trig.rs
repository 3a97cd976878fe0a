//! Sine and cosine.
//!
//! `x = n·π/2 + r` with `|r| ≤ π/4`, where π/2 is a sum of parts so short that the first products are exact (Cody and
//! Waite, "Software Manual for the Elementary Functions", 1980). Both `sin r` and `cos r` are polynomials, and the
//! quadrant `n mod 4` chooses one and its sign.

use super::float::{Coefficients, FloatBuilder};
use crate::kernel::ScalarId;

/// `s` in `sin r = r + r³·s(r²)` with the least relative error: 2^-26.7 and 2^-56.8.
const S: Coefficients = Coefficients {
    f32: &[-1.6666655e-1, 8.332156e-3, -1.951463e-4],
    f64: &[
        -0.1666666666666663,
        0.008333333333322005,
        -0.00019841269829496113,
        2.7557313587835188e-6,
        -2.505074234162059e-8,
        1.5895906675876686e-10,
    ],
};

/// `c` in `cos r = 1 - r²/2 + r⁴·c(r²)` with the least relative error: 2^-32.8 and 2^-59.1.
const C: Coefficients = Coefficients {
    f32: &[4.1666646e-2, -1.388731e-3, 2.4432413e-5],
    f64: &[
        0.041666666666666595,
        -0.0013888888888872895,
        2.4801587288748444e-5,
        -2.7557314148695933e-7,
        2.0875696582217778e-9,
        -1.1358310977668121e-11,
    ],
};

/// π/2 as a sum. The products of the leading parts with `n` are exact, and so are the differences that they leave.
struct HalfPi {
    leading: &'static [f64],
    /// The product with `n` is exact.
    middle: f64,
    last: f64,
}

/// 8, 12, 12 and 24 bits: products are exact for `n` up to 2¹², with a fused multiply-add up to 2²².
const HALF_PI_F32: HalfPi = HalfPi {
    leading: &[1.5703125, 0.0004837512969970703],
    middle: 7.549533620476723e-8,
    last: 2.563344068257089e-12,
};

/// 33, 33 and 53 bits: products are exact for `n` up to 2²⁰, with a fused multiply-add up to 2³⁰.
const HALF_PI_F64: HalfPi =
    HalfPi { leading: &[1.5707963267341256], middle: 6.077100506303966e-11, last: 2.0222662487959506e-21 };

/// The largest magnitude of an angle that is reduced, f32 and f64; beyond it an angle counts as 0.
pub const LARGEST_ANGLE: (f64, f64) = (6.5e6, 1.6e9);

/// `x - n·π/2` as a sum of two numbers, the second at most half an ulp of the first.
fn subtract_quarter_turns(m: FloatBuilder, x: ScalarId, n: ScalarId) -> (ScalarId, ScalarId) {
    let HalfPi { leading, middle, last } = m.pick(HALF_PI_F32, HALF_PI_F64);
    let exact = leading.iter().fold(x, |r, part| m.fma(n, m.c(-part), r));
    let high = m.fma(n, m.c(-middle), exact);
    let lost = m.fma(n, m.c(-middle), m.sub(exact, high));
    let low = m.fma(n, m.c(-last), lost);
    let sum = m.add(high, low);
    (sum, m.add(m.sub(high, sum), low))
}

/// `sin(|x| + quadrants·π/2)`.
fn sin_of_magnitude(m: FloatBuilder, x: ScalarId, quadrants: i64) -> ScalarId {
    // 0 where it is beyond what can be reduced, and NaN for ±∞.
    let magnitude = m.abs(x);
    let reducible = m.le(magnitude, m.pick_c(LARGEST_ANGLE.0, LARGEST_ANGLE.1));
    let magnitude = m.select(reducible, magnitude, m.mul(magnitude, m.c(0.0)));

    let (shifted, n) = m.round_product(magnitude, std::f64::consts::FRAC_2_PI);
    let (r, low) = subtract_quarter_turns(m, magnitude, n);
    let r2 = m.mul(r, r);
    let sin = m.add(m.fma(m.mul(r2, r), m.polynomial(r2, &S), low), r);
    let cos = m.fma(m.fma(m.polynomial(r2, &C), r2, m.c(-0.5)), r2, m.c(1.0));

    let quadrant = if quadrants == 0 { shifted } else { m.add(shifted, m.i(quadrants)) };
    let odd = m.ne(m.and(quadrant, m.i(1)), m.i(0));
    m.flip_sign(m.select(odd, cos, sin), m.second_bit_to_sign(quadrant))
}

/// `sin x`.
pub(super) fn sin(m: FloatBuilder, x: ScalarId) -> ScalarId {
    m.flip_sign(sin_of_magnitude(m, x, 0), m.sign_bit(x))
}

/// `cos x`.
pub(super) fn cos(m: FloatBuilder, x: ScalarId) -> ScalarId {
    sin_of_magnitude(m, x, 1)
}
