use super::RewriteCx;
use super::elementwise::prelude::*;
use super::elementwise::{infer_logical, int_cases, map, map_number};
use crate::graph::Expr;
use crate::types::DType;

op_struct! {
    /// Logical negation: `out[i] = ¬a[i]`; bitwise on integers.
    ///
    /// - C1 `a` and the result: bool or one integer dtype, one shape.
    /// - Gradient: none; the result is no float.
    ///
    /// # Errors
    /// E0202 if C1 fails.
    ///
    /// Reference: StableHLO `not`.
    Not = "not" {}
}

impl Elementwise for Not {
    const NAME: &'static str = "not";
    const TRAITS: OpTraits = OpTraits::EXACT;
    const RULES: &'static [Rule<Self>] = &[Rule { pass: "algebra", law: "not (not x) = x", apply: twice }];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        infer_logical(Self::NAME, operands, 1)
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        match operands[0].dtype() {
            DType::Bool => map(operands[0], |x: bool| !x),
            _ => map_number(operands[0], |x| x, |x| !x),
        }
    }

    fn vjp<'g>(&self, _: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![Gradient::Zero]
    }

    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        b.not(x[0])
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        let mut cases = int_cases(&Not {});
        cases.extend([&[][..], &[0], &[17]].map(|shape| Case::smooth(Not {}, vec![s.bools(shape)])));
        cases
    }
}

fn twice<'g>(_: &Not, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    let (inner, operands) = cx.operands[0].def()?;
    matches!(inner, super::Op::Not(_)).then_some(operands)
}
