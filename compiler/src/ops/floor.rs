use super::elementwise::prelude::*;
use super::elementwise::{float_cases, infer_float, map_float};

op_struct! {
    /// The largest integer that is not larger: `out[i] = ⌊a[i]⌋`.
    ///
    /// - C1 `a` and the result: one float dtype, one shape.
    /// - C2 a zero result has the sign of `a[i]`.
    /// - Gradient: zero; the result changes only in jumps.
    ///
    /// # Errors
    /// E0202 if C1 fails.
    ///
    /// Reference: StableHLO `floor`.
    Floor = "floor" {}
}

impl Elementwise for Floor {
    const NAME: &'static str = "floor";
    const TRAITS: OpTraits = OpTraits::EXACT;
    const RULES: &'static [Rule<Self>] = &[];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        infer_float(Self::NAME, operands, 1)
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        map_float(operands[0], f64::floor)
    }

    fn vjp<'g>(&self, _: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![Gradient::Zero]
    }

    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        b.floor(x[0])
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        float_cases(s, &Floor {}, -4.0, 4.0)
    }
}
