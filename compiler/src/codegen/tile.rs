//! Contractions in register tiles.
//!
//! A leaf has `rows` × `cols` points, whose accumulators stay in registers over the whole fold: at each element, every
//! value of the row operand is broadcast to the tile's columns, and every vector of the other operand is used for all
//! rows. Each output is one chain of additions in the fold's order, whatever the tile. A block of columns is run for
//! all rows before the next one, so that what it reads of the vector operand stays in cache.

use cranelift_entity::EntityRef;

use super::emitter::VectorEmitter;
use super::loops::{Emission, Length, Span};
use super::panel::{KEPT_ROWS, Panel, PanelShape};
use super::plan::{Vector, dependencies, fold_operands, pieces};
use super::point::{Coord, Point};
use super::rows::joined;
use super::stage::{LeafPlan, StageCode};
use crate::kernel::{Affine, Axis, BufferId, StageSchedule};

/// Some columns of a stage: the axis, and the first of so many coordinates.
type Columns<W> = (Axis, Coord<W>, usize);

/// Some rows of a stage: the axis, and its coordinates.
type Rows<W> = (Axis, Span<W>);

/// Emits something for the points of a tile.
type OnTile<'x, E> = &'x mut dyn FnMut(&mut Emission<E>, &LeafPlan<'_>, &[Point<<E as VectorEmitter>::Word>]);

impl<E: VectorEmitter> StageCode<'_, E> {
    /// Emits the stage in tiles.
    pub(super) fn emit_tiles(&self, emission: &mut Emission<E>) {
        let StageSchedule::Tile { row_axis, col_axis, rows, cols, lanes, .. } = *self.schedule else {
            return;
        };
        let panel_start = emission.bases.panel;
        let joined = self.joined_rows(row_axis, col_axis);
        let all_rows = joined.iter().fold(self.spans[row_axis], |rows, &axis| match rows.length {
            Length::Known(length) => emission.times(self.spans[axis], length),
            _ => rows,
        });
        let tiles = Tiles {
            code: self,
            panel: Panel::new(self, panel_start),
            vector: self.vector(col_axis, lanes),
            rows,
            all_rows: (row_axis, all_rows),
        };
        let mut others = self.other_axes(&[&[row_axis, col_axis], &joined[..]].concat());
        others.sort_by_key(|&(axis, _)| !self.moves_both(axis));
        // A panel is packed once for all points of the axes that it does not depend on.
        let (outer, inner) = others.into_iter().partition::<Vec<_>, _>(|&(axis, _)| {
            tiles.panel.as_ref().is_none_or(|p| p.shape.parts || p.depends & (1 << axis) != 0)
        });
        // Where a panel serves many such points, what the next one is copied from is not much.
        let panel = tiles.panel.as_ref().filter(|_| inner.is_empty());
        let count = joined.iter().chain([&row_axis]).map(|&axis| self.extents[axis]).product();
        let ahead = panel.and_then(|panel| panel.ahead(self, tiles.vector, count));
        emission.nest(&outer, &mut self.origin(), &mut |emission, point| {
            emission.blocks(&self.spans[col_axis], cols, &mut |emission, col, width| {
                let columns = (col_axis, col, width);
                match &tiles.panel {
                    Some(panel) if panel.shape.parts => tiles.in_parts(emission, panel, point, columns),
                    panel => {
                        if let Some(panel) = panel {
                            let all = panel.all(emission);
                            panel.place(emission, col, all.start);
                            panel.pack(emission, self, tiles.vector, point, (col, width), all);
                        }
                        emission.nest(&inner, &mut point.clone(), &mut |emission, point| {
                            tiles.emit(
                                emission,
                                point,
                                tiles.all_rows,
                                columns,
                                &mut |emission, plan, points| match &ahead {
                                    Some(ahead) => plan.emit_beside(
                                        emission,
                                        points,
                                        ahead.segment,
                                        &mut |emission, segment| {
                                            ahead.ask(emission, &points[0], segment, (col, width));
                                        },
                                    ),
                                    None => plan.emit(emission, points),
                                },
                            );
                        });
                    }
                }
            });
        });
        emission.bases.panel = panel_start;
    }
}

