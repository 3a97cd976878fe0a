use super::elementwise::prelude::*;
use super::elementwise::{float_cases, infer_number, int_cases, map_number};

op_struct! {
    /// Magnitude: `out[i] = |a[i]|`.
    ///
    /// - C1 `a` and the result: one float or integer dtype, one shape.
    /// - C2 integers wrap: the least one is its own magnitude.
    /// - Gradient: `d_a = d_out · sign(a)`, which is 0 where `a` is 0.
    ///
    /// # Errors
    /// E0202 if C1 fails.
    ///
    /// Reference: StableHLO `abs`.
    Abs = "abs" {}
}

impl Elementwise for Abs {
    const NAME: &'static str = "abs";
    const TRAITS: OpTraits = OpTraits::EXACT;
    const RULES: &'static [Rule<Self>] = &[];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        infer_number(Self::NAME, operands, 1)
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        map_number(operands[0], f64::abs, i64::wrapping_abs)
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![Gradient::Value(cx.cotangent() * cx.operand(0).sign())]
    }

    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        b.abs(x[0])
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        [float_cases(s, &Abs {}, -2.0, 2.0), int_cases(&Abs {})].concat()
    }
}
