use super::elementwise::prelude::*;
use super::elementwise::{float_cases, infer_float, map_float};

op_struct! {
    /// Exponential minus one, exact near zero: `out[i] = e^a[i] - 1`.
    ///
    /// - C1 `a` and the result: one float dtype, one shape.
    /// - Gradient: `d_a = d_out · e^a`, not `out + 1`, which loses what is small.
    ///
    /// # Errors
    /// E0202 if C1 fails.
    ///
    /// Reference: StableHLO `exponential_minus_one`.
    Expm1 = "expm1" {}
}

impl Elementwise for Expm1 {
    const NAME: &'static str = "expm1";
    const TRAITS: OpTraits = OpTraits::ELEMENTWISE;
    const RULES: &'static [Rule<Self>] = &[];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        infer_float(Self::NAME, operands, 1)
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        map_float(operands[0], libm::expm1)
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![Gradient::Value(cx.cotangent() * cx.operand(0).exp())]
    }

    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        b.unary(UnaryOp::Expm1, x[0])
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        float_cases(s, &Expm1 {}, -2.0, 2.0)
    }
}
