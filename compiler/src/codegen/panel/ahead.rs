//! Asks memory for what the next panel is copied from while tiles use the panel before it, or for the columns themselves where
//! tiles read them in place.
//!
//! A copy that waits for memory computes nothing, and neither does the first of the tiles that use a block of columns. So tiles
//! ask for a share of the columns of the next block, a little in each segment of their fold: when that block is copied, or
//! read, its lines are on their way or have come.

use super::{LINE, Panel, SHORT, operand};
use crate::codegen::access::{FlatAccess, Side};
use crate::codegen::columns::Columns;
use crate::codegen::emitter::{VectorEmitter, WordTest};
use crate::codegen::loops::Emission;
use crate::codegen::plan::{BodyPlan, fold_operands};
use crate::codegen::point::{Coord, Point, whole};
use crate::codegen::stage::StageCode;
use crate::kernel::{Axis, Packed, ScalarId, StageSchedule, points};

/// An operand of at most so many bytes is in a near cache after its first use.
const NEAR: usize = 256 << 10;
/// Columns of at most so many bytes that are read in place come fast enough when they are needed: from the last-level cache.
const NEAR_IN_PLACE: usize = 1 << 20;
/// Bytes of an operand that points read in vectors along the fold, up to which it comes fast enough: these read much for what they
/// multiply, and have little room to ask.
const NEAR_OF_POINTS: usize = 8 << 20;
/// The least elements of the fold in a segment, so that what is between segments is little.
const SEGMENT: usize = 16;

/// How tiles ask for the next panel's columns.
pub(in crate::codegen) struct Ahead {
    accesses: Vec<FlatAccess>,
    fold_axis: Axis,
    row_axis: Axis,
    columns: Columns,
    share: Share,
    /// Coordinates of the fold's outermost axis in a segment.
    pub(in crate::codegen) segment: usize,
    /// Columns from a block to the one in its place in the next panel.
    next: usize,
}

/// What a tile asks for in a segment of its fold.
enum Share {
    /// Some elements of the fold, of all columns, which lie beside one another.
    Elements {
        /// How many for each row of the tile.
        per_row: usize,
        /// How many in a segment.
        each: usize,
    },
    /// Some columns, of which the elements of the segment lie beside one another, as of those that are turned.
    Columns {
        /// The axis of the fold along which they do.
        along: Axis,
        /// How many for each tile.
        each: usize,
        /// Tiles that ask for nothing, before the others: what is asked for long before it is used may be gone by then.
        idle: usize,
        /// Rows of a tile.
        tile_rows: usize,
        /// Elements of a segment.
        piece: usize,
    },
}

impl Ahead {
    /// How to ask for the panels behind those of so many blocks of columns, where so many rows use them, or for columns that are
    /// not packed; `None` where it is not worth it, or does not divide among the tiles.
    pub(in crate::codegen) fn new<E: VectorEmitter>(
        code: &StageCode<'_, E>,
        columns: Columns,
        blocks: usize,
        rows: usize,
        panel: Option<&Panel<'_, E::Word>>,
    ) -> Option<Ahead> {
        let &StageSchedule::Tile { row_axis, rows: tile_rows, cols, lanes, row_operand, .. } = code.schedule
        else {
            return None;
        };
        let fold = code.stage.fold.as_ref()?;
        if fold.axes.first()?.each().is_some() {
            return None;
        }
        let operand = operand(fold, row_operand, Side::Columns)?;
        let dtype = fold.body.insts[operand].dtype;
        let elements = points(&fold.axes);
        let all_cols = columns.count(&code.extents);
        let bytes = elements.saturating_mul(all_cols).saturating_mul(dtype.bytes());
        // With more rows than elements, copying is a small part of the work.
        let near = if panel.is_some() { NEAR } else { NEAR_IN_PLACE };
        let is_worth_it = bytes > near && rows >= 2 * tile_rows && elements >= rows;
        // Segments need not be whole rounds of partial results.
        if !is_worth_it || !code.vectors.has_prefetch() || fold.lanes > 1 {
            return None;
        }
        let around = code.surroundings();
        let fold_axis = code.spans.len();
        let is_turned = panel.is_some_and(|panel| panel.is_turned(code));
        let (share, segment, along) = match *fold.axes.as_slice() {
            [_] if !is_turned => {
                let per_row = elements / rows;
                let asked = per_row * tile_rows;
                let each = (SEGMENT * asked).div_ceil(elements);
                (Share::Elements { per_row, each }, elements / asked.div_ceil(each), columns.axis)
            }
            [_, ref inner @ ..] if is_turned => {
                // Elements that lie beside one another: those of a line of the cache, or a short piece.
                let line = LINE as usize / dtype.bytes();
                let (piece, segment) = match *inner {
                    [] => (line, line),
                    [piece] if piece.most() * dtype.bytes() <= SHORT => (piece.most(), 1),
                    _ => return None,
                };
                let tiles = rows.div_ceil(tile_rows);
                let each = cols.div_ceil(tiles);
                let idle = tiles - cols.div_ceil(each);
                let along = fold_axis + inner.len();
                (Share::Columns { along, each, idle, tile_rows, piece }, segment, along)
            }
            _ => return None,
        };
        let plan = BodyPlan::new(&fold.body, vec![operand], &around, code.vector(along, lanes));
        let apart = if along == fold_axis { columns.along } else { fold_axis };
        let is_apart = |access: &&FlatAccess| access.bytes.factor(apart) >= LINE;
        let accesses: Vec<_> = plan.vector_loads().filter(is_apart).cloned().collect();
        let next = (cols * blocks).min(code.spans[columns.along].length.most() * columns.each);
        (!accesses.is_empty()).then_some(Ahead {
            accesses,
            fold_axis,
            row_axis,
            columns,
            share,
            segment,
            next,
        })
    }

