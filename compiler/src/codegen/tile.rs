//! Contractions in register tiles.
//!
//! A leaf has `rows` × `cols` points, whose accumulators stay in registers over the whole fold: at each element, every
//! value of the row operand is broadcast to the tile's columns, and every vector of the other operand is used for all
//! rows. Each output is one chain of additions in the fold's order, whatever the tile. A block of columns is run for
//! all rows before the next one, so that what it reads of the vector operand stays in cache.

use cranelift_entity::EntityRef;

use super::access::Side;
use super::emitter::VectorEmitter;
use super::loops::{Emission, Length, Span};
use super::panel::{KEPT_ROWS, Kept, Panel};
use super::plan::{Vector, dependencies, fold_operands, pieces};
use super::point::{Coord, Point};
use super::rows::joined;
use super::stage::{LeafPlan, StageCode};
use crate::kernel::{Affine, Axis, BufferId, StageSchedule};

/// Coordinates of an axis.
type Along<W> = (Axis, Span<W>);

/// The panel that has the columns, if there is one, and the part of the fold that is in it.
type Place<'p, 'k, W> = Option<(&'p Panel<'k, W>, Span<W>)>;

/// Emits something for a tile.
type OnTile<'x, E> = &'x mut dyn FnMut(&mut Emission<E>, &Tile<'_, <E as VectorEmitter>::Word>);

/// A tile, or what one kind of vectors covers of it.
struct Tile<'t, W> {
    plan: &'t LeafPlan<'t>,
    points: &'t [Point<W>],
    /// The first column of the block, and how many it has.
    col: Coord<W>,
    width: usize,
}

impl<E: VectorEmitter> StageCode<'_, E> {
    /// Emits the stage in tiles.
    pub(super) fn emit_tiles(&self, emission: &mut Emission<E>) {
        let StageSchedule::Tile { row_axis, col_axis, rows, cols, lanes, .. } = *self.schedule else {
            return;
        };
        let panels = emission.bases.panels;
        let start = panels[Side::Columns as usize];
        let joined = self.joined_rows(row_axis, col_axis);
        let all_rows = joined.iter().fold(self.spans[row_axis], |rows, &axis| match rows.length {
            Length::Known(length) => emission.times(self.spans[axis], length),
            _ => rows,
        });
        let tiles = Tiles {
            code: self,
            panel: Panel::new(emission, self, start, Side::Columns),
            row_panel: Panel::new(emission, self, start, Side::Rows),
            vector: self.vector(col_axis, lanes),
            rows,
            cols: (col_axis, cols),
            all_rows: (row_axis, all_rows),
        };
        let mut others = self.other_axes(&[&[row_axis, col_axis], &joined[..]].concat());
        others.sort_by_key(|&(axis, _)| !self.moves_both(axis));
        // A panel is packed once for all points of the axes that it does not depend on.
        let (outer, inner) = others.into_iter().partition::<Vec<_>, _>(|&(axis, _)| {
            tiles.panel.as_ref().is_none_or(|panel| panel.depends & (1 << axis) != 0)
        });
        // Where a panel serves many such points, what the next one is copied from is not much.
        let panel = tiles.panel.as_ref().filter(|_| inner.is_empty());
        let count = joined.iter().chain([&row_axis]).map(|&axis| self.extents[axis]).product();
        let ahead = panel.and_then(|panel| panel.ahead(self, count));
        let mut on_tile = |emission: &mut Emission<E>, tile: &Tile<'_, E::Word>| match &ahead {
            Some(ahead) => {
                tile.plan.emit_beside(emission, tile.points, ahead.segment, &mut |emission, segment| {
                    ahead.ask(emission, &tile.points[0], segment, (tile.col, tile.width));
                })
            }
            None => tile.plan.emit(emission, tile.points),
        };
        emission.nest(&outer, &mut self.origin(), &mut |emission, point| {
            let mut on_columns = |emission: &mut Emission<E>, columns: Span<E::Word>| match &tiles.panel {
                Some(panel) if panel.shape.parts => tiles.in_parts(emission, panel, point, &inner, columns),
                panel => {
                    let place = panel.as_ref().map(|panel| {
                        let all = panel.whole_fold(emission);
                        tiles.pack(emission, panel, point, columns, all);
                        (panel, all)
                    });
                    emission.nest(&inner, &mut point.clone(), &mut |emission, point| {
                        tiles.emit(emission, point, tiles.all_rows, columns, place, &mut on_tile);
                    });
                }
            };
            match &tiles.panel {
                Some(panel) if panel.shape.blocks > 1 => {
                    emission.groups(&self.spans[col_axis], panel.shape.all_cols(), &mut on_columns);
                }
                _ => emission.blocks(&self.spans[col_axis], cols, &mut |emission, start, width| {
                    on_columns(emission, Span { start, length: Length::Known(width) });
                }),
            }
        });
        emission.bases.panels = panels;
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
    /// That of the broadcast operand.
    row_panel: Option<Panel<'k, E::Word>>,
    vector: Option<Vector>,
    /// Rows of a tile.
    rows: usize,
    /// The axis of the columns, and how many a tile has.
    cols: (Axis, usize),
    all_rows: Along<E::Word>,
}

