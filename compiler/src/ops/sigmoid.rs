use super::elementwise::prelude::*;
use super::elementwise::{float_cases, infer_float, map_float};

op_struct! {
    /// Logistic function: `out[i] = 1 / (1 + e^(-a[i]))`.
    ///
    /// - C1 `a` and the result: one float dtype, one shape.
    /// - Gradient: `d_a = d_out · out·(1 - out)`.
    ///
    /// # Errors
    /// E0202 if C1 fails.
    ///
    /// Reference: StableHLO `logistic`.
    Sigmoid = "sigmoid" {}
}

impl Elementwise for Sigmoid {
    const NAME: &'static str = "sigmoid";
    const TRAITS: OpTraits = OpTraits::ELEMENTWISE;
    const RULES: &'static [Rule<Self>] = &[];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        infer_float(Self::NAME, operands, 1)
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        map_float(operands[0], |x| 1.0 / (1.0 + libm::exp(-x)))
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        let out = cx.result(0);
        vec![Gradient::Value(cx.cotangent() * (out * (1.0 - out)))]
    }

    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        b.unary(UnaryOp::Sigmoid, x[0])
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        float_cases(s, &Sigmoid {}, -4.0, 4.0)
    }
}