    /// Asks, in a segment of the fold of a tile that starts at a point, for a share of the next panel's block in the place of
    /// this one.
    pub(in crate::codegen) fn ask<E: VectorEmitter>(
        &self,
        emission: &mut Emission<E>,
        tile: &Point<E::Word>,
        segment: E::Word,
        (col, width): (Coord<E::Word>, usize),
    ) {
        let mut point = tile.clone();
        let row = tile[self.row_axis];
        match self.share {
            Share::Elements { per_row, each } => {
                let mut base = emission.e.word_times(segment, each as i64);
                if let Some(counted) = row.base {
                    let own = emission.e.word_times(counted, per_row as i64);
                    base = emission.e.word_add(own, base);
                }
                let first = Coord { base: Some(base), offset: row.offset * per_row as i64 };
                for n in 0..each {
                    point[self.fold_axis] = first.plus(n as i64);
                    lines(emission, &self.accesses, &point, width, &|point, n| {
                        self.columns.put(point, col, self.next + n);
                    });
                }
            }
            Share::Columns { along, each, idle, tile_rows, piece } => {
                // Both may be the fold's only axis.
                point[along] = Coord::fixed(0);
                point[self.fold_axis] = Coord::counted(emission.e.word_times(segment, self.segment as i64));
                let start = point[along];
                let row = whole(&mut emission.e, (row.base, row.offset));
                let tile = emission.e.word_divide(row, tile_rows);
                let tile = whole(&mut emission.e, (Some(tile), -(idle as i64)));
                emission.only_if(WordTest::AtLeast, tile, 0, &mut |emission| {
                    let own = emission.e.word_times(tile, each as i64);
                    let base = col.base.map_or(own, |base| emission.e.word_add(base, own));
                    let first = Coord { base: Some(base), ..col };
                    for n in 0..each {
                        self.columns.put(&mut point, first, self.next + n);
                        lines(emission, &self.accesses, &point, piece, &|point, n| {
                            point[along] = start.plus(n as i64);
                        });
                    }
                });
            }
        }
    }
}

/// How tiles ask for the rows of the next tile, where the elements of a row are in short pieces far apart: as those of an
/// operand that lies in panels and is summed over its columns.
pub(in crate::codegen) struct RowsAhead {
    accesses: Vec<FlatAccess>,
    fold_axis: Axis,
    row_axis: Axis,
    rows: usize,
}

impl RowsAhead {
    /// How to ask for the rows of the next tile; `None` where they are close to one another or near anyway.
    pub(in crate::codegen) fn new<E: VectorEmitter>(code: &StageCode<'_, E>) -> Option<RowsAhead> {
        let &StageSchedule::Tile { row_axis, rows, row_operand, .. } = code.schedule else { return None };
        let fold = code.stage.fold.as_ref()?;
        let operand = operand(fold, row_operand, Side::Rows)?;
        (fold.lanes == 1).then(|| RowsAhead::of(code, operand, (row_axis, rows), NEAR)).flatten()
    }

    /// How points, so many at a time along an axis, ask for what the next ones read for themselves.
    pub(in crate::codegen) fn of_points<E: VectorEmitter>(
        code: &StageCode<'_, E>,
        (axis, count): (Axis, usize),
    ) -> Option<RowsAhead> {
        let fold = code.stage.fold.as_ref()?;
        let operands = fold.accumulators.iter().flat_map(|accumulator| fold_operands(accumulator.op));
        operands.into_iter().find_map(|operand| RowsAhead::of(code, operand, (axis, count), NEAR_OF_POINTS))
    }

