//! Panels of an operand whose rows are consecutive along the fold: squares of it are read by vectors along the fold, and
//! turned, so that every cache line is read once.

use super::Panel;
use crate::codegen::body::{Shared, Site, emit_body};
use crate::codegen::emitter::{VectorEmitter, VectorType};
use crate::codegen::loops::{Emission, Span};
use crate::codegen::plan::{BodyPlan, Vector};
use crate::codegen::point::{Coord, Point};
use crate::codegen::stage::StageCode;
use crate::kernel::Axis;

impl<'k, W: Copy> Panel<'k, W> {
    /// Emits the copy for a block of columns, or of rows, in squares, where the fold has these axes; or does nothing and says so where
    /// vectors along the columns are better, or squares cannot be turned.
    pub(super) fn pack_turned<E: VectorEmitter<Word = W>>(
        &self,
        emission: &mut Emission<E>,
        code: &StageCode<'k, E>,
        point: &Point<W>,
        (start, width): (Coord<W>, usize),
        axes: &[(Axis, Span<W>)],
    ) -> bool {
        let (Some(vector), Some((&(inner, span), outer))) = (self.vector, axes.split_last()) else {
            return false;
        };
        let lanes = vector.lanes;
        let around = code.surroundings();
        let plan = |vector| BodyPlan::new(&self.fold.body, vec![self.operand], &around, Some(vector));
        let along = Vector::full(inner, lanes);
        let is_better = !plan(vector).is_vectorized() && plan(along).is_vectorized();
        if !is_better || !code.vectors.has_transpose(self.shape.dtype, lanes) {
            return false;
        }
        let ty = VectorType { dtype: self.shape.dtype, lanes };
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
        true
    }
}
