use super::attributes::op_struct;
use super::reduction;
use super::sample::{Case, Sampler};
use super::{EvalCx, Gradient, IndexFault, InferCx, OpDef, OpTraits, RewriteCx, Rule, VjpCx};
use crate::diagnostic::Diagnostic;
use crate::graph::Expr;
use crate::kernel::FoldOp;
use crate::lower::{LowerCx, reduce};
use crate::tensor::{Element as _, Tensor};
use crate::types::TensorType;

op_struct! {
    /// Largest element over axes.
    ///
    /// - C1 `a`: float or integer; the result has its dtype.
    /// - C2 `axes` are axes of `a`, each once, in ascending order. They are dropped or, if `keep`, stay with extent 1.
    /// - C3 an empty axis gives -∞, or the least integer. NaN wins; -0 is below 0.
    /// - Gradient: `d_out` goes to the largest element; if there are several, in equal parts, or to the `first` of them. NaN
    ///   counts as largest for that too, but has no part of equal parts: these are NaN.
    ///
    /// # Errors
    /// E0202 if C1 fails, E0206 if C2 fails.
    ///
    /// Reference: StableHLO `reduce` with `maximum`.
    ReduceMax = "reduce_max" {
        /// The axes that are searched.
        axes: Vec<usize>,
        /// Whether they stay, with extent 1.
        keep: bool = false,
        /// Whether the gradient goes to the first of several largest elements, in row-major order of the axes.
        first: bool = false,
    }
}

impl OpDef for ReduceMax {
    const NAME: &'static str = "reduce_max";
    const TRAITS: OpTraits = OpTraits::PLAIN;
    const RULES: &'static [Rule<Self>] =
        &[Rule { pass: "canonicalize", law: "reduce_max over no axes = x", apply: no_axes }];

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        reduction::infer(Self::NAME, operands, &self.axes, self.keep)
    }

    fn eval(&self, _: &EvalCx<'_>, operands: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        let init = reduction::extreme(operands[0].dtype(), false);
        Ok(vec![reduction::eval(operands[0], &self.axes, self.keep, init.as_f64(), reduction::maximum, i64::convert(init), i64::max)])
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![match self.first {
            true => reduction::give_to_first_largest(cx, &self.axes, self.keep),
            false => Gradient::Value(reduction::share_among_ties(cx, &self.axes, self.keep)),
        }]
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        reduce::reduce(cx, &self.axes, FoldOp::Max, reduction::extreme(cx.result_dtype(0), false));
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        let mut cases = Vec::new();
        for (shape, axes) in reduction::SAMPLES {
            for keep in [false, true] {
                let op = ReduceMax { axes: axes.to_vec(), keep, first: keep };
                let a = s.distinct(shape);
                // Of no element, the result is infinite.
                cases.push(match shape {
                    [0] => Case::skip(op, vec![a], "differences of infinities are NaN"),
                    _ => Case::smooth(op, vec![a]),
                });
            }
        }
        cases.push(Case::smooth(ReduceMax { axes: vec![0], keep: false, first: false }, vec![s.ints(&[9, 2], -99, 99)]));
        // Large enough to be cut into chunks, of which the last one is shorter.
        let large = s.floats(&[33_001], -2.0, 2.0);
        let op = ReduceMax { axes: vec![0], keep: false, first: false };
        cases.push(Case::skip(op, vec![large], "differences in thousands of elements take long"));
        cases
    }
}

fn no_axes<'g>(op: &ReduceMax, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    op.axes.is_empty().then(|| cx.operands.clone())
}
