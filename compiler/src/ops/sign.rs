use super::elementwise::prelude::*;
use super::elementwise::{float_cases, infer_number, int_cases, map_number};

op_struct! {
    /// Sign: `out[i]` is -1, 0 or 1 as `a[i]` is negative, zero or positive.
    ///
    /// - C1 `a` and the result: one float or integer dtype, one shape.
    /// - C2 floats: zeros keep their sign and NaN stays.
    /// - Gradient: zero; the result changes only in jumps.
    ///
    /// # Errors
    /// E0202 if C1 fails.
    ///
    /// Reference: StableHLO `sign`.
    Sign = "sign" {}
}

impl Elementwise for Sign {
    const NAME: &'static str = "sign";
    const TRAITS: OpTraits = OpTraits::EXACT;
    const RULES: &'static [Rule<Self>] = &[];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        infer_number(Self::NAME, operands, 1)
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        map_number(operands[0], sign, i64::signum)
    }

    fn vjp<'g>(&self, _: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![Gradient::Zero]
    }

    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        b.unary(UnaryOp::Sign, x[0])
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        [float_cases(s, &Sign {}, -2.0, 2.0), int_cases(&Sign {})].concat()
    }
}

fn sign(x: f64) -> f64 {
    if x == 0.0 || x.is_nan() { x } else { 1f64.copysign(x) }
}
