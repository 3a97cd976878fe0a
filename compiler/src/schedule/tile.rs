//! Tiles for contractions: which axes are rows and columns, how large tiles are, and whether to pack.

use cranelift_entity::{EntityRef, SecondaryMap};

use super::cost::Model;
use crate::codegen::{Axes, Columns, accumulators_fit, dependencies, even_blocks, fold_operands, joined};
use crate::kernel::{
    Access, Affine, Axis, Body, BufferId, BufferKind, Fold, FoldKind, FoldOp, InstKind, KernelFunction,
    Packed, ScalarId, StageSchedule, points,
};

/// Rows of a tile through Cranelift. With [`VECTORS`] it takes 8 accumulators, 2 vectors of the other operand and a
/// broadcast value: of the shapes that fit 16 registers the one that reached most, 48 GFLOP/s of 59 (4×12: 27, 2×16: 27,
/// 6×8: 40, 3×8: 42), for Cranelift spills registers of larger ones.
const ROWS: usize = 4;
/// Vectors of such a tile's row.
const VECTORS: usize = 2;
/// Bytes that a tile's row has at most: two cache lines, so that a panel has many elements of the fold.
const ROW_BYTES: usize = 128;
/// Vectors that it has at most, of more bytes than that, where there are columns for four such rows, for threads are given columns.
/// Four of 512 bits leave registers for six rows; of 14, those that lie a multiple of 4,096 bytes apart push each other out of the
/// first-level cache.
const ROW_VECTORS: usize = 4;
/// Accumulators that keep the units for multiplication and addition busy: 2 start in a cycle, and take 4.
const CHAINS: usize = 8;
/// What loading a vector or broadcasting a value adds to a tile, in multiplications and additions of vectors.
const LOAD: f64 = 0.25;
/// Cycles of a multiplication and addition of vectors, with its share of loads.
const FMA: f64 = 0.6;
/// Cycles of a value that is packed by vectors, along the columns or in squares that are turned, and on its own.
const PACK: [f64; 2] = [0.3, 1.5];
/// Cycles of a value of the row operand that is packed from consecutive memory, a few at a time.
const PACK_ROWS_CYCLES: f64 = 0.6;
/// Cycles that a row operand adds to each multiplication and addition of vectors of at most [`STRIDED_VECTOR`] bytes if it is
/// consecutive along the rows but not along the fold, and if its elements along the fold moreover compete for lines of the
/// cache. Of longer vectors there are fewer for the same reads.
const STRIDED_ROWS: [f64; 2] = [0.1, 0.6];
/// See [`STRIDED_ROWS`].
const STRIDED_VECTOR: f64 = 32.0;
/// Cycles that each row adds if it is consecutive along neither, so that every element is in a cache line of its own.
const LINE_CYCLES: f64 = 1.0;
/// Cycles of a point that is stored on its own, because columns are not consecutive in memory.
const SCATTERED: f64 = 1.5;
/// Cycles that this adds for each line of the cache that is no longer near when it is stored to again.
const SCATTERED_LINE: f64 = 30.0;
/// Rows that share such a line where more columns compete for the same lines of the cache than stay there.
const SHARING_ROWS: usize = 2;
/// Elements of a fold up to which storing takes longer than multiplying, where what is stored is more than [`STREAMED`] bytes.
const FEW_ELEMENTS: usize = 16;
/// See [`FEW_ELEMENTS`]: what stays in the second-level cache.
const STREAMED: usize = 256 << 10;
/// Rows of all matrices that are stored to at a time which the processor foresees.
const STREAMS: usize = 4;
/// Bytes of a cache line.
const LINE_BYTES: usize = 64;
/// Costs that differ by less than this part are alike.
const ALIKE: f64 = 0.01;
/// Rows from which on a panel is worth packing even if the operand is read by vectors: what it gains is a smaller stride. That
/// is less where tiles read whole lines of the cache, if these do not crowd it.
const PACK_ROWS: [usize; 2] = [32, 64];
/// As [`PACK_ROWS`], with vectors of [`WIDE_VECTOR`] bytes, of an operand that is not far away: a tile reads four lines of it side by
/// side, of a block that stays in the second-level cache.
const PACK_WIDE_ROWS: usize = 256;
/// Bytes of vectors whose processors have a second-level cache of 1 MiB, farther from what is beyond it.
pub(super) const WIDE_VECTOR: usize = 64;
/// See [`PACK_WIDE_ROWS`]: bytes of such a block.
const WIDE_BLOCK: usize = 256 << 10;
/// As [`PACK_ROWS`], of an operand of ours that is far away.
const PACK_FAR_ROWS: usize = 96;
/// Bytes of an operand from which on it is far away: one of the caller, whose rows may each be in another page, and small ones. With
/// vectors of [`WIDE_VECTOR`] bytes it is the second, for the second-level cache is larger where there are these.
const FAR_OPERAND: [f64; 2] = [(1 << 20) as f64, (2 << 20) as f64];
/// Bytes of all variables of a function from which on these are too, those that are read in place and those in panels: fewer stay
/// in the cache that cores share, which gives them fast enough.
const FAR: [f64; 2] = [(8 << 20) as f64, (12 << 20) as f64];
/// Elements of a fold from which on it is worth having accumulators in memory between its parts.
const STREAMED_ELEMENTS: f64 = 256.0;
/// Rows that read elements that compete for lines of the cache as often as these are there, without a copy.
const CONFLICT_ROWS: usize = 4;
/// Lines that are a multiple of this apart, in bytes, crowd the caches: they fall into an eighth of the sets of each, or fewer.
const CROWDED: usize = 512;
/// Bytes of the first-level cache.
const NEAR: usize = 32 << 10;
/// Lines of that cache that compete with one another before one of them is gone.
const WAYS: f64 = 8.0;
/// Blocks of columns that a panel is thought to have, where there are as many.
const BLOCKS: usize = 3;
/// Bytes from one row of an operand to the next where rows compete for the same lines of the first-level cache.
const CONFLICT: i64 = 4096;

