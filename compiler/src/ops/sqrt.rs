use super::elementwise::prelude::*;
use super::elementwise::{float_cases, infer_float, map_float};

op_struct! {
    /// Square root, correctly rounded: `out[i] = √a[i]`.
    ///
    /// - C1 `a` and the result: one float dtype, one shape.
    /// - C2 NaN below zero; -0 stays.
    /// - Gradient: `d_a = d_out / (2·out)`, which is infinite where `a` is 0.
    ///
    /// # Errors
    /// E0202 if C1 fails.
    ///
    /// Reference: StableHLO `sqrt`; IEEE 754-2019 `squareRoot`.
    Sqrt = "sqrt" {}
}

impl Elementwise for Sqrt {
    const NAME: &'static str = "sqrt";
    const TRAITS: OpTraits = OpTraits::EXACT;
    const RULES: &'static [Rule<Self>] = &[];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        infer_float(Self::NAME, operands, 1)
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        map_float(operands[0], f64::sqrt)
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![Gradient::Value(cx.cotangent() * 0.5 / cx.result(0))]
    }

    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        b.sqrt(x[0])
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        float_cases(s, &Sqrt {}, 0.25, 4.0)
    }
}
