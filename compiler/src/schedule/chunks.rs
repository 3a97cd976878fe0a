//! How kernels are cut: into chunks for threads, and so that what stages leave for one another stays in cache.

use cranelift_entity::EntityRef;

use super::cost::Model;
use super::tile::{WIDE_VECTOR, joined_rows, needed, streams_rows};
use super::{CHUNK_CYCLES, THREAD_CYCLES};
use crate::codegen::{
    Columns, KEPT_VECTORS, Vectors, blocks_of_panels, dependencies, fold_operands, local_bytes,
};
use crate::kernel::{
    Access, Axis, BufferKind, Chunks, Fold, Kernel, KernelFunction, Packed, ScalarId, Schedule, Stage,
    StageSchedule, Store, most, points,
};

/// The most chunks that a kernel is cut into: enough for many threads to share them evenly.
const MAX_CHUNKS: usize = 64;
/// Fewer chunks than this are a power of two, so that two or four threads share them evenly.
const FEW_CHUNKS: usize = 8;
/// Bytes of local buffers of a chunk that stay in the second-level cache.
const LOCAL_BYTES: usize = 256 << 10;
/// Bytes of local buffers of a chunk that stay in a cache that is near enough for contractions, which use each of them often.
const SLICE_BYTES: usize = 1 << 20;
/// Rows of a slice for which packing what they share takes little of the time.
const SLICE_ROWS: usize = 64;
/// Rows of a chunk for which packing a panel is worth it: that takes as long as a few of them.
const ROWS_PER_PANEL: usize = 640;
/// Rows of a chunk that are better than one thread, where nothing else can be cut.
const FEW_ROWS: usize = 64;
/// What reading the rows of a tile anew for each block of columns adds to its time, or packing them, or a stream that is shorter.
const AGAIN: [f64; 2] = [0.03, 0.4];
/// What reading them adds if each serves a single multiplication and they come from beyond the second-level cache, with vectors of
/// [`WIDE_VECTOR`] bytes: that cache is larger on processors that have these, and what is beyond it farther away. With vectors
/// of 256 bits, longer chunks, whose panels leave less of it to the rows, took longer (1024x1024x1024: 1.05 of the time).
const FAR_AGAIN: f64 = 0.25;
/// Bytes of the rows' operand from which on it comes from beyond the second-level cache.
const FAR: usize = 1 << 20;
/// Cycles that each row of a chunk takes longer for the cache line at its end that the next chunk writes too.
const SHARED_LINE: f64 = 10.0;
/// Cycles that visiting a page takes for a block of columns.
const PAGE_VISIT: f64 = 10.0;
/// Bytes of a page.
const PAGE: u64 = 4096;
/// Multiplications and additions of vectors in a cycle.
const MULTIPLIED: f64 = 2.0;
/// Chunks for which threads that are not equally fast wait for one another.
const TAIL: f64 = 0.5;
/// Chunks along a less suitable axis must be so many times as even.
const BETTER: f64 = 1.1;
/// Chunks of an axis that is written along are multiples of this, so that two threads seldom write one cache line.
pub(super) const CHUNK_UNIT: usize = 16;

/// Chunks of columns that are read where they are may be multiples of this, which is two lines of the cache.
const FREE_UNIT: usize = 2 * CHUNK_UNIT;

