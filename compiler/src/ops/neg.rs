use super::elementwise::prelude::*;
use super::elementwise::{float_cases, infer_number, int_cases, map_number};
use super::RewriteCx;
use crate::graph::Expr;

op_struct! {
    /// Negation: `out[i] = -a[i]`.
    ///
    /// - C1 `a` and the result: one float or integer dtype, one shape.
    /// - C2 integers wrap: the least one is its own negation.
    /// - Gradient: `d_a = -d_out`.
    ///
    /// # Errors
    /// E0202 if C1 fails.
    ///
    /// Reference: StableHLO `negate`.
    Neg = "neg" {}
}

impl Elementwise for Neg {
    const NAME: &'static str = "neg";
    const TRAITS: OpTraits = OpTraits::EXACT;
    const RULES: &'static [Rule<Self>] = &[Rule { pass: "algebra", law: "--x = x", apply: twice }];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        infer_number(Self::NAME, operands, 1)
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        map_number(operands[0], |x| -x, i64::wrapping_neg)
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![Gradient::Value(-cx.cotangent())]
    }

    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        b.neg(x[0])
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        [float_cases(s, &Neg {}, -2.0, 2.0), int_cases(&Neg {})].concat()
    }
}

fn twice<'g>(_: &Neg, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    let (inner, operands) = cx.operands[0].def()?;
    matches!(inner, super::Op::Neg(_)).then_some(operands)
}
