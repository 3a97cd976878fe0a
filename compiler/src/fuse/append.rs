//! Consumers into producers: what is done to every element of a result is done before it is stored.
//!
//! ```text
//! kernel k0 (i0 < 32, i1 < 128) { stage { fold … acc0 = dot …; store acc0, buf2[i0, i1] } }
//! kernel k1 (i0 < 32, i1 < 128) { s0 = load buf2[i0, i1]; s1 = load buf3[i1]; s2 = add s0, s1; store s2, buf4[i0, i1] }
//! ```
//! becomes `k0` with `k1`'s scalar code behind the fold: the epilogue of a contraction or reduction, or one more
//! output of a map. Pass `fuse-epilogues`. It is how bias and activation join a matmul, an activation's derivative the
//! matmul that produces the gradient, and an optimizer's update the gradient that it uses.
//!
//! At entry and at exit: kernels in an order that dependencies allow. The scalar code is the same, so are the bits.

use std::collections::HashMap;

use crate::kernel::{
    Affine, BodyBuilder, BufferId, BufferKind, FoldKind, InstKind, Kernel, KernelFunction, ScalarId, Store,
    move_index, points,
};

use super::dead::holds_check;
use super::deps::{Links, kernel_loads, kernel_stores, merge_all};
use super::inline::invert;
use super::splice::{splice, store_roots};
use super::{MAX_BODY, Report};

/// Appends every consumer that can be; gives how many kernels were looked at.
pub fn run(f: &mut KernelFunction, report: &mut Report) -> usize {
    run_to(f, report, |_| true)
}

/// As [`run`], to such producers only.
pub(super) fn run_to(f: &mut KernelFunction, report: &mut Report, to: impl Fn(&Kernel) -> bool) -> usize {
    let visits = merge_all(
        f,
        |f, links, p, c| to(&f.kernels[p]).then(|| appended(f, links, p, c)).flatten(),
        |consumer, producer| report.fused("fuse-epilogues", consumer, producer),
    );
    super::dead::remove(f);
    visits
}

/// Kernel `p` with kernel `c` appended to one of its stages, if that can be done.
fn appended(f: &KernelFunction, links: &Links, p: usize, c: usize) -> Option<Kernel> {
    let (producer, consumer) = (&f.kernels[p], &f.kernels[c]);
    let [consumed] = consumer.stages.as_slice() else { return None };
    if consumed.fold.is_some() {
        return None;
    }
    let written: Vec<BufferId> = kernel_stores(producer).collect();
    // All that is read of the producer comes from one stage, the last that the consumer needs.
    let reads: Vec<_> = kernel_loads(consumer).filter(|a| written.contains(&f.storage(a.buffer))).collect();
    let s = producer
        .stages
        .iter()
        .rposition(|s| s.stores.iter().any(|st| reads.iter().any(|a| a.buffer == st.buffer)))?;
    let stage = &producer.stages[s];
    if stage.fold.as_ref().is_some_and(|fold| fold.kind == FoldKind::Scan) {
        return None;
    }
    let consumer_extents = [consumer.axes.as_slice(), &consumed.axes].concat();
    let stage_extents = [producer.axes.as_slice(), &stage.axes].concat();
    let mut axes: Option<Vec<Affine>> = None;
    let mut values: HashMap<BufferId, ScalarId> = HashMap::new();
    for access in reads {
        let store = stage.stores.iter().find(|st| st.buffer == access.buffer)?;
        if store.add || store.indirect.is_some() || access.indirect.is_some() || !access.guards.is_empty() {
            return None;
        }
        let buffer = &f.buffers[store.buffer];
        // Different points store different elements, so these are all there are.
        if points(&stage_extents) != buffer.elements() {
            return None;
        }
        let from = invert(&access.index, &buffer.shape, &consumer_extents)?;
        let mapped = from.iter().map(|d| d.map_or_else(|| Affine::constant(0), |d| store.index[d].clone()));
        let mapped: Vec<Affine> = mapped.collect();
        if axes.as_ref().is_some_and(|known| *known != mapped) {
            return None;
        }
        axes = Some(mapped);
        values.insert(access.buffer, store.value);
    }
    let axes = axes?;
    if links.separated(f, p, c) {
        return None;
    }
    // Both walk the same number of points.
    if points(&consumer_extents) != points(&stage_extents) {
        return None;
    }
    let to = BodyBuilder::new();
    // What only the consumer reads of the stage is not stored any more.
    let checks = holds_check(stage);
    let is_read = |store: &&Store| {
        checks || f.buffers[store.buffer].kind != BufferKind::Temp || links.readers(store.buffer) != [c]
    };
    let mut stores: Vec<Store> = stage.stores.iter().filter(is_read).cloned().collect();
    let read = values.values().copied();
    let roots: Vec<ScalarId> = store_roots(&mut stores).map(|r| *r).chain(read).collect();
    let own = splice(&to, &stage.body, roots, &Affine::axis, &mut |_, _| None);
    for root in store_roots(&mut stores) {
        *root = own[&*root];
    }
    let mut more: Vec<Store> = consumed.stores.clone();
    let roots: Vec<ScalarId> = store_roots(&mut more).map(|r| *r).collect();
    let map = |axis: usize| axes[axis].clone();
    let moved = splice(&to, &consumed.body, roots, &map, &mut |_, inst| match &inst.kind {
        InstKind::Load(access) => values.get(&access.buffer).map(|v| own[v]),
        _ => None,
    });
    for store in &mut more {
        move_index(&mut store.index, &map);
    }
    for root in store_roots(&mut more) {
        *root = moved[&*root];
    }
    let body = to.finish();
    if body.insts.len() > MAX_BODY {
        return None;
    }
    let mut merged = producer.clone();
    merged.stages[s].stores = stores.into_iter().chain(more).collect();
    merged.stages[s].body = body;
    merged.origin.extend(consumer.origin.iter().cloned());
    links.keeps_in_place(f, [producer, consumer], &merged).then_some(merged)
}
