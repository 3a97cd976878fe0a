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
//! A contraction may only be the first stage: behind another stage it would run for few rows at a time.
//!
//! At entry and at exit: kernels in an order that dependencies allow. The loops are the same, so are the bits.

use std::collections::HashSet;

use crate::kernel::{Affine, Axis, BufferId, BufferKind, FoldOp, Kernel, KernelFunction, Stage};

use super::Report;
use super::append::producers;
use super::deps::{Dependencies, kernel_loads, kernel_stores, sort};
use super::splice::{move_axes, move_index};

/// With fewer points of the shared axes than this, grouping costs parallelism.
const ENOUGH_POINTS: usize = 16;

/// Kernels of at most this many scalar steps are worth less than a call, whatever axes they share.
const TINY: usize = 2048;

/// Groups every pair that can be.
pub fn run(f: &mut KernelFunction, report: &mut Report) {
    let mut c = 0;
    while c < f.kernels.len() {
        let deps = Dependencies::of(f);
        let found =
            producers(f, &deps, c).into_iter().rev().find_map(|p| Some((p, grouped(f, &deps, p, c)?)));
        match found {
            None => c += 1,
            Some((p, merged)) => {
                report.fused("fuse-stages", &f.kernels[c], &f.kernels[p]);
                f.kernels[p] = merged;
                f.kernels.remove(c);
                sort(f);
                c = p;
            }
        }
    }
    localize(f);
}

fn grouped(f: &KernelFunction, deps: &Dependencies, p: usize, c: usize) -> Option<Kernel> {
    let (first, second) = (&f.kernels[p], &f.kernels[c]);
    if deps.separated(p, c) || second.stages.iter().any(is_contraction) {
        return None;
    }
    let shared = shared_axes(f, first, second)?;
    let points: usize = shared.iter().map(|&(a, _)| first.axes[a]).product();
    let tiny = steps(first) <= TINY && steps(second) <= TINY;
    if points < ENOUGH_POINTS && !tiny {
        return None;
    }
    // What is not shared becomes an axis of the stages.
    let stages_of = |kernel: &Kernel, own: Vec<Axis>| {
        kernel.stages.iter().map(|stage| demote(stage, kernel, &own)).collect::<Vec<_>>()
    };
    let mut stages = stages_of(first, shared.iter().map(|s| s.0).collect());
    stages.extend(stages_of(second, shared.iter().map(|s| s.1).collect()));
    Some(Kernel {
        name: first.name.clone(),
        axes: shared.iter().map(|&(a, _)| first.axes[a]).collect(),
        stages,
        schedule: first.schedule.clone(),
        origin: first.origin.iter().chain(&second.origin).cloned().collect(),
    })
}

fn is_contraction(stage: &Stage) -> bool {
    stage.fold.iter().flat_map(|f| &f.accumulators).any(|a| matches!(a.op, FoldOp::Dot(..)))
}

fn steps(kernel: &Kernel) -> usize {
    let outer: usize = kernel.axes.iter().product();
    let stage = |s: &Stage| {
        let inner: usize = s.axes.iter().product();
        let fold = s.fold.as_ref().map_or(0, |f| f.axes.iter().product::<usize>() * f.body.insts.len());
        inner * (fold + s.body.insts.len())
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
    for inst in stage.body.insts.values_mut() {
        move_axes(&mut inst.kind, &axes);
    }
    if let Some(fold) = &mut stage.fold {
        for inst in fold.body.insts.values_mut() {
            move_axes(&mut inst.kind, &axes);
        }
    }
    for store in &mut stage.stores {
        move_index(&mut store.index, &axes);
    }
    stage
}

/// Makes local what only one kernel writes and reads, where every point reads only what it wrote.
fn localize(f: &mut KernelFunction) {
    let deps = Dependencies::of(f);
    let aliased: HashSet<BufferId> = f
        .buffers
        .values()
        .filter_map(|b| match b.kind {
            BufferKind::Alias(of) => Some(f.storage(of)),
            _ => None,
        })
        .collect();
    let temps: Vec<BufferId> =
        f.buffers.iter().filter(|(_, b)| matches!(b.kind, BufferKind::Temp)).map(|(id, _)| id).collect();
    for buffer in temps {
        let (writers, readers) = (deps.writers.get(&buffer), deps.readers.get(&buffer));
        let (Some([w]), Some([r])) = (writers.map(Vec::as_slice), readers.map(Vec::as_slice)) else {
            continue;
        };
        if w == r && !aliased.contains(&buffer) && !f.kernels[*w].axes.is_empty() {
            f.buffers[buffer].kind = BufferKind::Local;
        }
    }
}
