//! Contractions in register tiles.
//!
//! A leaf has `rows` × `cols` points, whose accumulators stay in registers over the whole fold: at each element, every
//! value of the row operand is broadcast to the tile's columns, and every vector of the other operand is used for all
//! rows. Each output is one chain of additions in the fold's order, whatever the tile. A block of columns is run for
//! all rows before the next one, so that what it reads of the vector operand stays in cache.

use cranelift_entity::EntityRef;

use super::access::Side;
use super::columns::Columns;
use super::emitter::VectorEmitter;
use super::fold::{Accumulators, FoldPlan};
use super::kept::Kept;
use super::loops::{Emission, Length, Span};
use super::panel::{Ahead, Panel, PanelShape, RowsAhead, StreamAhead, blocks_of_panels};
use super::plan::{Vector, dependencies, fold_operands, pieces};
use super::point::{Coord, Point};
use super::rows::joined;
use super::stage::{LeafPlan, StageCode};
use crate::kernel::{Affine, Axis, BufferId, StageSchedule};

/// The first coordinate of a block, and how many it has.
type Block<W> = (Coord<W>, usize);

/// Coordinates of an axis.
type Along<W> = (Axis, Span<W>);

/// The panel that has the columns, if there is one, and the part of the fold that is in it.
type Place<'p, 'k, W> = Option<(&'p Panel<'k, W>, Span<W>)>;

/// Emits something for a tile.
type OnTile<'x, E> = &'x mut dyn FnMut(&mut Emission<E>, &Tile<'_, <E as VectorEmitter>::Word>);

/// How many elements of a fold are in a segment, and what is emitted before each one.
type Beside<'x, E> = (usize, &'x mut dyn FnMut(&mut Emission<E>, <E as VectorEmitter>::Word));

/// A tile, or what one kind of vectors covers of it.
struct Tile<'t, W> {
    points: &'t [Point<W>],
    /// How each of the points ends, and which ones do so. The fold is that of the first.
    ends: &'t [(LeafPlan<'t>, Vec<usize>)],
    /// The first column of the block, and how many it has.
    col: Coord<W>,
    width: usize,
}

impl<'t, W: Copy> Tile<'t, W> {
    fn fold(&self) -> Option<&'t FoldPlan<'t>> {
        self.ends.first().and_then(|(plan, _)| plan.fold.as_ref())
    }

    /// The points that end in one way.
    fn some(&self, chosen: &[usize]) -> Vec<Point<W>> {
        chosen.iter().map(|&n| self.points[n].clone()).collect()
    }

    /// Emits the fold, in which `beside` emits something for each segment, and what comes after it.
    fn emit<E: VectorEmitter<Word = W>>(&self, emission: &mut Emission<E>, beside: Option<Beside<'_, E>>) {
        let Some(fold) = self.fold() else { return };
        if beside.is_some() || fold.is_long() {
            for (plan, chosen) in self.ends {
                plan.prefetch(emission, &self.some(chosen));
            }
        }
        let results = match beside {
            Some((segment, beside)) => fold.reduce_beside(emission, self.points, segment, beside),
            None => fold.reduce(emission, self.points),
        };
        self.end(emission, &results);
    }

    /// Emits what comes after the fold.
    fn end<E: VectorEmitter<Word = W>>(
        &self,
        emission: &mut Emission<E>,
        results: &[Accumulators<E::Value>],
    ) {
        for (plan, chosen) in self.ends {
            let own: Vec<_> = chosen.iter().map(|&n| results[n].clone()).collect();
            plan.bodies(emission, &self.some(chosen), &own);
        }
    }
}

