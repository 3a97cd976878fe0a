//! Columns of tiles that run along two axes as if these were one.
//!
//! Where an operand lies in panels, its columns are two axes of a kernel: one within a panel, as long as a row of a tile,
//! and one from panel to panel. Tiles are then whole panels, of which any number may be one behind the other.

use super::plan::{dependencies, fold_operands};
use super::point::{Coord, Point};
use crate::kernel::{Axis, Stage, StageSchedule};

/// The axes of a tile's columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    /// The axis that vectors are along.
    pub(crate) axis: Axis,
    /// The axis along which blocks of columns follow one another.
    pub(crate) along: Axis,
    /// Columns for one coordinate of that axis: 1 if it is the same.
    pub(crate) each: usize,
}

impl Columns {
    /// Columns along one axis.
    pub(crate) fn of(axis: Axis) -> Columns {
        Columns { axis, along: axis, each: 1 }
    }

    /// The columns of a stage in tiles, whose points have these extents.
    pub(crate) fn new(stage: &Stage, schedule: &StageSchedule, extents: &[usize]) -> Option<Columns> {
        let &StageSchedule::Tile { row_axis, col_axis, cols, lanes, row_operand, .. } = schedule else {
            return None;
        };
        let joined = Columns::joined(stage, row_axis, (col_axis, row_operand), extents);
        let fits =
            |columns: &Columns| columns.each.is_multiple_of(lanes) && cols.is_multiple_of(columns.each);
        Some(joined.filter(fits).unwrap_or(Columns::of(col_axis)))
    }

    /// The columns along an axis of a stage, if they can go on along another one: one on which the operand that is broadcast
    /// does not depend. The longest, if there are several.
    pub(crate) fn joined(
        stage: &Stage,
        row_axis: Axis,
        (axis, row_operand): (Axis, usize),
        extents: &[usize],
    ) -> Option<Columns> {
        let fold = stage.fold.as_ref()?;
        let operands = fold_operands(fold.accumulators.first()?.op);
        let depends = dependencies(&fold.body);
        let on = |operand: usize, other: Axis| {
            let operand = operands.get(operand);
            operand.is_some_and(|s| depends[s.as_u32() as usize] & (1 << other) != 0)
        };
        let others =
            (0..extents.len()).filter(|&other| other != axis && other != row_axis && extents[other] > 1);
        let along = others
            .filter(|&other| on(1 - row_operand, other) && !on(row_operand, other))
            .max_by_key(|&other| (extents[other], std::cmp::Reverse(other)))?;
        Some(Columns { axis, along, each: extents[axis] })
    }

    /// How many columns there are.
    pub(crate) fn count(&self, extents: &[usize]) -> usize {
        extents[self.along].saturating_mul(self.each)
    }

    /// Coordinates of the blocks' axis for so many columns, which are whole blocks.
    pub(crate) fn steps(&self, cols: usize) -> usize {
        cols / self.each
    }

    /// Puts a point on the n-th column from where a block starts.
    pub(super) fn put<W: Copy>(&self, point: &mut Point<W>, start: Coord<W>, n: usize) {
        if self.along != self.axis {
            point[self.axis] = Coord::fixed((n % self.each) as i64);
        }
        point[self.along] = start.plus((n / self.each) as i64);
    }
}
