use super::elementwise::prelude::*;
use super::elementwise::{float_cases, infer_float, map_float};
use std::f64::consts::FRAC_2_SQRT_PI;

op_struct! {
    /// Error function: `out[i] = 2/√π · ∫ e^(-t²) dt` from 0 to `a[i]`.
    ///
    /// - C1 `a` and the result: one float dtype, one shape.
    /// - Gradient: `d_a = d_out · 2/√π · e^(-a²)`.
    ///
    /// # Errors
    /// E0202 if C1 fails.
    ///
    /// Reference: CHLO `erf`; DLMF 7.2.1.
    Erf = "erf" {}
}

impl Elementwise for Erf {
    const NAME: &'static str = "erf";
    const TRAITS: OpTraits = OpTraits::ELEMENTWISE;
    const RULES: &'static [Rule<Self>] = &[];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        infer_float(Self::NAME, operands, 1)
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        map_float(operands[0], libm::erf)
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        let x = cx.operand(0);
        vec![Gradient::Value(cx.cotangent() * ((-(x * x)).exp() * FRAC_2_SQRT_PI))]
    }

    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        b.unary(UnaryOp::Erf, x[0])
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        float_cases(s, &Erf {}, -2.0, 2.0)
    }
}
