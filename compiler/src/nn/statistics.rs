//! Means, variances and norms.

use crate::graph::Expr;

/// The mean over axes, which are dropped or, if `keep`, stay with extent 1.
#[track_caller]
pub fn mean<'g>(x: Expr<'g>, axes: &[usize], keep: bool) -> Expr<'g> {
    x.reduce_mean(axes, keep)
}

/// The mean of squared differences from the mean over axes (divided by the count, not by one less).
#[track_caller]
pub fn variance<'g>(x: Expr<'g>, axes: &[usize], keep: bool) -> Expr<'g> {
    moments(x, axes, keep).1
}

/// Mean and variance over axes.
#[track_caller]
pub fn moments<'g>(x: Expr<'g>, axes: &[usize], keep: bool) -> (Expr<'g>, Expr<'g>) {
    let mean = x.reduce_mean(axes, true);
    let difference = x - mean;
    let variance = (difference * difference).reduce_mean(axes, keep);
    match keep {
        true => (mean, variance),
        false => (mean.reshape(variance.shape()), variance),
    }
}

/// Square root of the sum of all squares of all values, a scalar.
///
/// # Panics
/// If there is no value.
#[track_caller]
pub fn global_norm<'g>(values: &[Expr<'g>]) -> Expr<'g> {
    let squares = values.iter().map(|&v| (v * v).sum());
    squares.reduce(|sum, square| sum + square).expect("a norm is of one value or more").sqrt()
}
