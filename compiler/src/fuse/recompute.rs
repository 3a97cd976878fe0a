//! Values computed again where they are needed late, instead of being kept: it lowers the peak of memory.
//!
//! ```text
//! kernel k0 (i0 < 9) { …; s2 = add acc0, s1; s3 = tanh s2; store s2, buf1[i0]; store s3, buf2[i0] }
//! …                            the peak
//! kernel k7 (i0 < 9) { s0 = load buf2[i0]; … load buf1[i0]; … }
//! ```
//! gets a kernel before `k7` with `s0 = load buf1[i0]; s1 = tanh s0; store s1, buf9[i0]`, and `k7` reads `buf9`; where that can
//! be, it is fused with those that read it. Pass `recompute`, which runs if it is asked for.
//!
//! A value is computed again if it is alive at the peak but not touched there, and if what it takes is little for each element
//! (`MAX_COST`): scalar code on values that are kept anyway, on values that are much smaller, or on such as are computed again
//! in turn. So of the weights of attention, rows of maxima and sums are kept. Values that the same stage stores are read
//! rather than computed.
//!
//! At entry and at exit: kernels in an order that dependencies allow. The scalar code is the same, so are the bits.

use std::collections::HashMap;

use cranelift_entity::SecondaryMap;

use crate::kernel::{
    Access, Body, BodyBuilder, Buffer, BufferId, BufferKind, Extent, FoldKind, InstKind, Kernel,
    KernelFunction, ScalarId, Stage, Store, points,
};

use super::dead::holds_check;
use super::deps::{kernel_loads, kernel_stores, loads};
use super::inline::{self, Producers, cost};
use super::{Report, append, group};

/// Instructions that an element may take.
const MAX_COST: usize = 200;

/// A value that is kept for another one is smaller than it by this factor.
const SMALLER: usize = 8;

/// Buffers of fewer bytes are kept.
const WORTH: usize = 1 << 12;

/// Computes again what lowers the peak, until nothing does.
pub fn run(f: &mut KernelFunction, report: &mut Report) {
    let mut is_new: SecondaryMap<BufferId, bool> = SecondaryMap::new();
    while let Some(again) = Lives::of(f).best(f, &is_new) {
        again.apply(f, &mut is_new, report);
    }
    // They become one with those that read them, never with what comes before the peak.
    let is_again = |kernel: &Kernel| kernel_stores(kernel).any(|buffer| is_new[buffer]);
    inline::run(f, Producers::Maps, report);
    append::run_to(f, report, is_again);
    group::run_behind(f, report, is_again);
}

/// Which values may be read when another one is computed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// Those that are there anyway, and those that are much smaller.
    Alive,
    /// Of these, those that are at most half as large.
    Smaller,
}

/// When buffers are touched, aliases counting as what they are of.
pub(super) struct Lives {
    /// Positions of kernels, in order.
    touched: SecondaryMap<BufferId, Vec<usize>>,
    /// The kernel that needs most memory.
    peak: usize,
}

/// Kernels that compute a value again.
pub(super) struct Again {
    of: BufferId,
    /// The position before which they come.
    at: usize,
    /// What they compute, in order, and how.
    steps: Vec<(BufferId, Kernel)>,
    /// Local buffers that leave their kernel for them.
    kept: Vec<BufferId>,
    /// Instructions for each element of the value.
    cost: usize,
    keep: Keep,
    max_cost: usize,
}

impl Lives {
    /// The lives of a function's buffers.
    pub(super) fn of(f: &KernelFunction) -> Lives {
        let mut touched: SecondaryMap<BufferId, Vec<usize>> = SecondaryMap::new();
        for (k, kernel) in f.kernels.iter().enumerate() {
            let loaded = kernel_loads(kernel).map(|access| f.storage(access.buffer));
            for buffer in loaded.chain(kernel_stores(kernel)) {
                if touched[buffer].last() != Some(&k) {
                    touched[buffer].push(k);
                }
            }
        }
        let mut changes = vec![0i128; f.kernels.len() + 1];
        for (id, buffer) in &f.buffers {
            if let (BufferKind::Temp, [first, .., last] | [first @ last]) =
                (&buffer.kind, touched[id].as_slice())
            {
                changes[*first] += buffer.bytes() as i128;
                changes[*last + 1] -= buffer.bytes() as i128;
            }
        }
        let (mut live, mut most, mut peak) = (0, 0, 0);
        for (k, change) in changes.into_iter().enumerate() {
            live += change;
            if live > most {
                (most, peak) = (live, k);
            }
        }
        Lives { touched, peak }
    }