impl<E: VectorEmitter> StageCode<'_, E> {
    /// Emits the stage in tiles.
    pub(super) fn emit_tiles(&self, emission: &mut Emission<E>) {
        let StageSchedule::Tile { row_axis, col_axis, rows, cols, lanes, .. } = *self.schedule else {
            return;
        };
        let panels = emission.bases.panels;
        let start = panels[Side::Columns as usize];
        let points = &self.extents[..self.spans.len()];
        let Some(columns) = Columns::new(self.stage, self.schedule, points) else { return };
        let joined = self.joined_rows(row_axis, columns);
        let all_rows = joined.iter().fold(self.spans[row_axis], |rows, &axis| match rows.length {
            Length::Known(length) => emission.times(self.spans[axis], length),
            _ => rows,
        });
        let row_panel = Panel::new(emission, self, start, Side::Rows);
        let shape = PanelShape::new(self.stage, self.schedule, points);
        let panel = Panel::new(emission, self, start, Side::Columns);
        let tiles = Tiles {
            code: self,
            parts: shape.filter(|shape| shape.parts).map(|shape| (shape, start)),
            rows_ahead: row_panel.is_none().then(|| RowsAhead::new(self)).flatten(),
            stream: panel.is_none().then(|| StreamAhead::new(self, columns, cols)).flatten(),
            panel,
            row_panel,
            vector: self.vector(col_axis, lanes),
            rows,
            columns,
            cols,
            all_rows: (row_axis, all_rows),
        };
        let mut others = self.other_axes(&[&[row_axis, columns.axis, columns.along], &joined[..]].concat());
        others.sort_by_key(|&(axis, _)| !self.moves_both(axis));
        // A panel is packed once for all points of the axes that it does not depend on.
        let (outer, inner) = others.into_iter().partition::<Vec<_>, _>(|&(axis, _)| {
            tiles.panel.as_ref().is_none_or(|panel| panel.depends & (1 << axis) != 0)
        });
        // Where columns serve many such points, what the next ones are read or copied from is not much.
        let is_alone = match &tiles.panel {
            Some(_) => inner.is_empty(),
            None => outer.is_empty(),
        } && tiles.parts.is_none();
        // Where rows lie in short pieces, tiles ask for those instead.
        let rows_ahead = tiles.rows_ahead.as_ref();
        let asks = is_alone && rows_ahead.is_none();
        let count = joined.iter().chain([&row_axis]).map(|&axis| self.extents[axis]).product();
        let blocks = blocks_of_panels(self.stage, self.schedule, points);
        let ahead = asks.then(|| Ahead::new(self, columns, blocks, count, tiles.panel.as_ref())).flatten();
        let mut on_tile = |emission: &mut Emission<E>, tile: &Tile<'_, E::Word>| match (&ahead, rows_ahead) {
            (Some(ahead), _) => {
                let mut ask = |emission: &mut Emission<E>, segment| {
                    ahead.ask(emission, &tile.points[0], segment, (tile.col, tile.width));
                };
                tile.emit(emission, Some((ahead.segment, &mut ask)));
            }
            (None, Some(ahead)) => {
                let mut ask = |emission: &mut Emission<E>, outer| ahead.ask(emission, &tile.points[0], outer);
                tile.emit(emission, Some((1, &mut ask)));
            }
            (None, None) => tile.emit(emission, None),
        };
        emission.nest(&outer, &mut self.origin(), &mut |emission, point| {
            let mut on_columns = |emission: &mut Emission<E>, columns: Span<E::Word>| match tiles.parts {
                Some(parts) => tiles.in_parts(emission, parts, point, &inner, columns),
                None => {
                    let place = tiles.panel.as_ref().map(|panel| {
                        let all = self.whole_fold(emission);
                        tiles.pack(emission, panel, point, columns, all);
                        (panel, all)
                    });
                    emission.nest(&inner, &mut point.clone(), &mut |emission, point| {
                        tiles.emit(emission, point, tiles.all_rows, columns, place, &mut on_tile);
                    });
                }
            };
            let step = columns.steps(cols);
            match blocks {
                ..=1 => emission.blocks(&self.spans[columns.along], step, &mut |emission, start, steps| {
                    on_columns(emission, Span { start, length: Length::Known(steps) });
                }),
                blocks => emission.groups(&self.spans[columns.along], step * blocks, &mut on_columns),
            }
        });
        emission.bases.panels = panels;
    }
}

