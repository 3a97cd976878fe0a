//! Strips: vectors of consecutive points of an axis, several at a time.
//!
//! Where each point is a sum over the rows of a matrix and rows are longer than a strip, each strip would read short pieces
//! that lie far apart, which the processor does not foresee. So the sums of many strips are made together, a *part* of the
//! fold at a time: a few rows, from end to end. Between two parts, accumulators are [kept](super::kept) in memory.

use super::access::Side;
use super::columns::Columns;
use super::emitter::VectorEmitter;
use super::fold::FoldPlan;
use super::kept::{Kept, KeptShape};
use super::loops::{Emission, Length, Span};
use super::plan::{Vector, fold_operands, pieces};
use super::point::{Coord, Point};
use super::stage::{LeafPlan, StageCode};
use super::vectors::Vectors;
use crate::kernel::{Access, Axis, FoldKind, FoldOp, InstKind, Stage, StageSchedule, points};

/// About how many instructions a leaf of a map has, and each element of a fold.
const LEAF: usize = 48;
/// As how many instructions of these what comes after a long fold counts at most, for it runs once.
const END: usize = 4;
/// About how many instructions come after a fold, at all points of a leaf together.
const ENDS: usize = 16 * LEAF;
/// The most accumulators that a leaf keeps in registers, where it is not known how many there are.
const KEPT: usize = 8;
/// The part of the registers that accumulators may take, where it is: what they add up needs some too. The more there are, the
/// longer are the pieces of rows that a sum of columns reads.
const KEPT_PART: [usize; 2] = [3, 4];
/// Bytes of such a piece at most: longer ones gain nothing.
const PIECE: usize = 512;
/// The most vectors that a leaf without a fold has.
const MAPPED: usize = 4;

/// Rows of a part: if they are a multiple of [`CROWDED`] bytes apart, so that more of them would push one another out of the nearest
/// cache, and if they are not.
const PART: [usize; 2] = [4, 8];
/// See [`PART`].
const CROWDED: i64 = 2048;
/// Bytes of accumulators that are kept: a part of the nearest cache.
const KEPT_BYTES: usize = 16 << 10;
/// Vectors of a leaf that is run in parts, at most: a power of two, of which chunks have several.
pub(crate) const KEPT_VECTORS: usize = 8;
/// Columns that what is kept is a multiple of, so that there are whole vectors.
const KEPT_UNIT: usize = 64;

/// What is kept between two parts of a stage's fold; `None` if it is not run in parts.
pub(super) fn kept(stage: &Stage, schedule: &StageSchedule, extents: &[usize]) -> Option<KeptShape> {
    let (&StageSchedule::Strip { axis, lanes }, Some(fold)) = (schedule, &stage.fold) else { return None };
    let (&length, rows) = (extents.get(axis)?, fold.axes.last()?.most());
    let innermost = extents.len() + fold.axes.len() - 1;
    // Each of these has a part of a row, and the fold goes from row to row.
    let is_columns = |access: &Access| {
        access.index.last().is_some_and(|column| column.factor(axis) == 1 && column.factor(innermost) == 0)
    };
    let depends = |access: &&Access| access.index.iter().any(|expr| expr.factor(axis) != 0);
    let mut loads = fold.body.insts.values().filter_map(|inst| match &inst.kind {
        InstKind::Load(access) => Some(access),
        _ => None,
    });
    let operands = || fold.accumulators.iter().flat_map(|a| fold_operands(a.op));
    let elements = || operands().map(|s| fold.body.insts[s].dtype.bytes());
    let element = elements().max()?;
    let values = fold.accumulators.len();
    let cols = KEPT_BYTES / (values * element) / KEPT_UNIT * KEPT_UNIT;
    let is_worth = lanes > 1
        && fold.kind == FoldKind::Reduce
        && fold.lanes == 1
        && !fold.accumulators.iter().any(|a| matches!(a.op, FoldOp::ArgMax(_) | FoldOp::ArgMin(_)))
        && elements().all(|bytes| bytes >= 4)
        && length.saturating_mul(element) > PIECE
        && rows >= 2 * PART[0]
        && points(&fold.axes) > 0
        && cols > 0
        && loads.clone().any(&is_columns)
        && loads.all(|access| !depends(&access) || is_columns(access));
    let cols = cols.min(length.saturating_add(KEPT_UNIT - 1) / KEPT_UNIT * KEPT_UNIT);
    is_worth.then_some(KeptShape { offset: 0, cols, values, element })
}

