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
use super::loops::{Emission, Span};
use super::panel::LINE;
use super::plan::{BodyPlan, Surroundings, Vector};
use super::point::Point;
use super::store::{FlatStore, emit_stores};
use super::vectors::Vectors;
use crate::kernel::{Axis, BufferId, CheckSite, FoldKind, Stage, StageSchedule};

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
        emission.nest(&self.other_axes(&axes), &mut self.origin(), &mut |emission, point| {
            self.emit_together(emission, &plan, &together, std::slice::from_ref(point));
        });
    }

    /// Emits the leaf for all coordinates of some axes, so many of each at a time.
    fn emit_together(
        &self,
        emission: &mut Emission<E>,
        plan: &LeafPlan<'_>,
        axes: &[(Axis, usize)],
        points: &[Point<E::Word>],
    ) {
        let Some((&(axis, step), axes)) = axes.split_first() else { return plan.emit(emission, points) };
        emission.blocks(&self.spans[axis], step, &mut |emission, first, count| {
            let at = |point: &Point<E::Word>, n: usize| {
                let mut point = point.clone();
                point[axis] = first.plus(n as i64);
                point
            };
            let points: Vec<_> = points.iter().flat_map(|p| (0..count).map(move |n| at(p, n))).collect();
            self.emit_together(emission, plan, axes, &points);
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
        axes.sort_by_key(|&axis| self.extents[axis]);
        let mut most = plan.strips(self.vectors);
        let mut together = Vec::new();
        for axis in axes {
            // As many as there may be, or a few less so that the last ones are as many as the others.
            let length = self.spans[axis].length.most();
            let step = length.div_ceil(length.div_ceil(most).max(1)).max(1);
            most /= step;
            together.insert(0, (axis, step));
        }
        together
    }
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
