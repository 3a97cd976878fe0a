//! Kernels into one kernel of several stages: what a row needs of a row is done while the row is at hand.
//!
//! ```text
//! kernel k0 (i0 < 100) { stage { fold (i1 < 10) { … } acc0 = max …; store acc0, buf1[i0] } }
//! kernel k1 (i0 < 100, i1 < 10) { s0 = load buf0[i0, i1]; s1 = load buf1[i0]; …; store …, buf2[i0, i1] }
//! ```
//! becomes one kernel over `i0` with two stages, and `buf1`, if nobody else reads it, is local to it. Pass
//! `fuse-stages`. It is how a softmax row, a layer norm, and a bias gradient with the matmul before it become one kernel.
//!
//! Two kernels can be grouped over the axes on which the second reads just what the same point of the first wrote.
//! A contraction comes behind another stage only if a matrix between them is not stored then, of which each point of the
//! shared axes has a slice of its own, and if no point reads a whole operand that others read too: so the scores of attention
//! exist for few heads at a time, forward and backward.
//!
//! At entry and at exit: kernels in an order that dependencies allow. The loops are the same, so are the bits.

use std::collections::HashSet;

use cranelift_entity::SecondaryMap;

use crate::kernel::{
    Affine, Axis, BufferId, BufferKind, Extent, FoldKind, FoldOp, Kernel, KernelFunction, Stage, points,
};

use super::Report;
use super::deps::{Links, kernel_loads, kernel_stores, loads, merge_all};

/// With fewer points of the shared axes than this, grouping costs parallelism.
const ENOUGH_POINTS: usize = 16;

/// If a point leaves more bytes than this for the next stage, these have left the cache by then: no gain, and the axes
/// that are not shared are lost to threads and tiles.
const MAX_BYTES: usize = 1 << 18;

/// As [`ENOUGH_POINTS`], where a contraction comes behind another stage: a point is much work.
pub(super) const FEW_POINTS: usize = 4;

/// As [`MAX_BYTES`], where a contraction comes behind another stage: it uses every byte many times.
pub(super) const MAX_SLICE: usize = 4 << 20;

/// A buffer of fewer bytes is not worth that a contraction comes behind another stage.
const WORTH_SLICES: usize = 1 << 17;

/// If a contraction reads more bytes than this for every point of the shared axes, it is not grouped: the points of a
/// chunk are too few to read that again for them, and the axes that are not shared could divide it instead.
const MAX_REPEATED: usize = 1 << 20;

/// Bytes of a cache line.
const CACHE_LINE: usize = 64;

/// More stages than this are not put into one kernel: what the first left for the last is not at hand any more.
const MAX_STAGES: usize = 64;

/// Kernels of at most this many scalar steps are worth less than a call, whatever axes they share.
const TINY: usize = 2048;

/// Groups every pair that can be; gives how many kernels were looked at.
pub fn run(f: &mut KernelFunction, report: &mut Report) -> usize {
    run_behind(f, report, |_| true)
}

/// As [`run`], behind such kernels only.
pub(super) fn run_behind(
    f: &mut KernelFunction,
    report: &mut Report,
    behind: impl Fn(&Kernel) -> bool,
) -> usize {
    let visits = merge_all(
        f,
        |f, links, p, c| behind(&f.kernels[p]).then(|| grouped(f, links, p, c)).flatten(),
        |second, first| report.fused("fuse-stages", second, first),
    );
    localize(f);
    visits
}

fn grouped(f: &KernelFunction, links: &Links, p: usize, c: usize) -> Option<Kernel> {
    let (first, second) = (&f.kernels[p], &f.kernels[c]);
    if first.stages.len() + second.stages.len() > MAX_STAGES {
        return None;
    }
    let shared = shared_axes(f, first, second)?;
    let axes: Vec<Extent> = shared.iter().map(|&(a, _)| first.axes[a]).collect();
    let contracts = second.stages.iter().any(is_contraction);
    if contracts {
        let [of_first, of_second]: [Vec<Axis>; 2] =
            [shared.iter().map(|s| s.0).collect(), shared.iter().map(|s| s.1).collect()];
        let own = has_own_operands(first, &of_first) && has_own_operands(second, &of_second);
        if !own || !saves_slices(f, links, p, c) {
            return None;
        }
    }
    let tiny = steps(first) <= TINY && steps(second) <= TINY;
    let (enough, most) = if contracts { (FEW_POINTS, MAX_SLICE) } else { (ENOUGH_POINTS, MAX_BYTES) };
    if points(&axes) < enough && !tiny || left_behind(f, first, second, &shared) > most {
        return None;
    }
    if repeated(f, first, &shared) > MAX_REPEATED {
        return None;
    }
    if links.separated(f, p, c) {
        return None;
    }
    // What is not shared becomes an axis of the stages.
    let stages_of = |kernel: &Kernel, own: Vec<Axis>| {
        kernel.stages.iter().map(|stage| demote(stage, kernel, &own)).collect::<Vec<_>>()
    };
    let mut stages = stages_of(first, shared.iter().map(|s| s.0).collect());
    stages.extend(stages_of(second, shared.iter().map(|s| s.1).collect()));
    let grouped = Kernel {
        name: first.name.clone(),
        axes,
        stages,
        schedule: first.schedule.clone(),
        origin: first.origin.iter().chain(&second.origin).cloned().collect(),
    };
    links.keeps_in_place(f, [first, second], &grouped).then_some(grouped)
}

