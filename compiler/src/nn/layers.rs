//! Layers: they declare variables in the current scope and compute with them.

use crate::graph::{Expr, Operand};
use crate::initializers::{glorot_uniform, normal, zeros};
use crate::types::{Extent, Shape};

/// `x · kernel + bias` over the last axis: `[.., in]` to `[.., units]`. Declares `NAME/kernel` `[in, units]` (Glorot
/// uniform) and `NAME/bias` `[units]` (zeros), f32.
#[track_caller]
pub fn dense<'g>(x: Expr<'g>, name: &str, units: usize) -> Expr<'g> {
    let inputs = x.extent(-1);
    let graph = x.graph();
    let (kernel, bias) = graph.scope(name, || {
        let kernel = graph.variable("kernel", [inputs, Extent::Const(units)], glorot_uniform());
        (kernel, graph.variable("bias", [units], zeros()))
    });
    (x.matmul(kernel) + bias).named(name)
}

/// Rows of a table: `[..]` indices (i32 or i64) to `[.., width]`. Declares `NAME/table` `[count, width]` (normal with
/// standard deviation 0.05), f32. An index that is no row ends the call with an error.
#[track_caller]
pub fn embedding<'g>(indices: Expr<'g>, name: &str, count: usize, width: usize) -> Expr<'g> {
    let graph = indices.graph();
    let table = graph.scope(name, || graph.variable("table", [count, width], normal(0.0, 0.05)));
    table.gather(indices, 0)
}

/// Every element becomes 0 with probability `rate`, and the others are divided by `1 - rate`, anew for every step. For
/// functions that are trained; leave it out of those that predict. The rate is a number, or a scalar of the dtype of `x`
/// that is known when the step runs: a placeholder, or a variable, which is not trained. A number becomes a constant named
/// `dropout_rate`, which a library may keep in a variable (`bessemer compile --mutable dropout_rate`).
///
/// Reference: Srivastava et al., "Dropout", 2014.
#[track_caller]
pub fn dropout<'g>(x: Expr<'g>, rate: impl Operand<'g>) -> Expr<'g> {
    let (graph, rate) = (x.graph(), rate.beside(x));
    if rate.as_splat().is_some() {
        rate.named("dropout_rate");
    }
    let kept = graph.random_uniform(x.shape()).cast(x.dtype()).ge(rate);
    kept.select(x / (1.0 - rate), x.full_like(0.0))
}

/// The value cut along an axis into parts of these extents, in order.
#[track_caller]
pub fn split<'g>(x: Expr<'g>, axis: usize, extents: &[usize]) -> Vec<Expr<'g>> {
    let mut start = 0;
    extents
        .iter()
        .map(|extent| {
            let part = x.slice_fixed(axis, start, start + extent);
            start += extent;
            part
        })
        .collect()
}

/// Values of one type side by side along a new axis.
///
/// # Panics
/// If there is no value.
#[track_caller]
pub fn stack<'g>(parts: &[Expr<'g>], axis: usize) -> Expr<'g> {
    let expanded: Vec<Expr<'g>> = parts
        .iter()
        .map(|part| {
            let mut extents = part.shape().0;
            extents.insert(axis.min(extents.len()), Extent::Const(1));
            part.reshape(Shape(extents))
        })
        .collect();
    parts[0].graph().concat(&expanded, axis)
}