/// How a kernel that takes so many cycles is cut.
pub(super) fn choose_chunks(
    f: &KernelFunction,
    kernel: &Kernel,
    stages: &[StageSchedule],
    cycles: f64,
    vectors: Vectors,
) -> Option<Chunks> {
    // Of three chunks, one of two threads runs two.
    let shared = |count: usize| match count {
        few @ 1..FEW_CHUNKS => 1 << few.ilog2(),
        many => many.max(1),
    };
    let two = ((cycles / THREAD_CYCLES) as usize).min(2);
    let wanted = shared(((cycles / CHUNK_CYCLES) as usize).clamp(two, MAX_CHUNKS));
    let (bytes, extents) = (whole_bytes(f, kernel), most(&kernel.axes));
    let count = wanted.max(bytes.div_ceil(LOCAL_BYTES));
    // Of so many coordinates, about, and about equal.
    let cut_evenly = |axis: Axis, least: usize| {
        let extent = extents[axis];
        let count = count.min((extent + least / 2) / least).max(1);
        let block = extent.div_ceil(count);
        (block < extent).then_some(Chunks { axis, block })
    };
    let cut = |axis: Axis, unit: usize| {
        let extent = extents[axis];
        let block = extent.div_ceil(count.min(extent.max(1))).next_multiple_of(unit);
        (block < extent).then_some(Chunks { axis, block })
    };
    let axis_count = kernel.axes.len();
    let tile = stages.iter().enumerate().find_map(|(n, s)| match *s {
        StageSchedule::Tile { row_axis, rows, cols, .. } => {
            let stage = &kernel.stages[n];
            let columns = Columns::new(stage, s, &of_stage(kernel, stage))?;
            Some((stage, s, (row_axis, rows), (columns, columns.steps(cols))))
        }
        _ => None,
    });
    let any = || {
        let enough = |axis: &Axis| extents[*axis] >= wanted;
        let axis = (0..axis_count)
            .find(enough)
            .or_else(|| (0..axis_count).max_by_key(|&axis| (extents[axis], axis_count - axis)))?;
        let innermost = axis + 1 == axis_count && kernel.stages.iter().all(|s| s.axes.is_empty());
        let least = if innermost { CHUNK_UNIT } else { 1 };
        cut(axis, chunk_unit(kernel, stages, axis).max(least))
    };
    let Some((stage, schedule, row, (columns, steps))) = tile else { return any() };
    let of_columns = |axis: Axis| axis == columns.axis || axis == columns.along;
    // Chunks along the columns repeat nothing of what is packed, and share the vector operand out. Chunks along an axis that
    // the panel does not depend on pack it again, so these have enough rows for that.
    let least = |axis: Axis| match repacks(stage, schedule, axis) {
        true => {
            let all = kernel.axes.iter().chain(&stage.axes).map(|e| e.most()).enumerate();
            let uses = all.filter(|&(a, _)| a != axis && (a == row.0 || repacks(stage, schedule, a)));
            ROWS_PER_PANEL.div_ceil(uses.map(|(_, extent)| extent).product::<usize>().max(1))
        }
        false => 1,
    };
    let cut_columns =
        (columns.along < axis_count && extents[columns.along] >= 2 * steps).then_some((columns.along, steps));
    let others =
        (0..axis_count).filter(|&axis| axis != row.0 && !of_columns(axis)).map(|axis| (axis, least(axis)));
    // Rows that run along several axes are cut along the others.
    let model = Model { f, kernel, stage, vectors };
    let joined = joined_rows(&model, row.0, columns);
    let cut_rows = |least: usize| {
        let (axis, tile_rows) = row;
        let extent = kernel.axes.get(axis).filter(|_| joined.is_empty())?.most();
        let count = shared(count.min((extent + least / 2) / least));
        let is_along = |store: &Store| model.stride(store.buffer, &store.index, axis).abs() == 1;
        let unit = if stage.stores.iter().any(is_along) { tile_rows.max(CHUNK_UNIT) } else { tile_rows };
        let block = extent.div_ceil(count).next_multiple_of(unit);
        (block < extent).then_some(Chunks { axis, block })
    };
    let mut best: Option<(f64, Chunks)> = None;
    let of_columns = cut_columns.and_then(|(axis, steps)| {
        // A panel serves all blocks of a chunk, of which there are some for every thread.
        let panel = blocks_of_panels(stage, schedule, &of_stage(kernel, stage));
        let blocks = extents[axis].div_ceil(steps);
        let held = blocks / bytes.div_ceil(LOCAL_BYTES).max(1);
        let limit = panel.min(blocks.div_ceil(2)).min(held).max(1);
        let groups = (1..=limit).filter_map(|group| Some((group, cut(axis, steps * group)?)));
        // What is not packed need not be cut between tiles.
        let is_packed = !matches!(schedule, StageSchedule::Tile { pack: Packed::Neither, .. });
        let is_free = !is_packed && columns.axis == axis;
        let free = cut(axis, steps.min(FREE_UNIT)).filter(|_| is_free).map(|chunks| (1, chunks));
        let groups = groups.chain(free);
        let worth = |&(group, chunks): &(usize, Chunks)| {
            worth(&model, schedule, (extents[axis], chunks.block), group)
        };
        let best = groups.max_by(|a, b| worth(a).total_cmp(&worth(b)));
        best.map(|(_, chunks)| chunks)
    });
    let others = others.filter_map(|(axis, least)| cut_evenly(axis, least));
    // Chunks of whole rows are stored from end to end.
    let first = if streams_rows(&model, row.0) { cut_rows(least(row.0).min(FEW_ROWS)) } else { None };
    let of_rows = cut_rows(least(row.0));
    for chunks in first.into_iter().chain(of_columns).chain(others).chain(of_rows) {
        let share = evenness(extents[chunks.axis], chunks.block);
        if best.is_none_or(|(known, _)| share > known * BETTER) {
            best = Some((share, chunks));
        }
    }
    let few_rows = || cut_rows(least(row.0).min(FEW_ROWS));
    best.map(|(_, chunks)| chunks).or_else(few_rows).or_else(any)
}

