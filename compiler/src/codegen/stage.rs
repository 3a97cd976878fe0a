//! Stages as loop nests around leaves.
//!
//! A *leaf* is straight-line code, with the loops of a fold, for a few points of a stage at once. Points of a leaf differ by
//! numbers only, so that they share what does not depend on the difference.

use std::collections::HashSet;

use cranelift_entity::SecondaryMap;

use super::access::{FlatAccess, Placement};
use super::body::{Shared, Site, emit_bodies};
use super::emitter::VectorEmitter;
use super::fold::{Accumulators, FoldPlan, accumulators_fit};
use super::loops::{Emission, Span, even_blocks};
use super::panel::{LINE, RowsAhead};
use super::plan::{BodyPlan, Surroundings, Vector};
use super::point::Point;
use super::store::{FlatStore, emit_stores};
use super::vectors::Vectors;
use crate::kernel::{Axis, BufferId, CheckSite, FoldKind, Stage, StageSchedule};

/// Emits a leaf for points that differ by numbers.
type OnPoints<'x, E> = &'x mut dyn FnMut(&mut Emission<E>, &[Point<<E as VectorEmitter>::Word>]);

/// A stage of a kernel, with what is known of the kernel.
pub(super) struct StageCode<'k, E: VectorEmitter> {
    pub(super) stage: &'k Stage,
    pub(super) schedule: &'k StageSchedule,
    /// Axes that the kernel has, then those of the stage, each with the coordinates that are run.
    pub(super) spans: Vec<Span<E::Word>>,
    /// Extents of the kernel's, the stage's and the fold's axes.
    pub(super) extents: Vec<usize>,
    pub(super) placements: &'k SecondaryMap<BufferId, Placement>,
    pub(super) checks: &'k [CheckSite],
    pub(super) vectors: Vectors,
}

/// Code of a stage for points, or for vectors of points.
pub(super) struct LeafPlan<'k> {
    pub(super) fold: Option<FoldPlan<'k>>,
    pub(super) body: BodyPlan<'k>,
    stores: Vec<FlatStore>,
}

impl<'k, E: VectorEmitter> StageCode<'k, E> {
    /// The plan for vectors along an axis.
    pub(super) fn plan(&'k self, vector: Option<Vector>) -> LeafPlan<'k> {
        let stage = self.stage;
        let around = self.surroundings();
        let first_axis = self.spans.len();
        // A body runs at points of the stage, where vectors along a fold have become scalars.
        let body_vector = vector.filter(|v| v.axis < first_axis);
        let body = BodyPlan::new(&stage.body, stage.stored(), &around, body_vector);
        let stores = stage.stores.iter().map(|store| FlatStore {
            access: FlatAccess::new(
                store.buffer,
                &self.placements[store.buffer],
                &store.index,
                store.indirect,
                stage.body.insts[store.value].dtype,
            ),
            add: store.add,
        });
        LeafPlan {
            fold: stage.fold.as_ref().map(|fold| FoldPlan::new(fold, first_axis, &around, vector)),
            stores: stores.collect(),
            body,
        }
    }

    /// What bodies of the stage are planned with.
    pub(super) fn surroundings(&self) -> Surroundings<'_> {
        Surroundings {
            placements: self.placements,
            checks: self.checks,
            vectors: self.vectors,
            extents: &self.extents,
        }
    }

    /// So many lanes of an axis, if accumulators fit them.
    pub(super) fn vector(&self, axis: Axis, lanes: usize) -> Option<Vector> {
        let fits = self.stage.fold.as_ref().is_none_or(|fold| accumulators_fit(fold, self.vectors, lanes));
        (lanes > 1 && fits).then(|| Vector::full(axis, lanes))
    }

    /// Every axis but these, with its span.
    pub(super) fn other_axes(&self, but: &[Axis]) -> Vec<(Axis, Span<E::Word>)> {
        self.spans.iter().copied().enumerate().filter(|(axis, _)| !but.contains(axis)).collect()
    }

    /// A point to start from.
    pub(super) fn origin(&self) -> Point<E::Word> {
        vec![super::point::Coord::fixed(0); self.extents.len()]
    }