/// Whether kernel `c` could be put behind kernel `p` for what `p` leaves to it, if nobody else read that.
pub(super) fn may_join(f: &KernelFunction, links: &Links, p: usize, c: usize) -> bool {
    let (first, second) = (&f.kernels[p], &f.kernels[c]);
    shared_axes(f, first, second).is_some_and(|shared| {
        points(shared.iter().map(|s| &first.axes[s.0])) >= FEW_POINTS
            && left_behind(f, first, second, &shared) <= MAX_SLICE
    }) && !links.separated(f, p, c)
}

/// The most bytes that one of the buffers between two kernels takes for a point of the shared axes, or, where neighbouring
/// points share cache lines, for as many as do.
fn left_behind(f: &KernelFunction, first: &Kernel, second: &Kernel, shared: &[(Axis, Axis)]) -> usize {
    let written: HashSet<BufferId> = kernel_stores(first).collect();
    let bytes = kernel_loads(second).filter(|access| written.contains(&access.buffer)).map(|access| {
        let axes = |expr: &Affine| shared.iter().find(|&&(_, axis)| expr.as_axis() == Some(axis));
        let others = (access.index.iter().zip(&f.buffers[access.buffer].shape))
            .filter(|(expr, _)| axes(expr).is_none());
        let per_point = points(others.map(|(_, extent)| extent));
        let is_column = access.index.last().is_some_and(|expr| axes(expr).is_some());
        match is_column {
            true => per_point.saturating_mul(CACHE_LINE),
            false => per_point.saturating_mul(f.buffers[access.buffer].dtype.bytes()),
        }
    });
    bytes.max().unwrap_or(0)
}

/// Bytes of the largest operand that a contraction reads whole at every point of the shared axes.
fn repeated(f: &KernelFunction, first: &Kernel, shared: &[(Axis, Axis)]) -> usize {
    let is_shared = |expr: &Affine| expr.terms().iter().any(|(axis, _)| shared.iter().any(|s| s.0 == *axis));
    let folds =
        first.stages.iter().filter(|stage| is_contraction(stage)).filter_map(|stage| stage.fold.as_ref());
    let loads = folds.flat_map(|fold| loads(&fold.body)).filter(|access| !access.index.iter().any(is_shared));
    loads.map(|access| f.buffers[access.buffer].bytes()).max().unwrap_or(0)
}

/// Whether kernel `c` reads a large buffer that kernel `p` writes, and all that read it can become one kernel with `p`.
fn saves_slices(f: &KernelFunction, links: &Links, p: usize, c: usize) -> bool {
    let read: HashSet<BufferId> = kernel_loads(&f.kernels[c]).map(|access| access.buffer).collect();
    kernel_stores(&f.kernels[p]).any(|buffer| {
        let data = &f.buffers[buffer];
        read.contains(&buffer)
            && matches!(data.kind, BufferKind::Temp)
            && data.bytes() >= WORTH_SLICES
            && links.readers(buffer).iter().all(|&reader| {
                let joins = |shared: Vec<(Axis, Axis)>| {
                    points(shared.iter().map(|s| &f.kernels[p].axes[s.0])) >= FEW_POINTS
                };
                reader == p
                    || shared_axes(f, &f.kernels[p], &f.kernels[reader]).is_some_and(joins)
                        && !links.separated(f, p, reader)
            })
    })
}

/// Whether both operands of every contraction of a kernel depend on some of its axes.
fn has_own_operands(kernel: &Kernel, axes: &[Axis]) -> bool {
    let is_shared = |expr: &Affine| expr.terms().iter().any(|(axis, _)| axes.contains(axis));
    let folds =
        kernel.stages.iter().filter(|stage| is_contraction(stage)).filter_map(|stage| stage.fold.as_ref());
    folds.flat_map(|fold| loads(&fold.body)).all(|access| access.index.iter().any(is_shared))
}

