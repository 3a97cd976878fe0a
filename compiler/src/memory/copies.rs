//! Copies of a variable to itself.
//!
//! A kernel that updates some elements of a variable first copies the others: `Next(v)` has all elements, and some of them
//! are updated. Where the variable is assigned in place, both are the same memory, and the copy is in vain.

use super::Uses;
use super::in_place::variables_in_place;
use crate::fuse::copies::whole_copy;
use crate::kernel::{BufferKind, KernelFunction};

/// Removes the stages that copy a variable's value at entry to its next value, where the variable will be assigned in
/// place and something else is stored to it.
///
/// *Entry:* kernels in order of execution, not scheduled. *Exit:* the same variables as before can be assigned in place.
/// Elements of `Next(v)` that no stage stores have the value at entry, so what is left is for a planned memory only: it
/// breaks a rule of Kernel IR, by which everything is stored.
pub fn drop_copies(f: &mut KernelFunction) {
    let uses: Vec<Uses> = f.kernels.iter().map(|k| f.uses(k)).collect();
    for v in variables_in_place(f, &uses) {
        let is_next = |kind: &BufferKind| *kind == BufferKind::Next(v);
        let stores = f.kernels.iter().flat_map(|k| &k.stages).flat_map(|s| &s.stores);
        if stores.filter(|store| is_next(&f.buffers[store.buffer].kind)).count() < 2 {
            continue;
        }
        let found = f.kernels.iter().enumerate().find_map(|(k, kernel)| {
            let copies = |stage| {
                whole_copy(f, kernel, stage).is_some_and(|(from, to)| {
                    f.buffers[from].kind == BufferKind::Variable(v) && is_next(&f.buffers[to].kind)
                })
            };
            Some((k, kernel.stages.iter().position(copies)?))
        });
        if let Some((k, s)) = found {
            f.kernels[k].stages.remove(s);
        }
    }
    f.kernels.retain(|kernel| !kernel.stages.is_empty());
}
