//! Where the local buffers of a kernel lie in the scratch of a worker.
//!
//! Of a buffer a worker holds the part that its schedule gives it at a time. Stages run one after the other, so buffers of
//! which no stage needs both lie in the same bytes.

use super::layout::{ALIGN, Use, uses_of};
use crate::kernel::{Axis, BufferId, BufferKind, Kernel, KernelFunction, Schedule, most};
use crate::types::dense_strides;

/// A local buffer in the scratch of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LocalPlace {
    pub(super) buffer: BufferId,
    /// Bytes from the start of the worker's scratch.
    pub(super) offset: usize,
    /// Axes of the kernel that the buffer holds a part of only, each with the bytes for one coordinate.
    pub(super) parts: Vec<(Axis, i64)>,
}

/// A local buffer while the stages run that touch it.
struct Held<'k> {
    buffer: BufferId,
    uses: Vec<Use<'k>>,
    /// The first and the last stage that touches it.
    stages: [usize; 2],
    /// Bytes from the start of the worker's scratch, and how many.
    offset: usize,
    bytes: usize,
}

/// A place, and the strides, in elements, of the part that it holds.
pub(super) type Placed = (LocalPlace, Vec<usize>);

/// The local buffers of a kernel that is run as `schedule` says, in the order in which stages touch them; and the bytes of scratch that they take, a multiple of [`ALIGN`]. `None` if
/// these exceed the address space.
pub(super) fn place_locals(
    function: &KernelFunction,
    kernel: &Kernel,
    schedule: &Schedule,
) -> Option<(Vec<Placed>, usize)> {
    let mut held: Vec<Held<'_>> = Vec::new();
    for (n, stage) in kernel.stages.iter().enumerate() {
        for (used, _) in uses_of(stage) {
            match held.iter_mut().find(|local| local.buffer == used.0) {
                Some(local) => {
                    local.stages[1] = n;
                    local.uses.push(used);
                }
                None if function.buffers[used.0].kind == BufferKind::Local => {
                    let (buffer, stages) = (used.0, [n, n]);
                    held.push(Held { buffer, uses: vec![used], stages, offset: 0, bytes: 0 });
                }
                None => {}
            }
        }
    }
    let mut places = Vec::new();
    for n in 0..held.len() {
        let data = &function.buffers[held[n].buffer];
        let mut shape = most(&data.shape);
        let mut parts = Vec::new();
        for (axis, size) in schedule.parts() {
            if let Some(d) = held_axis(&held[n].uses, shape.len(), axis) {
                shape[d] = shape[d].min(size);
                parts.push((axis, d));
            }
        }
        let bytes = shape.iter().try_fold(data.dtype.bytes(), |bytes, &extent| bytes.checked_mul(extent))?;
        held[n].bytes = bytes.checked_next_multiple_of(ALIGN)?;
        held[n].offset = first_gap(&held[..n], held[n].stages[0], held[n].bytes)?;
        let strides = dense_strides(&shape);
        let bytes_of = |d: usize| (strides[d] * data.dtype.bytes()) as i64;
        let parts = parts.into_iter().map(|(axis, d)| (axis, bytes_of(d))).collect();
        places.push((LocalPlace { buffer: held[n].buffer, offset: held[n].offset, parts }, strides));
    }
    let bytes = held.iter().map(|local| local.offset + local.bytes).max().unwrap_or(0);
    Some((places, bytes))
}

/// Bytes of scratch that the local buffers of a kernel take for each worker if it is run as `schedule` says. Saturates.
pub fn local_bytes(function: &KernelFunction, kernel: &Kernel, schedule: &Schedule) -> usize {
    place_locals(function, kernel, schedule).map_or(usize::MAX, |(_, bytes)| bytes)
}

/// The first offset at which so many bytes are free from a stage on. Those that come later start at no earlier stage.
fn first_gap(held: &[Held<'_>], stage: usize, bytes: usize) -> Option<usize> {
    let mut taken: Vec<(usize, usize)> = (held.iter().filter(|local| local.stages[1] >= stage))
        .map(|local| (local.offset, local.offset + local.bytes))
        .collect();
    taken.sort_unstable();
    let mut offset = 0usize;
    for (from, to) in taken {
        if offset.checked_add(bytes)? <= from {
            break;
        }
        offset = offset.max(to);
    }
    offset.checked_add(bytes).filter(|&end| end <= isize::MAX as usize).map(|_| offset)
}

/// The axis of a local buffer that is stored in part only: all its accesses are at just this axis of the kernel there.
fn held_axis(uses: &[Use<'_>], rank: usize, axis: Axis) -> Option<usize> {
    (0..rank).find(|&d| {
        uses.iter().all(|(_, index, indirect)| index[d].as_axis() == Some(axis) && *indirect != Some(d))
    })
}
