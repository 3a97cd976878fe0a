//! The hyperbolic tangent and the logistic function.

use super::exp::{exp_moderate, expm1_moderate};
use super::float::FloatBuilder;
use crate::kernel::ScalarId;

/// `tanh x = E / (E + 2)` with `E = exp(2·|x|) - 1`, and the sign of `x`.
pub(super) fn tanh(m: FloatBuilder, x: ScalarId) -> ScalarId {
    // From here on the quotient is 1.
    let magnitude = m.min(m.abs(x), m.pick_c(10.0, 20.0));
    let e = expm1_moderate(m, m.add(magnitude, magnitude));
    m.flip_sign(m.div(e, m.add(e, m.c(2.0))), m.sign_bit(x))
}

/// `1 / (1 + exp(-x))`.
pub(super) fn sigmoid(m: FloatBuilder, x: ScalarId) -> ScalarId {
    let one = m.c(1.0);
    // Beyond, the quotient is subnormal or 1.
    let exponent = m.max(m.min(m.neg(x), m.pick_c(88.0, 709.0)), m.pick_c(-87.0, -708.0));
    m.div(one, m.add(one, exp_moderate(m, exponent)))
}
