use super::elementwise::prelude::*;
use super::elementwise::{float_cases, infer_float, map_float};

op_struct! {
    /// Logarithm of one more, exact near zero: `out[i] = log(1 + a[i])`.
    ///
    /// - C1 `a` and the result: one float dtype, one shape.
    /// - C2 -∞ at -1, NaN below.
    /// - Gradient: `d_a = d_out / (1 + a)`.
    ///
    /// # Errors
    /// E0202 if C1 fails.
    ///
    /// Reference: StableHLO `log_plus_one`.
    Log1p = "log1p" {}
}

impl Elementwise for Log1p {
    const NAME: &'static str = "log1p";
    const TRAITS: OpTraits = OpTraits::ELEMENTWISE;
    const RULES: &'static [Rule<Self>] = &[];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        infer_float(Self::NAME, operands, 1)
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        map_float(operands[0], libm::log1p)
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![Gradient::Value(cx.cotangent() / (cx.operand(0) + 1.0))]
    }

    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        b.unary(UnaryOp::Log1p, x[0])
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        float_cases(s, &Log1p {}, -0.75, 4.0)
    }
}
