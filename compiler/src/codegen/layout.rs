//! Where a kernel finds its buffers: those of its frame, and local ones and panels in the scratch of the worker.

use cranelift_entity::SecondaryMap;

use super::access::Placement;
use super::locals::{LocalPlace, place_locals};
use super::panel::PanelShape;
use super::strip;
use crate::kernel::{
    Affine, Body, BufferId, BufferKind, InstKind, Kernel, KernelFunction, Stage, StageSchedule, most,
};

/// Sizes in scratch are rounded up to this, so that nothing there shares a cache line.
pub(super) const ALIGN: usize = bessemer_runtime::abi::ALIGN;

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

/// Why a kernel has no layout.
const TOO_LARGE: &str = "its scratch exceeds the address space: give it smaller chunks";

/// One access of a buffer: its coordinates, and the axis of the buffer to which an index that is data is added.
pub(super) type Use<'k> = (BufferId, &'k [Affine], Option<usize>);

fn loads(body: &Body) -> impl Iterator<Item = Use<'_>> {
    body.insts.values().filter_map(|inst| match &inst.kind {
        InstKind::Load(a) => Some((a.buffer, a.index.as_slice(), a.indirect.map(|i| i.axis))),
        _ => None,
    })
}

/// Every access of a stage, with whether it writes.
pub(super) fn uses_of(stage: &Stage) -> impl Iterator<Item = (Use<'_>, bool)> {
    let bodies = stage.fold.iter().map(|f| &f.body).chain([&stage.body]);
    let stores = stage.stores.iter().map(|s| (s.buffer, s.index.as_slice(), s.indirect.map(|i| i.axis)));
    bodies.flat_map(loads).map(|u| (u, false)).chain(stores.map(|u| (u, true)))
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

impl Layout {
    /// The layout for a kernel.
    ///
    /// # Errors
    /// Why it has none: scratch would exceed the address space.
    pub(super) fn new(function: &KernelFunction, kernel: &Kernel) -> Result<Layout, String> {
        let uses: Vec<_> = kernel.stages.iter().flat_map(uses_of).collect();
        let written: Vec<BufferId> =
            uses.iter().filter(|u| u.1).map(|((buffer, ..), _)| root(function, *buffer)).collect();
        let mut layout = Layout::default();
        let (locals, bytes) = place_locals(function, kernel, &kernel.schedule).ok_or(TOO_LARGE)?;
        layout.worker_bytes = bytes;
        for (place, strides) in locals {
            let dtype = function.buffers[place.buffer].dtype;
            layout.placements[place.buffer] = Placement::new(dtype, &strides, false);
            layout.locals.push(place);
        }
        let mut seen = Vec::new();
        for &((buffer, ..), _) in &uses {
            let data = &function.buffers[buffer];
            if !matches!(data.kind, BufferKind::Local) && !seen.contains(&buffer) {
                seen.push(buffer);
                let read_only = !written.contains(&root(function, buffer));
                layout.placements[buffer] = Placement::new(data.dtype, &data.strides(), read_only);
                layout.framed.push(buffer);
            }
        }
        let panels = kernel.stages.iter().enumerate().map(|(n, stage)| {
            let schedule = kernel.schedule.stages.get(n).unwrap_or(&StageSchedule::Scalar);
            let extents = most(&kernel.axes_of_points(stage));
            let kept = strip::kept(stage, schedule, &extents);
            match PanelShape::new(stage, schedule, &extents) {
                Some(panel) => panel.bytes(),
                None => kept.map_or(Some(0), |kept| kept.bytes(1)),
            }
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
            .ok_or(TOO_LARGE)?;
        Ok(offset)
    }
}