impl<E: VectorEmitter> StageCode<'_, E> {
    /// The axes that rows run along beside their own, the innermost first. All but the last are run as a whole.
    fn joined_rows(&self, row_axis: Axis, col_axis: Axis) -> Vec<Axis> {
        let is_whole = |axis: Axis| {
            let Span { start, length } = self.spans[axis];
            start.base.is_none() && matches!(length, Length::Known(length) if length == self.extents[axis])
        };
        if !is_whole(row_axis) {
            return Vec::new();
        }
        let along = |buffer: BufferId, index: &[Affine], axis: Axis| -> i64 {
            let strides = self.placements[buffer].strides.iter();
            index.iter().zip(strides).map(|(expr, stride)| expr.factor(axis) * stride).sum()
        };
        let points = &self.extents[..self.spans.len()];
        let mut joined = joined(self.stage, row_axis, points, &along, |axis| axis != col_axis);
        let whole = joined.iter().take_while(|&&axis| is_whole(axis)).count();
        joined.truncate(whole + 1);
        joined
    }

    /// Whether both operands of a contraction are others at another coordinate of an axis, so that nothing is used again.
    fn moves_both(&self, axis: Axis) -> bool {
        self.stage.fold.as_ref().is_some_and(|fold| {
            let depends = dependencies(&fold.body);
            let operands = fold.accumulators.iter().flat_map(|a| fold_operands(a.op));
            operands.into_iter().all(|s| depends[s.index()] & (1 << axis) != 0)
        })
    }
}

/// The tiles of a stage.
struct Tiles<'s, 'k, E: VectorEmitter> {
    code: &'s StageCode<'k, E>,
    panel: Option<Panel<'k, E::Word>>,
    vector: Option<Vector>,
    /// Rows of a tile.
    rows: usize,
    all_rows: Rows<E::Word>,
}

impl<'k, E: VectorEmitter> Tiles<'_, 'k, E> {
    /// The plan for some columns of a tile.
    fn plan(&self, vector: Option<Vector>) -> LeafPlan<'_> {
        let mut plan = self.code.plan(vector);
        if let (Some(panel), Some(fold)) = (&self.panel, &mut plan.fold) {
            fold.replace(panel.operand, &panel.access);
        }
        plan
    }

    /// Runs `on_tile` for every tile of some rows and a block of columns.
    fn emit(
        &self,
        emission: &mut Emission<E>,
        point: &Point<E::Word>,
        (row_axis, rows): Rows<E::Word>,
        (col_axis, col, width): Columns<E::Word>,
        on_tile: OnTile<'_, E>,
    ) {
        for piece in pieces(self.code.vectors, self.vector, width) {
            let plan = self.plan(piece.vector);
            emission.blocks(&rows, self.rows, &mut |emission, row, height| {
                let mut points = Vec::new();
                for r in 0..height {
                    for c in piece.offsets() {
                        let mut point = point.clone();
                        point[row_axis] = row.plus(r as i64);
                        point[col_axis] = col.plus(c as i64);
                        points.push(point);
                    }
                }
                on_tile(emission, &plan, &points);
            });
        }
    }

    /// Emits a block of columns, for blocks of rows, one part of the fold after the other.
    fn in_parts(
        &self,
        emission: &mut Emission<E>,
        panel: &Panel<'k, E::Word>,
        point: &Point<E::Word>,
        columns: Columns<E::Word>,
    ) {
        let (code, shape) = (self.code, panel.shape);
        let ((row_axis, all_rows), (_, col, width)) = (self.all_rows, columns);
        // Whole tiles, as far as one fits.
        let kept_rows = KEPT_ROWS - KEPT_ROWS % self.rows.min(KEPT_ROWS);
        emission.parts(&all_rows, kept_rows, &mut |emission, rows| {
            let kept = Kept { shape, start: panel.start, row: (row_axis, rows.start), columns };
            let rows = (row_axis, rows);
            self.emit(emission, point, rows, columns, &mut |emission, plan, points| {
                let start = plan.fold.as_ref().map_or(Vec::new(), |fold| fold.start(&mut emission.e));
                let values: Vec<_> = points.iter().flat_map(|_| start.clone()).collect();
                kept.store(emission, plan, points, &values);
            });
            let all = panel.all(emission);
            emission.parts(&all, shape.part, &mut |emission, part| {
                panel.place(emission, col, part.start);
                panel.pack(emission, code, self.vector, point, (col, width), part);
                self.emit(emission, point, rows, columns, &mut |emission, plan, points| {
                    let values = kept.load(emission, plan, points);
                    let Some(fold) = &plan.fold else { return };
                    let values = fold.part(emission, points, part, values);
                    kept.store(emission, plan, points, &values);
                });
            });
            self.emit(emission, point, rows, columns, &mut |emission, plan, points| {
                let values = kept.load(emission, plan, points);
                let Some(fold) = &plan.fold else { return };
                let results = fold.results(emission, points.len(), &values);
                plan.bodies(emission, points, &results);
            });
        });
    }
}

