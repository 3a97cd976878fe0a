//! What the code of a kernel depends on, so that kernels with the same code are emitted once.

use std::collections::HashMap;

use cranelift_entity::EntityRef;

use super::locals::LocalPlace;
use super::task::Task;
use crate::kernel::{BufferId, InstKind, Kernel};

/// A task without names: two of the same form have the same code. Buffers are numbered in the order in which the kernel
/// names them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Form {
    kernel: Kernel,
    /// Bytes from an element to the next one on each axis, and whether the kernel leaves the buffer as it is.
    buffers: Vec<(Vec<i64>, bool)>,
    locals: Vec<LocalPlace>,
    panel_offset: usize,
    /// Bounds of the checks, by their sites.
    bounds: Vec<(usize, usize)>,
    depends_on_batch: bool,
}

impl Form {
    /// The form of a task.
    pub(super) fn of(task: &Task<'_>) -> Form {
        let mut kernel = task.kernel.clone();
        kernel.name.clear();
        kernel.origin.clear();
        let mut numbers = HashMap::new();
        let (mut buffers, mut bounds) = (Vec::new(), Vec::new());
        let mut number = |buffer: &mut BufferId| {
            let placement = &task.layout.placements[*buffer];
            *buffer = *numbers.entry(*buffer).or_insert_with(|| {
                buffers.push((placement.strides.clone(), placement.read_only));
                BufferId::new(buffers.len() - 1)
            });
        };
        for stage in &mut kernel.stages {
            let bodies = stage.fold.iter_mut().map(|fold| &mut fold.body).chain([&mut stage.body]);
            for inst in bodies.flat_map(|body| body.insts.values_mut()) {
                match &mut inst.kind {
                    InstKind::Load(access) => number(&mut access.buffer),
                    &mut InstKind::Check { site, .. } => {
                        bounds.push((site, task.function.checks[site].bound))
                    }
                    _ => {}
                }
            }
            stage.stores.iter_mut().for_each(|store| number(&mut store.buffer));
        }
        let mut locals = task.layout.locals.clone();
        locals.iter_mut().for_each(|local| number(&mut local.buffer));
        Form {
            kernel,
            buffers,
            locals,
            panel_offset: task.layout.panel_offset,
            bounds,
            depends_on_batch: task.depends_on_batch(),
        }
    }
}