    /// Emits the stage.
    pub(super) fn emit(&self, emission: &mut Emission<E>) {
        let points = self.spans.len();
        if self.extents[..points].contains(&0) {
            return;
        }
        match *self.schedule {
            StageSchedule::Scalar => self.emit_points(emission, None),
            StageSchedule::Strip { axis, lanes } if axis >= points => {
                self.emit_points(emission, self.vector(axis, lanes));
            }
            StageSchedule::Strip { axis, lanes } => self.emit_strips(emission, axis, lanes),
            StageSchedule::Tile { .. } => self.emit_tiles(emission),
        }
    }

    /// Point by point, with vectors along the fold if `vector` says so. Some points that read vectors in common are run together.
    fn emit_points(&self, emission: &mut Emission<E>, vector: Option<Vector>) {
        let plan = self.plan(vector);
        let together = self.together(&plan);
        let axes: Vec<Axis> = together.iter().map(|&(axis, _)| axis).collect();
        let ahead = together.first().and_then(|&along| RowsAhead::of_points(self, along));
        let mut leaf = |emission: &mut Emission<E>, points: &[Point<E::Word>]| match &ahead {
            None => plan.emit(emission, points),
            Some(ahead) => {
                plan.emit_beside(emission, points, &mut |emission, outer| {
                    ahead.ask(emission, &points[0], outer)
                });
            }
        };
        emission.nest(&self.other_axes(&axes), &mut self.origin(), &mut |emission, point| {
            self.emit_together(emission, &together, std::slice::from_ref(point), &mut leaf);
        });
    }

    /// Emits a leaf for all coordinates of some axes, so many of each at a time.
    fn emit_together(
        &self,
        emission: &mut Emission<E>,
        axes: &[(Axis, usize)],
        points: &[Point<E::Word>],
        leaf: OnPoints<'_, E>,
    ) {
        let Some((&(axis, step), axes)) = axes.split_first() else { return leaf(emission, points) };
        emission.even_blocks(&self.spans[axis], step, &mut |emission, first, count| {
            let at = |point: &Point<E::Word>, n: usize| {
                let mut point = point.clone();
                point[axis] = first.plus(n as i64);
                point
            };
            let points: Vec<_> = points.iter().flat_map(|p| (0..count).map(move |n| at(p, n))).collect();
            self.emit_together(emission, axes, &points, leaf);
        });
    }

    /// The axes on which points read vectors of a fold of their own and others in common, the longest first, and how many
    /// coordinates of each are run together.
    fn together(&self, plan: &LeafPlan<'_>) -> Vec<(Axis, usize)> {
        let Some(fold) = plan.fold.as_ref().filter(|f| f.along() > 1 && f.fold.kind == FoldKind::Reduce)
        else {
            return Vec::new();
        };
        let shares = |axis: &Axis| {
            let own = |access: &FlatAccess| access.bytes.factor(*axis) != 0;
            self.extents[*axis] > 1 && fold.body.vector_loads().any(own) && !fold.body.vector_loads().all(own)
        };
        let mut axes: Vec<Axis> = (0..self.spans.len()).filter(shares).collect();
        axes.sort_by_key(|&axis| std::cmp::Reverse(self.extents[axis]));
        axes.truncate(2);
        let length = |n: usize| axes.get(n).map_or(1, |&axis| self.spans[axis].length.most());
        let [long, short] = best_box([length(0), length(1)], plan.strips(self.vectors));
        axes.into_iter().zip([long, short]).collect()
    }
}

/// The steps on two axes, of such lengths, for boxes of at most so many points to read least for what they multiply: each point reads
/// what those beside it on one axis do, and those on the other. Two vectors are read in a cycle, and two multiplied.
fn best_box(lengths: [usize; 2], most: usize) -> [usize; 2] {
    let cost = |[a, b]: [usize; 2]| -> usize {
        let boxes = even_blocks(lengths[0], a).into_iter();
        let boxes = boxes.flat_map(|a| even_blocks(lengths[1], b).map(|b| (a, b)));
        boxes.map(|((m, a), (n, b))| m * n * (a + b).max(a * b)).sum()
    };
    let boxes = (1..=most.min(lengths[1])).map(|b| [(most / b).min(lengths[0]).max(1), b]);
    boxes.min_by_key(|&steps| (cost(steps), steps[1])).unwrap_or([1, 1])
}