/// Emits something for the points of a leaf.
type OnLeaf<'x, E> = &'x mut dyn FnMut(&mut Emission<E>, &LeafPlan<'_>, &[Point<<E as VectorEmitter>::Word>]);

/// Strips along an axis.
#[derive(Clone, Copy)]
struct Strips<W> {
    axis: Axis,
    vector: Option<Vector>,
    /// Coordinates of a leaf.
    step: usize,
    /// Another axis of which a leaf has several coordinates, the first of these, and how many.
    beside: (Axis, Coord<W>, usize),
}

impl<E: VectorEmitter> StageCode<'_, E> {
    /// By vectors of consecutive points of an axis, several at a time.
    pub(super) fn emit_strips(&self, emission: &mut Emission<E>, axis: Axis, lanes: usize) {
        let vector = self.vector(axis, lanes);
        let lanes_of_one = vector.map_or(1, |v| v.lanes);
        let extents = &self.extents[..self.spans.len()];
        let kept = vector.and_then(|_| kept(self.stage, self.schedule, extents));
        let span = self.spans[axis];
        let length = span.length.most();
        let (most, all) = (self.plan(vector).strips(self.vectors), length.div_ceil(lanes_of_one));
        let step = match (kept, span.length) {
            // So many that chunks have whole leaves, however many are run as one.
            (Some(_), Length::OneOf { .. }) => 1 << most.min(KEPT_VECTORS).ilog2(),
            // As many as there may be, or a few less so that the last leaf has as many as the others.
            _ => all.div_ceil(all.div_ceil(most).max(1)).max(1),
        };
        let step = step * lanes_of_one;
        // A leaf that an axis of a few vectors does not fill has several coordinates of another axis.
        let is_short = length.is_multiple_of(lanes_of_one) && all <= most / 2;
        let beside =
            (0..self.spans.len()).rev().find(|&other| is_short && other != axis && self.extents[other] > 1);
        let rows = beside.map_or(1, |other| {
            let extent = self.spans[other].length.most();
            extent.div_ceil(extent.div_ceil(most / all.max(1)).max(1)).max(1)
        });
        let beside = beside.map_or((axis, Span::first(1)), |other| (other, self.spans[other]));
        emission.nest(&self.other_axes(&[axis, beside.0]), &mut self.origin(), &mut |emission, point| {
            emission.blocks(&beside.1, rows, &mut |emission, first, count| {
                let strips = Strips { axis, vector, step, beside: (beside.0, first, count) };
                match kept {
                    Some(shape) => {
                        let cols = if length <= shape.cols { length } else { shape.cols / step * step };
                        emission.groups(&span, cols, &mut |emission, columns| {
                            self.in_parts(emission, point, (strips, columns), shape);
                        });
                    }
                    None => self.leaves(emission, point, (strips, span), &mut |emission, plan, points| {
                        plan.emit(emission, points);
                    }),
                }
            });
        });
    }

    /// Runs `on_leaf` for the leaves of some coordinates of the strips' axis.
    fn leaves(
        &self,
        emission: &mut Emission<E>,
        point: &Point<E::Word>,
        (strips, span): (Strips<E::Word>, Span<E::Word>),
        on_leaf: OnLeaf<'_, E>,
    ) {
        let (beside, first, count) = strips.beside;
        emission.blocks(&span, strips.step, &mut |emission, coord, size| {
            for piece in pieces(self.vectors, strips.vector, size) {
                let mut points = Vec::new();
                for row in 0..count {
                    for offset in piece.offsets() {
                        let mut point = point.clone();
                        point[beside] = first.plus(row as i64);
                        point[strips.axis] = coord.plus(offset as i64);
                        points.push(point);
                    }
                }
                on_leaf(emission, &self.plan(piece.vector), &points);
            }
        });
    }

    /// Emits some columns, one part of the fold after the other.
    fn in_parts(
        &self,
        emission: &mut Emission<E>,
        point: &Point<E::Word>,
        (strips, columns): (Strips<E::Word>, Span<E::Word>),
        shape: KeptShape,
    ) {
        let Some(fold) = &self.stage.fold else { return };
        let kept = Kept {
            shape,
            start: emission.bases.panels[Side::Columns as usize],
            rows: Vec::new(),
            cols: (Columns::of(strips.axis), columns.start),
            is_ragged: matches!(columns.length, Length::UpTo { .. }),
        };
        let leaves = (strips, columns);
        self.leaves(emission, point, leaves, &mut |emission, plan, points| {
            let Some(fold) = &plan.fold else { return };
            kept.begin(emission, (fold, points));
        });
        let mut axes: Vec<_> = (fold.axes.iter().enumerate())
            .map(|(n, &extent)| (self.spans.len() + n, emission.whole(extent)))
            .collect();
        let Some((innermost, rows)) = axes.pop() else { return };
        let plan = self.plan(strips.vector);
        let mut loads = plan.fold.iter().flat_map(|fold| fold.body.vector_loads());
        let is_crowded = loads.any(|access| access.bytes.factor(innermost) % CROWDED == 0);
        let part = PART[usize::from(!is_crowded)];
        emission.nest(&axes, &mut point.clone(), &mut |emission, point| {
            emission.parts(&rows, part, &mut |emission, part| {
                self.leaves(emission, point, leaves, &mut |emission, plan, points| {
                    let Some(fold) = &plan.fold else { return };
                    let values = kept.load(emission, (fold, points));
                    let values = fold.over_axes(emission, &mut points.to_vec(), &[part], None, values);
                    kept.store(emission, (fold, points), &values);
                });
            });
        });
        self.leaves(emission, point, leaves, &mut |emission, plan, points| {
            let Some(fold) = &plan.fold else { return };
            let values = kept.load(emission, (fold, points));
            let results = fold.results(emission, points.len(), &values);
            plan.bodies(emission, points, &results);
        });
    }
}

