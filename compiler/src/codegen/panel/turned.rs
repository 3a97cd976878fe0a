//! Panels of an operand whose rows are consecutive along the fold: squares of it are read by vectors along the fold, and
//! turned, so that every cache line is read once.

use super::{Panel, SHORT};
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
        emission.nest(outer, &mut point.clone(), &mut |emission, point| {
            emission.blocks(&span, lanes, &mut |emission, coord, size| {
                let plan = plan(Vector { active: size, ..along });
                for first in (0..width).step_by(lanes) {
                    let count = lanes.min(width - first);
                    let mut at = point.clone();
                    at[inner] = coord;
                    let rows: Vec<E::Value> = (0..lanes)
                        .map(|n| {
                            // Columns that there are not are the last one again.
                            self.columns.put(&mut at, start, first + n.min(count - 1));
                            if let Some(axis) = next {
                                self.prefetch(emission, &plan, &at, (axis, PIECES_AHEAD));
                            }
                            let site = Site {
                                bases: &emission.bases,
                                point: &at,
                                accumulators: &[],
                                loop_axis: None,
                            };
                            let values = emit_body(&mut emission.e, &plan, &site, &mut Shared::new());
                            values[0].vector(&mut emission.e, ty)
                        })
                        .collect();
                    self.columns.put(&mut at, start, first);
                    let turned = emission.e.transposed(ty, &rows);
                    for (n, value) in turned.into_iter().take(size).enumerate() {
                        at[inner] = coord.plus(n as i64);
                        let (address, offset) =
                            self.access.address(&mut emission.e, &emission.bases, &at, None);
                        emission.e.store(ty, count, value, address, offset);
                    }
                }
            });
        });
    }
}
