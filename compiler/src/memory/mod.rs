//! Where every buffer of a function is stored.
//!
//! Kernels run one after another, so a temporary needs memory from the first kernel that touches it to the last.
//! [`plan`] gives each an offset in one *arena*, the caller's scratch, such that no two that are alive together
//! share a byte. The value assigned to a variable takes the place of the old one where nobody can tell; else it
//! lives in the arena and is copied when all kernels have run (it is *double-buffered*).
//! [`order`] puts kernels into an order that makes both likely; [`drop_copies`] removes what assignment in place makes
//! vain. Before all that, [`choose`] says in which [`Layout`] each variable is stored, and [`store_in_panels`] lets kernels see it so, and [`pad_rows`] keeps the rows of
//! large matrices from competing for the same few sets of a cache.

mod arena;
mod copies;
mod in_place;
mod layout;
mod order;
mod panels;
mod rests;
mod rows;

pub use arena::{LiveRange, peak, place};
pub use copies::drop_copies;
pub(crate) use in_place::loads_precede_stores;
pub use layout::{Layout, PANEL, choose, rest_shape, stored_shape};
pub use order::order;
pub(crate) use order::{Pairs, pair_variables};
pub use panels::store_in_panels;
pub use rests::rest_of;
pub use rows::{pad_rows, pitch};

use bessemer_runtime::abi::{StateHeader, align_up};
use cranelift_entity::SecondaryMap;

use crate::diagnostic::Diagnostic;
use crate::kernel::{BufferId, BufferKind, KernelFunction, Uses};

// A random state is one buffer of two i64.
const _: () = assert!(StateHeader::STEP_OFFSET == StateHeader::SEED_OFFSET + 8);

/// Where a buffer is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Location {
    /// Nowhere: no kernel touches it, or it is local to one, whose code finds room for it.
    #[default]
    None,
    /// Where the n-th argument of the entry point points to: parameters, then results.
    Argument(usize),
    /// At this offset of the state block, in bytes.
    State(usize),
    /// At this offset of the scratch block, in bytes, a multiple of 64.
    Arena(usize),
    /// In a read-only data object of the program.
    Constant,
}

/// A value to copy into a variable when all kernels have run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VariableCopy {
    /// The double-buffered value.
    pub from: BufferId,
    /// Offset of the variable in the state block, in bytes.
    pub to: usize,
    /// How much, without padding.
    pub bytes: usize,
}

/// Where every buffer of a function is stored, and how much memory that takes. All figures are in bytes; sizes of
/// blocks are multiples of 64 and at least 64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Where each buffer is stored.
    pub locations: SecondaryMap<BufferId, Location>,
    /// Values of variables that are double-buffered, in order of the buffers.
    pub copies: Vec<VariableCopy>,
    /// Variables that are assigned in place, by their numbers, sorted.
    pub in_place: Vec<usize>,
    /// Size of the arena.
    pub arena_bytes: usize,
    /// Size that the arena would have if nothing were reused.
    pub without_reuse_bytes: usize,
    /// When most is alive.
    pub peak: Peak,
}

/// The kernel that needs most memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peak {
    /// Its position. One past the last for the copies at the end.
    pub kernel: usize,
    /// Bytes alive while it runs: no arena can be smaller.
    pub bytes: usize,
    /// What is alive, the largest first.
    pub holders: Vec<Holder>,
}

/// A buffer that is alive at the peak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Which one.
    pub buffer: BufferId,
    /// When it is alive, by the positions of kernels, and its size in bytes.
    pub range: LiveRange,
}

