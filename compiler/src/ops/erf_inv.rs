use super::elementwise::prelude::*;
use super::elementwise::{float_cases, infer_float, map_float};
use crate::kernel::scalar::erf_inv;
use std::f64::consts::FRAC_2_SQRT_PI;

op_struct! {
    /// Inverse of the error function: `erf(out[i]) = a[i]`.
    ///
    /// - C1 `a` and the result: one float dtype, one shape.
    /// - C2 -∞ at -1, ∞ at 1, NaN outside.
    /// - Gradient: `d_a = d_out · √π/2 · e^(out²)`.
    ///
    /// # Errors
    /// E0202 if C1 fails.
    ///
    /// Reference: CHLO `erf_inv`; DLMF 7.17.
    ErfInv = "erf_inv" {}
}

impl Elementwise for ErfInv {
    const NAME: &'static str = "erf_inv";
    const TRAITS: OpTraits = OpTraits::ELEMENTWISE;
    const RULES: &'static [Rule<Self>] = &[];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        infer_float(Self::NAME, operands, 1)
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        map_float(operands[0], erf_inv)
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        let out = cx.result(0);
        vec![Gradient::Value(cx.cotangent() * ((out * out).exp() / FRAC_2_SQRT_PI))]
    }

    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        b.unary(UnaryOp::ErfInv, x[0])
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        float_cases(s, &ErfInv {}, -0.9, 0.9)
    }
}

#[cfg(test)]
mod tests {
    use super::erf_inv;

    /// Values of DLMF 7.17 and of tables of the normal quantile, `erf_inv(2p - 1) = quantile(p) / √2`.
    #[test]
    fn agrees_with_tables() {
        for (x, y) in [(0.5, 0.476_936_276_204_469_9), (0.95, 1.385_903_824_349_678), (-0.99, -1.821_386_367_718_45)] {
            assert!((erf_inv(x) / y - 1.0).abs() < 1e-14, "erf_inv({x}) = {}", erf_inv(x));
        }
    }

    #[test]
    fn inverts_erf_from_the_centre_to_the_tail() {
        for y in [1e-300, 1e-9, 1e-3, 0.1, 0.47, 0.48, 1.0, 2.0] {
            let back = erf_inv(libm::erf(y));
            // The rounding of erf(y) moves its inverse by this much.
            let shift = f64::EPSILON * libm::erf(y) / libm::exp(-y * y);
            assert!((back - y).abs() <= 4.0 * f64::EPSILON * y + shift, "{y} came back as {back}");
        }
        let last = 1.0 - f64::EPSILON / 2.0;
        assert!((libm::erfc(erf_inv(last)) / (f64::EPSILON / 2.0) - 1.0).abs() < 1e-13);
        assert_eq!(erf_inv(-0.0).to_bits(), (-0.0f64).to_bits());
        assert_eq!([erf_inv(1.0), erf_inv(-1.0)], [f64::INFINITY, f64::NEG_INFINITY]);
        assert!(erf_inv(1.5).is_nan() && erf_inv(f64::NEG_INFINITY).is_nan() && erf_inv(f64::NAN).is_nan());
    }
}