    /// What frees most at the peak, and of such what takes least.
    fn best(&self, f: &KernelFunction, is_new: &SecondaryMap<BufferId, bool>) -> Option<Again> {
        let mut found: Option<Again> = None;
        for (id, buffer) in f.buffers.iter().filter(|(id, b)| b.kind == BufferKind::Temp && !is_new[*id]) {
            let Some(at) = self.needed_after(id) else { continue };
            let better = |known: &Again| buffer.bytes() > f.buffers[known.of].bytes();
            if buffer.bytes() < WORTH || found.as_ref().is_some_and(|known| !better(known)) {
                continue;
            }
            found = self.again(f, id, at, &HashMap::new(), Keep::Alive, MAX_COST).or(found);
        }
        found
    }

    /// Kernels that compute a buffer again before kernel `at`, by at most `max_cost` instructions for each element. Values
    /// that are `known` there are read where they are now.
    pub(super) fn again(
        &self,
        f: &KernelFunction,
        buffer: BufferId,
        at: usize,
        known: &HashMap<BufferId, BufferId>,
        keep: Keep,
        max_cost: usize,
    ) -> Option<Again> {
        let (steps, kept) = (Vec::new(), Vec::new());
        let mut again = Again { of: buffer, at, steps, kept, cost: 0, keep, max_cost };
        self.plan(f, buffer, known, &mut again)?;
        Some(again)
    }

    /// The first kernel after the peak that touches a buffer that was touched before it and is not at the peak.
    fn needed_after(&self, buffer: BufferId) -> Option<usize> {
        let touched = &self.touched[buffer];
        let after = touched.partition_point(|&k| k < self.peak);
        let &at = touched.get(after)?;
        (after > 0 && at > self.peak).then_some(at)
    }

    /// Whether a value is there when the kernels that compute another one again run, or may be kept until then for one of
    /// `bytes`.
    fn is_kept(&self, f: &KernelFunction, buffer: BufferId, again: &Again, bytes: usize) -> bool {
        let storage = f.storage(buffer);
        let is_inner = matches!(f.buffers[storage].kind, BufferKind::Temp | BufferKind::Local);
        if again.keep == Keep::Smaller
            && is_inner
            && f.buffers[storage].bytes() * 2 > f.buffers[again.of].bytes()
        {
            return false;
        }
        match f.buffers[storage].kind {
            BufferKind::Param(_) | BufferKind::Constant(_) | BufferKind::RandomState => true,
            _ => {
                self.touched[storage].last().is_some_and(|&last| last >= again.at)
                    || is_inner && f.buffers[storage].bytes() * SMALLER <= bytes
            }
        }
    }

    /// Adds the kernels that compute a buffer again, after those that compute what they need.
    fn plan(
        &self,
        f: &KernelFunction,
        buffer: BufferId,
        known: &HashMap<BufferId, BufferId>,
        again: &mut Again,
    ) -> Option<()> {
        if known.contains_key(&buffer) || again.steps.iter().any(|step| step.0 == buffer) {
            return Some(());
        }
        let bytes = f.buffers[again.of].bytes();
        let &writer = self.touched[buffer].first()?;
        let kernel = &f.kernels[writer];
        let stores =
            kernel.stages.iter().flat_map(|stage| stage.stores.iter().map(move |store| (stage, store)));
        let (stage, store) = stores.clone().find(|(_, store)| store.buffer == buffer)?;
        let is_only = stores.filter(|(_, store)| store.buffer == buffer).count() == 1;
        if !is_only || store.add || store.indirect.is_some() || holds_check(stage) {
            return None;
        }
        let extents: Vec<Extent> = [kernel.axes.as_slice(), &stage.axes].concat();
        if points(&extents) != f.buffers[buffer].elements() {
            return None;
        }
        let kept = |other: &&Store| {
            other.buffer != buffer
                && !other.add
                && other.indirect.is_none()
                && self.is_kept(f, other.buffer, again, 0)
        };
        let stored: HashMap<ScalarId, &Store> =
            stage.stores.iter().filter(kept).map(|other| (other.value, other)).collect();
        let (body, value) = again_from(&stage.body, store.value, &stored);
        let needs_fold = body.insts.values().any(|inst| matches!(inst.kind, InstKind::Acc { .. }));
        let fold = match &stage.fold {
            Some(fold) if needs_fold && fold.kind == FoldKind::Reduce => Some(fold.clone()),
            Some(_) if needs_fold => return None,
            _ => None,
        };
        let of_fold = fold.as_ref().map_or(0, |fold| {
            let element: usize = fold.body.insts.values().map(cost).sum::<usize>() + fold.accumulators.len();
            element.saturating_mul(points(&fold.axes))
        });
        let of_body: usize = body.insts.values().map(cost).sum();
        let elements = f.buffers[again.of].elements().max(1);
        again.cost += of_fold.saturating_add(of_body).saturating_mul(points(&extents)).div_ceil(elements);
        if again.cost > again.max_cost {
            return None;
        }
        let inputs =
            fold.iter().flat_map(|fold| loads(&fold.body)).chain(loads(&body)).map(|access| access.buffer);
        for input in inputs.collect::<Vec<_>>() {
            let is_local = f.buffers[input].kind == BufferKind::Local;
            match !known.contains_key(&f.storage(input)) && self.is_kept(f, input, again, bytes) {
                true if is_local => again.kept.push(input),
                true => {}
                false if is_local || f.buffers[input].kind == BufferKind::Temp => {
                    self.plan(f, f.storage(input), known, again)?
                }
                false => return None,
            }
        }
        let stores = vec![Store { value, ..store.clone() }];
        // One stage: its points are the kernel's.
        let stage = Stage { axes: vec![], fold, body, stores };
        again.steps.push((buffer, Kernel { axes: extents, stages: vec![stage], ..kernel.clone() }));
        Some(())
    }
}

