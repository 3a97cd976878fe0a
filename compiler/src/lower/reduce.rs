//! Lowering of reductions along axes: where partial results are kept, and where a large one is cut in two.

use crate::kernel::{Affine, FoldKind, FoldOp, Guard, ScalarId};
use crate::tensor::Scalar;

use super::{FoldSpec, LowerCx, accumulator};

/// Partial results of a reduction along the innermost axis: enough to hide the latency of an addition.
const LANES: usize = 16;

/// From this many elements per result, with fewer than [`FEW`] results, a reduction is cut in chunks for threads.
const LARGE: usize = 1 << 15;

/// Results from which on there is parallelism without cutting.
const FEW: usize = 64;

/// Lowers a reduction of operand 0 over `axes` to result 0, with `op` combining and `identity` leaving it as it is.
/// Works for results that keep the axes with extent 1 and for results that drop them.
pub fn reduce(cx: &mut LowerCx<'_>, axes: &[usize], op: fn(ScalarId) -> FoldOp, identity: Scalar) {
    let shape = cx.operand_shape(0);
    let dtype = cx.result_dtype(0);
    let result_shape = cx.result_shape(0);
    let keep = result_shape.len() == shape.len();
    let kept: Vec<usize> = (0..shape.len()).filter(|d| !axes.contains(d)).collect();
    let folded: Vec<usize> = axes.iter().map(|&a| shape[a]).collect();
    let results: usize = kept.iter().map(|&d| shape[d]).product();
    let elements: usize = folded.iter().product();
    let lanes = lanes_for(axes, &shape);
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
    if results >= FEW || elements < LARGE {
        let spec = FoldSpec { axes: kernel_axes, kind: FoldKind::Reduce, fold_axes: folded, lanes };
        cx.fold(
            spec,
            to,
            |cx, b| vec![accumulator(op(cx.load(b, cx.operand(0), index)), dtype)],
            |_, b| b.acc(0, false, dtype),
        );
        return;
    }
    // Cut the longest folded axis into chunks of about LARGE / 4 elements: element i of it is q·length + r.
    let cut = (0..axes.len()).max_by_key(|&i| folded[i]).expect("a large reduction folds an axis");
    let per_index = elements / folded[cut];
    let length = (LARGE / 4 / per_index.max(1)).clamp(1, folded[cut]);
    let chunks = folded[cut].div_ceil(length);
    let mut part_axes = vec![chunks];
    part_axes.extend(&kernel_axes);
    let mut part_folded = folded.clone();
    part_folded[cut] = length;
    let cut_axis = 1 + kernel_axes.len() + cut;
    let cut_index = Affine::axis(0).times(length as i64).plus(&Affine::axis(cut_axis));
    let part_index: Vec<Affine> = (0..shape.len())
        .map(|d| if d == axes[cut] { cut_index.clone() } else { Affine::axis(place(d) + 1) })
        .collect();
    let guards = match folded[cut] % length {
        0 => vec![],
        _ => vec![Guard { expr: cut_index, below: folded[cut] }],
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

/// Lowers a search of operand 0 along an axis to result 0.
pub fn arg(cx: &mut LowerCx<'_>, axis: usize, op: fn(ScalarId) -> FoldOp) {
    let (shape, axes, to) = (cx.operand_shape(0), cx.result_shape(0), cx.result(0));
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

/// Partial results for a fold over `axes`: several where the innermost axis is contiguous in memory and long enough.
pub fn lanes_for(axes: &[usize], shape: &[usize]) -> usize {
    match axes.last() {
        Some(&last) if last + 1 == shape.len() && shape[last] >= 4 * LANES => LANES,
        Some(&last) if last + 1 == shape.len() && shape[last] >= 4 => 4,
        _ => 1,
    }
}
