//! Copies of a variable to itself.
//!
//! A kernel that updates some elements of a variable first copies the others: `Next(v)` has all elements, and some of them
//! are updated. Where the variable is assigned in place, both are the same memory, and the copy is in vain.

use cranelift_entity::SecondaryMap;

use super::Uses;
use super::in_place::variables_in_place;
use crate::fuse::copies::whole_copy;
use crate::kernel::{BufferId, BufferKind, KernelFunction, Stage};

/// Removes the stages that copy a variable's value at entry to its next value, where the variable will be assigned in
/// place and something else is stored to it.
///
/// *Entry:* kernels in order of execution, not scheduled. *Exit:* the same variables as before can be assigned in place.
/// Elements of `Next(v)` that no stage stores have the value at entry, so what is left is for a planned memory only: it
/// breaks a rule of Kernel IR, by which everything is stored.
pub fn drop_copies(f: &mut KernelFunction) {
    let uses: Vec<Uses> = f.kernels.iter().map(|k| f.uses(k)).collect();
    let in_place = variables_in_place(f, &uses);
    let mut stores: SecondaryMap<BufferId, usize> = SecondaryMap::new();
    for store in f.kernels.iter().flat_map(|k| &k.stages).flat_map(|s| &s.stores) {
        stores[store.buffer] += 1;
    }
    let mut kernels = std::mem::take(&mut f.kernels);
    for kernel in &mut kernels {
        let vain = |stage: &Stage| {
            whole_copy(f, &kernel.axes, stage).is_some_and(|(from, to)| match f.buffers[to].kind {
                BufferKind::Next(v) => {
                    f.buffers[from].kind == BufferKind::Variable(v)
                        && in_place.binary_search(&v).is_ok()
                        && stores[to] > 1
                }
                _ => false,
            })
        };
        let kept = |stage: &Stage| !vain(stage);
        kernel.stages.retain(kept);
    }
    kernels.retain(|kernel| !kernel.stages.is_empty());
    f.kernels = kernels;
}
