//! Removal of what nobody reads.

use std::collections::HashSet;

use crate::kernel::{BufferId, BufferKind, InstKind, KernelFunction, Stage};

use super::deps::kernel_loads;
use super::splice::{compact, fold_roots, store_roots};

/// Removes stores to buffers that are never read, scalar code that no store needs, and kernels without stores.
/// Checks of indices stay: they can end the entry point.
pub fn remove(f: &mut KernelFunction) {
    loop {
        let read: HashSet<BufferId> =
            f.kernels.iter().flat_map(kernel_loads).map(|a| f.storage(a.buffer)).collect();
        let dead = |b: BufferId| {
            matches!(f.buffers[b].kind, BufferKind::Temp | BufferKind::Local) && !read.contains(&b)
        };
        let mut changed = false;
        for kernel in &mut f.kernels {
            for stage in &mut kernel.stages {
                let before = stage.stores.len();
                if !holds_check(stage) {
                    stage.stores.retain(|s| !dead(s.buffer));
                }
                changed |= stage.stores.len() != before;
            }
            kernel.stages.retain(|s| !s.stores.is_empty());
        }
        f.kernels.retain(|k| !k.stages.is_empty());
        if !changed {
            break;
        }
    }
    for stage in f.kernels.iter_mut().flat_map(|k| &mut k.stages) {
        clean(stage);
    }
}

fn holds_check(stage: &Stage) -> bool {
    let bodies = stage.fold.iter().map(|f| &f.body).chain([&stage.body]);
    bodies.flat_map(|b| b.insts.values()).any(|i| matches!(i.kind, InstKind::Check { .. }))
}

/// Removes the scalar code of a stage that its stores do not need.
fn clean(stage: &mut Stage) {
    stage.body = compact(&stage.body, store_roots(&mut stage.stores));
    if let Some(fold) = &mut stage.fold {
        fold.body = compact(&fold.body, fold_roots(&mut fold.accumulators));
    }
}
