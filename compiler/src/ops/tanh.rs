use super::elementwise::prelude::*;
use super::elementwise::{float_cases, infer_float, map_float};

op_struct! {
    /// Hyperbolic tangent: `out[i] = tanh(a[i])`.
    ///
    /// - C1 `a` and the result: one float dtype, one shape.
    /// - Gradient: `d_a = d_out · (1 - out)·(1 + out)`.
    ///
    /// # Errors
    /// E0202 if C1 fails.
    ///
    /// Reference: StableHLO `tanh`.
    Tanh = "tanh" {}
}

impl Elementwise for Tanh {
    const NAME: &'static str = "tanh";
    const TRAITS: OpTraits = OpTraits::ELEMENTWISE;
    const RULES: &'static [Rule<Self>] = &[];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        infer_float(Self::NAME, operands, 1)
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        map_float(operands[0], libm::tanh)
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        // Factored, for 1 - out is exact where out is near 1.
        let out = cx.result(0);
        vec![Gradient::Value(cx.cotangent() * ((1.0 - out) * (1.0 + out)))]
    }

    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        b.unary(UnaryOp::Tanh, x[0])
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        float_cases(s, &Tanh {}, -2.0, 2.0)
    }
}
