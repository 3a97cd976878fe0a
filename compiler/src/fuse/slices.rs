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
//! Readers that need slices along different coordinates, rows here and columns there, get the slices that both can use, whole
//! matrices of a head, if these are small enough for a cache: all is computed again once then. A training step of the transformer
//! of the examples takes a hundredth or two more time for it with 128 positions, up to three with 512, five to seven with 1,024. Of
//! longer sequences each reader has its own slices: a score is computed three times in a step instead of once, its cotangent
//! twice, which with 2,048 positions takes a tenth to a quarter more time, for a quarter of the memory.
//!
//! At entry and at exit: kernels in an order that dependencies allow. The scalar code is the same, so are the bits.

use std::collections::{HashMap, HashSet};

use crate::kernel::{Axis, BufferId, BufferKind, Kernel, KernelFunction, Stage, points};

use super::deps::{Links, kernel_loads, kernel_stores};
use super::group::{FEW_POINTS, MAX_SLICE};
use super::inline::{self, Producers};
use super::recompute::{Keep, Lives, rename_loads};
use super::{Report, append, group};

/// A value of fewer bytes is not computed again: what is kept of it in a cache is worth more than its memory.
const LARGE: usize = 1 << 20;

/// Instructions that an element may take: those of a score and its cotangent, for heads of 128 numbers. What is computed by
/// longer sums takes more time than what reads it.
const MAX_COST: usize = 320;

/// How often it is tried without what could not be made local.
const ROUNDS: usize = 6;

/// Computes again what can be local then.
pub fn run(f: &mut KernelFunction, report: &mut Report) {
    if !f.buffers.keys().any(|buffer| is_large(f, buffer)) {
        return;
    }
    let mut left: HashSet<BufferId> = HashSet::new();
    for _ in 0..ROUNDS {
        let Some(tried) = Trial::of(f, &left) else { return };
        if tried.failed.is_empty() {
            *f = tried.f;
            report.lines.extend(tried.report.lines);
            return;
        }
        left.extend(tried.given_up(f));
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
        let keys = keys(f, &links, left);
        let mut trial = Trial { f: f.clone(), report: Report::default(), failed: HashSet::new() };
        let mut inserted = 0;
        for (k, kernel) in f.kernels.iter().enumerate() {
            let mut read: Vec<BufferId> = kernel_loads(kernel).map(|access| access.buffer).collect();
            read.sort_unstable();
            read.dedup();
            read.retain(|&b| keys.contains_key(&(k, b)));
            for buffer in read {
                // It may have been computed for another value that the kernel reads.
                if !kernel_loads(&trial.f.kernels[k + inserted]).any(|access| access.buffer == buffer) {
                    continue;
                }
                let copies = keys[&(k, buffer)].clone().map(|key| copies.entry(key).or_default());
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

    /// What failed, but for the largest: these may have failed because of copies of the smaller ones, which they read.
    fn given_up(self, f: &KernelFunction) -> HashSet<BufferId> {
        let bytes = |&b: &BufferId| f.buffers[b].bytes();
        let largest = self.failed.iter().map(bytes).max();
        let smaller: HashSet<BufferId> =
            self.failed.iter().copied().filter(|b| Some(bytes(b)) < largest).collect();
        if smaller.is_empty() { self.failed } else { smaller }
    }

    /// Makes one kernel of those that compute values again and those that need them. What is still stored whole then
    /// failed, or what leaves more than half as much.
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
        let made_for = whole.filter_map(|b| made.get(&b).map(|&of| (b, of)));
        let bytes = |b: BufferId| f.buffers[b].bytes();
        self.failed.extend(made_for.filter(|&(b, of)| b == of || bytes(b) > bytes(of) / 2).map(|(_, of)| of));
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
    let (links, writers) = (Links::of(f), writers(f));
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
                && needs_copy(f, &links, k, writers.get(&buffer))
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

/// The first kernel that writes each buffer.
fn writers(f: &KernelFunction) -> HashMap<BufferId, usize> {
    let stores = f.kernels.iter().enumerate().rev();
    stores.flat_map(|(k, kernel)| kernel_stores(kernel).map(move |buffer| (buffer, k))).collect()
}

/// Whether a kernel reads a value that another one leaves, behind which it cannot come for that.
fn needs_copy(f: &KernelFunction, links: &Links, k: usize, writer: Option<&usize>) -> bool {
    writer.is_some_and(|&writer| writer != k && !group::may_join(f, links, writer, k))
}

/// For each kernel that needs a copy of a large value, and that value, the coordinates along which it needs slices. All that
/// need slices of a value need the same ones, if the coordinates that they share make slices that are many and small: it is
/// computed again once then.
fn keys(
    f: &KernelFunction,
    links: &Links,
    left: &HashSet<BufferId>,
) -> HashMap<(usize, BufferId), Option<Key>> {
    let writers = writers(f);
    let mut keys = HashMap::new();
    let mut shared: HashMap<BufferId, Key> = HashMap::new();
    for (k, kernel) in f.kernels.iter().enumerate() {
        let read: HashSet<BufferId> = kernel_loads(kernel).map(|access| access.buffer).collect();
        for b in read {
            if !left.contains(&b) && is_large(f, b) && needs_copy(f, links, k, writers.get(&b)) {
                let key = key(f, kernel, b);
                if let Some(key) = &key {
                    shared.entry(b).or_insert_with(|| key.clone()).retain(|d| key.contains(d));
                }
                keys.insert((k, b), key);
            }
        }
    }
    for ((_, b), key) in &mut keys {
        if let (Some(key), Some(shared)) = (key, shared.get(b).filter(|shared| is_sliced(f, *b, shared))) {
            key.clone_from(shared);
        }
    }
    keys
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
    is_sliced(f, buffer, &key).then_some(key)
}

/// Whether slices of a buffer along such coordinates are many and small.
fn is_sliced(f: &KernelFunction, buffer: BufferId, key: &Key) -> bool {
    let data = &f.buffers[buffer];
    let slices = points(key.iter().map(|&d| &data.shape[d]));
    let is_part = slices < data.elements();
    is_part && slices >= FEW_POINTS && data.bytes() / slices <= MAX_SLICE
}