impl LeafPlan<'_> {
    /// The most points that a leaf of strips has.
    pub(super) fn strips(&self, vectors: Vectors) -> usize {
        let kept = self.fold.as_ref().map_or(0, FoldPlan::kept);
        let fold_cost = self.fold.as_ref().map_or(0, |f| f.body.cost());
        let types = self.fold.as_ref().map_or(vec![], FoldPlan::kept_types);
        let are_vectors = types.iter().all(|ty| ty.lanes > 1);
        let bytes = types.iter().map(|ty| ty.dtype.bytes() * ty.lanes).max().unwrap_or(1);
        let part = |registers: usize| match are_vectors {
            true => (registers * KEPT_PART[0] / KEPT_PART[1]).min(PIECE / bytes),
            false => KEPT,
        };
        let by_registers = vectors.tile_registers().map_or(KEPT, part).checked_div(kept).unwrap_or(MAPPED);
        let by_size = match &self.fold {
            Some(fold) if fold.fold.kind == FoldKind::Reduce && fold.is_long() => {
                (LEAF / (fold_cost + self.body.cost().min(END)).max(1)).min(ENDS / self.body.cost().max(1))
            }
            _ => LEAF / (self.body.cost() + fold_cost).max(1),
        };
        let together = if self.fold.is_none() { self.body.together() } else { 1 };
        by_registers.min(by_size.max(together)).max(1)
    }
}