    /// As [`new`](RowsAhead::new), of an operand of which so many rows are read at a time, and which is `near` up to so many bytes.
    fn of<E: VectorEmitter>(
        code: &StageCode<'_, E>,
        operand: ScalarId,
        (row_axis, rows): (Axis, usize),
        near: usize,
    ) -> Option<RowsAhead> {
        let (fold, fold_axis) = (code.stage.fold.as_ref()?, code.spans.len());
        let [outer, inner @ ..] = fold.axes.as_slice() else { return None };
        if outer.each().is_some() || inner.is_empty() || !code.vectors.has_prefetch() {
            return None;
        }
        let plan = BodyPlan::new(&fold.body, vec![operand], &code.surroundings(), None);
        let piece = points(inner) * fold.body.insts[operand].dtype.bytes();
        let all = piece.saturating_mul(outer.most()).saturating_mul(code.extents[row_axis]);
        let is_apart = |access: &&FlatAccess| {
            access.guards.is_empty()
                && access.indirect.is_none()
                && access.bytes.factor(fold_axis) > piece as i64
                && access.bytes.factor(row_axis) > 0
        };
        let accesses: Vec<_> = plan.accesses.iter().flatten().filter(is_apart).cloned().collect();
        let is_worth_it = piece <= SHORT && all > near && !accesses.is_empty();
        is_worth_it.then_some(RowsAhead { accesses, fold_axis, row_axis, rows })
    }

    /// Asks, in a tile that starts at a point, for what the next one reads at a coordinate of the fold's outermost axis.
    pub(in crate::codegen) fn ask<E: VectorEmitter>(
        &self,
        emission: &mut Emission<E>,
        tile: &Point<E::Word>,
        outer: E::Word,
    ) {
        let mut point = tile.clone();
        point[self.fold_axis] = Coord::counted(outer);
        for access in &self.accesses {
            for row in 0..self.rows {
                point[self.row_axis] = tile[self.row_axis].plus((self.rows + row) as i64);
                let (address, offset) = access.address(&mut emission.e, &emission.bases, &point, None);
                emission.e.prefetch(address, offset);
            }
        }
    }
}

/// How tiles of a few elements of the fold ask for the columns of the next tile, which lie beside their own.
pub(in crate::codegen) struct StreamAhead {
    accesses: Vec<FlatAccess>,
    fold_axis: Axis,
    columns: Columns,
    /// Columns of a tile.
    cols: usize,
}

impl StreamAhead {
    /// How to ask for the next columns of a stage whose columns come in streams; `None` if they don't, or it cannot be asked.
    pub(in crate::codegen) fn new<E: VectorEmitter>(
        code: &StageCode<'_, E>,
        columns: Columns,
        cols: usize,
    ) -> Option<StreamAhead> {
        let &StageSchedule::Tile { lanes, row_operand, pack: Packed::Streamed, .. } = code.schedule else {
            return None;
        };
        let fold = code.stage.fold.as_ref()?;
        if fold.lanes > 1 || fold.axes.is_empty() || !code.vectors.has_prefetch() {
            return None;
        }
        let operand = operand(fold, row_operand, Side::Columns)?;
        let vector = code.vector(columns.axis, lanes);
        let plan = BodyPlan::new(&fold.body, vec![operand], &code.surroundings(), vector);
        let accesses: Vec<_> = plan.vector_loads().cloned().collect();
        (!accesses.is_empty()).then_some(StreamAhead { accesses, fold_axis: code.spans.len(), columns, cols })
    }

    /// Asks, in a tile whose columns start at `col`, for what the next one reads at a coordinate of the fold's outermost axis.
    pub(in crate::codegen) fn ask<E: VectorEmitter>(
        &self,
        emission: &mut Emission<E>,
        tile: &Point<E::Word>,
        outer: E::Word,
        col: Coord<E::Word>,
    ) {
        let mut point = tile.clone();
        point[self.fold_axis] = Coord::counted(outer);
        lines(emission, &self.accesses, &point, self.cols, &|point, n| {
            self.columns.put(point, col, self.cols + n);
        });
    }
}

/// Asks for the lines of so many elements that follow one another; `put` puts a point on one of them.
fn lines<E: VectorEmitter>(
    emission: &mut Emission<E>,
    accesses: &[FlatAccess],
    point: &Point<E::Word>,
    elements: usize,
    put: &dyn Fn(&mut Point<E::Word>, usize),
) {
    let mut point = point.clone();
    for access in accesses {
        for n in (0..elements).step_by(LINE as usize / access.dtype.bytes()) {
            put(&mut point, n);
            let (address, offset) = access.address(&mut emission.e, &emission.bases, &point, None);
            emission.e.prefetch(address, offset);
        }
    }
}