/// The scalar code for a value, in which values that are stored are loaded.
fn again_from(body: &Body, root: ScalarId, known: &HashMap<ScalarId, &Store>) -> (Body, ScalarId) {
    // Where a value is known, nothing that it needs is wanted: walk from the root.
    let mut wanted = vec![false; body.insts.len()];
    wanted[root.as_u32() as usize] = true;
    for (id, inst) in body.insts.iter().rev() {
        if wanted[id.as_u32() as usize] && (id == root || !known.contains_key(&id)) {
            inst.kind.each_operand(|operand| wanted[operand.as_u32() as usize] = true);
        }
    }
    let to = BodyBuilder::new();
    let mut values: HashMap<ScalarId, ScalarId> = HashMap::new();
    for (id, inst) in body.insts.iter().filter(|(id, _)| wanted[id.as_u32() as usize]) {
        let value = match known.get(&id).filter(|_| id != root) {
            Some(store) => to.load(
                Access {
                    buffer: store.buffer,
                    index: store.index.clone(),
                    indirect: None,
                    guards: vec![],
                    fill: crate::tensor::Scalar::zero(inst.dtype),
                },
                inst.dtype,
            ),
            None => {
                let mut kind = inst.kind.clone();
                kind.each_operand_mut(|operand| *operand = values[&*operand]);
                to.inst(kind, inst.dtype)
            }
        };
        values.insert(id, value);
    }
    (to.finish(), values[&root])
}

impl Again {
    fn apply(self, f: &mut KernelFunction, is_new: &mut SecondaryMap<BufferId, bool>, report: &mut Report) {
        report.again("recompute", &f.buffers[self.of].name);
        let (mut renamed, at) = (HashMap::new(), self.at);
        let count = self.insert(f, at, &mut renamed);
        renamed.values().for_each(|&new| is_new[new] = true);
        f.kernels[at + count..].iter_mut().for_each(|kernel| rename_loads(kernel, &renamed));
        super::renumber(f);
    }

    /// Inserts the kernels at a position, and gives how many there are. `known` says what has the values that they read and, afterwards,
    /// those that they compute.
    pub(super) fn insert(
        self,
        f: &mut KernelFunction,
        at: usize,
        known: &mut HashMap<BufferId, BufferId>,
    ) -> usize {
        for (old, _) in &self.steps {
            let buffer = Buffer { kind: BufferKind::Temp, ..f.buffers[*old].clone() };
            known.insert(*old, f.buffers.push(buffer));
        }
        for kept in self.kept {
            f.buffers[kept].kind = BufferKind::Temp;
        }
        // Other shapes of the same bytes.
        let aliases: Vec<BufferId> = f.buffers.keys().filter(|&id| f.storage(id) != id).collect();
        for alias in aliases {
            if let (Some(&new), None) = (known.get(&f.storage(alias)), known.get(&alias)) {
                let buffer = Buffer { kind: BufferKind::Alias(new), ..f.buffers[alias].clone() };
                known.insert(alias, f.buffers.push(buffer));
            }
        }
        let count = self.steps.len();
        let kernels: Vec<Kernel> = (self.steps.into_iter())
            .map(|(_, mut kernel)| {
                rename_loads(&mut kernel, known);
                for store in kernel.stages.iter_mut().flat_map(|stage| &mut stage.stores) {
                    store.buffer = known[&store.buffer];
                }
                kernel
            })
            .collect();
        f.kernels.splice(at..at, kernels);
        count
    }
}

/// Has a kernel load from other buffers.
pub(super) fn rename_loads(kernel: &mut Kernel, renamed: &HashMap<BufferId, BufferId>) {
    for stage in &mut kernel.stages {
        let bodies = stage.fold.iter_mut().map(|fold| &mut fold.body).chain([&mut stage.body]);
        for inst in bodies.flat_map(|body| body.insts.values_mut()) {
            if let InstKind::Load(access) = &mut inst.kind
                && let Some(&new) = renamed.get(&access.buffer)
            {
                access.buffer = new;
            }
        }
    }
}
