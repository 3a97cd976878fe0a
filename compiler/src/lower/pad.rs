//! Lowering of padding: a constant around and between the elements of a buffer.

use crate::kernel::{Affine, BufferId, Extent, Guard};
use crate::tensor::Scalar;

use super::{LowerCx, identity};

/// Adds kernels that put a buffer of this shape into `to`, with `low` elements of `fill` before it, `high` behind it and
/// `interior` between two elements, per axis; `to` has just that size.
pub fn pad(
    cx: &mut LowerCx<'_>,
    (mut from, mut shape): (BufferId, Vec<Extent>),
    [low, high, interior]: [&[usize]; 3],
    fill: Scalar,
    to: BufferId,
) {
    let rank = shape.len();
    // Elements that stand apart, one axis after the other: all but the last bring what follows them, the last does not.
    let apart: Vec<usize> = (0..rank).filter(|&d| interior[d] > 0 && shape[d].most() > 1).collect();
    for axis in apart {
        let (extent, step) = (cx.fixed(shape[axis]), interior[axis] + 1);
        shape[axis] = ((extent - 1) * step + 1).into();
        let to = cx.temp(fill.dtype(), shape.clone());
        let at = |own: Affine| {
            let mut index = identity(rank);
            index[axis] = own;
            index
        };
        let mut axes = shape.clone();
        axes[axis] = (extent - 1).into();
        axes.push(step.into());
        let beside = Affine::axis(rank);
        let first = vec![Guard { expr: beside.clone(), below: 1 }];
        let apart = at(Affine::axis(axis).times(step as i64).plus(&beside));
        cx.map_to(axes, to, apart, |cx, b| cx.load_within(b, from, identity(rank), first, Some(fill)));
        let mut axes = shape.clone();
        axes[axis] = 1.into();
        let last = |n: usize| at(Affine::constant(n as i64));
        cx.map_to(axes, to, last((extent - 1) * step), |cx, b| cx.load(b, from, last(extent - 1)));
        from = to;
    }
    let index: Vec<Affine> = (0..rank).map(|d| Affine::axis(d).plus_constant(-(low[d] as i64))).collect();
    let padded = |d: &usize| low[*d] + high[*d] > 0;
    let guard = |d: usize| Guard { expr: index[d].clone(), below: cx.fixed(shape[d]) };
    let guards = (0..rank).filter(padded).map(guard).collect();
    let axis = |d: usize| if padded(&d) { (low[d] + cx.fixed(shape[d]) + high[d]).into() } else { shape[d] };
    let axes: Vec<Extent> = (0..rank).map(axis).collect();
    cx.map_to(axes, to, identity(rank), |cx, b| cx.load_within(b, from, index, guards, Some(fill)));
}
