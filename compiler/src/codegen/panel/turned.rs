//! Panels of an operand whose rows are consecutive along the fold: squares of it are read by vectors along the fold, and
//! turned, so that every cache line is read once.

use std::ops::Range;

use super::{LINE, Panel, SHORT};
use crate::codegen::body::{Shared, Site, emit_body};
use crate::codegen::emitter::{VectorEmitter, VectorType};
use crate::codegen::loops::{Emission, Span};
use crate::codegen::plan::{BodyPlan, Vector};
use crate::codegen::point::{Coord, Point};
use crate::codegen::stage::StageCode;
use crate::kernel::Axis;

/// Coordinates of the fold's axis before the innermost one between the piece that is copied and the one that is asked for.
const PIECES_AHEAD: i64 = 4;

impl<'k, W: Copy> Panel<'k, W> {
    /// Whether the operand is copied in squares: vectors along the fold read it, those along the columns do not.
    pub(super) fn is_turned<E: VectorEmitter<Word = W>>(&self, code: &StageCode<'k, E>) -> bool {
        let Some(vector) = self.vector.filter(|_| !self.fold.axes.is_empty()) else { return false };
        let around = code.surroundings();
        let is_vectorized = |vector| {
            BodyPlan::new(&self.fold.body, vec![self.operand], &around, Some(vector)).is_vectorized()
        };
        let inner = self.first_axis + self.fold.axes.len() - 1;
        !is_vectorized(vector)
            && is_vectorized(Vector::full(inner, vector.lanes))
            && code.vectors.has_transpose(self.shape.dtype, vector.lanes)
    }

    /// Emits the copy for a block of columns, or of rows, in squares, where the fold has these axes.
    pub(super) fn pack_turned<E: VectorEmitter<Word = W>>(
        &self,
        emission: &mut Emission<E>,
        code: &StageCode<'k, E>,
        point: &Point<W>,
        (start, width): (Coord<W>, usize),
        axes: &[(Axis, Span<W>)],
    ) {
        let (Some(vector), Some((&(inner, span), outer))) = (self.vector, axes.split_last()) else { return };
        let lanes = vector.lanes;
        let around = code.surroundings();
        let plan = |vector| BodyPlan::new(&self.fold.body, vec![self.operand], &around, Some(vector));
        let along = Vector::full(inner, lanes);
        let ty = VectorType { dtype: self.shape.dtype, lanes };
        // Short pieces that lie far apart are not foreseen by the processor.
        let piece = span.length.most() * self.shape.dtype.bytes();
        let is_apart = |axis: &Axis| {
            piece <= SHORT && plan(along).vector_loads().all(|load| load.bytes.factor(*axis) > piece as i64)
        };
        let next = outer.last().map(|&(axis, _)| axis).filter(is_apart);
        // Lines of the cache are read whole, for those of several columns may compete with one another.
        let line = (LINE as usize / ty.dtype.bytes()).max(lanes);
        emission.nest(outer, &mut point.clone(), &mut |emission, point| {
            emission.blocks(&span, line, &mut |emission, coord, size| {
                for first in (0..width).step_by(lanes) {
                    for offset in (0..size).step_by(lanes) {
                        let mut at = point.clone();
                        at[inner] = coord.plus(offset as i64);
                        let plan = plan(Vector { active: lanes.min(size - offset), ..along });
                        let columns = first..width.min(first + lanes);
                        self.turn(
                            emission,
                            (&plan, ty),
                            (&at, inner),
                            (start, columns),
                            next.filter(|_| offset == 0),
                        );
                    }
                }
            });
        });
    }

    /// Emits the copy of a square: of some columns behind `start`, and of a vector of elements along an axis from a point on.
    /// What is read at later coordinates of the axis `next` is asked for.
    fn turn<E: VectorEmitter<Word = W>>(
        &self,
        emission: &mut Emission<E>,
        (plan, ty): (&BodyPlan<'_>, VectorType),
        (point, inner): (&Point<W>, Axis),
        (start, columns): (Coord<W>, Range<usize>),
        next: Option<Axis>,
    ) {
        let mut at = point.clone();
        let rows: Vec<E::Value> = (0..ty.lanes)
            .map(|n| {
                // Columns that there are not are the last one again.
                self.columns.put(&mut at, start, (columns.start + n).min(columns.end - 1));
                if let Some(axis) = next {
                    self.prefetch(emission, plan, &at, (axis, PIECES_AHEAD));
                }
                let site = Site { bases: &emission.bases, point: &at, accumulators: &[], loop_axis: None };
                emit_body(&mut emission.e, plan, &site, &mut Shared::new())[0].vector(&mut emission.e, ty)
            })
            .collect();
        self.columns.put(&mut at, start, columns.start);
        let turned = emission.e.transposed(ty, &rows);
        for (n, value) in turned.into_iter().take(plan.active()).enumerate() {
            at[inner] = point[inner].plus(n as i64);
            let (address, offset) = self.access.address(&mut emission.e, &emission.bases, &at, None);
            emission.e.store(ty, columns.len(), value, address, offset);
        }
    }
}