/// Extents of the kernel's and a stage's axes.
pub(super) fn of_stage(kernel: &Kernel, stage: &Stage) -> Vec<usize> {
    most(&kernel.axes_of_points(stage))
}

/// What chunks along an axis are multiples of: the columns of a tile; where vectors are along the axis, so many of them that
/// what a chunk reads of a row is a few lines of the cache, if the axis has two times as many. The most are a leaf of a sum over
/// rows that is made in parts.
fn chunk_unit(kernel: &Kernel, stages: &[StageSchedule], axis: Axis) -> usize {
    let extent = kernel.axes[axis].most();
    let unit = |(stage, schedule): (&Stage, &StageSchedule)| match *schedule {
        StageSchedule::Tile { cols, .. } => match Columns::new(stage, schedule, &of_stage(kernel, stage)) {
            Some(columns) if columns.along == axis => columns.steps(cols),
            // Both axes of columns are never cut.
            Some(columns) if columns.axis == axis => extent,
            _ => 1,
        },
        StageSchedule::Strip { axis: along, lanes } if along == axis => [KEPT_VECTORS, 4, 2]
            .map(|vectors| vectors * lanes)
            .into_iter()
            .find(|&unit| unit * 2 <= extent)
            .unwrap_or(lanes),
        _ => 1,
    };
    kernel.stages.iter().zip(stages).map(unit).max().unwrap_or(1)
}

/// Whether chunks along an axis would each pack the same panel.
fn repacks(stage: &Stage, schedule: &StageSchedule, axis: Axis) -> bool {
    match (schedule, &stage.fold) {
        (&StageSchedule::Tile { row_operand, pack: Packed::Vectors | Packed::Both, .. }, Some(fold)) => {
            let depends = dependencies(&fold.body);
            operand(fold, 1 - row_operand).is_some_and(|s| depends[s.index()] & (1 << axis) == 0)
        }
        _ => false,
    }
}

/// An operand of a contraction.
fn operand(fold: &Fold, index: usize) -> Option<ScalarId> {
    fold_operands(fold.accumulators.first()?.op).get(index).copied()
}

