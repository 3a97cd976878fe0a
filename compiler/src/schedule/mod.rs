//! Chooses how kernels are run: chunks, vectors, tiles and threads.
//!
//! The choice is made by a simple cost model, in cycles of one core of the kind of machine that the project is measured on
//! (see `cost`); it changes nothing of what is computed. It depends on the kernel and on the target's vectors only, never
//! on a number of threads.
//!
//! - A contraction becomes a [tile](StageSchedule::Tile), if two of its axes can be the rows and the columns; of a single row only
//!   where strips would read one element after the other.
//! - Any other stage becomes strips along the axis, and with the number of lanes, that cost least.
//! - A kernel is cut into two chunks of at least `THREAD_CYCLES`, or more of at least `CHUNK_CYCLES` each, and of as many bytes of
//!   local buffers as stay in cache, along the axis that a tile's columns are on, or else its first axis that is long enough; along
//!   the rows of what multiplies little, so that they are stored from end to end.
//! - Where the code of a kernel would be too large, tiles have fewer rows, and in the end stages run point by point.

mod chunks;
mod cost;
mod explain;
mod tile;

pub use explain::explain;

use std::collections::BTreeSet;

use crate::codegen::{Columns, Target, check, largest_of_too_large};
use crate::kernel::{
    Access, BufferId, BufferKind, Chunks, Kernel, KernelFunction, Packed, Schedule, Stage, StageSchedule,
    points,
};
use chunks::{choose_chunks, choose_each, cut_slices};
use cost::{Leaf, Model};
use tile::TileCost;

/// Work that is worth a second thread: about 5 µs. A thread that spins takes it up within one µs, and what it reads from
/// the cache of another thread takes about as long again.
const THREAD_CYCLES: f64 = 18_000.0;
/// Work of a chunk where there are more of them, for each begins with panels and tiles of its own.
const CHUNK_CYCLES: f64 = 35_000.0;
/// Cycles that a second thread adds for each byte of which half is in the cache of another core then than that of the thread
/// that reads it.
const FETCH: f64 = 0.05;
/// Bytes that stay in the cache of a core; what is more comes from farther away anyway.
const CORE_BYTES: f64 = (512 << 10) as f64;

/// How much better a tile of a single row must be than strips, which have more sums side by side.
const ONE_ROW: f64 = 1.5;

/// What a person may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduleOptions {
    /// Whether kernels use vectors and tiles; without, they run element by element.
    pub vectors: bool,
    /// Whether kernels may be given to several threads.
    pub threads: bool,
}

impl Default for ScheduleOptions {
    fn default() -> ScheduleOptions {
        ScheduleOptions { vectors: true, threads: true }
    }
}

/// Schedules every kernel of a function for a target.
pub fn schedule(f: &mut KernelFunction, target: &Target, options: &ScheduleOptions) {
    let schedules: Vec<Schedule> =
        f.kernels.iter().map(|kernel| schedule_kernel(f, kernel, target, options)).collect();
    for (kernel, schedule) in f.kernels.iter_mut().zip(schedules) {
        kernel.schedule = schedule;
        // Bodies of thousands of instructions are not repeated for every point of a tile.
        while let Some(stage) = largest_of_too_large(kernel, target)
            && kernel.schedule.stages.get_mut(stage).is_some_and(simplify)
        {}
        if check(kernel, target).is_err() {
            kernel.schedule.stages.clear();
        }
    }
}

/// Makes code of a stage smaller, if it can be: by tiles of half as many rows, or else point by point.
fn simplify(schedule: &mut StageSchedule) -> bool {
    match schedule {
        StageSchedule::Scalar => return false,
        StageSchedule::Tile { rows, .. } if *rows > 1 => *rows /= 2,
        _ => *schedule = StageSchedule::Scalar,
    }
    true
}

