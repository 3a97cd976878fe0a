use super::elementwise::prelude::*;
use super::elementwise::{bool_pair_cases, idempotent, infer_logical, int_pair_cases, unit, zero, zip_int};
use super::RewriteCx;
use crate::graph::Expr;
use crate::types::DType;

op_struct! {
    /// Logical and: `out[i] = a[i] ∧ b[i]`; bitwise on integers.
    ///
    /// - C1 `a`, `b` and the result: bool or one integer dtype, one shape.
    /// - Gradient: none; the result is no float.
    ///
    /// # Errors
    /// E0202 and E0203 if C1 fails.
    ///
    /// Reference: StableHLO `and`.
    And = "and" {}
}

impl Elementwise for And {
    const NAME: &'static str = "and";
    const TRAITS: OpTraits = OpTraits::COMMUTATIVE;
    const RULES: &'static [Rule<Self>] = &[Rule { pass: "algebra", law: "x and x = x", apply: |_, cx| idempotent(cx) },Rule { pass: "algebra", law: "x and true = x", apply: with_unit },Rule { pass: "algebra", law: "x and false = false", apply: with_zero },];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        infer_logical(Self::NAME, operands, 2)
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        zip_int(operands[0], operands[1], |a, b| a & b)
    }

    fn vjp<'g>(&self, _: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![Gradient::Zero, Gradient::Zero]
    }

    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        b.and(x[0], x[1])
    }

    fn sample(_: &mut Sampler) -> Vec<Case> {
        [bool_pair_cases(&And {}), int_pair_cases(&And {})].concat()
    }
}

fn with_unit<'g>(_: &And, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    if cx.operands[0].dtype() == DType::Bool { unit(cx, 1.0) } else { None }
}

fn with_zero<'g>(_: &And, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    if cx.operands[0].dtype() == DType::Bool { zero(cx, 0.0) } else { None }
}