/// What chunks of so many coordinates of the columns' axis are worth, of `group` blocks each: what is read of rows serves all
/// blocks of a chunk, and rows that are written end less often, but threads that share many chunks wait less for one another.
fn worth(model: &Model<'_>, schedule: &StageSchedule, (extent, block): (usize, usize), group: usize) -> f64 {
    let again = match (schedule, &model.stage.fold) {
        (StageSchedule::Tile { pack: Packed::Both | Packed::Streamed, .. }, _) => AGAIN[1],
        (&StageSchedule::Tile { cols, lanes, row_operand, pack, .. }, Some(fold)) => {
            let row = points(&fold.axes) as f64 * cols.div_ceil(lanes) as f64 / MULTIPLIED;
            let visits = match pack {
                Packed::Neither => 0.0,
                _ => PAGE_VISIT * pages(model, fold, 1 - row_operand),
            };
            AGAIN[0]
                + FAR_AGAIN * far_rows(model, fold, (row_operand, lanes))
                + (SHARED_LINE + visits) / row.max(1.0)
        }
        _ => AGAIN[0],
    };
    let count = extent.div_ceil(block) as f64;
    evenness(extent, block) / ((1.0 + TAIL / count) * (1.0 + again / group as f64))
}

/// Pages that a block of columns is copied from, for each of the rows that use it, if each element of the fold is in another.
fn pages(model: &Model<'_>, fold: &Fold, columns: usize) -> f64 {
    let Some(operand) = operand(fold, columns) else { return 0.0 };
    let extents = model.extents();
    let innermost = extents.len() + fold.axes.len().max(1) - 1;
    let is_apart = |access: &&Access| {
        let bytes = model.f.buffers[access.buffer].dtype.bytes() as u64;
        model.stride(access.buffer, &access.index, innermost).unsigned_abs() * bytes >= PAGE
    };
    if !needed(&fold.body, operand).iter().any(is_apart) {
        return 0.0;
    }
    let depends = dependencies(&fold.body)[operand.index()];
    let uses = (0..extents.len()).filter(|axis| depends & (1 << axis) == 0).map(|axis| extents[axis] as f64);
    points(&fold.axes) as f64 / uses.product::<f64>().max(1.0)
}

/// How much of what tiles read of their rows comes from beyond the second-level cache, where that counts; see [`FAR_AGAIN`].
fn far_rows(model: &Model<'_>, fold: &Fold, (row_operand, lanes): (usize, usize)) -> f64 {
    let Some(operand) = operand(fold, row_operand) else { return 0.0 };
    let loads = needed(&fold.body, operand);
    let bytes: usize = loads.iter().map(|load| model.f.buffers[load.buffer].bytes()).sum();
    if bytes < FAR || lanes * fold.body.insts[operand].dtype.bytes() < WIDE_VECTOR {
        return 0.0;
    }
    let depends = dependencies(&fold.body)[operand.index()];
    let extents = model.extents();
    let of_operand = (0..extents.len()).filter(|axis| depends & (1 << axis) != 0);
    let reads = of_operand.map(|axis| extents[axis] as f64).product::<f64>() * points(&fold.axes) as f64;
    (bytes as f64 / (reads * fold.body.insts[operand].dtype.bytes() as f64).max(1.0)).min(1.0)
}

/// How busy chunks of so many coordinates of an axis keep two, four and eight threads, together: 3 is all of the time.
fn evenness(extent: usize, block: usize) -> f64 {
    let chunks = extent.div_ceil(block);
    // The last one may be shorter.
    let work = extent as f64 / block as f64;
    [2, 4, 8].map(|threads| work / (threads * chunks.div_ceil(threads)) as f64).iter().sum()
}

