use super::elementwise::prelude::*;
use super::elementwise::{expect_dtype, expect_operands, float_cases, int_cases};

op_struct! {
    /// The operand itself, as a constant to differentiation: `out[i] = a[i]`.
    ///
    /// - C1 `a` and the result: any dtype, one shape.
    /// - Gradient: zero, by definition.
    ///
    /// The law that drops it is of a pass that runs after differentiation.
    ///
    /// # Errors
    /// E0202 if the dtype is not supported.
    ///
    /// Reference: TensorFlow `StopGradient`.
    StopGradient = "stop_gradient" {}
}

impl Elementwise for StopGradient {
    const NAME: &'static str = "stop_gradient";
    const TRAITS: OpTraits = OpTraits::EXACT;
    const RULES: &'static [Rule<Self>] = &[Rule {
        pass: "canonicalize",
        law: "stop_gradient x = x",
        apply: |_, cx| Some(cx.operands.clone()),
    }];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        expect_operands(Self::NAME, operands, 1)?;
        expect_dtype(Self::NAME, &operands[0], |_| true, "any dtype")?;
        Ok(operands[0].clone())
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        operands[0].clone()
    }

    fn vjp<'g>(&self, _: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![Gradient::Zero]
    }

    fn lower(&self, _: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        x[0]
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        let by_definition = "the gradient is zero by definition";
        let floats = float_cases(s, &StopGradient {}, -2.0, 2.0);
        floats
            .into_iter()
            .chain(int_cases(&StopGradient {}))
            .map(|case| Case::skip(case.op, case.operands, by_definition))
            .collect()
    }
}
