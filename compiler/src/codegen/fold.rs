//! Folds, for several points of a leaf at once.
//!
//! The vector's axis is an axis of the stage, and then every partial result is a vector of points; or it is the innermost
//! axis of the fold, and then vectors hold consecutive partial results (see [`kernel`](crate::kernel) for what those are).

use cranelift_entity::EntityRef;

use super::access::FlatAccess;
use super::body::{Lanes, Shared, Site, emit_body};
use super::combine::Combine;
use super::emitter::{VectorEmitter, VectorType};
use super::loops::Emission;
use super::plan::{BodyPlan, Surroundings, Vector, fold_operands};
use super::point::{Coord, Point, affine_at, whole};
use super::vectors::Vectors;
use crate::kernel::{Affine, Axis, Fold, FoldOp, InstKind, ScalarId, most, points};
use crate::types::{DType, dense_strides};

/// Elements of a fold in whose time memory answers.
const LONG: usize = 32;

/// Accumulators at one point, as a stage's body sees them: including the current element, and excluding it.
pub(super) type Accumulators<V> = Vec<[Lanes<V>; 2]>;

/// A fold with everything that is the same wherever it is emitted.
pub(super) struct FoldPlan<'k> {
    pub(super) fold: &'k Fold,
    /// The first axis of the fold, of the axes of the stage.
    pub(super) first_axis: Axis,
    pub(super) body: BodyPlan<'k>,
    /// For elements that fill no vector, where vectors are along the fold.
    pub(super) tail: Option<BodyPlan<'k>>,
    pub(super) combines: Vec<Combine>,
    /// Row-major position in the fold's axes.
    position: Affine,
}

/// The type of positions below `positions` beside values of `dtype` in vectors of so many lanes: one that has such vectors,
/// if possible of the same size. `None` if there is none.
fn position_dtype(vectors: Vectors, dtype: DType, positions: usize, lanes: usize) -> Option<DType> {
    let fits = |position: &DType| match position {
        DType::I32 => positions <= i32::MAX as usize && has_vectors(vectors, DType::I32, lanes),
        _ => lanes == 1 || has_vectors(vectors, DType::I64, lanes),
    };
    let candidates = if dtype.bytes() < 8 { [DType::I32, DType::I64] } else { [DType::I64, DType::I32] };
    candidates.into_iter().find(fits)
}

/// How many elements a fold has.
fn positions(fold: &Fold) -> usize {
    points(&fold.axes)
}

/// Whether vectors of this type can be added and multiplied.
fn has_vectors(vectors: Vectors, dtype: DType, lanes: usize) -> bool {
    let any = ScalarId::new(0);
    vectors.has_form(&InstKind::Fma(any, any, any), dtype, dtype, lanes)
}

/// Whether the accumulators of a fold can be kept in vectors of so many lanes.
pub(crate) fn accumulators_fit(fold: &Fold, vectors: Vectors, lanes: usize) -> bool {
    lanes == 1
        || fold.accumulators.iter().all(|a| {
            let dtype = fold.body.insts[fold_operands(a.op)[0]].dtype;
            let is_position = matches!(a.op, FoldOp::ArgMax(_) | FoldOp::ArgMin(_));
            has_vectors(vectors, dtype, lanes)
                && (!is_position || position_dtype(vectors, dtype, positions(fold), lanes).is_some())
        })
}

