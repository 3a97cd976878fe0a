//! The code of a task: all stages of a kernel, chunk by chunk.

use cranelift_codegen::ir::{AbiParam, Signature, types};

use super::Target;
use super::access::{Side, extent_word};
use super::check::check;
use super::columns::Columns;
use super::emitter::{VectorEmitter, WordTest};
use super::layout::Layout;
use super::loops::{Emission, Length, Span};
use super::panel::blocks_of_runs;
use super::point::{Coord, whole};
use super::stage::StageCode;
use super::strip;
use super::vectors::Vectors;
use crate::kernel::{Extent, InstKind, Kernel, KernelFunction, StageSchedule, most, points};
use crate::tensor::Scalar;

/// The signature of a [`TaskFn`](bessemer_runtime::abi::TaskFn).
pub fn task_signature(target: &Target) -> Signature {
    let mut signature = Signature::new(target.call_conv());
    signature.params.extend([types::I64, types::I64, types::I64, types::I32].map(AbiParam::new));
    signature
}

/// A kernel that code can be emitted for, and where it finds its buffers.
pub(super) struct Task<'k> {
    pub(super) function: &'k KernelFunction,
    pub(super) kernel: &'k Kernel,
    vectors: Vectors,
    pub(super) layout: Layout,
    pub(super) chunks: ChunkCount,
}

/// How many chunks a kernel has: 1 if its schedule does not cut it, 0 if one of its axes is empty.
#[derive(Clone, Copy, Debug)]
pub struct ChunkCount {
    /// The extent of the axis that is cut.
    pub of: Extent,
    /// Consecutive indices of it in a chunk.
    pub block: usize,
}

impl ChunkCount {
    fn new(kernel: &Kernel) -> ChunkCount {
        match kernel.schedule.chunks {
            _ if points(&kernel.axes) == 0 => ChunkCount { of: 0.into(), block: 1 },
            Some(chunks) => ChunkCount { of: kernel.axes[chunks.axis], block: chunks.block },
            None => ChunkCount { of: 1.into(), block: 1 },
        }
    }

    /// The number for the largest batch size.
    pub fn most(self) -> u64 {
        self.of.most().div_ceil(self.block) as u64
    }

    /// The number for a batch size.
    #[cfg(test)]
    pub fn at(self, n: usize) -> u64 {
        self.of.at(n).div_ceil(self.block) as u64
    }
}

/// What a task is called with, besides the frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameters<W> {
    /// The first chunk to run.
    pub(super) begin: W,
    /// The chunk to stop before.
    pub(super) end: W,
    /// Address of the worker's scratch.
    pub(super) worker: W,
}

/// Chunks that follow one another and are run as one.
#[derive(Clone, Copy, Debug)]
struct Run<W> {
    first: W,
    /// How many they are, when code runs, and the most that they are.
    count: W,
    most: usize,
}