/// Plans the memory of a function whose kernels are in order of execution, which has this many parameters, and whose
/// variables are at these offsets of the state block, in bytes.
///
/// # Errors
/// `E0610` if the buffers together exceed the address space.
///
/// # Panics
/// If a variable has no offset: the caller laid out all of the module's.
pub fn plan(f: &KernelFunction, params: usize, variables: &[usize]) -> Result<MemoryPlan, Diagnostic> {
    let uses: Vec<Uses> = f.kernels.iter().map(|k| f.uses(k)).collect();
    let in_place = in_place::variables_in_place(f, &uses);
    let mut plan = MemoryPlan { in_place, ..MemoryPlan::default() };
    let mut stored = Vec::new();
    for (id, buffer) in &f.buffers {
        plan.locations[id] = match buffer.kind {
            BufferKind::Param(n) => Location::Argument(n),
            BufferKind::Result(n) => Location::Argument(params + n),
            BufferKind::Variable(v) => Location::State(variables[v]),
            BufferKind::Next(v) if plan.in_place.binary_search(&v).is_ok() => Location::State(variables[v]),
            BufferKind::Next(v) => {
                plan.copies.push(VariableCopy { from: id, to: variables[v], bytes: buffer.bytes() });
                stored.push(id);
                Location::None
            }
            BufferKind::RandomState => Location::State(StateHeader::SEED_OFFSET),
            BufferKind::Constant(_) => Location::Constant,
            BufferKind::Temp => {
                stored.push(id);
                Location::None
            }
            // Local ones have no location, and aliases get theirs below.
            BufferKind::Local | BufferKind::Alias(_) => Location::None,
        };
    }
    let (held, ranges) = live_ranges(f, &uses, &stored)?;
    plan.without_reuse_bytes = ranges
        .iter()
        .try_fold(0usize, |sum, r| sum.checked_add(r.bytes))
        .filter(|&b| isize::try_from(b).is_ok())
        .ok_or_else(|| too_large(f))?;
    let (offsets, arena_bytes) = place(&ranges);
    plan.arena_bytes = arena_bytes;
    for (&id, offset) in held.iter().zip(offsets) {
        plan.locations[id] = Location::Arena(offset);
    }
    for id in f.buffers.keys() {
        plan.locations[id] = plan.locations[f.storage(id)];
    }
    plan.peak = peak_of(&held, &ranges);
    Ok(plan)
}

/// Those of the buffers that a kernel touches, and when they are alive: from the first kernel that touches them to the
/// last, but the next value of a variable until the copies at the end.
fn live_ranges(
    f: &KernelFunction,
    uses: &[Uses],
    stored: &[BufferId],
) -> Result<(Vec<BufferId>, Vec<LiveRange>), Diagnostic> {
    let mut spans: SecondaryMap<BufferId, Option<(usize, usize)>> = SecondaryMap::new();
    for (kernel, u) in uses.iter().enumerate() {
        for id in u.touched() {
            let first = spans[id].map_or(kernel, |span| span.0);
            spans[id] = Some((first, kernel));
        }
    }
    let mut held = Vec::new();
    let mut ranges = Vec::new();
    for &id in stored {
        let buffer = &f.buffers[id];
        let Some((first, mut last)) = spans[id] else { continue };
        if matches!(buffer.kind, BufferKind::Next(_)) {
            last = uses.len();
        }
        let bytes = align_up(buffer.bytes().max(1)).ok_or_else(|| too_large(f))?;
        held.push(id);
        ranges.push(LiveRange { first, last, bytes });
    }
    Ok((held, ranges))
}

fn peak_of(held: &[BufferId], ranges: &[LiveRange]) -> Peak {
    let (bytes, kernel) = peak(ranges);
    let mut holders: Vec<Holder> = held
        .iter()
        .zip(ranges)
        .filter(|(_, r)| r.first <= kernel && kernel <= r.last)
        .map(|(&buffer, &range)| Holder { buffer, range })
        .collect();
    holders.sort_by_key(|holder| (std::cmp::Reverse(holder.range.bytes), holder.buffer));
    Peak { kernel, bytes, holders }
}

fn too_large(f: &KernelFunction) -> Diagnostic {
    Diagnostic::new("E0610", format!("the temporaries of `{}` exceed the address space", f.name))
        .help("bind a smaller batch size")
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
