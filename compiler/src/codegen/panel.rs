//! Panels: the vector operand of a contraction, copied so that tiles read it from consecutive memory.
//!
//! A panel has the columns of one block, and as many elements of the fold as stay in the first-level cache while all
//! rows use them. Where the fold has more, it is run in parts, and between two parts the accumulators of a block of rows
//! are kept in memory; the order of additions stays the same. While the tiles use a panel, memory is asked for what the next
//! one is copied from ([`ahead`]).

mod ahead;
mod turned;

use cranelift_entity::EntityRef;

use super::access::{Base, FlatAccess};
use super::body::{Shared, Site, emit_body};
use super::emitter::{VectorEmitter, VectorType};
use super::loops::{Emission, Span};
use super::plan::{Axes, BodyPlan, Vector, dependencies, fold_operands, pieces};
use super::point::{Coord, Point, affine_at, whole};
use super::stage::StageCode;
use crate::kernel::{Affine, Axis, Fold, ScalarId, StageSchedule, most, points};
use crate::tensor::Scalar;
use crate::types::{DType, dense_strides};

/// Bytes of a panel of 128-bit vectors: half of a first-level cache of 32 KiB.
const PANEL_BYTES: usize = 16 << 10;
/// Bytes of a panel of wider vectors: a quarter of a second-level cache. Their tiles have so many rows that a vector comes from
/// there in the time of its multiplications, and parts, between which accumulators are kept, become rare.
const WIDE_PANEL_BYTES: usize = 256 << 10;
/// Bytes of a panel that is packed once for many blocks of rows: what stays of a second-level cache beside the rows' operand.
const SHARED_PANEL_BYTES: usize = 768 << 10;
/// Rows of an operand between the one that is copied and the one that is asked for.
const ROWS_AHEAD: i64 = 16;
/// Bytes of a cache line.
const LINE: i64 = 64;
/// Rows whose accumulators are kept between two parts of a fold.
pub(super) const KEPT_ROWS: usize = 512;

/// The sizes of a panel.
#[derive(Clone, Copy, Debug)]
pub(super) struct PanelShape {
    pub(super) dtype: DType,
    cols: usize,
    /// Coordinates of the fold's outermost axis in a part.
    pub(super) part: usize,
    /// Elements of the fold for one coordinate of its outermost axis.
    inner: usize,
    /// Whether there are several parts.
    pub(super) parts: bool,
    /// Partial results of an accumulator.
    lanes: usize,
}

impl PanelShape {
    /// The panel of a stage that is scheduled to have one; `extents` are those of the stage's points.
    pub(super) fn new(
        fold: Option<&Fold>,
        schedule: &StageSchedule,
        extents: &[usize],
    ) -> Option<PanelShape> {
        let (&StageSchedule::Tile { row_axis, cols, lanes, row_operand, pack: true, .. }, Some(fold)) =
            (schedule, fold)
        else {
            return None;
        };
        let operand = vector_operand(fold, row_operand)?;
        let dtype = fold.body.insts[operand].dtype;
        let depends = dependencies(&fold.body)[operand.index()];
        let is_shared =
            (0..extents.len()).any(|a| a != row_axis && extents[a] > 1 && depends & (1 << a) == 0);
        let extent = fold.axes.first().map_or(1, |e| e.most());
        let inner = points(fold.axes.iter().skip(1));
        let bytes = match lanes * dtype.bytes() > 16 {
            true if is_shared => SHARED_PANEL_BYTES,
            true => WIDE_PANEL_BYTES,
            false => PANEL_BYTES,
        };
        let most = (bytes / dtype.bytes()) / cols.saturating_mul(inner).max(1);
        // Parts of one axis must be whole rounds of the partial results.
        let unit = if fold.axes.len() > 1 { 1 } else { fold.lanes };
        let most = (most / unit * unit).max(unit);
        // Equal parts need code for one size only.
        let equal = (most / 2..=most)
            .rev()
            .find(|&part| part > 0 && part.is_multiple_of(unit) && extent.is_multiple_of(part));
        let part = if most >= extent { extent } else { equal.unwrap_or(most) };
        Some(PanelShape { dtype, cols, part, inner, parts: part < extent, lanes: fold.lanes })
    }

    /// Bytes of the panel; `None` if they are more than memory.
    fn panel_bytes(self) -> Option<usize> {
        self.part.checked_mul(self.inner)?.checked_mul(self.cols)?.checked_mul(self.dtype.bytes())
    }

    /// Bytes of the panel and of the accumulators behind it; `None` if they are more than memory.
    pub(super) fn bytes(self) -> Option<usize> {
        let kept = match self.parts {
            true => self.cols.checked_mul(KEPT_ROWS * self.dtype.bytes())?.checked_mul(self.lanes)?,
            false => 0,
        };
        self.panel_bytes()?.checked_next_multiple_of(64)?.checked_add(kept)
    }

    /// Bytes from the panel to the accumulators.
    pub(super) fn kept_offset(self) -> i64 {
        self.panel_bytes().map_or(0, |bytes| bytes.next_multiple_of(64) as i64)
    }

    /// Bytes from the accumulators to the vector of partial results of a row that starts at a column.
    pub(super) fn kept_at(self, row: i64, partial: usize, col: i64) -> i64 {
        ((row * self.lanes as i64 + partial as i64) * self.cols as i64 + col) * self.dtype.bytes() as i64
    }

    /// Bytes of the accumulators of a row.
    pub(super) fn kept_stride(self) -> i64 {
        self.kept_at(1, 0, 0)
    }
}

/// The operand of a contraction that is read by vectors.
fn vector_operand(fold: &Fold, row_operand: usize) -> Option<ScalarId> {
    fold_operands(fold.accumulators.first()?.op).get(1 - row_operand).copied()
}