impl<'k, E: VectorEmitter> Tiles<'_, 'k, E> {
    /// The plan for some columns of a tile.
    fn plan(&self, vector: Option<Vector>) -> LeafPlan<'_> {
        let mut plan = self.code.plan(vector);
        for panel in [&self.panel, &self.row_panel].into_iter().flatten() {
            if let Some(fold) = &mut plan.fold {
                fold.replace(panel.operand, &panel.access);
            }
        }
        plan
    }

    /// Packs a part of the fold of all blocks of columns.
    fn pack(
        &self,
        emission: &mut Emission<E>,
        panel: &Panel<'k, E::Word>,
        point: &Point<E::Word>,
        columns: Span<E::Word>,
        part: Span<E::Word>,
    ) {
        emission.blocks(&columns, self.cols.1, &mut |emission, col, width| {
            panel.place(emission, columns.start, col, part.start);
            panel.pack(emission, self.code, point, (col, width), part);
        });
    }

    /// Runs `on_tile` for every tile of some rows and columns; `place` says which panel has these columns, and which part
    /// of the fold.
    fn emit(
        &self,
        emission: &mut Emission<E>,
        point: &Point<E::Word>,
        (row_axis, rows): Along<E::Word>,
        columns: Span<E::Word>,
        place: Place<'_, 'k, E::Word>,
        on_tile: OnTile<'_, E>,
    ) {
        let (col_axis, cols) = self.cols;
        let row_panel = self.row_panel.as_ref().zip(place);
        let many = row_panel.map_or(self.rows, |(panel, _)| panel.all());
        emission.blocks(&rows, many, &mut |emission, first, count| {
            if let Some((panel, (_, part))) = row_panel {
                let mut point = point.clone();
                point[col_axis] = columns.start;
                panel.place(emission, first, first, part.start);
                panel.pack(emission, self.code, &point, (first, count), part);
            }
            let rows = Span { start: first, length: Length::Known(count) };
            emission.blocks(&rows, self.rows, &mut |emission, row, height| {
                if let Some((panel, (_, part))) = row_panel {
                    panel.place(emission, first, row, part.start);
                }
                emission.blocks(&columns, cols, &mut |emission, col, width| {
                    // A single block is where it was packed.
                    if let Some((panel, part)) = place.filter(|(panel, _)| panel.shape.blocks > 1) {
                        panel.place(emission, columns.start, col, part.start);
                    }
                    for piece in pieces(self.code.vectors, self.vector, width) {
                        let mut points = Vec::new();
                        for r in 0..height {
                            for c in piece.offsets() {
                                let mut point = point.clone();
                                point[row_axis] = row.plus(r as i64);
                                point[col_axis] = col.plus(c as i64);
                                points.push(point);
                            }
                        }
                        let plan = self.plan(piece.vector);
                        on_tile(emission, &Tile { plan: &plan, points: &points, col, width });
                    }
                });
            });
        });
    }

    /// Emits some columns, for as many rows at a time as accumulators are kept for, one part of the fold after the other.
    fn in_parts(
        &self,
        emission: &mut Emission<E>,
        panel: &Panel<'k, E::Word>,
        point: &Point<E::Word>,
        inner: &[Along<E::Word>],
        columns: Span<E::Word>,
    ) {
        let (row_axis, all_rows) = self.all_rows;
        // Whole tiles, as far as one fits.
        let kept_rows = KEPT_ROWS - KEPT_ROWS % self.rows.min(KEPT_ROWS);
        // What rows leave room for: some coordinates of the axes around them.
        let mut room = KEPT_ROWS / all_rows.length.most().clamp(1, KEPT_ROWS);
        let mut steps = Vec::new();
        for (_, span) in inner.iter().rev() {
            let step = span.length.most().min(room);
            steps.push(step);
            room = if step == span.length.most() { room / step.max(1) } else { 1 };
        }
        steps.reverse();
        emission.boxes(inner, &steps, &mut vec![], &mut |emission, inner| {
            emission.parts(&all_rows, kept_rows, &mut |emission, rows| {
                let mut rows_of = vec![(row_axis, rows)];
                rows_of.extend(inner.iter().rev());
                let kept = Kept::new(panel, &rows_of, (self.cols.0, columns.start));
                let each =
                    |emission: &mut Emission<E>, place: Place<'_, 'k, E::Word>, on_tile: OnTile<'_, E>| {
                        emission.nest(inner, &mut point.clone(), &mut |emission, point| {
                            self.emit(emission, point, (row_axis, rows), columns, place, on_tile);
                        });
                    };
                each(emission, None, &mut |emission, tile| {
                    let start = tile.plan.fold.as_ref().map_or(vec![], |fold| fold.start(&mut emission.e));
                    let values: Vec<_> = tile.points.iter().flat_map(|_| start.clone()).collect();
                    kept.store(emission, (tile.plan, tile.points), &values);
                });
                let all = panel.whole_fold(emission);
                emission.parts(&all, panel.shape.part, &mut |emission, part| {
                    self.pack(emission, panel, point, columns, part);
                    each(emission, Some((panel, part)), &mut |emission, tile| {
                        let values = kept.load(emission, (tile.plan, tile.points));
                        let Some(fold) = &tile.plan.fold else { return };
                        let values = fold.part(emission, tile.points, part, values);
                        kept.store(emission, (tile.plan, tile.points), &values);
                    });
                });
                each(emission, None, &mut |emission, tile| {
                    let values = kept.load(emission, (tile.plan, tile.points));
                    let Some(fold) = &tile.plan.fold else { return };
                    let results = fold.results(emission, tile.points.len(), &values);
                    tile.plan.bodies(emission, tile.points, &results);
                });
            });
        });
    }
}
