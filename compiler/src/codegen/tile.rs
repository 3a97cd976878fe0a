//! Contractions in register tiles.
//!
//! A leaf has `rows` × `cols` points, whose accumulators stay in registers over the whole fold: at each element, every
//! value of the row operand is broadcast to the tile's columns, and every vector of the other operand is used for all
//! rows. Each output is one chain of additions in the fold's order, whatever the tile. A block of columns is run for
//! all rows before the next one, so that what it reads of the vector operand stays in cache, or is packed once.

use cranelift_codegen::ir::Value;

use super::access::{Base, FlatAccess};
use super::body::{Shared, Site, emit_body};
use super::cranelift_emitter::CraneliftEmitter;
use super::emitter::{VectorEmitter, VectorType};
use super::loops::{Emission, Span};
use super::plan::{BodyPlan, Surroundings, VectorAxis, fold_operands};
use super::point::{Coord, Point, affine_at, whole};
use super::stage::{LeafPlan, StageCode};
use crate::kernel::{Affine, Axis, Fold, ScalarId, StageSchedule};
use crate::tensor::Scalar;
use crate::types::dense_strides;

/// The vector operand of a contraction and where it is copied to.
struct Panel<'k> {
    fold: &'k Fold,
    operand: ScalarId,
    /// Where an element of the panel is; the panel starts at column 0 of the whole axis.
    access: FlatAccess,
    first_axis: Axis,
    col_axis: Axis,
}

/// Bytes of the panel of a stage that is scheduled to have one; 0 for others, `None` if they are more than memory.
pub(super) fn panel_bytes(fold: Option<&Fold>, schedule: &StageSchedule) -> Option<usize> {
    match (schedule, fold) {
        (&StageSchedule::Tile { cols, row_operand, pack: true, .. }, Some(fold)) => {
            let dtype = fold.body.insts[vector_operand(fold, row_operand)?].dtype;
            fold.axes.iter().try_fold(cols * dtype.bytes(), |bytes, &extent| bytes.checked_mul(extent))
        }
        _ => Some(0),
    }
}

/// The operand of a contraction that is read by vectors.
fn vector_operand(fold: &Fold, row_operand: usize) -> Option<ScalarId> {
    let operands = fold_operands(fold.accumulators.first()?.op);
    operands.get(1 - row_operand).copied()
}

impl<'k> StageCode<'k> {
    /// Emits the stage in tiles.
    pub(super) fn emit_tiles(&self, emission: &mut Emission<'_, '_>) {
        let StageSchedule::Tile { row_axis, col_axis, rows, cols, lanes, .. } = *self.schedule else {
            return;
        };
        let panel = self.panel(cols);
        let vector = self.vector(col_axis, lanes);
        let lanes = vector.map_or(1, |v| v.1);
        let plan = |vector| {
            let mut plan = self.plan(vector);
            if let (Some(panel), Some(fold)) = (&panel, &mut plan.fold) {
                fold.body.replace::<CraneliftEmitter<'_, '_>>(panel.operand, panel.access.clone());
            }
            plan
        };
        let (wide, single) = (plan(vector), plan(None));
        let outer = self.other_axes(&[row_axis, col_axis]);
        let panel_base = emission.bases.panel;
        emission.nest(&outer, &mut self.origin(), &mut |emission, point| {
            emission.blocks(&self.spans[col_axis], cols, &mut |emission, col, width| {
                if let Some(panel) = &panel {
                    panel.place(emission, panel_base, col);
                    self.pack(emission, panel, vector, point, col, width);
                }
                // Columns that fill no vector are run as points.
                let vectors = width / lanes * lanes;
                for (plan, cols) in [
                    (&wide, (0..vectors).step_by(lanes).collect::<Vec<_>>()),
                    (&single, (vectors..width).collect()),
                ] {
                    if !cols.is_empty() {
                        emission.blocks(&self.spans[row_axis], rows, &mut |emission, row, height| {
                            tile(emission, plan, point, (row_axis, row, height), (col_axis, col, &cols));
                        });
                    }
                }
            });
        });
        emission.bases.panel = panel_base;
    }