/// Cycles per point of a stage in tiles, and what packing is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct TileCost {
    /// Multiplications and additions, with their loads.
    pub(super) contraction: f64,
    /// The share of a point in the copy to a panel.
    pub(super) packing: f64,
    pub(super) stores: f64,
    /// Why the operand that is read by vectors is packed; `None` if it is not.
    pub(super) pack: Option<Pack>,
    /// Whether that operand lies in panels.
    pub(super) in_panels: bool,
}

/// Why an operand is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pack {
    /// It cannot be read by vectors as it is.
    Scattered,
    /// Its elements along the fold compete for lines of the cache.
    Conflicts,
    /// So many rows use what was copied once, at each of the points that share it.
    Rows(usize),
}

impl TileCost {
    pub(super) fn cycles(&self) -> f64 {
        self.contraction + self.packing + self.stores
    }
}

/// The best tile of a stage; `None` if it is no contraction or has no two axes for it.
pub(super) fn choose(model: &Model<'_>) -> Option<(StageSchedule, TileCost)> {
    let fold = model.stage.fold.as_ref()?;
    let operands = match (fold.kind, fold.accumulators.as_slice()) {
        (FoldKind::Reduce, [a]) if fold.lanes == 1 && matches!(a.op, FoldOp::Dot(..)) => fold_operands(a.op),
        _ => return None,
    };
    let depends = dependencies(&fold.body);
    let axes = [0, 1].map(|n: usize| depends[operands[n].index()]);
    let lanes = model.vectors.lanes(fold.body.insts[operands[0]].dtype);
    if !accumulators_fit(fold, model.vectors, lanes) {
        return None;
    }
    let extents = model.extents();
    let only = |n: usize, axis: &Axis| has(axes[n], *axis) && !has(axes[1 - n], *axis);
    let long: Vec<Axis> = (0..extents.len()).filter(|&a| extents[a] > 1).collect();
    // One row is one where there is no axis of several.
    let rows = |n: usize| {
        let own = |a: &Axis| only(n, a);
        let several: Vec<Axis> = long.iter().copied().filter(own).collect();
        match several.is_empty() {
            true => (0..extents.len()).find(own).into_iter().collect(),
            false => several,
        }
    };
    let mut best: Option<(StageSchedule, TileCost, i64)> = None;
    for row_operand in 0..2 {
        for row_axis in rows(row_operand) {
            for col_axis in long.iter().copied().filter(|a| only(1 - row_operand, a)) {
                let candidate = Candidate {
                    fold,
                    lanes,
                    row_axis,
                    col_axis,
                    row_operand,
                    operands: [operands[0], operands[1]],
                };
                let (schedule, cost) = candidate.evaluate(model);
                // Of two that cost about the same, rows that are closer together share more of a cache.
                let apart = candidate.row_stride(model);
                let is_better = |(_, best, closest): &(_, TileCost, i64)| {
                    let (cycles, least) = (cost.cycles(), best.cycles());
                    cycles < least * (1.0 - ALIKE) || cycles < least * (1.0 + ALIKE) && apart < *closest
                };
                if best.as_ref().is_none_or(is_better) {
                    best = Some((schedule, cost, apart));
                }
            }
        }
    }
    best.map(|(schedule, cost, _)| (schedule, cost))
}

