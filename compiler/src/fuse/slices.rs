//! Large values computed again for each reader that needs only a slice of them at a time.
//!
//! ```text
//! kernel k0 (i0 < 4, i1 < 2048) { scores; weights; store …, buf5[i0, i1, i2]; products of rows of weights }
//! kernel k1 (i0 < 4, i1 < 2048, i2 < 64) { fold (i3 < 2048) { s0 = load buf5[i0, i3, i1]; … dot … } }
//! ```
//! Each point of `k0` writes a row of `buf5`, each of `k1` reads a column, so the two cannot share the axis `i1`, and without it
//! a point leaves a whole matrix behind. What computes `buf5` is copied before `k1` instead, as a kernel over all its elements,
//! and becomes one with it (`fuse-stages`): `buf5` is local to both kernels then. A reader that was grouped along other axes before
//! is taken apart for that. Pass `recompute-slices`.
//!
//! It is done to a value of at least `LARGE` bytes, computed from what is at most half as large, by at most `MAX_COST`
//! instructions for each element, if afterwards the value, and all that is computed again for it, is nowhere stored whole. So
//! neither weights of attention nor their cotangents are: forward and backward hold scores of a few queries, or keys, of one head,
//! and rows of maxima and sums are kept.
//!
//! It takes time: a score is computed three times in a step instead of once, its cotangent twice. A step of a transformer with 512
//! positions, whose scores a layer fill 8 MiB, took a sixth longer, one with 2,048 a tenth to a quarter for a quarter of the
//! memory. So it is done by itself where a single value is more than a last-level cache.
//!
//! At entry and at exit: kernels in an order that dependencies allow. The scalar code is the same, so are the bits.

use std::collections::{HashMap, HashSet};

use crate::kernel::{Axis, BufferId, BufferKind, Kernel, KernelFunction, Stage, points};

use super::deps::{Links, kernel_loads, kernel_stores};
use super::group::{FEW_POINTS, MAX_SLICE};
use super::inline::{self, Producers};
use super::recompute::{Keep, Lives, rename_loads};
use super::{Report, append, group};

/// A value of fewer bytes is not computed again, as that takes more time than to read it, partly from a cache.
const LARGE: usize = 32 << 20;

/// Instructions that an element may take: those of a score and its cotangent, for heads of 128 numbers. What is computed by
/// longer sums takes more time than what reads it.
const MAX_COST: usize = 320;

/// How often it is tried without what could not be made local.
const ROUNDS: usize = 4;

/// Computes again what can be local then.
pub fn run(f: &mut KernelFunction, report: &mut Report) {
    let mut left: HashSet<BufferId> = HashSet::new();
    for _ in 0..ROUNDS {
        let Some(tried) = Trial::of(f, &left) else { return };
        if tried.failed.is_empty() {
            *f = tried.f;
            report.lines.extend(tried.report.lines);
            return;
        }
        left.extend(tried.failed);
    }
}

/// Coordinates of a buffer, in order, that a kernel's axes are.
type Key = Vec<usize>;

/// What was computed again for slices along the same coordinates.
#[derive(Default)]
struct Copies {
    /// For each value, what has it now.
    now: HashMap<BufferId, BufferId>,
    /// The kernels for which it was.
    readers: Vec<usize>,
}

/// A function in which values are computed again.
struct Trial {
    f: KernelFunction,
    report: Report,
    /// Values for which it did not work.
    failed: HashSet<BufferId>,
}

impl Trial {
    /// `None` if there is nothing to compute again but what is `left` as it is.
    fn of(f: &KernelFunction, left: &HashSet<BufferId>) -> Option<Trial> {
        let mut copies: HashMap<Key, Copies> = HashMap::new();
        // Every new buffer, what readers store that were split, and the values themselves, with the value for which it is.
        let mut made: HashMap<BufferId, BufferId> = HashMap::new();
        let f = &split_readers(f, left, &mut made);
        let (lives, links) = (Lives::of(f), Links::of(f));
        let mut trial = Trial { f: f.clone(), report: Report::default(), failed: HashSet::new() };
        let mut inserted = 0;
        for (k, kernel) in f.kernels.iter().enumerate() {
            let mut read: Vec<BufferId> = kernel_loads(kernel).map(|access| access.buffer).collect();
            read.sort_unstable();
            read.dedup();
            read.retain(|&b| !left.contains(&b) && is_large(f, b) && needs_copy(f, &links, k, b));
            for buffer in read {
                // It may have been computed for another value that the kernel reads.
                if !kernel_loads(&trial.f.kernels[k + inserted]).any(|access| access.buffer == buffer) {
                    continue;
                }
                let copies = key(f, kernel, buffer).map(|key| copies.entry(key).or_default());
                let again = copies.and_then(|copies| {
                    copies.prepare(f, &links, k);
                    Some((lives.again(f, buffer, k, &copies.now, Keep::Smaller, MAX_COST)?, copies))
                });
                let Some((again, Copies { now, .. })) = again else {
                    trial.failed.insert(buffer);
                    continue;
                };
                let before: HashSet<BufferId> = now.values().copied().collect();
                inserted += again.insert(&mut trial.f, k + inserted, now);
                rename_loads(&mut trial.f.kernels[k + inserted], now);
                made.extend(now.values().filter(|new| !before.contains(new)).map(|&new| (new, buffer)));
                if made.insert(buffer, buffer) != Some(buffer) {
                    trial.report.again(super::SLICES, &f.buffers[buffer].name);
                }
            }
        }
        if inserted == 0 {
            return None;
        }
        if trial.failed.is_empty() {
            trial.join(&made);
        }
        Some(trial)
    }