/// Runs all stages for single indices of axes, the outermost first, until what they leave for one another stays in cache. No
/// stage has vectors or tiles along these axes, and none packs again what serves several of their indices.
pub(super) fn choose_each(f: &KernelFunction, kernel: &Kernel, schedule: &mut Schedule) {
    let is_inner = |axis: Axis| {
        kernel.stages.iter().zip(&schedule.stages).any(|(stage, how)| match *how {
            StageSchedule::Scalar => false,
            StageSchedule::Strip { axis: along, .. } => along == axis,
            StageSchedule::Tile { row_axis, .. } => {
                let columns = Columns::new(stage, how, &of_stage(kernel, stage));
                row_axis == axis
                    || columns.is_some_and(|columns| columns.axis == axis || columns.along == axis)
                    || repacks(stage, how, axis)
            }
        })
    };
    let is_cut = |axis: Axis| schedule.chunks.is_some_and(|chunks| chunks.axis == axis);
    let axes = (0..kernel.axes.len()).filter(|&axis| kernel.axes[axis].most() > 1 && !is_cut(axis));
    for axis in axes.filter(|&axis| !is_inner(axis)).collect::<Vec<_>>() {
        if local_bytes(f, kernel, schedule) > LOCAL_BYTES {
            schedule.each.push(axis);
        }
    }
}

/// Cuts slices that no cache holds: where what stages leave for one another is more than [`SLICE_BYTES`], though all axes that can
/// be are run for single indices, chunks are along rows or columns of tiles instead, as many as keep it below that but
/// [`SLICE_ROWS`] at least, so that what is packed for them serves enough of them. Chunks are about equally long. So are those that
/// have fewer rows than that, where they were cut for what they leave for one another.
pub(super) fn cut_slices(f: &KernelFunction, kernel: &Kernel, schedule: &mut Schedule) {
    let held = local_bytes(f, kernel, schedule);
    let thin = schedule.chunks.is_some_and(|chunks| {
        chunks.block < SLICE_ROWS && rows_of_tiles(schedule, chunks.axis) > 1 && held > SLICE_BYTES / 8
    });
    let mut least = match held > SLICE_BYTES {
        true => held / 2,
        false if thin => usize::MAX,
        false => return,
    };
    for axis in 0..kernel.axes.len() {
        let extent = kernel.axes[axis].most();
        let unit = chunk_unit(kernel, &schedule.stages, axis).max(rows_of_tiles(schedule, axis));
        let rows = SLICE_ROWS.next_multiple_of(unit);
        if extent <= rows {
            continue;
        }
        let cut = |block: usize| {
            let count = match extent.div_ceil(block) {
                few @ ..FEW_CHUNKS => few.next_power_of_two(),
                many => many,
            };
            let block = extent.div_ceil(count).next_multiple_of(unit);
            let chunks = Some(Chunks { axis, block });
            let mut cut = Schedule { chunks, each: vec![], ..schedule.clone() };
            choose_each(f, kernel, &mut cut);
            let bytes = local_bytes(f, kernel, &cut);
            (cut, bytes)
        };
        let (_, bytes) = cut(rows);
        let (cut, bytes) = cut((SLICE_BYTES / bytes.max(1)).max(1) * rows);
        if bytes < least {
            (*schedule, least) = (cut, bytes);
        }
    }
}

/// Rows of the largest tile whose rows are along an axis; 1 if there is none.
fn rows_of_tiles(schedule: &Schedule, axis: Axis) -> usize {
    let rows = schedule.stages.iter().map(|stage| match *stage {
        StageSchedule::Tile { row_axis, rows, .. } if row_axis == axis => rows,
        _ => 1,
    });
    rows.max().unwrap_or(1)
}

/// Bytes that all local buffers of a kernel would take if it ran as one chunk.
fn whole_bytes(f: &KernelFunction, kernel: &Kernel) -> usize {
    let stored = |stage: &Stage| stage.stores.iter().map(|s| s.buffer).collect::<Vec<_>>();
    let mut locals: Vec<_> = kernel.stages.iter().flat_map(stored).collect();
    locals.sort();
    locals.dedup();
    locals
        .into_iter()
        .filter(|&b| matches!(f.buffers[b].kind, BufferKind::Local))
        .map(|b| f.buffers[b].bytes())
        .sum()
}