/// The axes that rows run along beside their own.
pub(super) fn joined_rows(model: &Model<'_>, row_axis: Axis, columns: Columns) -> Vec<Axis> {
    let along = |buffer: BufferId, index: &[Affine], axis: Axis| model.stride(buffer, index, axis);
    joined(model.stage, row_axis, &model.extents(), &along, |axis| {
        axis != columns.axis && axis != columns.along
    })
}

/// Whether a stage multiplies little for what it stores, which is matrices of many rows along an axis, from far away.
pub(super) fn streams_rows(model: &Model<'_>, row_axis: Axis) -> bool {
    let stage = model.stage;
    let bytes = stage.stores.iter().map(|store| model.f.buffers[store.buffer].bytes());
    stage.fold.as_ref().is_some_and(|fold| points(&fold.axes) <= FEW_ELEMENTS)
        && stage.stores_one_behind_the_other(row_axis)
        && bytes.fold(0, usize::saturating_add) > STREAMED
}

/// Bytes of all variables of a function.
fn variable_bytes(f: &KernelFunction) -> f64 {
    let variables = f.buffers.values().filter(|b| matches!(b.kind, BufferKind::Variable(_)));
    variables.map(|b| b.bytes() as f64).sum()
}

fn has(axes: Axes, axis: Axis) -> bool {
    axes & (1 << axis) != 0
}

/// The loads that a value needs.
pub(super) fn needed(body: &Body, value: ScalarId) -> Vec<&Access> {
    // Operands come before their uses, so one walk from the end finds them all.
    let mut needed = SecondaryMap::new();
    needed[value] = true;
    let mut loads = Vec::new();
    for (value, inst) in body.insts.iter().rev().filter(|(other, _)| *other <= value) {
        if needed[value] {
            inst.kind.each_operand(|s| needed[s] = true);
            if let InstKind::Load(access) = &inst.kind {
                loads.push(access);
            }
        }
    }
    loads
}

/// A choice of axes.
struct Candidate<'k> {
    fold: &'k Fold,
    lanes: usize,
    row_axis: Axis,
    col_axis: Axis,
    row_operand: usize,
    operands: [ScalarId; 2],
}

