//! Panels: operands of a contraction, copied so that tiles read them from consecutive memory.
//!
//! The panel of the vector operand has the columns of a few blocks, one behind the other, and as many elements of the fold
//! as stay in the second-level cache while all rows use them: each tile of rows runs on from block to block, so that what
//! it reads of its own operand comes from far away once for all of them. Where the fold has more elements, it is run in
//! parts, and between two parts the accumulators of some rows are kept in memory ([`kept`](super::kept)); the order of additions stays
//! the same. While the tiles use a panel, memory is asked for what the next one is copied from ([`ahead`]).
//!
//! Where few rows use an operand that comes from far away, it is not worth a panel. Then it is read in streams, in parts of few elements
//! without a copy: rows of it are read side by side from end to end, each tile asks for the columns of the next one, and all rows
//! use a tile's columns before these leave the nearest cache.
//!
//! The panel of the broadcast operand has the rows of some tiles, one behind the other: as many as whole lines of the cache have.
//! Where there is one, it is what stays in the second-level cache. A block of columns then stays in a near cache for
//! all rows of it, and the panel of the columns may come from farther away (Goto and van de Geijn, "Anatomy of
//! High-Performance Matrix Multiplication", 2008).

mod ahead;
mod shape;
mod turned;

use cranelift_entity::EntityRef;

use super::access::{Base, FlatAccess, Side};
use super::body::{Shared, Site, emit_body};
use super::columns::Columns;
use super::emitter::{VectorEmitter, VectorType};
use super::loops::{Emission, Length, Span};
use super::plan::{Axes, BodyPlan, Vector, dependencies, fold_operands, pieces};
use super::point::{Coord, Point, affine_at, whole};
use super::stage::StageCode;
use crate::kernel::{Affine, Axis, Fold, ScalarId, StageSchedule, most, points};
pub(super) use ahead::{Ahead, RowsAhead, StreamAhead};
pub(crate) use shape::blocks_of_panels;
pub(super) use shape::{PanelShape, blocks_of_runs};

use crate::tensor::Scalar;
use crate::types::dense_strides;

/// Rows of an operand between the one that is copied and the one that is asked for.
const ROWS_AHEAD: i64 = 32;
/// The most of them that are a multiple of [`CROWDED`] bytes apart: with more, they would push each other out of the nearest cache.
const CROWDED_AHEAD: i64 = 4;
/// Bytes after which the sets of that cache begin anew.
const CROWDED: i64 = 4096;
/// Bytes of a cache line.
pub(super) const LINE: i64 = 64;
/// Lines of the cache that are copied of a row of columns before the next row.
const LINES: usize = 8;
/// The most bytes that are read in one piece for the processor not to foresee what comes after it.
const SHORT: usize = 256;

/// An operand of a contraction.
fn operand(fold: &Fold, row_operand: usize, side: Side) -> Option<ScalarId> {
    let index = if side == Side::Rows { row_operand } else { 1 - row_operand };
    fold_operands(fold.accumulators.first()?.op).get(index).copied()
}

/// An operand of a stage, and where it is copied to.
pub(super) struct Panel<'k, W> {
    fold: &'k Fold,
    side: Side,
    pub(super) operand: ScalarId,
    /// Where an element of the panel is, as if the panel had all columns, or rows, and elements.
    pub(super) access: FlatAccess,
    pub(super) shape: PanelShape,
    /// Where the panel is.
    pub(super) start: Option<W>,
    /// The axes that the operand depends on.
    pub(super) depends: Axes,
    first_axis: Axis,
    /// The axes of the columns, or of the rows.
    pub(super) columns: Columns,
    /// How many columns or rows are in a block, and how many blocks there are.
    size: usize,
    blocks: usize,
    /// How vectors are along it.
    vector: Option<Vector>,
    /// Whether the number of columns is known only when code runs: then the last block is copied in pieces, which begin anywhere
    /// in it.
    pub(super) is_ragged: bool,
}