fn schedule_kernel(
    f: &KernelFunction,
    kernel: &Kernel,
    target: &Target,
    options: &ScheduleOptions,
) -> Schedule {
    let mut stages = Vec::new();
    let mut cycles = 0.0;
    for stage in &kernel.stages {
        let model = Model { f, kernel, stage, vectors: target.vectors() };
        let (schedule, cost) = match options.vectors {
            true => schedule_stage(&model),
            false => (StageSchedule::Scalar, Cost::Leaf(model.leaf(Leaf::Point))),
        };
        cycles += cost.cycles() * model.points();
        stages.push(schedule);
    }
    let chunks = choose_chunks(f, kernel, &stages, cycles, target.vectors());
    let mut schedule = Schedule { chunks, each: vec![], threads: false, stages };
    choose_each(f, kernel, &mut schedule);
    cut_slices(f, kernel, &mut schedule);
    let chunks = schedule.chunks;
    for (stage, schedule) in kernel.stages.iter().zip(&mut schedule.stages) {
        pack_rows_for_blocks(kernel, stage, schedule, chunks);
    }
    schedule.threads = options.threads && chunks.is_some() && cycles >= two_threads_pay(f, kernel, chunks);
    schedule
}

/// Rows are packed for several blocks of columns only: where chunks have a single one, they are read where they are.
fn pack_rows_for_blocks(
    kernel: &Kernel,
    stage: &Stage,
    schedule: &mut StageSchedule,
    chunks: Option<Chunks>,
) {
    let columns = Columns::new(stage, schedule, &chunks::of_stage(kernel, stage));
    if let (StageSchedule::Tile { cols, pack: pack @ Packed::Both, .. }, Some(chunks), Some(columns)) =
        (schedule, chunks, columns)
        && chunks.axis == columns.along
        && chunks.block < 2 * columns.steps(*cols)
    {
        *pack = Packed::Vectors;
    }
}

/// The cycles from which on two threads are better than one at a kernel.
fn two_threads_pay(f: &KernelFunction, kernel: &Kernel, chunks: Option<Chunks>) -> f64 {
    2.0 * THREAD_CYCLES + FETCH * divided_bytes(f, kernel, chunks).min(CORE_BYTES)
}

/// Bytes of which each of two threads has half in its cache while the other one needs some: what a kernel writes, and what it reads
/// of variables that the function assigns, for that was written by these threads a run before. Chunks are most often along
/// the outermost axis of a variable; those that are so here as well read what the same thread has written.
fn divided_bytes(f: &KernelFunction, kernel: &Kernel, chunks: Option<Chunks>) -> f64 {
    let is_assigned = |buffer: BufferId| match f.buffers[f.storage(buffer)].kind {
        BufferKind::Variable(n) => f.buffers.values().any(|b| b.kind == BufferKind::Next(n)),
        _ => false,
    };
    let is_divided_alike = |access: &Access| {
        chunks.is_some_and(|c| access.index.first().is_some_and(|first| first.factor(c.axis) != 0))
    };
    let loads = kernel.stages.iter().flat_map(Stage::loads).map(|(_, access)| access);
    let read = loads.filter(|access| is_assigned(access.buffer) && !is_divided_alike(access));
    let read: BTreeSet<BufferId> = read.map(|access| access.buffer).collect();
    let read: f64 = read.into_iter().map(|buffer| f.buffers[buffer].bytes() as f64).sum();
    let written = kernel.stages.iter().map(|stage| {
        let buffers = stage.stores.iter().map(|store| &f.buffers[store.buffer]);
        let kept = buffers.filter(|b| b.kind != BufferKind::Local);
        points(&kernel.axes_of_points(stage)) as f64 * kept.map(|b| b.dtype.bytes() as f64).sum::<f64>()
    });
    read + written.sum::<f64>()
}

/// Cycles per point of a stage.
enum Cost {
    Leaf(f64),
    Tile(TileCost),
}

impl Cost {
    fn cycles(&self) -> f64 {
        match self {
            Cost::Leaf(cycles) => *cycles,
            Cost::Tile(cost) => cost.cycles(),
        }
    }
}

/// The best schedule of a stage, and what it costs.
fn schedule_stage(model: &Model<'_>) -> (StageSchedule, Cost) {
    let rows = |schedule: &StageSchedule| match *schedule {
        StageSchedule::Tile { row_axis, .. } => model.extents()[row_axis],
        _ => 1,
    };
    let tile = match tile::choose(model) {
        Some((schedule, cost)) if rows(&schedule) > 1 => return (schedule, Cost::Tile(cost)),
        tile => tile,
    };
    let mut best = (StageSchedule::Scalar, model.leaf(Leaf::Point));
    for axis in model.strip_axes() {
        for &lanes in [1].iter().chain(model.vectors.lane_counts()) {
            let Some(leaf) = model.strip(axis, lanes) else { continue };
            let cost = model.leaf(leaf);
            if cost < best.1 {
                best = (StageSchedule::Strip { axis, lanes }, cost);
            }
        }
    }
    match tile {
        Some((schedule, cost)) if ONE_ROW * cost.cycles() < best.1 => (schedule, Cost::Tile(cost)),
        _ => (best.0, Cost::Leaf(best.1)),
    }
}