impl Candidate<'_> {
    /// The tile and what it costs.
    fn evaluate(&self, model: &Model<'_>) -> (StageSchedule, TileCost) {
        let extents = model.extents();
        let columns = self.columns(model);
        let joined = joined_rows(model, self.row_axis, columns);
        let rows = joined.iter().fold(extents[self.row_axis], |rows, &axis| rows * extents[axis]);
        let cols = columns.count(&extents);
        let elements: f64 = points(&self.fold.axes) as f64;
        let innermost = extents.len() + self.fold.axes.len() - 1;
        let vectors = self.loads(model, self.operands[1 - self.row_operand], self.col_axis);
        let (consecutive, conflicts) = (vectors.consecutive, vectors.conflicts);
        let broadcast = self.loads(model, self.operands[self.row_operand], innermost);
        let bytes = self.fold.body.insts[self.operands[0]].dtype.bytes();
        // Lines of the cache that follow one another are read like consecutive elements.
        let is_near = broadcast.consecutive || broadcast.row as usize * bytes <= LINE_BYTES;
        let vector_bytes = self.lanes * bytes;
        let reads = (vector_bytes as f64 / STRIDED_VECTOR).max(1.0);
        let strided = (!is_near).then_some(STRIDED_ROWS[usize::from(broadcast.conflicts)] * reads);
        // A panel serves all points of the axes that it does not depend on.
        let depends = dependencies(&self.fold.body)[self.operands[1 - self.row_operand].index()];
        let is_free = |axis: &Axis| {
            ![self.row_axis, columns.axis, columns.along].contains(axis)
                && !joined.contains(axis)
                && !has(depends, *axis)
        };
        let uses: f64 = (0..extents.len()).filter(is_free).map(|axis| extents[axis] as f64).product();
        // Rows of a panel are one behind the other.
        let in_panels = consecutive && columns.axis != columns.along && vectors.row == columns.each as i64;
        // Rows that are whole lines apart: columns that are read where they are can be whole lines.
        let row_bytes = vectors.row as usize * bytes;
        let of_lines = !in_panels && row_bytes > 0 && row_bytes.is_multiple_of(LINE_BYTES);
        let has_lines = of_lines && vectors.begins_at_line && !row_bytes.is_multiple_of(CROWDED);
        // What comes from far away is better read by whole rows.
        let is_ours = in_panels || vectors.begins_at_line;
        let is_wide = vector_bytes >= WIDE_VECTOR;
        let is_far = bytes as f64 * cols as f64 * elements > FAR_OPERAND[usize::from(is_wide)]
            && (!is_ours || variable_bytes(model.f) > FAR[usize::from(in_panels)]);
        let can_stream = is_far
            && self.fold.axes.len() == 1
            && elements >= STREAMED_ELEMENTS
            && consecutive
            && uses == 1.0
            && rows > 1
            && model.vectors.has_prefetch();
        let block = elements as usize * ROW_VECTORS * vector_bytes;
        let enough = match is_far {
            true if can_stream && is_ours && !in_panels => PACK_FAR_ROWS,
            false if is_wide && block <= WIDE_BLOCK => PACK_WIDE_ROWS,
            _ => PACK_ROWS[usize::from(has_lines)],
        };
        let of_rows = || (rows as f64 * uses >= enough as f64).then_some(Pack::Rows(rows));
        let pack = match (consecutive, conflicts) {
            (false, _) => Some(Pack::Scattered),
            (true, true) if !(in_panels || can_stream && rows <= CONFLICT_ROWS) => Some(Pack::Conflicts),
            (true, _) => of_rows(),
        };
        // Vectors of a row, and columns that fill none.
        let pieces = model.vectors_of(cols, self.lanes);
        let unit = match pack {
            None if of_lines => (LINE_BYTES / vector_bytes).min(pieces).max(1),
            _ => columns.each.div_ceil(self.lanes),
        };
        // Rows that are stored to in turn are few enough for the processor to foresee.
        let at_a_time = match streams_rows(model, self.row_axis) {
            true => (STREAMS / model.stage.stores.len()).clamp(1, rows),
            false => rows,
        };
        let most_vectors = (ROW_BYTES / vector_bytes).max(ROW_VECTORS.min(pieces / 4));
        let shape = match model.vectors.tile_registers() {
            Some(registers) => Shape::best((registers, most_vectors), at_a_time, pieces, unit),
            None => Shape { rows: ROWS.min(rows.next_power_of_two()), vectors: VECTORS },
        };
        // Fewer accumulators do not keep the units busy.
        let chains = (rows.min(shape.rows) * pieces.min(shape.vectors)) as f64;
        let busy = (chains / CHAINS as f64).min(1.0);
        // Rows of a few elements of a line each, of which the next rows use the others: they are packed if the lines are gone by
        // then, as those that compete are.
        let touched = LINE_BYTES + vector_bytes * pieces.min(shape.vectors);
        let stays = elements * touched as f64 <= NEAR as f64;
        let blocks = pieces.div_ceil(shape.vectors).min(BLOCKS);
        let pack_rows = pack.is_some()
            && strided.is_some()
            && self.row_stride(model) == 1
            && blocks > 1
            && (!stays || broadcast.conflicts && elements > WAYS);
        // Columns in panels are copied only to lie beside the rows.
        let pack = pack.filter(|_| pack_rows || !in_panels);
        let strided = match strided {
            Some(_) if pack_rows => 0.0,
            Some(cycles) if self.row_stride(model) == 1 => cycles,
            Some(cycles) => cycles.max(LINE_CYCLES / pieces.min(shape.vectors) as f64),
            None => 0.0,
        };
        let contraction = (FMA / busy + strided) * elements * pieces as f64 / cols as f64;
        let by_vectors = consecutive || self.is_turned(model);
        let packing = if pack.is_some() {
            PACK[usize::from(!by_vectors)] * elements / (rows as f64 * uses)
        } else {
            0.0
        };
        let is_streamed = pack.is_none() && can_stream && (!in_panels || rows < 2 * shape.rows);
        let columns = blocks * shape.vectors * self.lanes;
        let packing =
            packing + if pack_rows { PACK_ROWS_CYCLES * elements / columns.min(cols) as f64 } else { 0.0 };
        let size = (shape.rows, shape.vectors * self.lanes);
        let stores = model.stage.stores.iter();
        let stores = stores.map(|s| self.store_cycles(model, (s.buffer, &s.index), (!stays).then_some(size)));
        let schedule = StageSchedule::Tile {
            row_axis: self.row_axis,
            col_axis: self.col_axis,
            rows: shape.rows,
            cols: self.lanes * shape.vectors,
            lanes: self.lanes,
            row_operand: self.row_operand,
            pack: match (pack, pack_rows) {
                (None, _) if is_streamed => Packed::Streamed,
                (None, _) => Packed::Neither,
                (Some(_), false) => Packed::Vectors,
                (Some(_), true) => Packed::Both,
            },
        };
        (schedule, TileCost { contraction, packing, stores: stores.sum(), pack, in_panels })
    }

    /// The columns: along two axes where a tile can have all of the first one.
    fn columns(&self, model: &Model<'_>) -> Columns {
        let extents = model.extents();
        let bytes = self.fold.body.insts[self.operands[0]].dtype.bytes();
        let fits = |columns: &Columns| {
            columns.each.is_multiple_of(self.lanes)
                && columns.each * bytes <= ROW_BYTES
                && model.vectors.tile_registers().is_some()
        };
        let joined = Columns::joined(model.stage, self.row_axis, (self.col_axis, self.row_operand), &extents);
        joined.filter(fits).unwrap_or(Columns::of(self.col_axis))
    }

    /// Whether the columns' operand can be copied in squares, read by vectors along the fold (`codegen/panel/turned.rs`).
    fn is_turned(&self, model: &Model<'_>) -> bool {
        let operand = self.operands[1 - self.row_operand];
        let innermost = model.extents().len() + self.fold.axes.len() - 1;
        !self.fold.axes.is_empty()
            && self.loads(model, operand, innermost).consecutive
            && model.vectors.has_transpose(self.fold.body.insts[operand].dtype, self.lanes)
    }

    /// Cycles of a point's share in a store of a tile, of so many rows and columns where what the tile before it stored to is no
    /// longer in the nearest cache.
    fn store_cycles(
        &self,
        model: &Model<'_>,
        (buffer, index): (BufferId, &[Affine]),
        far: Option<(usize, usize)>,
    ) -> f64 {
        let bytes = model.f.buffers[buffer].dtype.bytes();
        let [row, col] = [self.row_axis, self.col_axis]
            .map(|axis| model.stride(buffer, index, axis).unsigned_abs() as usize * bytes);
        match far {
            _ if col == bytes => 1.0 / self.lanes as f64,
            Some((rows, cols)) if col >= LINE_BYTES => {
                // Rows that follow one another share lines, while these do not compete with one another.
                let competes = col.is_multiple_of(CONFLICT as usize) && cols as f64 > WAYS;
                let most = if competes { SHARING_ROWS } else { rows };
                SCATTERED + SCATTERED_LINE / most.min(LINE_BYTES / row.clamp(bytes, LINE_BYTES)) as f64
            }
            _ => SCATTERED,
        }
    }

    /// Elements of the row operand from one row to the next, at most.
    fn row_stride(&self, model: &Model<'_>) -> i64 {
        let operand = self.operands[self.row_operand];
        let loads = needed(&self.fold.body, operand);
        let strides = loads.iter().map(|a| model.stride(a.buffer, &a.index, self.row_axis).abs());
        strides.max().unwrap_or(0)
    }

    /// What the loads that an operand needs are like along an axis.
    fn loads(&self, model: &Model<'_>, operand: ScalarId, axis: Axis) -> Loads {
        let innermost = model.extents().len() + self.fold.axes.len() - 1;
        let mut loads = Loads { consecutive: true, conflicts: false, row: 0, begins_at_line: true };
        for access in needed(&self.fold.body, operand) {
            let along = model.stride(access.buffer, &access.index, axis);
            loads.consecutive &= along == 0 || along == 1;
            let bytes = model.f.buffers[access.buffer].dtype.bytes() as i64;
            loads.row = model.stride(access.buffer, &access.index, innermost).abs();
            let row = loads.row * bytes;
            loads.conflicts |= row >= CONFLICT && row % CONFLICT == 0;
            let kind = &model.f.buffers[model.f.storage(access.buffer)].kind;
            loads.begins_at_line &= !matches!(kind, BufferKind::Param(_) | BufferKind::Result(_));
        }
        loads
    }
}