impl<E: VectorEmitter> StageCode<'_, E> {
    /// The axes that rows run along beside their own, the innermost first. All but the last are run as a whole.
    fn joined_rows(&self, row_axis: Axis, columns: Columns) -> Vec<Axis> {
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
        let mut joined = joined(self.stage, row_axis, points, &along, |axis| {
            ![columns.axis, columns.along].contains(&axis)
        });
        let whole = joined.iter().take_while(|&&axis| is_whole(axis)).count();
        joined.truncate(whole + 1);
        joined
    }

    /// All coordinates of the fold's outermost axis.
    fn whole_fold(&self, emission: &mut Emission<E>) -> Span<E::Word> {
        let outermost = self.stage.fold.as_ref().and_then(|fold| fold.axes.first());
        outermost.map_or(Span::first(1), |&extent| emission.whole(extent))
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
    /// What is kept between the parts of a fold that has several, and the memory for it.
    parts: Option<(PanelShape, Option<E::Word>)>,
    rows_ahead: Option<RowsAhead>,
    stream: Option<StreamAhead>,
    vector: Option<Vector>,
    /// Rows of a tile.
    rows: usize,
    columns: Columns,
    /// Columns of a tile.
    cols: usize,
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
        let step = self.columns.steps(self.cols) * panel.together(self.code);
        emission.blocks(&columns, step, &mut |emission, col, steps| {
            panel.place(emission, columns.start, col, part.start);
            panel.pack(emission, self.code, point, (col, steps * self.columns.each), part);
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
        let row_panel = self.row_panel.as_ref().zip(place);
        let mut on_rows = |emission: &mut Emission<E>, first, count| {
            if let Some((panel, (_, part))) = row_panel {
                let mut point = point.clone();
                self.columns.put(&mut point, columns.start, 0);
                panel.place(emission, first, first, part.start);
                panel.pack(emission, self.code, &point, (first, count), part);
            }
            let rows = Span { start: first, length: Length::Known(count) };
            let step = self.columns.steps(self.cols);
            let mut on_tile = |emission: &mut Emission<E>, rows, block| {
                self.tile(emission, point, (row_axis, rows), (block, columns), place, on_tile);
            };
            match row_panel {
                // A block of columns stays in the nearest cache for all tiles of the panel of rows.
                Some((panel, (_, part))) => emission.blocks(&columns, step, &mut |emission, col, steps| {
                    emission.blocks(&rows, self.rows, &mut |emission, row, height| {
                        panel.place(emission, first, row, part.start);
                        on_tile(emission, (row, height), (col, steps));
                    });
                }),
                // Where columns come in streams, the few elements of a part do.
                None if self.parts.is_some() && self.panel.is_none() => {
                    emission.blocks(&columns, step, &mut |emission, col, steps| {
                        emission.blocks(&rows, self.rows, &mut |emission, row, height| {
                            on_tile(emission, (row, height), (col, steps));
                        });
                    })
                }
                // What a tile reads of rows does so for all blocks of columns.
                None => emission.blocks(&rows, self.rows, &mut |emission, row, height| {
                    emission.blocks(&columns, step, &mut |emission, col, steps| {
                        on_tile(emission, (row, height), (col, steps));
                    });
                }),
            }
        };
        match row_panel {
            Some((panel, _)) => emission.blocks(&rows, panel.all(), &mut on_rows),
            None => emission.even_blocks(&rows, self.rows, &mut on_rows),
        }
    }

    /// Runs `on_tile` for a tile of so many rows and steps of columns, or for each kind of vectors that covers some of it.
    fn tile(
        &self,
        emission: &mut Emission<E>,
        point: &Point<E::Word>,
        (row_axis, (row, height)): (Axis, Block<E::Word>),
        ((col, steps), all): (Block<E::Word>, Span<E::Word>),
        place: Place<'_, 'k, E::Word>,
        on_tile: OnTile<'_, E>,
    ) {
        let width = steps * self.columns.each;
        // A single block is where it was packed.
        if let Some((panel, part)) = place.filter(|(panel, _)| panel.shape.blocks > 1) {
            panel.place(emission, all.start, col, part.start);
        }
        let pieces = pieces(self.code.vectors, self.vector, width);
        // A panel has whole vectors, so what fills none is multiplied beside those that are full, if it is one of theirs.
        let together =
            place.is_some() && pieces.iter().all(|piece| piece.lanes() == self.vector.map(|v| v.lanes));
        for pieces in pieces.chunks(if together { pieces.len() } else { 1 }) {
            let (mut points, mut ends) = (Vec::new(), Vec::new());
            ends.extend(pieces.iter().map(|piece| (self.plan(piece.vector), Vec::new())));
            for r in 0..height {
                for (piece, (_, chosen)) in pieces.iter().zip(&mut ends) {
                    for c in piece.offsets() {
                        let mut point = point.clone();
                        point[row_axis] = row.plus(r as i64);
                        self.columns.put(&mut point, col, c);
                        chosen.push(points.len());
                        points.push(point);
                    }
                }
            }
            on_tile(emission, &Tile { points: &points, ends: &ends, col, width });
        }
    }

    /// Emits some columns, for as many rows at a time as accumulators are kept for, one part of the fold after the other.
    fn in_parts(
        &self,
        emission: &mut Emission<E>,
        (shape, start): (PanelShape, Option<E::Word>),
        point: &Point<E::Word>,
        inner: &[Along<E::Word>],
        columns: Span<E::Word>,
    ) {
        let (row_axis, all_rows) = self.all_rows;
        // Whole tiles, as far as one fits.
        let most = shape.kept_rows;
        let kept_rows = most - most % self.rows.min(most);
        // What rows leave room for: some coordinates of the axes around them.
        let mut room = most / all_rows.length.most().clamp(1, most);
        let mut steps = Vec::new();
        for (_, span) in inner.iter().rev() {
            let step = span.length.most().min(room);
            steps.push(step);
            room = if step == span.length.most() { room / step.max(1) } else { 1 };
        }
        steps.reverse();
        emission.boxes(inner, &steps, &mut vec![], &mut |emission, inner| {
            emission.parts(&all_rows, kept_rows, &mut |emission, rows| {
                let kept = Kept {
                    shape: shape.kept(),
                    start,
                    rows: [(row_axis, rows)].into_iter().chain(inner.iter().rev().copied()).collect(),
                    cols: (self.columns, columns.start),
                    is_ragged: matches!(columns.length, Length::UpTo { .. }),
                };
                let each =
                    |emission: &mut Emission<E>, place: Place<'_, 'k, E::Word>, on_tile: OnTile<'_, E>| {
                        emission.nest(inner, &mut point.clone(), &mut |emission, point| {
                            self.emit(emission, point, (row_axis, rows), columns, place, on_tile);
                        });
                    };
                each(emission, None, &mut |emission, tile| {
                    let Some(fold) = tile.fold() else { return };
                    kept.begin(emission, (fold, tile.points));
                });
                let all = self.code.whole_fold(emission);
                emission.parts(&all, shape.part, &mut |emission, part| {
                    let place = self.panel.as_ref().map(|panel| {
                        self.pack(emission, panel, point, columns, part);
                        (panel, part)
                    });
                    each(emission, place, &mut |emission, tile| {
                        let Some(fold) = tile.fold() else { return };
                        let values = kept.load(emission, (fold, tile.points));
                        let first = &tile.points[0];
                        let values = match (&self.stream, &self.rows_ahead) {
                            (Some(ahead), _) => {
                                let mut ask = |emission: &mut Emission<E>, outer| {
                                    ahead.ask(emission, first, outer, tile.col);
                                };
                                fold.part_beside(emission, tile.points, part, values, &mut ask)
                            }
                            (None, Some(ahead)) => {
                                let mut ask =
                                    |emission: &mut Emission<E>, outer| ahead.ask(emission, first, outer);
                                fold.part_beside(emission, tile.points, part, values, &mut ask)
                            }
                            (None, None) => fold.part(emission, tile.points, part, values),
                        };
                        kept.store(emission, (fold, tile.points), &values);
                    });
                });
                each(emission, None, &mut |emission, tile| {
                    let Some(fold) = tile.fold() else { return };
                    let values = kept.load(emission, (fold, tile.points));
                    let results = fold.results(emission, tile.points.len(), &values);
                    tile.end(emission, &results);
                });
            });
        });
    }
}