fn is_contraction(stage: &Stage) -> bool {
    stage.fold.iter().flat_map(|f| &f.accumulators).any(|a| matches!(a.op, FoldOp::Dot(..)))
}

fn steps(kernel: &Kernel) -> usize {
    let outer = points(&kernel.axes);
    let stage = |s: &Stage| {
        let inner = points(&s.axes);
        let body = s.body.insts.len();
        inner
            * s.fold.as_ref().map_or(body, |fold| {
                let elements = points(&fold.axes);
                match fold.kind {
                    FoldKind::Reduce => elements * fold.body.insts.len() + body,
                    FoldKind::Scan => elements * (fold.body.insts.len() + body),
                }
            })
    };
    outer.saturating_mul(kernel.stages.iter().map(stage).sum())
}

/// Pairs of a kernel axis of `first` and one of `second` such that, on them, `second` reads what the same point of
/// `first` wrote. `None` if a buffer between them is used in a way that no pair describes.
fn shared_axes(f: &KernelFunction, first: &Kernel, second: &Kernel) -> Option<Vec<(Axis, Axis)>> {
    let written: HashSet<BufferId> = kernel_stores(first).collect();
    let mut pairs: Option<Vec<(Axis, Axis)>> = None;
    for access in kernel_loads(second) {
        if !written.contains(&f.storage(access.buffer)) {
            continue;
        }
        // Read under another shape, or at coordinates that are data: any point may be meant.
        if !written.contains(&access.buffer) || access.indirect.is_some() {
            pairs = Some(vec![]);
            continue;
        }
        for store in first.stages.iter().flat_map(|s| &s.stores).filter(|s| s.buffer == access.buffer) {
            let here: Vec<(Axis, Axis)> = store
                .index
                .iter()
                .zip(&access.index)
                .filter_map(|(w, r)| {
                    let (a, b) = (w.as_axis()?, r.as_axis()?);
                    let kernel_axes = a < first.axes.len() && b < second.axes.len();
                    (kernel_axes && first.axes[a] == second.axes[b]).then_some((a, b))
                })
                .collect();
            pairs = Some(match pairs {
                None => here,
                Some(known) => known.into_iter().filter(|p| here.contains(p)).collect(),
            });
        }
    }
    // Both write the same variable or result in parts, or one of them twice: leave them apart.
    if kernel_stores(second).any(|b| written.contains(&b)) {
        return None;
    }
    let mut pairs = pairs?;
    pairs.sort_unstable();
    pairs.dedup();
    Some(pairs)
}

/// A stage of a kernel whose axes are now `own`, in this order; the kernel's other axes come before the stage's.
fn demote(stage: &Stage, kernel: &Kernel, own: &[Axis]) -> Stage {
    let rest: Vec<Axis> = (0..kernel.axes.len()).filter(|a| !own.contains(a)).collect();
    let order: Vec<Axis> = own.iter().chain(&rest).copied().collect();
    let axes = |axis: Axis| {
        // Axes of the stage and of its fold keep their place behind all those of the kernel.
        Affine::axis(order.iter().position(|&a| a == axis).unwrap_or(axis))
    };
    let mut stage = stage.clone();
    stage.axes = rest.iter().map(|&a| kernel.axes[a]).chain(stage.axes).collect();
    stage.move_axes(&axes);
    stage
}

/// Makes local what only one kernel writes and reads, where every point reads only what it wrote.
fn localize(f: &mut KernelFunction) {
    let mut users: SecondaryMap<BufferId, Vec<usize>> = SecondaryMap::new();
    for (k, kernel) in f.kernels.iter().enumerate() {
        let loaded = kernel_loads(kernel).map(|a| f.storage(a.buffer));
        for buffer in loaded.chain(kernel_stores(kernel)).collect::<HashSet<_>>() {
            users[buffer].push(k);
        }
    }
    let aliased: HashSet<BufferId> =
        f.buffers.keys().map(|b| (b, f.storage(b))).filter(|(b, of)| b != of).map(|(_, of)| of).collect();
    let read: HashSet<BufferId> = f.kernels.iter().flat_map(kernel_loads).map(|a| a.buffer).collect();
    for (id, buffer) in f.buffers.iter_mut().filter(|(_, b)| b.kind == BufferKind::Temp) {
        if let [kernel] = users[id][..]
            && read.contains(&id)
            && !aliased.contains(&id)
            && !f.kernels[kernel].axes.is_empty()
        {
            buffer.kind = BufferKind::Local;
        }
    }
}