/// The size of a tile.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shape {
    rows: usize,
    /// Vectors of a row.
    vectors: usize,
}

impl Shape {
    /// The shape that takes least for so many rows and vectors of columns, both at least 1, of those whose accumulators,
    /// vectors of one row and broadcast value fit into registers, and whose rows are so many vectors or a multiple of it.
    fn best((registers, most_vectors): (usize, usize), rows: usize, vectors: usize, unit: usize) -> Shape {
        let mut best = Shape { rows: 1, vectors: unit };
        for v in (unit..=most_vectors.min(vectors)).step_by(unit) {
            for r in 1..=(registers.saturating_sub(v + 1) / v).min(rows) {
                let shape = Shape { rows: r, vectors: v };
                if shape.cost(rows, vectors) < best.cost(rows, vectors) {
                    best = shape;
                }
            }
        }
        best
    }

    /// What one element of the fold takes at so many rows and vectors of columns that are cut into such tiles, in
    /// multiplications and additions of vectors.
    fn cost(self, rows: usize, vectors: usize) -> f64 {
        let col_blocks = [(vectors / self.vectors, self.vectors), (1, vectors % self.vectors)];
        let mut cost = 0.0;
        for (row_blocks, r) in even_blocks(rows, self.rows) {
            for (col_blocks, v) in col_blocks {
                if r * v > 0 {
                    let tile = (r * v) as f64 + LOAD * (r + v) as f64;
                    cost += row_blocks as f64 * col_blocks as f64 * tile.max(CHAINS as f64);
                }
            }
        }
        cost
    }
}

