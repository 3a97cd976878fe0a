//! Where a kernel finds its buffers: those of its frame, and local ones and panels in the scratch of the worker.

use cranelift_entity::SecondaryMap;

use super::access::Placement;
use super::panel::PanelShape;
use crate::kernel::{
    Affine, Axis, Body, BufferId, BufferKind, InstKind, Kernel, KernelFunction, StageSchedule, most,
};
use crate::types::dense_strides;

/// Sizes in scratch are rounded up to this, so that nothing there shares a cache line.
const ALIGN: usize = bessemer_runtime::abi::ALIGN;

/// A local buffer in the scratch of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LocalPlace {
    pub(super) buffer: BufferId,
    /// Bytes from the start of the worker's scratch.
    pub(super) offset: usize,
    /// Axes of the kernel that the buffer holds a part of only, each with the bytes for one coordinate.
    pub(super) parts: Vec<(Axis, i64)>,
}

/// Where everything is.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    pub(super) placements: SecondaryMap<BufferId, Placement>,
    /// Buffers whose addresses are in the frame, in order.
    pub(super) framed: Vec<BufferId>,
    pub(super) locals: Vec<LocalPlace>,
    /// Bytes from the start of the worker's scratch to the panel that stages share.
    pub(super) panel_offset: usize,
    /// Bytes of scratch per worker, a multiple of 64.
    pub(super) worker_bytes: usize,
}

/// One access of a buffer: its coordinates, and the axis of the buffer to which an index that is data is added.
type Use<'k> = (BufferId, &'k [Affine], Option<usize>);

fn loads(body: &Body) -> impl Iterator<Item = Use<'_>> {
    body.insts.values().filter_map(|inst| match &inst.kind {
        InstKind::Load(a) => Some((a.buffer, a.index.as_slice(), a.indirect.map(|i| i.axis))),
        _ => None,
    })
}

/// Every access of a kernel, stage by stage, with whether it writes.
fn uses(kernel: &Kernel) -> Vec<(Use<'_>, bool)> {
    let mut uses = Vec::new();
    for stage in &kernel.stages {
        let bodies = stage.fold.iter().map(|f| &f.body).chain([&stage.body]);
        uses.extend(bodies.flat_map(loads).map(|u| (u, false)));
        let stores = stage.stores.iter();
        uses.extend(stores.map(|s| ((s.buffer, s.index.as_slice(), s.indirect.map(|i| i.axis)), true)));
    }
    uses
}

/// The buffer whose bytes a buffer has.
fn root(function: &KernelFunction, mut buffer: BufferId) -> BufferId {
    // The verifier refuses aliases in a circle; this ends in any case.
    for _ in 0..function.buffers.len() {
        match function.buffers[buffer].kind {
            BufferKind::Alias(of) => buffer = of,
            _ => break,
        }
    }
    buffer
}

/// The axis of a local buffer that is stored in part only: all its accesses are at just this axis of the kernel there.
fn held_axis(uses: &[(Use<'_>, bool)], buffer: BufferId, rank: usize, axis: Axis) -> Option<usize> {
    (0..rank).find(|&d| {
        uses.iter().all(|((used, index, indirect), _)| {
            *used != buffer || (index[d].as_axis() == Some(axis) && *indirect != Some(d))
        })
    })
}

impl Layout {
    /// The layout for a kernel.
    ///
    /// # Errors
    /// Why it has none: scratch would exceed the address space.
    pub(super) fn new(function: &KernelFunction, kernel: &Kernel) -> Result<Layout, String> {
        let uses = uses(kernel);
        let written: Vec<BufferId> =
            uses.iter().filter(|u| u.1).map(|((buffer, ..), _)| root(function, *buffer)).collect();
        let mut layout = Layout::default();
        let mut seen = Vec::new();
        for &((buffer, ..), _) in &uses {
            if seen.contains(&buffer) {
                continue;
            }
            seen.push(buffer);
            let data = &function.buffers[buffer];
            let read_only = !written.contains(&root(function, buffer));
            let mut shape = most(&data.shape);
            if matches!(data.kind, BufferKind::Local) {
                let mut held = Vec::new();
                for (axis, size) in kernel.schedule.parts() {
                    if let Some(d) = held_axis(&uses, buffer, shape.len(), axis) {
                        shape[d] = shape[d].min(size);
                        held.push((axis, d));
                    }
                }
                let placement = Placement::new(data.dtype, &dense_strides(&shape), read_only);
                let parts = held.into_iter().map(|(axis, d)| (axis, placement.strides[d])).collect();
                let bytes =
                    shape.iter().try_fold(data.dtype.bytes(), |bytes, &extent| bytes.checked_mul(extent));
                let offset = layout.reserve(bytes)?;
                layout.locals.push(LocalPlace { buffer, offset, parts });
                layout.placements[buffer] = placement;
            } else {
                layout.placements[buffer] = Placement::new(data.dtype, &data.strides(), read_only);
                layout.framed.push(buffer);
            }
        }
        let panels = kernel.stages.iter().enumerate().map(|(n, stage)| {
            let schedule = kernel.schedule.stages.get(n).unwrap_or(&StageSchedule::Scalar);
            let extents = most(&kernel.axes_of_points(stage));
            PanelShape::new(stage, schedule, &extents).map_or(Some(0), PanelShape::bytes)
        });
        let panel = panels.collect::<Option<Vec<_>>>().map(|sizes| sizes.into_iter().max().unwrap_or(0));
        layout.panel_offset = layout.reserve(panel)?;
        Ok(layout)
    }

    /// Takes so many bytes of scratch, and gives their offset.
    fn reserve(&mut self, bytes: Option<usize>) -> Result<usize, String> {
        let offset = self.worker_bytes;
        self.worker_bytes = bytes
            .and_then(|bytes| bytes.checked_next_multiple_of(ALIGN))
            .and_then(|bytes| offset.checked_add(bytes))
            .filter(|&bytes| bytes <= isize::MAX as usize)
            .ok_or("its scratch exceeds the address space: give it smaller chunks")?;
        Ok(offset)
    }
}
