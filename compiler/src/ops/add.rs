use super::attributes::op_struct;
use super::elementwise::{infer_same, is_number, zip_number};
use super::sample::{Case, SHAPES, Sampler};
use super::{EvalCx, Gradient, IndexFault, InferCx, OpDef, OpTraits, RewriteCx, Rule, VjpCx};
use crate::diagnostic::Diagnostic;
use crate::graph::Expr;
use crate::lower::LowerCx;
use crate::tensor::Tensor;
use crate::types::TensorType;

op_struct! {
    /// Sum: `out[i] = a[i] + b[i]`.
    ///
    /// - C1 `a`, `b` and the result: one float or integer dtype, one shape.
    /// - C2 integers wrap.
    /// - Gradient: `d_a = d_out`, `d_b = d_out`.
    ///
    /// # Errors
    /// E0202 and E0203 if C1 fails.
    ///
    /// Reference: StableHLO `add`.
    Add = "add" {}
}

impl OpDef for Add {
    const NAME: &'static str = "add";
    const TRAITS: OpTraits = OpTraits::COMMUTATIVE;
    const RULES: &'static [Rule<Self>] = &[Rule { pass: "algebra", law: "x + -0 = x", apply: add_zero }];

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        infer_same(Self::NAME, operands, 2, is_number, "a float or integer dtype")
    }

    fn eval(&self, _: &EvalCx<'_>, operands: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        Ok(vec![zip_number(operands[0], operands[1], |a, b| a + b, i64::wrapping_add)])
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![Gradient::Value(cx.cotangent()), Gradient::Value(cx.cotangent())]
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        cx.elementwise(|b, x| b.add(x[0], x[1]));
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        let mut cases: Vec<Case> = SHAPES
            .iter()
            .map(|shape| Case::smooth(Add {}, vec![s.floats(shape, -2.0, 2.0), s.floats(shape, -2.0, 2.0)]))
            .collect();
        cases.push(Case::smooth(Add {}, vec![s.ints(&[5], i64::from(i32::MIN), 0), s.ints(&[5], -9, 9)]));
        cases
    }
}

/// For floats the zero is -0.0: 0.0 would turn -0.0 into 0.0.
fn add_zero<'g>(_: &Add, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    let [a, b] = [cx.operands[0], cx.operands[1]];
    if b.is_splat(-0.0) {
        return Some(vec![a]);
    }
    a.is_splat(-0.0).then(|| vec![b])
}
