//! Contractions in register tiles.
//!
//! A leaf has `rows` × `cols` points, whose accumulators stay in registers over the whole fold: at each element, every
//! value of the row operand is broadcast to the tile's columns, and every vector of the other operand is used for all
//! rows. Each output is one chain of additions in the fold's order, whatever the tile. A block of columns is run for
//! all rows before the next one, so that what it reads of the vector operand stays in cache.

use cranelift_codegen::ir::Value;

use super::cranelift_emitter::CraneliftEmitter;
use super::emitter::VectorEmitter;
use super::loops::{Emission, Length, Span};
use super::panel::{KEPT_ROWS, Panel, PanelShape};
use super::point::{Coord, Point};
use super::stage::{LeafPlan, StageCode};
use crate::kernel::{Axis, StageSchedule};

/// Some rows or columns of a stage: the axis, and the first of so many coordinates.
type Block = (Axis, Coord<Value>, usize);

impl<'k> StageCode<'k> {
    /// Emits the stage in tiles.
    pub(super) fn emit_tiles(&self, emission: &mut Emission<'_, '_>) {
        let StageSchedule::Tile { row_axis, col_axis, rows, cols, lanes, .. } = *self.schedule else {
            return;
        };
        let panel_start = emission.bases.panel;
        let panel = Panel::new(self, panel_start);
        let vector = self.vector(col_axis, lanes);
        let plan = |vector| {
            let mut plan = self.plan(vector);
            if let (Some(panel), Some(fold)) = (&panel, &mut plan.fold) {
                fold.replace(panel.operand, &panel.access);
            }
            plan
        };
        let plans = Plans { wide: plan(vector), single: plan(None), rows, lanes: vector.map_or(1, |v| v.1) };
        let outer = self.other_axes(&[row_axis, col_axis]);
        emission.nest(&outer, &mut self.origin(), &mut |emission, point| {
            emission.blocks(&self.spans[col_axis], cols, &mut |emission, col, width| {
                let columns = (col_axis, col, width);
                let Some(panel) = &panel else {
                    return plans.tiles(
                        emission,
                        point,
                        (row_axis, self.spans[row_axis]),
                        columns,
                        &mut whole,
                    );
                };
                let whole_fold = (Coord::fixed(0), panel.shape.part);
                if !panel.shape.parts {
                    panel.place(emission, col, Coord::fixed(0));
                    panel.pack(emission, self, vector, point, (col, width), whole_fold);
                    return plans.tiles(
                        emission,
                        point,
                        (row_axis, self.spans[row_axis]),
                        columns,
                        &mut whole,
                    );
                }
                emission.blocks(&self.spans[row_axis], KEPT_ROWS, &mut |emission, row, height| {
                    let span = Span { start: row, length: Length::Known(height) };
                    let rows = (row_axis, span);
                    let kept = Kept { shape: panel.shape, start: panel_start, row: (row_axis, row), columns };
                    plans.tiles(emission, point, rows, columns, &mut |emission, plan, points| {
                        let start = plan.fold.as_ref().map_or(Vec::new(), |fold| fold.start(&mut emission.e));
                        let values: Vec<_> = points.iter().flat_map(|_| start.clone()).collect();
                        kept.store(emission, plan, points, &values);
                    });
                    let parts = Span::whole(self.extents[self.spans.len()]);
                    emission.blocks(&parts, panel.shape.part, &mut |emission, part, length| {
                        panel.place(emission, col, part);
                        panel.pack(emission, self, vector, point, (col, width), (part, length));
                        plans.tiles(emission, point, rows, columns, &mut |emission, plan, points| {
                            let values = kept.load(emission, plan, points);
                            let Some(fold) = &plan.fold else { return };
                            let values = fold.part(emission, points, (part, length), values);
                            kept.store(emission, plan, points, &values);
                        });
                    });
                    plans.tiles(emission, point, rows, columns, &mut |emission, plan, points| {
                        let values = kept.load(emission, plan, points);
                        let Some(fold) = &plan.fold else { return };
                        let results = fold.results(emission, points.len(), &values);
                        plan.bodies(emission, points, &results);
                    });
                });
            });
        });
        emission.bases.panel = panel_start;
    }
}

/// Emits the whole leaf.
fn whole(emission: &mut Emission<'_, '_>, plan: &LeafPlan<'_>, points: &[Point<Value>]) {
    plan.emit(emission, points);
}