impl<'k> FoldPlan<'k> {
    /// The plan of a fold whose axes start at `first_axis`.
    pub(super) fn new(
        fold: &'k Fold,
        first_axis: Axis,
        around: &Surroundings<'k>,
        vector: Option<Vector>,
    ) -> FoldPlan<'k> {
        let roots: Vec<_> = fold.accumulators.iter().flat_map(|a| fold_operands(a.op)).collect();
        let body = BodyPlan::new(&fold.body, roots.clone(), around, vector);
        let along = vector.filter(|v| v.axis >= first_axis);
        let tail = along.map(|vector| {
            let rest = fold.axes.last().map_or(0, |extent| extent.most() % vector.lanes);
            let partial = around.vectors.has_partial() && rest > 0;
            let vector = partial.then_some(Vector { active: rest, ..vector });
            BodyPlan::new(&fold.body, roots, around, vector)
        });
        let combines = fold.accumulators.iter().map(|a| {
            let dtype = fold_operands(a.op).first().map_or(a.dtype, |&s| fold.body.insts[s].dtype);
            let position = position_dtype(around.vectors, dtype, positions(fold), body.lanes());
            Combine { op: a.op, dtype, position: position.unwrap_or(DType::I64) }
        });
        let position =
            dense_strides(&most(&fold.axes)).iter().enumerate().fold(Affine::constant(0), |sum, (i, &s)| {
                sum.plus(&Affine::axis(first_axis + i).times(s as i64))
            });
        FoldPlan { fold, first_axis, combines: combines.collect(), body, tail, position }
    }

    /// Reads a value of the fold's body from memory that holds it.
    pub(super) fn replace(&mut self, value: ScalarId, access: &FlatAccess) {
        self.body.replace(value, access.clone());
    }

    /// Whether what is asked of memory before it is there after it.
    pub(super) fn is_long(&self) -> bool {
        positions(self.fold) >= LONG
    }

    /// Lanes that are consecutive on the fold's innermost axis.
    pub(super) fn along(&self) -> usize {
        if self.tail.is_some() { self.body.lanes() } else { 1 }
    }

    /// Lanes of its vectors that count.
    pub(super) fn active(&self) -> usize {
        self.body.active()
    }

    /// Vectors that hold the partial results of one accumulator.
    pub(super) fn groups(&self) -> usize {
        self.fold.lanes / self.along()
    }

    /// How many values are kept for one point.
    pub(super) fn kept(&self) -> usize {
        self.combines.iter().map(|c| c.slots()).sum::<usize>() * self.groups()
    }

    /// The kept values of a group of partials of an accumulator: their positions among those of a point.
    pub(super) fn slots(&self, accumulator: usize, group: usize) -> Vec<usize> {
        let before: usize = self.combines[..accumulator].iter().map(|c| c.slots()).sum();
        (0..self.combines[accumulator].slots()).map(|slot| (before + slot) * self.groups() + group).collect()
    }

    /// The types of what is kept for one point.
    pub(super) fn kept_types(&self) -> Vec<VectorType> {
        let lanes = self.body.lanes();
        let slots = self.combines.iter().flat_map(|c| (0..c.slots()).map(|slot| c.slot_dtype(slot)));
        slots.flat_map(|dtype| std::iter::repeat_n(VectorType { dtype, lanes }, self.groups())).collect()
    }

    /// What every point starts from.
    pub(super) fn start<E: VectorEmitter>(&self, e: &mut E) -> Vec<E::Value> {
        let lanes = self.body.lanes();
        let mut kept = Vec::new();
        for combine in &self.combines {
            for slot in 0..combine.slots() {
                let value = combine.start(e, slot, lanes);
                kept.extend(std::iter::repeat_n(value, self.groups()));
            }
        }
        kept
    }

    /// Emits one element, or one vector of consecutive ones, at every point, into a group of partials.
    pub(super) fn step<E: VectorEmitter>(
        &self,
        emission: &mut Emission<E>,
        plan: &BodyPlan<'k>,
        at: &At<'_, E::Word>,
        group: usize,
        kept: &mut [E::Value],
    ) {
        let (lanes, active) = (plan.lanes(), plan.active());
        let mut shared = Shared::new();
        for (point, kept) in at.points.iter().zip(kept.chunks_mut(self.kept().max(1))) {
            let elements = self.elements(emission, plan, point, at.loop_axis, &mut shared);
            for (a, element) in elements.iter().enumerate() {
                let (slots, combine) = (self.slots(a, group), self.combines[a]);
                let old: Vec<_> = slots.iter().map(|&s| kept[s]).collect();
                let e = &mut emission.e;
                let new = combine.element(e, lanes, &old, &element.operands, element.position);
                for (i, (slot, value)) in slots.into_iter().zip(new).enumerate() {
                    let ty = VectorType { dtype: combine.slot_dtype(i), lanes };
                    // The other lanes are partial results that this step adds nothing to.
                    let others = self.along() > 1 && active < lanes;
                    kept[slot] = if others { e.merge(ty, active, value, kept[slot]) } else { value };
                }
            }
        }
    }

    /// Emits one element that fills no vector into one of the partials.
    pub(super) fn single_step<E: VectorEmitter>(
        &self,
        emission: &mut Emission<E>,
        single: &BodyPlan<'k>,
        at: &At<'_, E::Word>,
        partial: usize,
        kept: &mut [E::Value],
    ) {
        let (group, lane) = (partial / self.along(), partial % self.along());
        let mut shared = Shared::new();
        for (point, kept) in at.points.iter().zip(kept.chunks_mut(self.kept().max(1))) {
            let elements = self.elements(emission, single, point, at.loop_axis, &mut shared);
            for (a, element) in elements.iter().enumerate() {
                let (slots, combine) = (self.slots(a, group), self.combines[a]);
                let ty = |i| VectorType { dtype: combine.slot_dtype(i), lanes: self.body.lanes() };
                let e = &mut emission.e;
                let old: Vec<_> =
                    slots.iter().enumerate().map(|(i, &s)| e.lane(ty(i), kept[s], lane)).collect();
                let new = combine.element(e, 1, &old, &element.operands, element.position);
                for (i, (slot, value)) in slots.into_iter().zip(new).enumerate() {
                    kept[slot] = e.with_lane(ty(i), kept[slot], lane, value);
                }
            }
        }
    }

    /// Emits what each accumulator takes in at a point.
    fn elements<E: VectorEmitter>(
        &self,
        emission: &mut Emission<E>,
        plan: &BodyPlan<'_>,
        point: &Point<E::Word>,
        loop_axis: Option<Axis>,
        shared: &mut Shared<E::Value>,
    ) -> Vec<Element<E::Value>> {
        let site = Site { bases: &emission.bases, point, accumulators: &[], loop_axis };
        let values = emit_body(&mut emission.e, plan, &site, shared);
        let lanes = plan.lanes();
        let mut values = plan.roots.iter().zip(values).map(|(&s, v)| (plan.dtype(s), v));
        let mut elements = Vec::new();
        for combine in &self.combines {
            let own = values.by_ref().take(fold_operands(combine.op).len());
            let operands =
                own.map(|(dtype, v)| v.vector(&mut emission.e, VectorType { dtype, lanes })).collect();
            let position = combine
                .is_position()
                .then(|| self.position_at(&mut emission.e, plan, point, combine.position));
            elements.push(Element { operands, position });
        }
        elements
    }

    /// Emits the position of an element, or of each of a vector of elements, in the fold.
    fn position_at<E: VectorEmitter>(
        &self,
        e: &mut E,
        plan: &BodyPlan<'_>,
        point: &Point<E::Word>,
        dtype: DType,
    ) -> E::Value {
        let word = affine_at(e, &self.position, point, None);
        let word = whole(e, word);
        let start = e.word_value(word, dtype);
        let ty = VectorType { dtype, lanes: plan.lanes() };
        match (plan.lanes(), self.along() > 1) {
            (1, _) => start,
            (_, true) => e.iota(ty, start, 1),
            (_, false) => e.splat(ty, start),
        }
    }

    /// The results of so many points, from what was kept for them.
    pub(super) fn results<E: VectorEmitter>(
        &self,
        emission: &mut Emission<E>,
        points: usize,
        kept: &[E::Value],
    ) -> Vec<Accumulators<E::Value>> {
        let own = |n: usize| &kept[n * self.kept()..][..self.kept()];
        (0..points).map(|n| self.finish(emission, own(n))).collect()
    }

    /// Combines the partial results of a point pairwise.
    fn finish<E: VectorEmitter>(
        &self,
        emission: &mut Emission<E>,
        kept: &[E::Value],
    ) -> Accumulators<E::Value> {
        let e = &mut emission.e;
        let mut results = Vec::new();
        for (a, combine) in self.combines.iter().enumerate() {
            let mut lanes = self.body.lanes();
            let groups = (0..self.groups()).map(|g| self.slots(a, g).iter().map(|&s| kept[s]).collect());
            let mut result = pairwise(e, *combine, lanes, groups.collect());
            if self.along() > 1 {
                while let Some([low, high]) = halves(e, *combine, lanes, &result) {
                    lanes /= 2;
                    result = combine.results(e, lanes, &low, &high);
                }
                let ty = |slot| VectorType { dtype: combine.slot_dtype(slot), lanes };
                let singles = (0..lanes).map(|lane| {
                    result.iter().enumerate().map(|(slot, &v)| e.lane(ty(slot), v, lane)).collect()
                });
                let singles = singles.collect();
                lanes = 1;
                result = pairwise(e, *combine, 1, singles);
            }
            let value = self.accumulator(e, a, lanes, &result);
            results.push([value, value]);
        }
        results
    }

    /// What the body sees of an accumulator's kept values.
    pub(super) fn accumulator<E: VectorEmitter>(
        &self,
        e: &mut E,
        a: usize,
        lanes: usize,
        kept: &[E::Value],
    ) -> Lanes<E::Value> {
        let (combine, dtype) = (self.combines[a], self.fold.accumulators[a].dtype);
        let value = kept[kept.len() - 1];
        let found = combine.slot_dtype(kept.len() - 1);
        let position = VectorType { dtype: found, lanes };
        match (lanes, found == dtype) {
            (1, _) => Lanes::Uniform(e.convert(VectorType::scalar(dtype), found, value)),
            (_, true) => Lanes::Vector(value),
            (_, false) => Lanes::each(self.body.active(), |lane| {
                let element = e.lane(position, value, lane);
                e.convert(VectorType::scalar(dtype), found, element)
            }),
        }
    }
}

