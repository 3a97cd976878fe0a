use super::elementwise::prelude::*;
use super::elementwise::{float_cases, infer_float, map_float};

op_struct! {
    /// Exponential: `out[i] = e^a[i]`.
    ///
    /// - C1 `a` and the result: one float dtype, one shape.
    /// - Gradient: `d_a = d_out · out`.
    ///
    /// # Errors
    /// E0202 if C1 fails.
    ///
    /// Reference: StableHLO `exponential`.
    Exp = "exp" {}
}

impl Elementwise for Exp {
    const NAME: &'static str = "exp";
    const TRAITS: OpTraits = OpTraits::ELEMENTWISE;
    const RULES: &'static [Rule<Self>] = &[];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        infer_float(Self::NAME, operands, 1)
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        map_float(operands[0], libm::exp)
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![Gradient::Value(cx.cotangent() * cx.result(0))]
    }

    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        b.unary(UnaryOp::Exp, x[0])
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        float_cases(s, &Exp {}, -2.0, 2.0)
    }
}