/// The vector operand of a stage, and where it is copied to.
pub(super) struct Panel<'k, W> {
    fold: &'k Fold,
    pub(super) operand: ScalarId,
    /// Where an element of the panel is, as if the panel had all columns and elements.
    pub(super) access: FlatAccess,
    pub(super) shape: PanelShape,
    /// Where the panel is.
    pub(super) start: Option<W>,
    /// The axes that the operand depends on.
    pub(super) depends: Axes,
    first_axis: Axis,
    col_axis: Axis,
}

impl<'k, W: Copy> Panel<'k, W> {
    /// The panel of a stage that is scheduled to have one.
    pub(super) fn new<E: VectorEmitter<Word = W>>(
        code: &StageCode<'k, E>,
        start: Option<W>,
    ) -> Option<Panel<'k, W>> {
        let extents = &code.extents[..code.spans.len()];
        let shape = PanelShape::new(code.stage.fold.as_ref(), code.schedule, extents)?;
        let &StageSchedule::Tile { col_axis, row_operand, .. } = code.schedule else { return None };
        let fold = code.stage.fold.as_ref()?;
        let first_axis = code.spans.len();
        let element = shape.dtype.bytes() as i64;
        let bytes = dense_strides(&most(&fold.axes))
            .iter()
            .enumerate()
            .map(|(i, &stride)| Affine::axis(first_axis + i).times((stride * shape.cols) as i64 * element))
            .fold(Affine::axis(col_axis).times(element), |sum, term| sum.plus(&term));
        let access = FlatAccess {
            dtype: shape.dtype,
            base: Base::Panel,
            bytes,
            indirect: None,
            guards: Vec::new(),
            fill: Scalar::zero(shape.dtype),
            // It is written between two folds, never within one.
            read_only: true,
        };
        let operand = vector_operand(fold, row_operand)?;
        let depends = dependencies(&fold.body)[operand.index()];
        Some(Panel { fold, operand, access, shape, start, depends, first_axis, col_axis })
    }

    /// All coordinates of the fold's outermost axis.
    pub(super) fn all<E: VectorEmitter<Word = W>>(&self, emission: &mut Emission<E>) -> Span<W> {
        self.fold.axes.first().map_or(Span::first(1), |&extent| emission.whole(extent))
    }

    /// Lets the panel start at a block's first column and a part's first coordinate: its base is where the first of all
    /// would be.
    pub(super) fn place<E: VectorEmitter<Word = W>>(
        &self,
        emission: &mut Emission<E>,
        col: Coord<W>,
        part: Coord<W>,
    ) {
        let mut origin = vec![Coord::fixed(0); self.first_axis + self.fold.axes.len()];
        origin[self.col_axis] = col;
        if let Some(coord) = origin.get_mut(self.first_axis) {
            *coord = part;
        }
        let back = self.access.bytes.times(-1);
        let word = affine_at(&mut emission.e, &back, &origin, self.start);
        emission.bases.panel = Some(whole(&mut emission.e, word));
    }

    /// Emits the copy of a part for a block of columns.
    pub(super) fn pack<E: VectorEmitter<Word = W>>(
        &self,
        emission: &mut Emission<E>,
        code: &StageCode<'k, E>,
        vector: Option<Vector>,
        point: &Point<W>,
        (col, width): (Coord<W>, usize),
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
        if self.pack_turned(emission, code, vector, point, (col, width), &axes) {
            return;
        }
        let around = code.surroundings();
        let pieces = pieces(code.vectors, vector, width)
            .into_iter()
            .map(|piece| (piece, BodyPlan::new(&self.fold.body, vec![self.operand], &around, piece.vector)));
        let pieces: Vec<_> = pieces.collect();
        emission.nest(&axes, &mut point.clone(), &mut |emission, point| {
            for (piece, plan) in &pieces {
                for offset in piece.offsets() {
                    let mut point = point.clone();
                    point[self.col_axis] = col.plus(offset as i64);
                    self.copy(emission, plan, &point);
                }
            }
        });
    }

    /// Asks for what will be copied some rows later: rows that lie far apart are not foreseen by the processor.
    fn prefetch<E: VectorEmitter<Word = W>>(
        &self,
        emission: &mut Emission<E>,
        plan: &BodyPlan<'_>,
        point: &Point<W>,
    ) {
        let Some(axis) = point.len().checked_sub(1).filter(|&axis| axis >= self.first_axis) else { return };
        for (access, _) in plan.vector_loads().filter(|(access, _)| access.bytes.factor(axis) >= LINE) {
            let mut later = point.clone();
            later[axis] = later[axis].plus(ROWS_AHEAD);
            let (address, offset) = access.address(&mut emission.e, &emission.bases, &later, None);
            emission.e.prefetch(address, offset);
        }
    }

    /// Emits the copy of an element of the fold at a point, or at a vector of points.
    fn copy<E: VectorEmitter<Word = W>>(
        &self,
        emission: &mut Emission<E>,
        plan: &BodyPlan<'_>,
        point: &Point<W>,
    ) {
        let site = Site { bases: &emission.bases, point, accumulators: &[], loop_axis: None };
        let ty = VectorType { dtype: self.shape.dtype, lanes: plan.lanes() };
        for value in emit_body(&mut emission.e, plan, &site, &mut Shared::new()) {
            let value = value.vector(&mut emission.e, ty);
            self.prefetch(emission, plan, point);
            let (address, offset) = self.access.address(&mut emission.e, &emission.bases, point, None);
            emission.e.store(ty, plan.active(), value, address, offset);
        }
    }
}