    /// Makes one kernel of those that compute values again and those that need them. What is still stored whole then failed.
    fn join(&mut self, made: &HashMap<BufferId, BufferId>) {
        let (f, report) = (&mut self.f, &mut self.report);
        let writes = |kernel: &Kernel| kernel_stores(kernel).any(|buffer| made.contains_key(&buffer));
        let is_again =
            |kernel: &Kernel| kernel_stores(kernel).any(|b| made.get(&b).is_some_and(|&of| of != b));
        inline::run(f, Producers::Maps, report);
        append::run_to(f, report, is_again);
        group::run_behind(f, report, writes);
        super::dead::remove(f);
        let stored: HashSet<BufferId> = f.kernels.iter().flat_map(kernel_stores).collect();
        let whole = stored.into_iter().filter(|&buffer| is_large(f, buffer));
        self.failed.extend(whole.filter_map(|buffer| made.get(&buffer)));
    }
}

fn is_large(f: &KernelFunction, buffer: BufferId) -> bool {
    f.buffers[buffer].kind == BufferKind::Temp && f.buffers[buffer].bytes() >= LARGE
}

impl Copies {
    /// Makes them ready for another kernel: kernels of which one depends on another cannot be one, and share nothing.
    fn prepare(&mut self, f: &KernelFunction, links: &Links, k: usize) {
        if self.readers.iter().any(|&reader| links.depends(f, reader, k)) {
            self.now.clear();
            self.readers.clear();
        }
        self.readers.push(k);
    }
}

/// Takes kernels apart that read slices of a large value in a stage, but along axes of that stage, as they were grouped along
/// others: each stage is a kernel then. What they store is for that value.
fn split_readers(
    f: &KernelFunction,
    left: &HashSet<BufferId>,
    made: &mut HashMap<BufferId, BufferId>,
) -> KernelFunction {
    let links = Links::of(f);
    let mut split = KernelFunction { kernels: Vec::new(), ..f.clone() };
    for (k, kernel) in f.kernels.iter().enumerate() {
        let alone = |stage: &Stage| Kernel {
            axes: kernel.axes_of_points(stage),
            stages: vec![at_kernel(stage)],
            ..kernel.clone()
        };
        let apart = kernel_loads(kernel).map(|access| access.buffer).find(|&buffer| {
            kernel.stages.len() > 1
                && is_large(f, buffer)
                && !left.contains(&buffer)
                && needs_copy(f, &links, k, buffer)
                && key(f, kernel, buffer).is_none()
                && kernel.stages.iter().any(|stage| key(f, &alone(stage), buffer).is_some())
        });
        match apart {
            None => split.kernels.push(kernel.clone()),
            Some(buffer) => {
                split.kernels.extend(kernel.stages.iter().map(alone));
                for stored in kernel_stores(kernel) {
                    if f.buffers[stored].kind == BufferKind::Local {
                        split.buffers[stored].kind = BufferKind::Temp;
                    }
                    made.insert(stored, buffer);
                }
            }
        }
    }
    split
}

/// A stage whose axes are its kernel's.
fn at_kernel(stage: &Stage) -> Stage {
    Stage { axes: vec![], ..stage.clone() }
}

/// Whether a kernel reads a value that another one leaves, behind which it cannot come for that.
fn needs_copy(f: &KernelFunction, links: &Links, k: usize, buffer: BufferId) -> bool {
    let writes = |kernel: &Kernel| kernel_stores(kernel).any(|stored| stored == buffer);
    let writer = f.kernels.iter().position(writes);
    writer.is_some_and(|writer| writer != k && !group::may_join(f, links, writer, k))
}

/// The coordinates of a buffer that are axes of a kernel wherever it loads it, if slices along them are many and small.
fn key(f: &KernelFunction, kernel: &Kernel, buffer: BufferId) -> Option<Key> {
    let data = &f.buffers[buffer];
    let mut axes: Option<Vec<Option<Axis>>> = None;
    for access in kernel_loads(kernel).filter(|access| f.storage(access.buffer) == buffer) {
        if access.buffer != buffer || access.indirect.is_some() {
            return None;
        }
        let here: Vec<Option<Axis>> = (access.index.iter().zip(&data.shape))
            .map(|(expr, &extent)| {
                expr.as_axis().filter(|&axis| kernel.axes.get(axis).is_some_and(|&all| all == extent))
            })
            .collect();
        axes = Some(match axes {
            None => here,
            Some(known) => known.into_iter().zip(here).map(|(a, b)| a.filter(|_| a == b)).collect(),
        });
    }
    let shared = axes?;
    let key: Key = (0..shared.len()).filter(|&d| shared[d].is_some()).collect();
    let slices = points(key.iter().map(|&d| &data.shape[d]));
    let is_part = slices < data.elements();
    (is_part && slices >= FEW_POINTS && data.bytes() / slices <= MAX_SLICE).then_some(key)
}
