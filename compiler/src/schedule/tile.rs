//! Tiles for contractions: which axes are rows and columns, and whether to pack.

use cranelift_entity::{EntityRef, SecondaryMap};

use super::cost::Model;
use crate::codegen::{Axes, Target, accumulators_fit, dependencies, fold_operands};
use crate::kernel::{Axis, Fold, FoldKind, FoldOp, InstKind, ScalarId, StageSchedule};

/// Rows of a tile. With [`VECTORS`] it takes 8 accumulators, 2 vectors of the other operand and a broadcast value: of the
/// shapes that fit 16 registers the one that reached most, 48 GFLOP/s of 59 (4×12: 27, 2×16: 27, 6×8: 40, 3×8: 42).
const ROWS: usize = 4;
/// Vectors of a tile's row.
const VECTORS: usize = 2;
/// Cycles of a multiplication and addition of vectors, with its share of loads.
const FMA: f64 = 0.6;
/// Cycles of a value that is packed, from consecutive memory and from anywhere.
const PACK: [f64; 2] = [0.4, 1.5];
/// Cycles that a row operand adds to each multiplication and addition of vectors if it is not consecutive along the fold,
/// and if its elements along the fold moreover compete for lines of the cache.
const STRIDED_ROWS: [f64; 2] = [0.1, 0.6];
/// Rows from which on a panel is worth packing even if the operand is read by vectors: what it gains is a smaller stride.
const PACK_ROWS: usize = 32;
/// Bytes from one row of an operand to the next where rows compete for the same lines of the first-level cache.
const CONFLICT: i64 = 4096;

/// The best tile of a stage, with its cycles per point; `None` if it is no contraction or has no two axes for it.
pub(super) fn choose(model: &Model<'_>, target: &Target) -> Option<(StageSchedule, f64)> {
    let fold = model.stage.fold.as_ref()?;
    let operands = match (fold.kind, fold.accumulators.as_slice()) {
        (FoldKind::Reduce, [a]) if fold.lanes == 1 && matches!(a.op, FoldOp::Dot(..)) => fold_operands(a.op),
        _ => return None,
    };
    let depends = dependencies(&fold.body);
    let axes = [0, 1].map(|n: usize| depends[operands[n].index()]);
    let lanes = target.lanes(fold.body.insts[operands[0]].dtype);
    if !accumulators_fit(fold, lanes) {
        return None;
    }
    let extents = model.extents();
    let only = |n: usize, axis: &Axis| has(axes[n], *axis) && !has(axes[1 - n], *axis);
    let long: Vec<Axis> = (0..extents.len()).filter(|&a| extents[a] > 1).collect();
    let mut best: Option<(StageSchedule, f64)> = None;
    for row_operand in 0..2 {
        for row_axis in long.iter().copied().filter(|a| only(row_operand, a)) {
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
                if best.as_ref().is_none_or(|b| cost < b.1) {
                    best = Some((schedule, cost));
                }
            }
        }
    }
    best
}

fn has(axes: Axes, axis: Axis) -> bool {
    axes & (1 << axis) != 0
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
    /// The tile and its cycles per point.
    fn evaluate(&self, model: &Model<'_>) -> (StageSchedule, f64) {
        let extents = model.extents();
        let (rows, cols) = (extents[self.row_axis], extents[self.col_axis]);
        let elements: f64 = self.fold.axes.iter().map(|&e| e as f64).product();
        let innermost = extents.len() + self.fold.axes.len() - 1;
        let vectors = self.loads(model, self.operands[1 - self.row_operand], self.col_axis);
        let (consecutive, conflicts) = (vectors.consecutive, vectors.conflicts);
        let broadcast = self.loads(model, self.operands[self.row_operand], innermost);
        let strided = match (broadcast.consecutive, broadcast.conflicts) {
            (true, _) => 0.0,
            (false, conflicts) => STRIDED_ROWS[usize::from(conflicts)],
        };
        let pack = !consecutive || conflicts || rows >= PACK_ROWS;
        // Vectors of a row, and columns that fill none.
        let pieces = (cols / self.lanes + cols % self.lanes) as f64;
        // Fewer accumulators than a tile's do not keep the units busy.
        let chains = rows.min(ROWS) as f64 * pieces.min(VECTORS as f64);
        let busy = (chains / (ROWS * VECTORS) as f64).min(1.0);
        let contraction = (FMA / busy + strided) * elements * pieces / cols as f64;
        let packing = if pack { PACK[usize::from(!consecutive)] * elements / rows as f64 } else { 0.0 };
        let stores =
            model.stage.stores.iter().map(|s| match model.stride(s.buffer, &s.index, self.col_axis) == 1 {
                true => 1.0 / self.lanes as f64,
                false => 1.5,
            });
        let schedule = StageSchedule::Tile {
            row_axis: self.row_axis,
            col_axis: self.col_axis,
            rows: ROWS.min(rows.next_power_of_two()),
            cols: self.lanes * VECTORS,
            lanes: self.lanes,
            row_operand: self.row_operand,
            pack,
        };
        (schedule, contraction + packing + stores.sum::<f64>())
    }

    /// What the loads that an operand needs are like along an axis.
    fn loads(&self, model: &Model<'_>, operand: ScalarId, axis: Axis) -> Loads {
        let innermost = model.extents().len() + self.fold.axes.len() - 1;
        let mut loads = Loads { consecutive: true, conflicts: false };
        // Operands come before their uses, so one walk from the end finds all that the operand needs.
        let mut needed = SecondaryMap::new();
        needed[operand] = true;
        for (value, inst) in self.fold.body.insts.iter().rev().filter(|(value, _)| *value <= operand) {
            if !needed[value] {
                continue;
            }
            inst.kind.each_operand(|s| needed[s] = true);
            if let InstKind::Load(access) = &inst.kind {
                let along = model.stride(access.buffer, &access.index, axis);
                loads.consecutive &= along == 0 || along == 1;
                let row =
                    model.stride(access.buffer, &access.index, innermost).abs() * inst.dtype.bytes() as i64;
                loads.conflicts |= row >= CONFLICT && row.count_ones() == 1;
            }
        }
        loads
    }
}

/// What is true of some loads.
struct Loads {
    /// All are consecutive along an axis, or do not depend on it.
    consecutive: bool,
    /// Elements that follow one another in the fold compete for lines of the cache.
    conflicts: bool,
}
