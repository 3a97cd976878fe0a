//! Asks memory for what the next panel is copied from, while tiles use the panel before it.
//!
//! A copy that waits for memory computes nothing. So every tile asks for a share of the columns of the next block, a little
//! in each segment of its fold: when that block is copied, its lines are on their way or have come.

use super::{LINE, Panel};
use crate::codegen::access::FlatAccess;
use crate::codegen::emitter::VectorEmitter;
use crate::codegen::loops::Emission;
use crate::codegen::plan::BodyPlan;
use crate::codegen::point::{Coord, Point};
use crate::codegen::stage::StageCode;
use crate::kernel::{Axis, StageSchedule};

/// An operand of at most so many bytes is in a near cache after its first use.
const NEAR: usize = 256 << 10;
/// The least elements of the fold in a segment, so that what is between segments is little.
const SEGMENT: usize = 16;

/// How tiles ask for the next panel's columns.
pub(in crate::codegen) struct Ahead {
    accesses: Vec<FlatAccess>,
    fold_axis: Axis,
    row_axis: Axis,
    col_axis: Axis,
    /// Elements of the fold that are asked for by each row of a tile.
    per_row: usize,
    /// Elements of the fold that are asked for in a segment.
    each: usize,
    /// Elements of the fold in a segment.
    pub(in crate::codegen) segment: usize,
    /// Columns from a block to the one in its place in the next panel.
    next: usize,
}

impl<'k, W: Copy> Panel<'k, W> {
    /// How to ask for the next panel, where so many rows use one; `None` where it is not worth it, or does not divide among the tiles.
    pub(in crate::codegen) fn ahead<E: VectorEmitter<Word = W>>(
        &self,
        code: &StageCode<'k, E>,
        rows: usize,
    ) -> Option<Ahead> {
        let &StageSchedule::Tile { row_axis, rows: tile_rows, .. } = code.schedule else { return None };
        let &[elements] = self.fold.axes.as_slice() else { return None };
        if elements.each().is_some() {
            return None;
        }
        let elements = elements.most();
        let cols = code.extents[self.axis];
        let bytes = elements.saturating_mul(cols).saturating_mul(self.shape.dtype.bytes());
        // With more rows than elements, copying is a small part of the work.
        let is_worth_it = bytes > NEAR && rows >= 2 * tile_rows && elements >= rows;
        // Segments need not be whole rounds of partial results.
        let is_possible = code.vectors.has_prefetch() && self.fold.lanes == 1 && !self.shape.parts;
        if !is_worth_it || !is_possible {
            return None;
        }
        let around = code.surroundings();
        let plan = BodyPlan::new(&self.fold.body, vec![self.operand], &around, self.vector);
        let is_apart = |access: &&FlatAccess| access.bytes.factor(self.first_axis) >= LINE;
        let accesses: Vec<_> = plan.vector_loads().map(|(a, _)| a).filter(is_apart).cloned().collect();
        let per_row = elements / rows;
        let asked = per_row * tile_rows;
        let each = (SEGMENT * asked).div_ceil(elements);
        let segment = elements / asked.div_ceil(each);
        let next = self.shape.all_cols().min(code.spans[self.axis].length.most());
        (!accesses.is_empty()).then_some(Ahead {
            next,
            accesses,
            fold_axis: self.first_axis,
            row_axis,
            col_axis: self.axis,
            per_row,
            each,
            segment,
        })
    }
}

impl Ahead {
    /// Asks, in a segment of the fold of a tile that starts at a point, for some elements of the next panel's block in the place
    /// of this one.
    pub(in crate::codegen) fn ask<E: VectorEmitter>(
        &self,
        emission: &mut Emission<E>,
        tile: &Point<E::Word>,
        segment: E::Word,
        (col, width): (Coord<E::Word>, usize),
    ) {
        let mut point = tile.clone();
        let row = tile[self.row_axis];
        let mut base = emission.e.word_times(segment, self.each as i64);
        if let Some(counted) = row.base {
            let own = emission.e.word_times(counted, self.per_row as i64);
            base = emission.e.word_add(own, base);
        }
        for n in 0..self.each {
            point[self.fold_axis] =
                Coord { base: Some(base), offset: row.offset * self.per_row as i64 + n as i64 };
            for access in &self.accesses {
                let bytes = width * access.dtype.bytes();
                for line in 0..bytes.div_ceil(LINE as usize) {
                    let elements = line * LINE as usize / access.dtype.bytes();
                    point[self.col_axis] = col.plus((self.next + elements) as i64);
                    let (address, offset) = access.address(&mut emission.e, &emission.bases, &point, None);
                    emission.e.prefetch(address, offset);
                }
            }
        }
    }
}
