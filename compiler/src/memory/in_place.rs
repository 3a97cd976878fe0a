//! Which variables may be assigned in place.
//!
//! `Next(v)`, the value assigned to a variable, may take the storage of `Variable(v)`, its value at entry, if nobody can
//! tell. Let `w` be the first kernel that stores to `Next(v)`. The conditions:
//!
//! - P1 No kernel after `w` loads `Variable(v)`.
//! - P2 All loads of `Variable(v)` in `w` are in the body (not in the fold's body) of one stage `s`, not through an alias,
//!   without guards and without an indirect coordinate; they have one common index.
//! - P3 If there is such a stage, it has exactly one store to `Next(v)`, which has that index, no indirect coordinate
//!   and no `add`; and no stage before `s` stores to `Next(v)`.
//! - P4 Every kernel that checks an index runs before `w`.
//! - P5 Both buffers have the same dtype and shape.
//!
//! Why that is enough. By P1 only `w` can see an element of the variable after it was overwritten. By P5 an index
//! means the same element in both. Say that a point `p` of the stage `s` (of all its axes, those of a scan
//! included) loads the element `e`; by P2 and P3 the same point stores it, after its loads, for stores follow the body.
//! - Another point of `s` does not store `e`: a store without `add` puts different points at different elements.
//! - No stage before `s` stores to `Next(v)`, by P3.
//! - A stage after `s` may store to `e`, but only for the point of the kernel's axes that `p` belongs to, for points
//!   of the kernel's axes don't depend on each other; and for this point `s` has run by then.
//!
//! So every load of `e` comes before every store to it. This asks two things of the code generator: each point of
//! `s` runs exactly once (a tail that recomputes elements of the strip before it would read what it wrote), and loads of
//! a stage's body are not moved behind its stores. By P4 an entry point that ends with an error has overwritten nothing.

use cranelift_entity::SecondaryMap;

use super::Uses;
use super::order::pair_variables;
use crate::kernel::{Access, BufferId, BufferKind, Kernel, KernelFunction, Part, Stage};

/// The variables, by their numbers, that may be assigned in place, sorted.
pub(super) fn variables_in_place(f: &KernelFunction, uses: &[Uses]) -> Vec<usize> {
    let checked = uses.iter().rposition(|u| u.checks);
    let mut first_writer: SecondaryMap<BufferId, Option<usize>> = SecondaryMap::new();
    let mut last_reader = first_writer.clone();
    for (k, u) in uses.iter().enumerate() {
        u.writes.iter().for_each(|&b| first_writer[b] = first_writer[b].or(Some(k)));
        u.reads.iter().for_each(|&b| last_reader[b] = Some(k));
    }
    let (_, old_of) = pair_variables(f);
    let mut variables: Vec<usize> = f
        .buffers
        .iter()
        .filter_map(|(next, buffer)| match buffer.kind {
            BufferKind::Next(v) => Some((next, v)),
            _ => None,
        })
        .filter(|&(next, _)| {
            let Some(writer) = first_writer[next] else { return false };
            checked.is_none_or(|last| last < writer)
                && old_of[next].is_none_or(|old| {
                    let (a, b) = (&f.buffers[old], &f.buffers[next]);
                    a.dtype == b.dtype
                        && a.shape == b.shape
                        && last_reader[old].is_none_or(|last| last <= writer)
                        && loads_precede_stores(f, &f.kernels[writer], old, next)
                })
        })
        .map(|(_, v)| v)
        .collect();
    variables.sort_unstable();
    variables
}

/// P2 and P3.
pub(crate) fn loads_precede_stores(
    f: &KernelFunction,
    kernel: &Kernel,
    old: BufferId,
    next: BufferId,
) -> bool {
    let is_old = |access: &Access| f.storage(access.buffer) == old;
    let loads = |stage: &Stage| stage.loads().any(|(_, access)| is_old(access));
    let stores = |stage: &Stage| stage.stores.iter().any(|store| store.buffer == next);
    let Some(s) = kernel.stages.iter().position(loads) else { return true };
    let stage = &kernel.stages[s];
    let mut stores_here = stage.stores.iter().filter(|store| store.buffer == next);
    let (Some(store), None) = (stores_here.next(), stores_here.next()) else { return false };
    !store.add
        && store.indirect.is_none()
        && !kernel.stages[..s].iter().any(stores)
        && !kernel.stages[s + 1..].iter().any(loads)
        && stage.loads().filter(|(_, access)| is_old(access)).all(|(part, access)| {
            part == Part::Body
                && access.buffer == old
                && access.guards.is_empty()
                && access.indirect.is_none()
                && access.index == store.index
        })
}