impl<'k, W: Copy> Panel<'k, W> {
    /// The panel of an operand of a stage that is scheduled to have one; `start` is that of the vector operand's panel.
    pub(super) fn new<E: VectorEmitter<Word = W>>(
        emission: &mut Emission<E>,
        code: &StageCode<'k, E>,
        start: Option<W>,
        side: Side,
    ) -> Option<Panel<'k, W>> {
        let extents = &code.extents[..code.spans.len()];
        let fold = code.stage.fold.as_ref()?;
        let shape = PanelShape::new(code.stage, code.schedule, extents).filter(|shape| shape.packs)?;
        let &StageSchedule::Tile { row_axis, lanes, row_operand, .. } = code.schedule else {
            return None;
        };
        let (columns, size, blocks, lanes, start) = match side {
            Side::Columns => (shape.columns, shape.cols, shape.blocks, lanes, start),
            Side::Rows => {
                let offset = emission.e.word(shape.rows_offset());
                let start = start.map(|start| emission.e.word_add(start, offset));
                // The largest vectors that a tile's rows fill.
                let lanes = code.vectors.lane_counts().iter().copied().filter(|&lanes| lanes <= shape.rows);
                (Columns::of(row_axis), shape.rows, shape.tiles, lanes.max().unwrap_or(1), start)
            }
        };
        if blocks == 0 {
            return None;
        }
        let first_axis = code.spans.len();
        let element = shape.dtype.bytes() as i64;
        let strides = dense_strides(&most(&fold.axes));
        let of_fold = strides.iter().enumerate().map(|(i, &stride)| (first_axis + i, (stride * size) as i64));
        let of_columns = [(columns.axis, 1), (columns.along, columns.each as i64)];
        let apart = if columns.along == columns.axis { 1 } else { 2 };
        let terms = of_fold.chain(of_columns.into_iter().take(apart));
        let bytes = terms.fold(Affine::constant(0), |sum, (axis, elements)| {
            sum.plus(&Affine::axis(axis).times(elements * element))
        });
        let access = FlatAccess {
            dtype: shape.dtype,
            base: Base::Panel(side),
            bytes,
            indirect: None,
            guards: Vec::new(),
            fill: Scalar::zero(shape.dtype),
            // It is written between two folds, never within one.
            read_only: true,
        };
        let operand = operand(fold, row_operand, side)?;
        let depends = dependencies(&fold.body)[operand.index()];
        let vector = code.vector(columns.axis, lanes);
        let is_ragged = matches!(code.spans[columns.along].length, Length::UpTo { .. });
        Some(Panel {
            fold,
            side,
            operand,
            access,
            shape,
            start,
            depends,
            first_axis,
            columns,
            size,
            blocks,
            vector,
            is_ragged,
        })
    }

    /// Lets addresses in a block of columns, or of rows, that starts at `at` be relative to where the first one and the first
    /// element of all would be, if the panel has those from `first` on and the fold's coordinates from `part` on.
    pub(super) fn place<E: VectorEmitter<Word = W>>(
        &self,
        emission: &mut Emission<E>,
        first: Coord<W>,
        at: Coord<W>,
        part: Coord<W>,
    ) {
        let mut origin = vec![Coord::fixed(0); self.first_axis + self.fold.axes.len()];
        let at = if self.is_ragged && self.blocks > 1 { self.block(emission, first, at) } else { at };
        origin[self.columns.along] = at;
        if let Some(coord) = origin.get_mut(self.first_axis) {
            *coord = part;
        }
        let mut start = self.start;
        if self.blocks > 1 {
            let bytes = self.shape.column_bytes() * self.columns.each as i64;
            for (coord, bytes) in [(first, -bytes), (at, bytes)] {
                let word = whole(&mut emission.e, (coord.base, coord.offset));
                let word = emission.e.word_times(word, bytes);
                start = start.map(|start| emission.e.word_add(start, word));
            }
        }
        let back = self.access.bytes.times(-1);
        let word = affine_at(&mut emission.e, &back, &origin, start);
        emission.bases.panels[self.side as usize] = Some(whole(&mut emission.e, word));
    }

    /// Where the block begins that the column `at` is in, of those from `first` on.
    fn block<E: VectorEmitter<Word = W>>(
        &self,
        emission: &mut Emission<E>,
        first: Coord<W>,
        at: Coord<W>,
    ) -> Coord<W> {
        let e = &mut emission.e;
        let [first, at] = [first, at].map(|coord| whole(e, (coord.base, coord.offset)));
        let before = e.word_sub(at, first);
        let steps = self.columns.steps(self.size);
        let blocks = e.word_divide(before, steps);
        let before = e.word_times(blocks, steps as i64);
        Coord::counted(e.word_add(first, before))
    }

    /// How many blocks of columns are copied together: as many as make [`LINES`] where they are one behind the other in
    /// memory, so that few pages are visited; one where they are not, or are copied in pieces or in squares.
    pub(super) fn together<E: VectorEmitter<Word = W>>(&self, code: &StageCode<'k, E>) -> usize {
        let is_apart = self.columns.along != self.columns.axis || self.is_ragged || self.is_turned(code);
        let line = LINE as usize / self.shape.dtype.bytes();
        let most = if is_apart { 1 } else { (LINES * line / self.size).clamp(1, self.blocks) };
        // Chunks that are run as one are whole blocks of these.
        let fits = |blocks: &usize| match code.spans[self.columns.along].length {
            Length::OneOf { lengths: [most, chunk, _], .. } if most > chunk => {
                chunk.is_multiple_of(blocks * self.columns.steps(self.size))
            }
            _ => true,
        };
        (1..=most).rev().find(fits).unwrap_or(1)
    }

    /// Columns or rows of all blocks.
    pub(super) fn all(&self) -> usize {
        self.size * self.blocks
    }

    /// Emits the copy of a part for a block of columns, or for some blocks of rows.
    pub(super) fn pack<E: VectorEmitter<Word = W>>(
        &self,
        emission: &mut Emission<E>,
        code: &StageCode<'k, E>,
        point: &Point<W>,
        (at, size): (Coord<W>, usize),
        part: Span<W>,
    ) {
        if points(&self.fold.axes) == 0 {
            return;
        }
        let mut axes: Vec<_> = (self.fold.axes.iter().enumerate())
            .map(|(i, &extent)| (self.first_axis + i, emission.whole(extent)))
            .collect();
        if let Some((_, span)) = axes.first_mut() {
            *span = part;
        }
        if size <= self.size && self.is_turned(code) {
            return self.pack_turned(emission, code, point, (at, size), &axes);
        }
        let around = code.surroundings();
        let mut pieces_at = Vec::new();
        for start in (0..size).step_by(self.size) {
            for piece in pieces(code.vectors, self.vector, self.size.min(size - start)) {
                let plan = BodyPlan::new(&self.fold.body, vec![self.operand], &around, piece.vector);
                pieces_at.push((start, piece, plan));
            }
        }
        let innermost = axes.last().map(|&(axis, _)| axis);
        emission.nest(&axes, &mut point.clone(), &mut |emission, point| {
            for (start, piece, plan) in &pieces_at {
                for offset in piece.offsets() {
                    let mut point = point.clone();
                    self.columns.put(&mut point, at, start + offset);
                    // One of its line is enough.
                    let element = self.shape.dtype.bytes();
                    if (start + offset) * element % (LINE as usize) < plan.lanes() * element
                        && let Some(axis) = innermost
                    {
                        self.prefetch(emission, plan, &point, (axis, ROWS_AHEAD));
                    }
                    self.copy(emission, plan, &point, *start);
                }
            }
        });
    }

    /// Asks for what will be copied so many coordinates of an axis of the fold later, if it is in other lines of the cache: rows
    /// that lie far apart are not foreseen by the processor.
    fn prefetch<E: VectorEmitter<Word = W>>(
        &self,
        emission: &mut Emission<E>,
        plan: &BodyPlan<'_>,
        point: &Point<W>,
        (axis, ahead): (Axis, i64),
    ) {
        for access in plan.vector_loads().filter(|access| access.bytes.factor(axis) >= LINE) {
            let is_crowded = access.bytes.factor(axis) % CROWDED == 0;
            let ahead = if is_crowded { ahead.min(CROWDED_AHEAD) } else { ahead };
            let mut later = point.clone();
            later[axis] = later[axis].plus(ahead);
            let (address, offset) = access.address(&mut emission.e, &emission.bases, &later, None);
            emission.e.prefetch(address, offset);
        }
    }

    /// Emits the copy of an element of the fold at a point, or at a vector of points, of the block that starts behind so many
    /// columns or rows.
    fn copy<E: VectorEmitter<Word = W>>(
        &self,
        emission: &mut Emission<E>,
        plan: &BodyPlan<'_>,
        point: &Point<W>,
        start: usize,
    ) {
        let site = Site { bases: &emission.bases, point, accumulators: &[], loop_axis: None };
        let ty = VectorType { dtype: self.shape.dtype, lanes: plan.lanes() };
        for value in emit_body(&mut emission.e, plan, &site, &mut Shared::new()) {
            let value = value.vector(&mut emission.e, ty);
            let (address, offset) = self.access.address(&mut emission.e, &emission.bases, point, None);
            let before = start as i64 * (self.shape.column_bytes() - self.shape.dtype.bytes() as i64);
            let (address, offset) = near(&mut emission.e, address, i64::from(offset) + before);
            // Blocks of whole vectors have room for the lanes behind the last column.
            let has_room = self.size.is_multiple_of(ty.lanes) && !self.is_ragged;
            let active = if has_room { ty.lanes } else { plan.active() };
            emission.e.store(ty, active, value, address, offset);
        }
    }
}

/// An address and an offset that an instruction can hold.
pub(super) fn near<E: VectorEmitter>(e: &mut E, address: E::Word, offset: i64) -> (E::Word, i32) {
    match i32::try_from(offset) {
        Ok(offset) => (address, offset),
        Err(_) => {
            let offset = e.word(offset);
            (e.word_add(address, offset), 0)
        }
    }
}
