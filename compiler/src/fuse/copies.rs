//! Copies of whole buffers: what is only made to be copied is made in the place of the copy.
//!
//! ```text
//! kernel k0 (i0 < 8) { stage (i1 < 100) { …; store …, buf1[i1, i0] } stage { fold scan … store_add …, buf1[0 + s1, i0] } }
//! kernel k1 (i0 < 100, i1 < 8) { s0 = load buf1[i0, i1]; store s0, buf2[i0, i1] }
//! ```
//! becomes `k0` with `buf2` in place of `buf1`. Pass `merge-copies`. It is for kernels that other fusion cannot take in:
//! those that update what they have stored. The first stage of such a kernel is often a copy itself, so a chain of
//! updates becomes updates of one buffer.
//!
//! At entry: kernels in an order that dependencies allow, which stays. At exit: no temporary is loaded only by a stage that
//! copies all of it to a buffer that nothing was stored to before. Kernels that update one buffer depend on one another by
//! their order alone, which no other fusion respects: so this pass is the last.

use std::collections::HashSet;

use cranelift_entity::SecondaryMap;

use crate::kernel::{BufferId, BufferKind, Extent, InstKind, KernelFunction, Stage};

use super::Report;
use super::deps::kernel_loads;
use super::inline::invert;

/// What is known of a buffer while the kernels are walked in order.
#[derive(Clone, Default)]
struct Known {
    /// How many loads there are of it or of an alias, in all kernels.
    loads: usize,
    aliased: bool,
    /// The last kernel so far that stores to it.
    writer: Option<usize>,
    /// The buffer that takes its place.
    becomes: Option<BufferId>,
}

/// Merges every copy that can be.
pub fn run(f: &mut KernelFunction, report: &mut Report) {
    let mut known: SecondaryMap<BufferId, Known> = SecondaryMap::new();
    for access in f.kernels.iter().flat_map(kernel_loads) {
        known[f.storage(access.buffer)].loads += 1;
    }
    for buffer in f.buffers.keys().filter(|&b| f.storage(b) != b) {
        known[f.storage(buffer)].aliased = true;
    }
    let mut gone: HashSet<(usize, usize)> = HashSet::new();
    let mut moved = vec![Vec::new(); f.kernels.len()];
    for (k, kernel) in f.kernels.iter().enumerate() {
        for (s, stage) in kernel.stages.iter().enumerate() {
            let merged = whole_copy(f, &kernel.axes, stage).filter(|&(from, to)| {
                let (temp, copy) = (&f.buffers[from].kind, &f.buffers[to].kind);
                let is_temp = match temp {
                    BufferKind::Temp => *copy != BufferKind::Local,
                    BufferKind::Local => true,
                    _ => false,
                };
                is_temp && known[from].loads == 1 && !known[from].aliased && known[to].writer.is_none()
            });
            for store in &stage.stores {
                known[store.buffer].writer = Some(k);
            }
            if let Some((from, to)) = merged {
                known[from].becomes = Some(to);
                gone.insert((k, s));
                let writer = known[from].writer.expect("what is loaded was stored");
                if kernel.stages.len() == 1 {
                    report.fused("merge-copies", kernel, &f.kernels[writer]);
                    known[to].writer = Some(writer);
                    moved[writer].extend(kernel.origin.iter().cloned());
                }
            }
        }
    }
    for (k, kernel) in f.kernels.iter_mut().enumerate() {
        let mut s = 0..;
        kernel.stages.retain(|_| !gone.contains(&(k, s.next().expect("there are numbers enough"))));
        kernel.origin.append(&mut moved[k]);
        for store in kernel.stages.iter_mut().flat_map(|stage| &mut stage.stores) {
            while let Some(to) = known[store.buffer].becomes {
                store.buffer = to;
            }
        }
    }
    f.kernels.retain(|kernel| !kernel.stages.is_empty());
}

/// The buffers that a stage of a kernel with these axes copies from and to, if it does nothing but copy a whole buffer to
/// another of its shape.
pub fn whole_copy(f: &KernelFunction, axes: &[Extent], stage: &Stage) -> Option<(BufferId, BufferId)> {
    let ([store], None) = (stage.stores.as_slice(), &stage.fold) else { return None };
    let InstKind::Load(access) = &stage.body.insts[store.value].kind else { return None };
    let plain =
        access.guards.is_empty() && access.indirect.is_none() && !store.add && store.indirect.is_none();
    let (from, to) = (&f.buffers[access.buffer], &f.buffers[store.buffer]);
    let extents = [axes, &stage.axes].concat();
    let same = plain && from.shape == to.shape && access.index == store.index && stage.body.insts.len() == 1;
    let whole = same && invert(&store.index, &to.shape, &extents).is_some();
    whole.then_some((access.buffer, store.buffer))
}
