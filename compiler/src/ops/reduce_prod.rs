use super::attributes::op_struct;
use super::reduction;
use super::sample::{Case, Sampler};
use super::{EvalCx, Gradient, IndexFault, InferCx, OpDef, OpTraits, RewriteCx, Rule, VjpCx};
use crate::diagnostic::Diagnostic;
use crate::graph::Expr;
use crate::kernel::FoldOp;
use crate::lower::{LowerCx, reduce};
use crate::tensor::{Scalar, Tensor};
use crate::types::{Extent, TensorType};

op_struct! {
    /// Product over axes: `out[kept] = Π a[kept, axes]`.
    ///
    /// - C1 `a`: float or integer; the result has its dtype.
    /// - C2 `axes` are axes of `a`, each once, in ascending order. They are dropped or, if `keep`, stay with extent 1.
    /// - C3 an empty axis gives 1. Integers wrap. Floats are multiplied in a fixed grouping of several partial products.
    /// - Gradient: `d_a[i] = d_out · Π_{j ≠ i} a[j]`, from products of pairs, so that zeros need no special case; it is
    ///   not defined along an axis that depends on the batch size.
    ///
    /// # Errors
    /// E0202 if C1 fails, E0206 if C2 fails.
    ///
    /// Reference: StableHLO `reduce` with `multiply`.
    ReduceProd = "reduce_prod" {
        /// The axes to multiply over.
        axes: Vec<usize>,
        /// Whether they stay, with extent 1.
        keep: bool = false,
    }
}

impl OpDef for ReduceProd {
    const NAME: &'static str = "reduce_prod";
    const TRAITS: OpTraits = OpTraits::PLAIN;
    const RULES: &'static [Rule<Self>] =
        &[Rule { pass: "canonicalize", law: "reduce_prod over no axes = x", apply: no_axes }];

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        reduction::infer(Self::NAME, operands, &self.axes, self.keep)
    }

    fn eval(&self, _: &EvalCx<'_>, operands: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        Ok(vec![reduction::eval(operands[0], &self.axes, self.keep, 1.0, |a, b| a * b, 1, i64::wrapping_mul)])
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        let a = cx.operand(0);
        let mut others = reduction::spread(cx.cotangent(), a, &self.axes, self.keep);
        // One axis after the other: the product of the others is that along this axis, of products along the rest.
        let mut part = a;
        for &axis in &self.axes {
            let Extent::Const(extent) = a.shape().0[axis] else {
                return vec![Gradient::Missing("a product along an axis that depends on the batch size")];
            };
            if extent == 0 {
                return vec![Gradient::Value(a.full_like(0.0))];
            }
            others = others * products_of_others(part, axis, extent).broadcast_to(a.shape());
            part = part.reduce_prod(&[axis], true);
        }
        vec![Gradient::Value(others)]
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        reduce::reduce(cx, &self.axes, FoldOp::Prod, Scalar::F64(1.0).convert(cx.result_dtype(0)));
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        let mut cases = Vec::new();
        for (shape, axes) in reduction::SAMPLES.iter().filter(|(shape, _)| shape.iter().product::<usize>() < 100) {
            for keep in [false, true] {
                let op = ReduceProd { axes: axes.to_vec(), keep };
                cases.push(Case::smooth(op, vec![s.floats(shape, 0.5, 1.5)]));
            }
        }
        let zeros = Tensor::from_vec(&[2, 3], vec![0.0f32, 2.0, 0.0, 3.0, 0.0, -1.5]);
        cases.push(Case::smooth(ReduceProd { axes: vec![1], keep: false }, vec![zeros]));
        cases.push(Case::smooth(ReduceProd { axes: vec![0], keep: false }, vec![s.ints(&[9, 2], -99, 99)]));
        cases
    }
}

/// For every element, the product of the others along an axis of this extent: products of pairs are formed up to one
/// product of all, and on the way back each half is multiplied by its sibling.
fn products_of_others<'g>(a: Expr<'g>, axis: usize, extent: usize) -> Expr<'g> {
    if extent == 1 {
        return a.full_like(1.0);
    }
    let half = extent.div_ceil(2);
    // An odd element at the end has no sibling: its pair is completed by 1.
    let (left, right) = (a.slice_fixed(axis, 0, half), a.slice_fixed(axis, half, extent));
    let right = right.pad_axis(axis, 0, 2 * half - extent, 1.0);
    let outer = products_of_others(left * right, axis, half);
    let both = a.graph().concat(&[outer * right, outer * left], axis);
    both.slice_fixed(axis, 0, extent)
}

fn no_axes<'g>(op: &ReduceProd, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    op.axes.is_empty().then(|| cx.operands.clone())
}
