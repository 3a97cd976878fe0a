use super::elementwise::prelude::*;
use super::elementwise::{float_cases, infer_float, map_float};

op_struct! {
    /// Natural logarithm: `out[i] = log(a[i])`.
    ///
    /// - C1 `a` and the result: one float dtype, one shape.
    /// - C2 -∞ at zeros of either sign, NaN below.
    /// - Gradient: `d_a = d_out / a`.
    ///
    /// # Errors
    /// E0202 if C1 fails.
    ///
    /// Reference: StableHLO `log`.
    Log = "log" {}
}

impl Elementwise for Log {
    const NAME: &'static str = "log";
    const TRAITS: OpTraits = OpTraits::ELEMENTWISE;
    const RULES: &'static [Rule<Self>] = &[];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        infer_float(Self::NAME, operands, 1)
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        map_float(operands[0], libm::log)
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![Gradient::Value(cx.cotangent() / cx.operand(0))]
    }

    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        b.unary(UnaryOp::Log, x[0])
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        float_cases(s, &Log {}, 0.25, 4.0)
    }
}
