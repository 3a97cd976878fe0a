//! Removal of what nobody reads.

use cranelift_entity::EntitySet;

use crate::kernel::{BufferId, BufferKind, InstKind, KernelFunction, Stage};

use super::deps::loads;
use super::splice::{compact, fold_roots, store_roots};

/// Removes stores to buffers that are never read, scalar code that no store needs, and kernels without stores.
/// Checks of indices stay: they can end the entry point.
pub fn remove(f: &mut KernelFunction) {
    let mut read: EntitySet<BufferId> = EntitySet::new();
    let storage: Vec<BufferId> = f.buffers.keys().map(|b| f.storage(b)).collect();
    // What is read is stored before, so one walk in reverse sees all reads of a buffer before its stores.
    for kernel in f.kernels.iter_mut().rev() {
        for stage in kernel.stages.iter_mut().rev() {
            if !holds_check(stage) {
                stage.stores.retain(|store| {
                    let is_inner =
                        matches!(f.buffers[store.buffer].kind, BufferKind::Temp | BufferKind::Local);
                    !is_inner || read.contains(store.buffer)
                });
            }
            clean(stage);
            for access in stage.bodies().flat_map(|(_, body)| loads(body)) {
                read.insert(storage[access.buffer.as_u32() as usize]);
            }
        }
        kernel.stages.retain(|stage| !stage.stores.is_empty());
    }
    f.kernels.retain(|kernel| !kernel.stages.is_empty());
}

/// Whether a stage checks an index.
pub fn holds_check(stage: &Stage) -> bool {
    stage.bodies().flat_map(|(_, b)| b.insts.values()).any(|i| matches!(i.kind, InstKind::Check { .. }))
}

/// Removes the scalar code of a stage that its stores do not need.
fn clean(stage: &mut Stage) {
    if stage.stores.is_empty() {
        stage.fold = None;
    }
    stage.body = compact(&stage.body, store_roots(&mut stage.stores));
    if let Some(fold) = &mut stage.fold {
        fold.body = compact(&fold.body, fold_roots(&mut fold.accumulators));
    }
}