/// Emits something for the points of a tile.
type OnTile<'x> = &'x mut dyn FnMut(&mut Emission<'_, '_>, &LeafPlan<'_>, &[Point<Value>]);

/// The plans of tiles: of vectors, and of columns that fill none.
struct Plans<'k> {
    wide: LeafPlan<'k>,
    single: LeafPlan<'k>,
    rows: usize,
    lanes: usize,
}

impl Plans<'_> {
    /// Runs `on_tile` for every tile of some rows and a block of columns.
    fn tiles(
        &self,
        emission: &mut Emission<'_, '_>,
        point: &Point<Value>,
        (row_axis, rows): (Axis, Span),
        (col_axis, col, width): Block,
        on_tile: OnTile<'_>,
    ) {
        let vectors = width / self.lanes * self.lanes;
        for (plan, from, to, step) in
            [(&self.wide, 0, vectors, self.lanes), (&self.single, vectors, width, 1)]
        {
            if from == to {
                continue;
            }
            emission.blocks(&rows, self.rows, &mut |emission, row, height| {
                let mut points = Vec::new();
                for r in 0..height {
                    for c in (from..to).step_by(step) {
                        let mut point = point.clone();
                        point[row_axis] = row.plus(r as i64);
                        point[col_axis] = col.plus(c as i64);
                        points.push(point);
                    }
                }
                on_tile(emission, plan, &points);
            });
        }
    }
}

/// Where accumulators are between two parts of a fold: a row of columns for every row of a block and partial result.
struct Kept {
    shape: PanelShape,
    /// Where the panel is.
    start: Option<Value>,
    /// The axis and the first one of the rows.
    row: (Axis, Coord<Value>),
    columns: Block,
}

impl Kept {
    /// The address of what is kept for a point.
    fn address(&self, emission: &mut Emission<'_, '_>, point: &Point<Value>) -> (Value, i64) {
        let e = &mut emission.e;
        let (axis, first) = self.row;
        let row = point[axis];
        let stride = self.shape.kept_stride();
        let mut address = self.start.unwrap_or_else(|| e.word(0));
        for (base, sign) in [(row.base, 1), (first.base, -1)] {
            if let Some(base) = base {
                let bytes = e.word_times(base, sign * stride);
                address = e.word_add(address, bytes);
            }
        }
        let (col_axis, col, _) = self.columns;
        let within = self.shape.kept_at(row.offset - first.offset, 0, point[col_axis].offset - col.offset);
        (address, self.shape.kept_offset() + within)
    }

    fn load(
        &self,
        emission: &mut Emission<'_, '_>,
        plan: &LeafPlan<'_>,
        points: &[Point<Value>],
    ) -> Vec<Value> {
        let types = plan.fold.as_ref().map_or(Vec::new(), |fold| fold.kept_types());
        let mut values = Vec::new();
        for point in points {
            let (address, offset) = self.address(emission, point);
            for (partial, &ty) in types.iter().enumerate() {
                let offset = offset + self.shape.kept_at(0, partial, 0);
                let (address, offset) = near(&mut emission.e, address, offset);
                values.push(emission.e.load(ty, address, offset, false));
            }
        }
        values
    }

    fn store(
        &self,
        emission: &mut Emission<'_, '_>,
        plan: &LeafPlan<'_>,
        points: &[Point<Value>],
        values: &[Value],
    ) {
        let types = plan.fold.as_ref().map_or(Vec::new(), |fold| fold.kept_types());
        let mut values = values.iter();
        for point in points {
            let (address, offset) = self.address(emission, point);
            for ((partial, &ty), &value) in types.iter().enumerate().zip(values.by_ref()) {
                let offset = offset + self.shape.kept_at(0, partial, 0);
                let (address, offset) = near(&mut emission.e, address, offset);
                emission.e.store(ty, value, address, offset);
            }
        }
    }
}

/// An address and an offset that an instruction can hold.
fn near(e: &mut CraneliftEmitter<'_, '_>, address: Value, offset: i64) -> (Value, i32) {
    match i32::try_from(offset) {
        Ok(offset) => (address, offset),
        Err(_) => {
            let offset = e.word(offset);
            (e.word_add(address, offset), 0)
        }
    }
}