/// What is true of some loads.
struct Loads {
    /// All are consecutive along an axis, or do not depend on it.
    consecutive: bool,
    /// Elements that follow one another in the fold compete for lines of the cache.
    conflicts: bool,
    /// Elements from one element of the fold to the next, of the last of them.
    row: i64,
    /// They are of buffers that begin with a line of the cache; those of the caller may begin anywhere.
    begins_at_line: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_fill_the_registers_and_fit_the_extents() {
        let avx512 = |rows, vectors| Shape::best((32, 2), rows, vectors, 1);
        let avx2 = |rows, vectors| Shape::best((16, 4), rows, vectors, 1);
        let shape = |rows, vectors| Shape { rows, vectors };
        assert_eq!(avx512(14 * 8, 16), shape(14, 2));
        // 8 blocks of 12 and 13 rows take fewer registers than 8 of up to 14.
        assert_eq!(avx512(100, 8), shape(13, 2));
        // One vector of columns, of which a few are masked.
        assert_eq!(avx512(100, 1), shape(25, 1));
        assert_eq!(avx512(1, 1), shape(1, 1));
        assert_eq!(avx2(24, 6), shape(4, 3));
        assert_eq!(avx2(24, 4), shape(6, 2));
        for (rows, vectors) in [(1, 1), (1, 9), (7, 3), (1000, 1), (1 << 40, 1 << 40)] {
            for (registers, most) in [(32, 2), (16, 4), (0, 1)] {
                let Shape { rows: r, vectors: v } = Shape::best((registers, most), rows, vectors, 1);
                assert!((r, v) == (1, 1) || r * v + v < registers && v <= most, "{r} x {v}");
                assert!(r <= rows && v <= vectors, "{r} x {v}");
            }
        }
    }
}