    fn panel(&self, cols: usize) -> Option<Panel<'k>> {
        let StageSchedule::Tile { col_axis, row_operand, pack: true, .. } = *self.schedule else {
            return None;
        };
        let fold = self.stage.fold.as_ref()?;
        let operand = vector_operand(fold, row_operand)?;
        let dtype = fold.body.insts[operand].dtype;
        let first_axis = self.spans.len();
        let element = dtype.bytes() as i64;
        let bytes = dense_strides(&fold.axes)
            .iter()
            .enumerate()
            .map(|(i, &stride)| Affine::axis(first_axis + i).times((stride * cols) as i64 * element))
            .fold(Affine::axis(col_axis).times(element), |sum, term| sum.plus(&term));
        let access = FlatAccess {
            dtype,
            base: Base::Panel,
            bytes,
            indirect: None,
            guards: Vec::new(),
            fill: Scalar::zero(dtype),
            // Packing writes it between two folds, never within one.
            read_only: true,
        };
        Some(Panel { fold, operand, access, first_axis, col_axis })
    }

    /// Copies the vector operand for a block of columns to the panel.
    fn pack(
        &self,
        emission: &mut Emission<'_, '_>,
        panel: &Panel<'k>,
        vector: VectorAxis,
        point: &Point<Value>,
        col: Coord<Value>,
        width: usize,
    ) {
        let around =
            Surroundings { placements: self.placements, checks: self.checks, extents: &self.extents };
        let plan = |vector| {
            let roots = vec![panel.operand];
            BodyPlan::new::<CraneliftEmitter<'_, '_>>(&panel.fold.body, roots, &around, vector)
        };
        let lanes = vector.map_or(1, |v| v.1);
        let (wide, single) = (plan(vector), plan(None));
        if panel.fold.axes.contains(&0) {
            return;
        }
        let axes: Vec<_> = (panel.fold.axes.iter().enumerate())
            .map(|(i, &extent)| (panel.first_axis + i, Span::whole(extent)))
            .collect();
        emission.nest(&axes, &mut point.clone(), &mut |emission, point| {
            let mut shared = Shared::new();
            let mut copy = |plan: &BodyPlan<'_>, offset: usize, emission: &mut Emission<'_, '_>| {
                let mut point = point.clone();
                point[panel.col_axis] = col.plus(offset as i64);
                let site = Site { bases: &emission.bases, point: &point, accumulators: &[], loop_axis: None };
                let ty = VectorType { dtype: panel.access.dtype, lanes: plan.lanes() };
                for value in emit_body(&mut emission.e, plan, &site, &mut shared) {
                    let value = value.vector(&mut emission.e, ty);
                    let (address, offset) =
                        panel.access.address(&mut emission.e, &emission.bases, &point, None);
                    emission.e.store(ty, value, address, offset);
                }
            };
            let vectors = width / lanes * lanes;
            (0..vectors).step_by(lanes).for_each(|offset| copy(&wide, offset, emission));
            (vectors..width).for_each(|offset| copy(&single, offset, emission));
        });
    }
}

impl Panel<'_> {
    /// Lets the panel start at the block's first column: its base is where column 0 would be.
    fn place(&self, emission: &mut Emission<'_, '_>, base: Option<Value>, col: Coord<Value>) {
        let element = self.access.dtype.bytes() as i64;
        let mut point = vec![Coord::fixed(0); self.col_axis + 1];
        point[self.col_axis] = col;
        let back = Affine::axis(self.col_axis).times(-element);
        let word = affine_at(&mut emission.e, &back, &point, base);
        emission.bases.panel = Some(whole(&mut emission.e, word));
    }
}

/// Emits a tile: `height` rows from `row`, and the columns at some offsets from `col`.
fn tile(
    emission: &mut Emission<'_, '_>,
    plan: &LeafPlan<'_>,
    point: &Point<Value>,
    (row_axis, row, height): (Axis, Coord<Value>, usize),
    (col_axis, col, cols): (Axis, Coord<Value>, &[usize]),
) {
    let mut points = Vec::new();
    for r in 0..height {
        for &c in cols {
            let mut point = point.clone();
            point[row_axis] = row.plus(r as i64);
            point[col_axis] = col.plus(c as i64);
            points.push(point);
        }
    }
    plan.emit(emission, &points);
}
