//! The hyperbolic tangent and the logistic function.

use super::exp::{exp, expm1_moderate};
use super::float::FloatBuilder;
use crate::kernel::ScalarId;

/// `tanh x = E / (E + 2)` with `E = exp(2·|x|) - 1`, and the sign of `x`.
pub(super) fn tanh(m: FloatBuilder, x: ScalarId) -> ScalarId {
    let magnitude = m.abs(x);
    let e = expm1_moderate(m, m.add(magnitude, magnitude));
    let y = m.div(e, m.add(e, m.c(2.0)));
    // From here on the result is nearer to 1 than to the number below.
    let one = m.ge(magnitude, m.pick_c(9.010_913, 19.061_547_465_398_496));
    m.flip_sign(m.select(one, m.c(1.0), y), m.sign_bit(x))
}

/// `1 / (1 + exp(-x))`.
pub(super) fn sigmoid(m: FloatBuilder, x: ScalarId) -> ScalarId {
    let one = m.c(1.0);
    m.div(one, m.add(one, exp(m, m.neg(x))))
}