#[cfg(test)]
mod tests {
    use super::chunks::CHUNK_UNIT;
    use super::*;
    use crate::codegen::{Vectors, blocks_of_panels};
    use crate::kernel::parse;

    fn scheduled(text: &str) -> Schedule {
        scheduled_for(level("x86-64-v2"), text)
    }

    fn level(cpu: &str) -> Target {
        Target::parse("x86_64-unknown-linux-gnu", cpu).unwrap()
    }

    fn scheduled_for(target: Target, text: &str) -> Schedule {
        let mut f = parse("test", text).unwrap_or_else(|e| panic!("{e}"));
        schedule(&mut f, &target, &ScheduleOptions::default());
        f.kernels.remove(0).schedule
    }

    /// `c = a · b`, where `b` is read as `[i2, i1]` or `[i1, i2]`.
    fn contraction(rows: usize, cols: usize, transposed: bool) -> Schedule {
        scheduled(&contraction_text(rows, cols, transposed))
    }

    fn contraction_text(rows: usize, cols: usize, transposed: bool) -> String {
        let (shape, index) =
            if transposed { (format!("{cols},64"), "i1, i2") } else { (format!("64,{cols}"), "i2, i1") };
        format!(
            r#"kernels @t {{
  buffer buf0 "a" : f32[{rows},64] param 0
  buffer buf1 "b" : f32[{shape}] param 1
  buffer buf2 "c" : f32[{rows},{cols}] result 0
  kernel k0 (i0 < {rows}, i1 < {cols}) {{
    stage {{
      fold reduce (i2 < 64) {{
        s0 = load buf0[i0, i2] : f32
        s1 = load buf1[{index}] : f32
        acc0 = dot s0, s1 : f32
      }}
      s0 = acc0 : f32
      store s0, buf2[i0, i1]
    }}
  }}
}}"#
        )
    }

    /// How operand 1 is read, and the columns of a tile, where it has so many rows and columns.
    fn columns_of_wide_tiles(rows: usize, cols: usize) -> (Packed, usize) {
        let stages = scheduled_for(level("x86-64-v4"), &contraction_text(rows, cols, false)).stages;
        let [StageSchedule::Tile { pack, cols, .. }] = stages[..] else { panic!("{stages:?}") };
        (pack, cols)
    }

    #[test]
    fn rows_of_tiles_are_four_vectors_of_512_bits_where_there_are_columns_for_four() {
        let cols = [128, 192, 256, 1000].map(|cols| columns_of_wide_tiles(60, cols).1);
        assert_eq!(cols, [32, 48, 64, 64]);
    }

    #[test]
    fn wide_tiles_read_near_columns_where_they_are_for_some_rows() {
        // 64 rows of 10,000 columns are more than 2 MB, and rows of 1,024 columns compete for lines of the cache.
        let packs =
            [(255, 1000), (256, 1000), (60, 10_000), (60, 1024)].map(|(r, c)| columns_of_wide_tiles(r, c).0);
        assert_eq!(packs, [Packed::Neither, Packed::Vectors, Packed::Vectors, Packed::Vectors]);
    }

    #[test]
    fn tiles_fill_wide_registers() {
        for (cpu, shape) in [("x86-64-v3", (4, 24, 8)), ("x86-64-v4", (14, 32, 16))] {
            let stages = scheduled_for(level(cpu), &contraction_text(14 * 6, 64, false)).stages;
            let [StageSchedule::Tile { rows, cols, lanes, .. }] = stages[..] else { panic!("{stages:?}") };
            assert_eq!((rows, cols, lanes), shape, "{cpu}");
        }
    }

    #[test]
    fn rows_run_on_from_line_to_line() {
        let text = |border: usize| {
            let size = 7 + 2 * border;
            format!(
                r#"kernels @t {{
  buffer buf0 "x" : f32[1,7,7,64] param 0
  buffer buf1 "w" : f32[64,512] param 1
  buffer buf2 "y" : f32[1,{size},{size},512] result 0
  kernel k0 (i0 < 1, i1 < 7, i2 < 7, i3 < 512) {{
    stage {{
      fold reduce (i4 < 64) {{
        s0 = load buf0[i0, i1, i2, i4] : f32
        s1 = load buf1[i4, i3] : f32
        acc0 = dot s0, s1 : f32
      }}
      s0 = acc0 : f32
      store s0, buf2[i0, i1 + {border}, i2 + {border}, i3]
    }}
  }}
}}"#
            )
        };
        let rows = |border| match scheduled_for(level("x86-64-v4"), &text(border)).stages[..] {
            [StageSchedule::Tile { row_axis: 2, rows, .. }] => rows,
            ref stages => panic!("{stages:?}"),
        };
        // 7 rows of a line, or 6 of the 49 of all lines.
        assert_eq!([rows(1), rows(0)], [7, 6]);
    }

    #[test]
    fn contractions_become_tiles() {
        let Schedule { stages, threads, .. } = contraction(8, 32, false);
        assert!(!threads, "a few microseconds are not worth a second thread");
        let tile = |row_axis, pack| StageSchedule::Tile {
            row_axis,
            col_axis: 1 - row_axis,
            rows: 4,
            cols: 8,
            lanes: 4,
            row_operand: row_axis,
            pack,
        };
        assert_eq!(stages, [tile(0, Packed::Neither)]);
        // Where neither operand can be read by vectors, the smaller one is packed.
        assert_eq!(contraction(8, 32, true).stages, [tile(1, Packed::Vectors)]);
        assert_eq!(contraction(96, 32, true).stages, [tile(0, Packed::Vectors)]);
    }

    #[test]
    fn columns_are_along_whole_vectors_where_squares_are_turned() {
        let text = contraction_text(100, 1024, true).replace("64", "1024");
        let col_axis = |cpu: &str| match scheduled_for(level(cpu), &text).stages[..] {
            [StageSchedule::Tile { col_axis, pack: Packed::Vectors, .. }] => col_axis,
            ref stages => panic!("{stages:?}"),
        };
        // Element by element, the smaller operand is copied: a hundred columns, of which the last vector has four.
        assert_eq!(["x86-64-v2", "x86-64-v3", "x86-64-v4"].map(col_axis), [0, 1, 1]);
    }

    #[test]
    fn columns_in_place_are_whole_lines() {
        let tile = |rows: usize, b: &str| {
            let text = contraction_text(rows, 300, false).replace(r#""b" : f32[64,300] param 1"#, b);
            match scheduled_for(level("x86-64-v3"), &text).stages[..] {
                [StageSchedule::Tile { cols, pack, .. }] => (cols, pack),
                ref stages => panic!("{stages:?}"),
            }
        };
        let (lines, crowded) = ("f32[64,300] pitch 304 variable 0", "f32[64,300] pitch 384 variable 0");
        let [lines, crowded] = [lines, crowded].map(|b| format!("\"b\" : {b}"));
        let (caller, dense) = (r#""b" : f32[64,300] param 1"#, r#""b" : f32[64,300] variable 0"#);
        assert_eq!(tile(16, &lines), (16, Packed::Neither));
        assert_eq!(tile(16, &crowded), (16, Packed::Neither));
        assert_eq!(tile(16, dense), (24, Packed::Neither));
        // A few more rows are no reason to copy lines, unless these crowd the cache, or may not be whole.
        assert_eq!(tile(33, &lines), (16, Packed::Neither));
        for (rows, b) in [(33, &*crowded), (33, caller), (33, dense), (64, &lines)] {
            assert_eq!(tile(rows, b).1, Packed::Vectors, "{rows} rows of {b}");
        }
    }

    #[test]
    fn what_is_far_away_comes_in_streams() {
        let beside = |rows: usize, (fold, columns): (usize, usize), kind: &str, others: usize| {
            let others = format!("  buffer buf3 \"others\" : f32[{others}] variable 1\n  kernel k0");
            let text = contraction_text(rows, columns, false)
                .replace("  kernel k0", &others)
                .replace("param 1", kind)
                .replace(&format!("f32[{rows},64]"), &format!("f32[{rows},{fold}]"))
                .replace("f32[64,", &format!("f32[{fold},"))
                .replace("i2 < 64", &format!("i2 < {fold}"));
            match scheduled_for(level("x86-64-v3"), &text).stages[..] {
                [StageSchedule::Tile { pack, .. }] => pack,
                ref stages => panic!("{stages:?}"),
            }
        };
        let packed = |rows: usize, size: (usize, usize), kind: &str| beside(rows, size, kind, 1);
        let (ours, callers) = ("pitch 1504 variable 0", "param 1");
        for rows in [2, 7, 33, 64] {
            assert_eq!(packed(rows, (1500, 1500), ours), Packed::Streamed, "{rows}");
        }
        assert_eq!(packed(100, (1500, 1500), ours), Packed::Vectors);
        // What a cache that cores share gives fast enough, but not out of small pages.
        assert_eq!(packed(7, (1000, 1500), ours), Packed::Neither);
        assert_eq!(beside(7, (1000, 1500), ours, 1_000_000), Packed::Streamed);
        assert_eq!(packed(7, (1000, 1500), callers), Packed::Streamed);
        assert_eq!(packed(7, (200, 1500), callers), Packed::Neither);
        assert_eq!(packed(33, (1000, 1500), callers), Packed::Vectors);
        // Rows that compete for lines of the cache.
        assert_eq!(
            [4, 7].map(|rows| packed(rows, (500, 1024), callers)),
            [Packed::Streamed, Packed::Vectors]
        );
    }

    /// An update of a weight by its gradient, from so many examples, with the state of an optimizer beside it or not.
    fn update_text(examples: usize, (rows, cols): (usize, usize), has_state: bool) -> String {
        let text = contraction_text(rows, cols, false)
            .replace(&format!("f32[{rows},64]"), &format!("f32[{examples},{rows}]"))
            .replace("f32[64,", &format!("f32[{examples},"))
            .replace("[i0, i2]", "[i2, i0]")
            .replace("i2 < 64", &format!("i2 < {examples}"));
        if !has_state {
            return text;
        }
        let state = |n| format!("  buffer buf{} \"s{n}\" : f32[{rows},{cols}] result {n}\n", n + 2);
        text.replace("  kernel", &format!("{}{}  kernel", state(1), state(2))).replace(
            "buf2[i0, i1]\n",
            "buf2[i0, i1]\n      store s0, buf3[i0, i1]\n      store s0, buf4[i0, i1]\n",
        )
    }

    #[test]
    fn what_multiplies_little_stores_whole_rows() {
        let of = |text: &str| {
            let Schedule { chunks, stages, .. } = scheduled_for(level("x86-64-v3"), text);
            match stages[..] {
                [StageSchedule::Tile { rows, .. }] => (rows, chunks.map(|chunks| chunks.axis)),
                _ => panic!("{stages:?}"),
            }
        };
        // As many rows at a time as are four of all matrices together, in chunks of rows.
        assert_eq!(of(&update_text(7, (784, 300), false)), (4, Some(0)));
        assert_eq!(of(&update_text(7, (784, 300), true)), (1, Some(0)));
        // Not where more is multiplied, or what is stored stays in a cache.
        assert_eq!(of(&update_text(33, (784, 300), true)), (4, Some(1)));
        assert_eq!(of(&update_text(7, (50, 300), true)).0, 4);
    }

    #[test]
    fn panels_are_updated_one_after_the_other() {
        let blocks = |examples: usize, has_state: bool| {
            let text = update_text(examples, (1000, 512), has_state)
                .replace("(i0 < 1000, i1 < 512)", "(i0 < 1000, i1 < 32, i2 < 16)")
                .replace("reduce (i2", "reduce (i3")
                .replace("[i2, i0]", "[i3, i0]")
                .replace("[i2, i1]", "[i3, 16*i1 + i2]")
                .replace("[i0, i1]", "[i1, 16*i0 + i2]")
                .replace("f32[1000,512]", "f32[32,16000]");
            let mut f = parse("test", &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
            schedule(&mut f, &level("x86-64-v3"), &ScheduleOptions::default());
            let kernel = &f.kernels[0];
            let [stage] = &kernel.stages[..] else { panic!("{f}") };
            blocks_of_panels(stage, &kernel.schedule.stages[0], &chunks::of_stage(kernel, stage))
        };
        assert_eq!([blocks(16, false), blocks(33, true), blocks(48, true)], [1, 1, 1]);
        // What is read of rows serves several where it is more than what is stored.
        for (examples, has_state) in [(17, false), (49, true), (100, true)] {
            assert!(blocks(examples, has_state) > 1, "{examples}");
        }
    }

    #[test]
    fn one_row_is_a_tile_where_squares_are_turned() {
        let schedule = |cpu: &str, transposed| {
            scheduled_for(level(cpu), &contraction_text(1, 256, transposed)).stages.remove(0)
        };
        for cpu in ["x86-64-v3", "x86-64-v4"] {
            assert!(matches!(schedule(cpu, false), StageSchedule::Strip { axis: 1, .. }), "{cpu}");
            let turned = schedule(cpu, true);
            let is_packed = matches!(turned, StageSchedule::Tile { rows: 1, pack: Packed::Vectors, .. });
            assert!(is_packed, "{cpu}: {turned:?}");
        }
    }

    #[test]
    fn columns_of_tiles_are_cut_into_whole_blocks() {
        let schedule = contraction(512, 1001, false);
        assert!(schedule.threads);
        let chunks = schedule.chunks.unwrap();
        assert_eq!((chunks.axis, chunks.block % 8), (1, 0));
        assert!(1001usize.div_ceil(chunks.block) > 1);
    }

    #[test]
    fn what_another_thread_wrote_is_dear_to_a_second_one() {
        // Threads that turn a weight into columns of tiles share its rows out; others did so when they updated it.
        let text = |next: &str| {
            format!(
                r#"kernels @t {{
  buffer buf0 "dy" : f32[7,256] param 0
  buffer buf1 "w" : f32[16,4096] variable 0
  buffer buf2 "dx" : f32[7,256] result 0
  buffer buf3 "next" : f32[16,4096] {next}
  kernel k0 (i0 < 7, i1 < 256) {{
    stage {{
      fold reduce (i2 < 16, i3 < 16) {{
        s0 = load buf0[i0, 16*i2 + i3] : f32
        s1 = load buf1[i2, 16*i1 + i3] : f32
        acc0 = dot s0, s1 : f32
      }}
      s0 = acc0 : f32
      store s0, buf2[i0, i1]
    }}
  }}
  kernel k1 (i0 < 16, i1 < 4096) {{
    stage {{
      s0 = load buf1[i0, i1] : f32
      store s0, buf3[i0, i1]
    }}
  }}
}}"#
            )
        };
        let threads = |next| scheduled_for(level("x86-64-v3"), &text(next)).threads;
        assert!(!threads("next 0"));
        assert!(threads("result 1"));
    }

    #[test]
    fn enormous_extents_take_no_longer() {
        for fold in [64, 0] {
            let text = contraction_text(96, 1 << 40, false).replace("64", &fold.to_string());
            let schedule = scheduled_for(level("x86-64-v3"), &text);
            assert_eq!(schedule.chunks.map(|chunks| (chunks.axis, chunks.block % 24)), Some((1, 0)));
        }
    }

    #[test]
    fn vectors_are_along_the_columns_of_a_panel() {
        let text = r#"kernels @t {
  buffer buf0 "a" : f32[14,2304] param 0
  buffer buf1 "b" : f32[16,36864] param 1
  buffer buf2 "c" : f32[14,256] result 0
  kernel k0 (i0 < 14, i1 < 16, i2 < 16) {
    stage {
      fold reduce (i3 < 2304) {
        s0 = load buf0[i0, i3] : f32
        s1 = load buf1[i1, i2 + 16*i3] : f32
        acc0 = dot s0, s1 : f32
      }
      s0 = acc0 : f32
      store s0, buf2[i0, 16*i1 + i2]
    }
  }
}"#;
        // Not across the panels, of which there are as many.
        for cpu in ["x86-64-v3", "x86-64-v4"] {
            let stages = scheduled_for(level(cpu), text).stages;
            assert!(
                matches!(stages[..], [StageSchedule::Tile { col_axis: 2, pack: Packed::Neither, .. }]),
                "{cpu}: {stages:?}"
            );
        }
    }

    #[test]
    fn long_bodies_have_smaller_tiles() {
        let long = |times: usize| {
            let body: String =
                (1..=times).map(|n| format!("      s{n} = add s{}, s0 : f32\n", n - 1)).collect();
            contraction_text(14 * 6, 64, false)
                .replace("      store s0, buf2", &format!("{body}      store s{times}, buf2"))
        };
        let rows = |times| match scheduled_for(level("x86-64-v4"), &long(times)).stages[..] {
            [StageSchedule::Tile { rows, .. }] => rows,
            [StageSchedule::Scalar] => 0,
            ref stages => panic!("{stages:?}"),
        };
        assert_eq!([10, 10_000, 50_000].map(rows), [14, 3, 0]);
    }

    #[test]
    fn what_was_packed_serves_many_rows() {
        // Columns of tiles, although there are fewer of them than rows, which would all pack the same.
        let chunks = |text: &str| scheduled_for(level("x86-64-v3"), text).chunks.unwrap();
        let product = contraction_text(4096, 256, false);
        assert_eq!((chunks(&product).axis, chunks(&product).block % 24), (1, 0));
        // The sum of each column is made in the same kernel, from what stays in the chunk.
        let summed = product
            .replace("result 0", "local")
            .replace("  kernel k0", "  buffer buf3 \"s\" : f32[256] result 0\n  kernel k0")
            .replace("(i0 < 4096, i1 < 256) {\n    stage {", "(i0 < 256) {\n    stage (i1 < 4096) {")
            .replace("[i0, i2]", "[i1, i2]")
            .replace("[i2, i1]", "[i2, i0]")
            .replace("[i0, i1]\n    }", "[i1, i0]\n    }")
            .replace(
                "    }\n  }\n}",
                "    }\n    stage {\n      fold reduce (i1 < 4096) {\n        s0 = load buf2[i1, i0] : f32\n        \
                 acc0 = sum s0 : f32\n      }\n      s0 = acc0 : f32\n      store s0, buf3[i0]\n    }\n  }\n}",
            );
        assert_eq!((chunks(&summed).axis, chunks(&summed).block % 24), (0, 0));
    }

    #[test]
    fn rows_that_are_reduced_have_vectors_along_the_row() {
        let text = r#"kernels @t {
  buffer buf0 "x" : f32[7,100] param 0
  buffer buf1 "y" : f32[7] result 0
  kernel k0 (i0 < 7) {
    stage {
      fold reduce lanes 16 (i1 < 100) {
        s0 = load buf0[i0, i1] : f32
        acc0 = sum s0 : f32
      }
      s0 = acc0 : f32
      store s0, buf1[i0]
    }
  }
}"#;
        assert_eq!(scheduled(text).stages, [StageSchedule::Strip { axis: 1, lanes: 4 }]);
        // Without partial results, the vector can only be of several rows.
        let in_order = text.replace("lanes 16", "lanes 1");
        let strip = scheduled(&in_order).stages;
        assert!(matches!(strip[..], [StageSchedule::Strip { axis: 0, .. }]), "{strip:?}");
    }

    #[test]
    fn a_tail_is_one_vector_where_there_are_partial_ones() {
        let text = r#"kernels @t {
  buffer buf0 "x" : f32[2,3] param 0
  buffer buf1 "y" : f32[2,3] result 0
  kernel k0 (i0 < 2, i1 < 3) {
    stage {
      s0 = load buf0[i0, i1] : f32
      s1 = neg s0 : f32
      store s1, buf1[i0, i1]
    }
  }
}"#;
        assert_eq!(scheduled(text).stages, [StageSchedule::Scalar]);
        let partial = level("x86-64-v2").with_vectors(Vectors::Cranelift { partial: true, registers: None });
        assert_eq!(scheduled_for(partial, text).stages, [StageSchedule::Strip { axis: 1, lanes: 4 }]);
        // Of the vectors that hold a row, the smallest.
        assert_eq!(
            scheduled_for(level("x86-64-v4"), text).stages,
            [StageSchedule::Strip { axis: 1, lanes: 4 }]
        );
    }

    #[test]
    fn maps_are_cut_so_that_threads_share_no_line() {
        let schedule = scheduled(
            r#"kernels @t {
  buffer buf0 "x" : f32[1000003] param 0
  buffer buf1 "y" : f32[1000003] result 0
  kernel k0 (i0 < 1000003) {
    stage {
      s0 = load buf0[i0] : f32
      s1 = neg s0 : f32
      store s1, buf1[i0]
    }
  }
}"#,
        );
        assert_eq!(schedule.stages, [StageSchedule::Strip { axis: 0, lanes: 4 }]);
        assert!(schedule.threads);
        assert_eq!(schedule.chunks.unwrap().block % CHUNK_UNIT, 0);
    }
}