/// What an accumulator takes in.
struct Element<V> {
    operands: Vec<V>,
    position: Option<V>,
}

/// Where a step of a fold is emitted.
pub(super) struct At<'s, W> {
    pub(super) points: &'s [Point<W>],
    /// See [`Site::loop_axis`].
    pub(super) loop_axis: Option<Axis>,
}

/// Puts points at a coordinate of an axis.
pub(super) fn set<W: Copy>(points: &mut [Point<W>], axis: Axis, coord: Coord<W>) {
    for point in points {
        point[axis] = coord;
    }
}

/// The lower and the upper half of everything that an accumulator keeps, if there are such vectors.
fn halves<E: VectorEmitter>(
    e: &mut E,
    combine: Combine,
    lanes: usize,
    kept: &[E::Value],
) -> Option<[Vec<E::Value>; 2]> {
    let (mut low, mut high) = (Vec::new(), Vec::new());
    for (slot, &value) in kept.iter().enumerate() {
        let [l, h] = e.halves(VectorType { dtype: combine.slot_dtype(slot), lanes }, value)?;
        low.push(l);
        high.push(h);
    }
    Some([low, high])
}

/// `p[i] ∘ p[i + L/2]`, then L/4 and so on, of L results.
fn pairwise<E: VectorEmitter>(
    e: &mut E,
    combine: Combine,
    lanes: usize,
    mut results: Vec<Vec<E::Value>>,
) -> Vec<E::Value> {
    while results.len() > 1 {
        let upper = results.split_off(results.len() / 2);
        results = results.iter().zip(&upper).map(|(a, b)| combine.results(e, lanes, a, b)).collect();
    }
    results.pop().unwrap_or_default()
}