impl LeafPlan<'_> {
    /// Emits the leaf for points that differ by numbers.
    pub(super) fn emit<E: VectorEmitter>(&self, emission: &mut Emission<E>, points: &[Point<E::Word>]) {
        if points.is_empty() {
            return;
        }
        match &self.fold {
            None => self.bodies(emission, points, &[]),
            Some(fold) if fold.fold.kind == FoldKind::Reduce => {
                if fold.is_long() {
                    self.prefetch(emission, points);
                }
                let accumulators = fold.reduce(emission, points);
                self.bodies(emission, points, &accumulators);
            }
            Some(fold) => fold.scan(emission, points, &mut |emission, points, accumulators| {
                self.bodies(emission, points, accumulators);
            }),
        }
    }

    /// Emits the leaf of a reduction, with what `beside` emits at each coordinate of its outermost axis.
    fn emit_beside<E: VectorEmitter>(
        &self,
        emission: &mut Emission<E>,
        points: &[Point<E::Word>],
        beside: &mut dyn FnMut(&mut Emission<E>, E::Word),
    ) {
        let Some(fold) = &self.fold else { return };
        if fold.is_long() {
            self.prefetch(emission, points);
        }
        let accumulators = fold.reduce_beside(emission, points, 1, beside);
        self.bodies(emission, points, &accumulators);
    }

    /// Asks for what the stage's body will read by vectors at these points, and for where it will store, so that both come while
    /// the fold runs.
    pub(super) fn prefetch<E: VectorEmitter>(&self, emission: &mut Emission<E>, points: &[Point<E::Word>]) {
        let mut asked = HashSet::new();
        let stores = self.stores.iter().map(|store| &store.access).filter(|access| access.indirect.is_none());
        for access in self.body.vector_loads().chain(stores) {
            // Points differ by numbers, so these tell which ones share a line.
            let offset = |point: &Point<_>| -> i64 {
                access.bytes.terms().iter().map(|&(axis, factor)| factor * point[axis].offset).sum()
            };
            let mut places: Vec<_> = points.iter().map(|point| (offset(point), point)).collect();
            places.sort_by_key(|&(offset, _)| offset);
            places.dedup_by(|(offset, _), (kept, _)| *offset - *kept < LINE);
            for (offset, point) in places {
                if asked.insert((access.base, access.bytes.clone(), offset)) {
                    let (address, offset) = access.address(&mut emission.e, &emission.bases, point, None);
                    emission.e.prefetch(address, offset);
                }
            }
        }
    }

    /// Emits the stage's body and its stores at every point.
    pub(super) fn bodies<E: VectorEmitter>(
        &self,
        emission: &mut Emission<E>,
        points: &[Point<E::Word>],
        accumulators: &[Accumulators<E::Value>],
    ) {
        let mut shared = Shared::new();
        // Accumulators, where there are some, have the registers.
        let together = if accumulators.is_empty() { self.body.together() } else { 1 };
        for (m, some) in points.chunks(together).enumerate() {
            let site = |(n, point)| {
                let accumulators =
                    accumulators.get(m * together + n).map_or(&[][..], |a: &Accumulators<_>| a);
                Site { bases: &emission.bases, point, accumulators, loop_axis: None }
            };
            let sites: Vec<_> = some.iter().enumerate().map(site).collect();
            let values = emit_bodies(&mut emission.e, &self.body, &sites, &mut shared);
            for (site, values) in sites.iter().zip(&values) {
                emit_stores(&mut emission.e, &self.body, &self.stores, values, site);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_read_little_for_what_they_multiply() {
        assert_eq!(best_box([256, 7], 6), [2, 3]);
        assert_eq!(best_box([256, 4], 6), [3, 2]);
        assert_eq!(best_box([60, 2], 6), [3, 2]);
        assert_eq!(best_box([60, 1], 6), [6, 1]);
        assert_eq!(best_box([1, 1], 6), [1, 1]);
        assert_eq!(best_box([9, 9], 1), [1, 1]);
    }
}
