//! Lowering of reductions along axes: where partial results are kept, and where a large one is cut in two.

use crate::kernel::{Affine, Extent, FoldKind, FoldOp, Guard, ScalarId, lanes_along, points};
use crate::tensor::Scalar;

use super::{FoldSpec, LowerCx, accumulator};

/// From this many elements per result, with fewer than [`FEW`] results, a reduction is cut in chunks for threads.
const LARGE: usize = 1 << 15;

/// Elements of an example from which on a reduction over examples is cut into them.
const EXAMPLE: usize = 1 << 9;

/// Results from which on there is parallelism without cutting.
const FEW: usize = 64;

/// Lowers a reduction of operand 0 over `axes` to result 0, with `op` combining and `identity` leaving it as it is.
/// Works for results that keep the axes with extent 1 and for results that drop them.
pub fn reduce(cx: &mut LowerCx<'_>, axes: &[usize], op: fn(ScalarId) -> FoldOp, identity: Scalar) {
    let shape = cx.operand_extents(0);
    let dtype = cx.result_dtype(0);
    let result_shape = cx.result_extents(0);
    let keep = result_shape.len() == shape.len();
    let kept: Vec<usize> = (0..shape.len()).filter(|d| !axes.contains(d)).collect();
    let folded: Vec<Extent> = axes.iter().map(|&a| shape[a]).collect();
    let results = points(kept.iter().map(|&d| &shape[d]));
    let elements = points(&folded);
    let innermost = axes.last().filter(|&&last| last + 1 == shape.len());
    let lanes = innermost.map_or(1, |&last| lanes_along(shape[last]));
    let to = cx.result(0);
    // Axis of the kernel for every axis of the operand, where the kernel has the kept axes (with the reduced ones as
    // axes of extent 1 in the result's rank, if they are kept there) and then the folded ones.
    let kernel_axes = result_shape.clone();
    let place = |d: usize| match kept.iter().position(|&k| k == d) {
        Some(_) if keep => d,
        Some(p) => p,
        None => kernel_axes.len() + axes.iter().position(|&a| a == d).expect("an axis is kept or folded"),
    };
    let index: Vec<Affine> = (0..shape.len()).map(|d| Affine::axis(place(d))).collect();
    let cut = if results < FEW && elements >= LARGE { cut(&folded) } else { None };
    let Some((cut, chunks, length)) = cut else {
        let spec = FoldSpec { axes: kernel_axes, kind: FoldKind::Reduce, fold_axes: folded, lanes };
        cx.fold(
            spec,
            to,
            |cx, b| vec![accumulator(op(cx.load(b, cx.operand(0), index)), dtype)],
            |_, b| b.acc(0, false, dtype),
        );
        return;
    };
    // Element i of the axis that is cut is q·length + r.
    let mut part_axes = vec![chunks];
    part_axes.extend(&kernel_axes);
    let mut part_folded = folded.clone();
    part_folded[cut] = length.into();
    let cut_axis = 1 + kernel_axes.len() + cut;
    let cut_index = Affine::axis(0).times(length as i64).plus(&Affine::axis(cut_axis));
    let part_index: Vec<Affine> = (0..shape.len())
        .map(|d| if d == axes[cut] { cut_index.clone() } else { Affine::axis(place(d) + 1) })
        .collect();
    let guards = match (folded[cut].each(), folded[cut].most()) {
        (None, extent) if extent % length > 0 => vec![Guard { expr: cut_index, below: extent }],
        _ => vec![],
    };
    let part = cx.temp(dtype, part_axes.clone());
    let spec = FoldSpec { axes: part_axes, kind: FoldKind::Reduce, fold_axes: part_folded, lanes };
    cx.fold(
        spec,
        part,
        |cx, b| {
            let element = cx.load_within(b, cx.operand(0), part_index, guards, Some(identity));
            vec![accumulator(op(element), dtype)]
        },
        |_, b| b.acc(0, false, dtype),
    );
    let rank = kernel_axes.len();
    let spec = FoldSpec { axes: kernel_axes, kind: FoldKind::Reduce, fold_axes: vec![chunks], lanes: 1 };
    let index: Vec<Affine> = std::iter::once(Affine::axis(rank)).chain((0..rank).map(Affine::axis)).collect();
    cx.fold(
        spec,
        to,
        |cx, b| vec![accumulator(op(cx.load(b, part, index)), dtype)],
        |_, b| b.acc(0, false, dtype),
    );
}

/// Which of the folded axes is cut, into how many chunks of which length: the longest one, in chunks of about LARGE / 4
/// elements. One that depends on the batch size is cut into examples, if these are not too small.
fn cut(folded: &[Extent]) -> Option<(usize, Extent, usize)> {
    let elements = points(folded);
    let per_index = |i: usize| (elements / folded[i].most()).max(1);
    if let Some((i, each)) = folded.iter().enumerate().find_map(|(i, e)| Some((i, e.each()?))) {
        let largest = folded[i].most() / each;
        return (per_index(i) * each >= EXAMPLE).then(|| (i, Extent::batch(1, largest), each));
    }
    let i = (0..folded.len()).max_by_key(|&i| folded[i].most())?;
    let extent = folded[i].most();
    let length = (LARGE / 4 / per_index(i)).clamp(1, extent);
    Some((i, extent.div_ceil(length).into(), length))
}

/// Lowers a search of operand 0 along an axis to result 0.
pub fn arg(cx: &mut LowerCx<'_>, axis: usize, op: fn(ScalarId) -> FoldOp) {
    let (shape, axes, to) = (cx.operand_extents(0), cx.result_extents(0), cx.result(0));
    let index: Vec<Affine> = (0..shape.len())
        .map(|d| Affine::axis(if d == axis { axes.len() } else { d - usize::from(d > axis) }))
        .collect();
    let spec = FoldSpec { axes, kind: FoldKind::Reduce, fold_axes: vec![shape[axis]], lanes: 1 };
    let dtype = cx.result_dtype(0);
    cx.fold(
        spec,
        to,
        |cx, b| vec![accumulator(op(cx.load(b, cx.operand(0), index)), dtype)],
        |_, b| b.acc(0, false, dtype),
    );
}