impl<'k> Task<'k> {
    /// The task of a kernel.
    ///
    /// # Errors
    /// Why no code can be emitted for it.
    pub(super) fn new(
        target: &Target,
        function: &'k KernelFunction,
        kernel: &'k Kernel,
    ) -> Result<Task<'k>, String> {
        check(kernel, target)?;
        let layout = Layout::new(function, kernel)?;
        let chunks = ChunkCount::new(kernel);
        Ok(Task { function, kernel, vectors: target.vectors(), layout, chunks })
    }

    /// Whether its frame has the batch size.
    pub(super) fn depends_on_batch(&self) -> bool {
        self.function.largest.is_some()
    }

    /// The constants whose addresses the code needs: the fill values of guarded loads.
    pub(super) fn fills(&self) -> Vec<Scalar> {
        let stages = self.kernel.stages.iter();
        let bodies = stages.flat_map(|s| s.fold.iter().map(|f| &f.body).chain([&s.body]));
        bodies
            .flat_map(|body| body.insts.values())
            .filter_map(|inst| match &inst.kind {
                InstKind::Load(access) if !access.guards.is_empty() => Some(access.fill),
                _ => None,
            })
            .collect()
    }

    /// Emits the chunks `begin .. end` of a task that has any. The emission knows the buffers of the frame.
    pub(super) fn emit<E: VectorEmitter>(
        &self,
        emission: &mut Emission<E>,
        parameters: &Parameters<E::Word>,
    ) {
        let &Parameters { begin, end, worker } = parameters;
        let panel = in_scratch(emission, worker, self.layout.panel_offset);
        emission.bases.panels[Side::Columns as usize] = Some(panel);
        let chunks = emission.e.word_sub(end, begin);
        emission.only_if(WordTest::AtLeast, chunks, 1, &mut |emission| match self.chunks.most() {
            1 => self.chunk(emission, worker, None),
            _ => {
                let most = self.longest_run();
                emission.count(begin, end, most, &[], &mut |emission, first, _| {
                    let count = emission.e.word(most as i64);
                    let left = emission.e.word_sub(end, first);
                    let count = if most > 1 { emission.e.word_min(left, count) } else { count };
                    self.chunk(emission, worker, Some(Run { first, count, most }));
                    Vec::new()
                });
            }
        });
    }

    /// How many chunks that follow one another are run as one, at most, if these have whole steps of what is run together: where
    /// columns are packed or come in streams, or a sum over rows is made in parts, as many as a panel or accumulators are kept for.
    fn longest_run(&self) -> usize {
        let Kernel { axes, stages, schedule, .. } = self.kernel;
        let ([stage], [schedule], Some(chunks)) = (&stages[..], &schedule.stages[..], schedule.chunks) else {
            return 1;
        };
        let extents = most(&self.kernel.axes_of_points(stage));
        let together = match *schedule {
            StageSchedule::Tile { cols, .. } => {
                let columns = Columns::new(stage, schedule, &extents).filter(|c| c.along == chunks.axis);
                let blocks = blocks_of_runs(stage, schedule, &extents);
                columns.map(|columns| (columns.steps(cols), blocks * columns.steps(cols)))
            }
            StageSchedule::Strip { axis, lanes } if axis == chunks.axis => {
                let kept = strip::kept(stage, schedule, &extents);
                kept.map(|kept| (strip::KEPT_VECTORS * lanes, kept.cols))
            }
            _ => None,
        };
        let is_fixed = axes[chunks.axis].each().is_none();
        match together {
            Some((step, held)) if is_fixed && chunks.block.is_multiple_of(step) => {
                (held / chunks.block).max(1)
            }
            _ => 1,
        }
    }

    /// Emits all stages for a run of chunks, or for the only one.
    fn chunk<E: VectorEmitter>(
        &self,
        emission: &mut Emission<E>,
        worker: E::Word,
        run: Option<Run<E::Word>>,
    ) {
        let kernel = self.kernel;
        let mut spans: Vec<_> = kernel.axes.iter().map(|&extent| emission.whole(extent)).collect();
        if let (Some(chunks), Some(run)) = (kernel.schedule.chunks, run) {
            let (extent, block) = (kernel.axes[chunks.axis], chunks.block);
            let first = emission.e.word_times(run.first, block as i64);
            let last = extent.most() % block;
            let length = if extent.each().is_none() && last == 0 && run.most == 1 {
                Length::Known(block)
            } else {
                let total = extent_word(&mut emission.e, &emission.bases, extent);
                let remaining = emission.e.word_sub(total, first);
                let full = emission.e.word_times(run.count, block as i64);
                let value = emission.e.word_min(remaining, full);
                match extent.each() {
                    None => {
                        let last = if last == 0 { block } else { last };
                        Length::OneOf { value, lengths: [extent.most().min(run.most * block), block, last] }
                    }
                    Some(_) => Length::UpTo { value, most: block },
                }
            };
            spans[chunks.axis] = Span { start: Coord::counted(first), length };
        }
        let each: Vec<_> = kernel.schedule.each.iter().map(|&axis| (axis, spans[axis])).collect();
        let mut origin: Vec<_> = spans.iter().map(|span| span.start).collect();
        emission.nest(&each, &mut origin, &mut |emission, point| {
            let mut spans = spans.clone();
            for &(axis, _) in &each {
                spans[axis] = Span { start: point[axis], length: Length::Known(1) };
            }
            self.stages(emission, worker, &spans);
        });
    }

    /// Emits all stages for some coordinates of the kernel's axes.
    fn stages<E: VectorEmitter>(&self, emission: &mut Emission<E>, worker: E::Word, spans: &[Span<E::Word>]) {
        let kernel = self.kernel;
        for local in &self.layout.locals {
            let mut base = in_scratch(emission, worker, local.offset);
            for &(axis, stride) in &local.parts {
                // Where coordinate 0 of the whole axis would be.
                let Coord { base: first, offset } = spans[axis].start;
                if let Some(first) = first {
                    let back = emission.e.word_times(first, -stride);
                    base = emission.e.word_add(base, back);
                }
                base = whole(&mut emission.e, (Some(base), -stride * offset));
            }
            emission.bases.buffers[local.buffer] = Some(base);
        }
        for (n, stage) in kernel.stages.iter().enumerate() {
            let fold_axes = stage.fold.as_ref().map_or(&[][..], |fold| &fold.axes);
            let mut spans = spans.to_vec();
            spans.extend(stage.axes.iter().map(|&extent| emission.whole(extent)));
            StageCode::<E> {
                stage,
                schedule: kernel.schedule.stages.get(n).unwrap_or(&StageSchedule::Scalar),
                spans,
                extents: most(&[&kernel.axes, &stage.axes, fold_axes].concat()),
                placements: &self.layout.placements,
                checks: &self.function.checks,
                vectors: self.vectors,
            }
            .emit(emission);
        }
    }
}

/// The address of so many bytes behind the start of the worker's scratch.
fn in_scratch<E: VectorEmitter>(emission: &mut Emission<E>, worker: E::Word, offset: usize) -> E::Word {
    let offset = emission.e.word(offset as i64);
    emission.e.word_add(worker, offset)
}
