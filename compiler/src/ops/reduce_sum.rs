use super::attributes::op_struct;
use super::reduction;
use super::sample::{Case, Sampler};
use super::{EvalCx, Gradient, IndexFault, InferCx, OpDef, OpTraits, RewriteCx, Rule, VjpCx};
use crate::diagnostic::Diagnostic;
use crate::graph::Expr;
use crate::kernel::FoldOp;
use crate::lower::{LowerCx, reduce};
use crate::tensor::{Scalar, Tensor};
use crate::types::TensorType;

op_struct! {
    /// Sum over axes: `out[kept] = Σ a[kept, axes]`.
    ///
    /// - C1 `a`: float or integer; the result has its dtype.
    /// - C2 `axes` are axes of `a`, each once, in ascending order. They are dropped or, if `keep`, stay with extent 1.
    /// - C3 an empty axis gives 0. Integers wrap. Floats are added in a fixed grouping of several partial sums.
    /// - Gradient: `d_a` is `d_out` broadcast along the axes.
    ///
    /// # Errors
    /// E0202 if C1 fails, E0206 if C2 fails.
    ///
    /// Reference: StableHLO `reduce` with `add`.
    ReduceSum = "reduce_sum" {
        /// The axes to sum over.
        axes: Vec<usize>,
        /// Whether they stay, with extent 1.
        keep: bool = false,
    }
}

impl OpDef for ReduceSum {
    const NAME: &'static str = "reduce_sum";
    const TRAITS: OpTraits = OpTraits::PLAIN;
    const RULES: &'static [Rule<Self>] =
        &[Rule { pass: "canonicalize", law: "reduce_sum over no axes = x", apply: no_axes }];

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        reduction::infer(Self::NAME, operands, &self.axes, self.keep)
    }

    fn eval(&self, _: &EvalCx<'_>, operands: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        Ok(vec![reduction::eval(operands[0], &self.axes, self.keep, 0.0, |a, b| a + b, 0, i64::wrapping_add)])
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![Gradient::Value(reduction::spread(cx.cotangent(), cx.operand(0), &self.axes, self.keep))]
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        reduce::reduce(cx, &self.axes, FoldOp::Sum, Scalar::zero(cx.result_dtype(0)));
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        let mut cases = Vec::new();
        for (shape, axes) in reduction::SAMPLES {
            for keep in [false, true] {
                let op = ReduceSum { axes: axes.to_vec(), keep };
                cases.push(Case::smooth(op, vec![s.floats(shape, -2.0, 2.0)]));
            }
        }
        cases.push(Case::smooth(ReduceSum { axes: vec![0], keep: false }, vec![s.ints(&[9, 2], -99, 99)]));
        cases
    }
}

fn no_axes<'g>(op: &ReduceSum, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    op.axes.is_empty().then(|| cx.operands.clone())
}
