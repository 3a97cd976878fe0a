use super::elementwise::prelude::*;
use super::elementwise::{float_cases, infer_float, map_float};

op_struct! {
    /// Reciprocal square root: `out[i] = 1 / √a[i]`.
    ///
    /// - C1 `a` and the result: one float dtype, one shape.
    /// - C2 infinity of the sign of a zero, NaN below zero.
    /// - Gradient: `d_a = -d_out · out³ / 2`.
    ///
    /// # Errors
    /// E0202 if C1 fails.
    ///
    /// Reference: StableHLO `rsqrt`; IEEE 754-2019 `rSqrt`.
    Rsqrt = "rsqrt" {}
}

impl Elementwise for Rsqrt {
    const NAME: &'static str = "rsqrt";
    const TRAITS: OpTraits = OpTraits::ELEMENTWISE;
    const RULES: &'static [Rule<Self>] = &[];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        infer_float(Self::NAME, operands, 1)
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        map_float(operands[0], |x| 1.0 / x.sqrt())
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        let out = cx.result(0);
        vec![Gradient::Value(cx.cotangent() * -0.5 * (out * out * out))]
    }

    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        b.unary(UnaryOp::Rsqrt, x[0])
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        float_cases(s, &Rsqrt {}, 0.25, 4.0)
    }
}