/// Where accumulators are between two parts of a fold: a row of columns for every row of a block and partial result. Rows
/// have whole vectors, also where not all lanes of the last one are columns.
struct Kept<W> {
    shape: PanelShape,
    /// Where the panel is.
    start: Option<W>,
    /// The axis and the first one of the rows.
    row: (Axis, Coord<W>),
    columns: Columns<W>,
}

impl<W: Copy> Kept<W> {
    /// The address of what is kept for a point.
    fn address<E: VectorEmitter<Word = W>>(&self, emission: &mut Emission<E>, point: &Point<W>) -> (W, i64) {
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

    fn load<E: VectorEmitter<Word = W>>(
        &self,
        emission: &mut Emission<E>,
        plan: &LeafPlan<'_>,
        points: &[Point<W>],
    ) -> Vec<E::Value> {
        let types = plan.fold.as_ref().map_or(Vec::new(), |fold| fold.kept_types());
        let mut values = Vec::new();
        for point in points {
            let (address, offset) = self.address(emission, point);
            for (partial, &ty) in types.iter().enumerate() {
                let offset = offset + self.shape.kept_at(0, partial, 0);
                let (address, offset) = near(&mut emission.e, address, offset);
                values.push(emission.e.load(ty, ty.lanes, address, offset, false));
            }
        }
        values
    }

    fn store<E: VectorEmitter<Word = W>>(
        &self,
        emission: &mut Emission<E>,
        plan: &LeafPlan<'_>,
        points: &[Point<W>],
        values: &[E::Value],
    ) {
        let types = plan.fold.as_ref().map_or(Vec::new(), |fold| fold.kept_types());
        let mut values = values.iter();
        for point in points {
            let (address, offset) = self.address(emission, point);
            for ((partial, &ty), &value) in types.iter().enumerate().zip(values.by_ref()) {
                let offset = offset + self.shape.kept_at(0, partial, 0);
                let (address, offset) = near(&mut emission.e, address, offset);
                emission.e.store(ty, ty.lanes, value, address, offset);
            }
        }
    }
}

/// An address and an offset that an instruction can hold.
fn near<E: VectorEmitter>(e: &mut E, address: E::Word, offset: i64) -> (E::Word, i32) {
    match i32::try_from(offset) {
        Ok(offset) => (address, offset),
        Err(_) => {
            let offset = e.word(offset);
            (e.word_add(address, offset), 0)
        }
    }
}
