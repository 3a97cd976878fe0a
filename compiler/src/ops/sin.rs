use super::elementwise::prelude::*;
use super::elementwise::{angle, float_cases, infer_float, map_float};

op_struct! {
    /// Sine of radians: `out[i] = sin(a[i])`.
    ///
    /// - C1 `a` and the result: one float dtype, one shape.
    /// - C2 NaN at infinities. An angle beyond 6.5e6 (f32) or 1.6e9 (f64) counts as 0: that far out, neighbouring f32
    ///   numbers are half a radian apart.
    /// - Gradient: `d_a = d_out · cos(a)`.
    ///
    /// # Errors
    /// E0202 if C1 fails.
    ///
    /// Reference: StableHLO `sine`.
    Sin = "sin" {}
}

impl Elementwise for Sin {
    const NAME: &'static str = "sin";
    const TRAITS: OpTraits = OpTraits::ELEMENTWISE;
    const RULES: &'static [Rule<Self>] = &[];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        infer_float(Self::NAME, operands, 1)
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        map_float(operands[0], angle(operands[0].dtype(), libm::sin))
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![Gradient::Value(cx.cotangent() * cx.operand(0).cos())]
    }

    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        b.unary(UnaryOp::Sin, x[0])
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        float_cases(s, &Sin {}, -4.0, 4.0)
    }
}
