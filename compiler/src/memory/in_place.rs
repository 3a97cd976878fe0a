//! Which variables may be assigned in place.
//!
//! `Next(v)`, the value assigned to a variable, may take the storage of `Variable(v)`, its value at entry, if nobody can
//! tell. The conditions:
//!
//! - P1 No kernel loads an element of `Variable(v)` that a kernel before it may have stored to `Next(v)`: on some axis the
//!   coordinates of the ones and of the others are apart.
//! - P2 All loads of `Variable(v)` in a kernel `w` that stores to `Next(v)` are in the body (not in the fold's body) of one stage `s`, not through an alias,
//!   without guards and without an indirect coordinate; they have one common index.
//! - P3 If there is such a stage, it has exactly one store to `Next(v)`, which has that index, no indirect coordinate
//!   and no `add`; and no stage before `s` stores to `Next(v)`.
//! - P4 Every kernel that checks an index runs before the first that stores to `Next(v)`.
//! - P5 Both buffers have the same dtype and shape.
//!
//! Why that is enough. By P1 only a kernel that overwrites an element can see it after that. By P5 an index
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

use super::Uses;
use super::order::pair_variables;
use crate::kernel::{
    Access, Affine, BufferId, BufferKind, Indirect, Kernel, KernelFunction, Part, Stage, most,
};

/// The variables, by their numbers, that may be assigned in place, sorted.
pub(super) fn variables_in_place(f: &KernelFunction, uses: &[Uses]) -> Vec<usize> {
    let checked = uses.iter().rposition(|u| u.checks);
    let (_, old_of) = pair_variables(f);
    let mut variables: Vec<usize> = f
        .buffers
        .iter()
        .filter_map(|(next, buffer)| match buffer.kind {
            BufferKind::Next(v) => Some((next, v)),
            _ => None,
        })
        .filter(|&(next, _)| {
            let writers = touching(uses, |u| &u.writes, next);
            let Some(&first) = writers.first() else { return false };
            checked.is_none_or(|last| last < first)
                && old_of[next].is_none_or(|old| {
                    let (a, b) = (&f.buffers[old], &f.buffers[next]);
                    let readers = touching(uses, |u| &u.reads, old);
                    a.dtype == b.dtype
                        && a.shape == b.shape
                        && writers.iter().all(|&writer| {
                            let mut later = readers.iter().filter(|&&reader| reader > writer);
                            let writer = &f.kernels[writer];
                            loads_precede_stores(f, writer, old, next)
                                && later
                                    .all(|&reader| are_apart(f, (writer, next), (&f.kernels[reader], old)))
                        })
                })
        })
        .map(|(_, v)| v)
        .collect();
    variables.sort_unstable();
    variables
}

/// The positions of kernels that touch a buffer in one way.
fn touching(uses: &[Uses], how: impl Fn(&Uses) -> &[BufferId], buffer: BufferId) -> Vec<usize> {
    let touches = |k: &usize| how(&uses[*k]).binary_search(&buffer).is_ok();
    (0..uses.len()).filter(touches).collect()
}

/// The coordinates on each axis of a buffer, from the least to the largest, where they are known.
type Ranges = Vec<Option<(i64, i64)>>;

fn ranges(kernel: &Kernel, stage: &Stage, index: &[Affine], indirect: Option<Indirect>) -> Ranges {
    let extents = most(&kernel.axes_of(stage));
    let is_data = |d: usize| indirect.is_some_and(|indirect| indirect.axis == d);
    index.iter().enumerate().map(|(d, expr)| if is_data(d) { None } else { expr.range(&extents) }).collect()
}

/// P1: whether the elements that one kernel stores to a buffer have, on some axis, other coordinates than those that another
/// kernel loads from one of the same shape.
fn are_apart(
    f: &KernelFunction,
    (writer, next): (&Kernel, BufferId),
    (reader, old): (&Kernel, BufferId),
) -> bool {
    let stored: Vec<Ranges> = (writer.stages.iter())
        .flat_map(|stage| stage.stores.iter().map(move |store| (stage, store)))
        .filter(|(_, store)| store.buffer == next)
        .map(|(stage, store)| ranges(writer, stage, &store.index, store.indirect))
        .collect();
    let mut loads = (reader.stages.iter())
        .flat_map(|stage| stage.loads().map(move |(_, access)| (stage, access)))
        .filter(|(_, access)| f.storage(access.buffer) == old);
    loads.all(|(stage, access)| {
        let loaded = ranges(reader, stage, &access.index, access.indirect);
        let is_apart = |stored: &Ranges| {
            stored.iter().zip(&loaded).any(|pair| match pair {
                (Some(stored), Some(loaded)) => stored.1 < loaded.0 || loaded.1 < stored.0,
                _ => false,
            })
        };
        access.buffer == old && stored.iter().all(is_apart)
    })
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
