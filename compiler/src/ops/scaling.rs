//! What the laws of `fold-scales` have in common: they are given the operands of the op whose result is multiplied, and
//! then the factor.

use super::{Op, RewriteCx};
use crate::graph::Expr;
use crate::types::{Extent, Shape};

/// Whether a sum of products computes a value.
pub fn is_contraction(value: Expr<'_>) -> bool {
    value.def().is_some_and(|(op, _)| op.traits().contraction)
}

/// The op of its first operand and of its second times the factor, which varies along the last axis of the result: the
/// axis that is the `axis`-th last of the second operand. `None` if the second operand is not known, or the factor varies
/// along other axes too.
pub fn with_scaled<'g>(
    op: &(impl Into<Op> + Clone),
    cx: &RewriteCx<'g>,
    axis: usize,
) -> Option<Vec<Expr<'g>>> {
    let [a, weights, factor] = cx.operands[..] else { return None };
    let factor = factor.unrepeated();
    let shape = factor.shape();
    let (last, outer) =
        shape.0.split_last().map_or((Extent::Const(1), &[][..]), |(last, outer)| (*last, outer));
    if !weights.is_known() || outer.iter().any(|&e| e != Extent::Const(1)) {
        return None;
    }
    let mut along = vec![Extent::Const(1); axis];
    along[0] = last;
    let scaled = weights * factor.reshape(Shape(along));
    Some(vec![cx.graph.add(op.clone(), &[a, scaled])])
}
