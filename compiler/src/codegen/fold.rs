//! Folds, for several points of a leaf at once.
//!
//! The vector's axis is an axis of the stage, and then every partial result is a vector of points; or it is the innermost
//! axis of the fold, and then vectors hold consecutive partial results (see [`kernel`](crate::kernel) for what those are).

use cranelift_codegen::ir::Value;

use super::access::FlatAccess;
use super::body::{Lanes, Shared, Site, emit_body};
use super::combine::Combine;
use super::cranelift_emitter::CraneliftEmitter;
use super::emitter::{VectorEmitter, VectorType};
use super::loops::Emission;
use super::plan::{BodyPlan, Surroundings, VectorAxis, fold_operands};
use super::point::{Coord, Point, affine_at, whole};
use crate::kernel::{Affine, Axis, Fold, FoldKind, FoldOp, InstKind, ScalarId};
use crate::types::{DType, dense_strides};

/// About how many instructions are unrolled in the body of a loop.
const UNROLLED: usize = 64;

/// Accumulators at one point, as a stage's body sees them: including the current element, and excluding it.
pub(super) type Accumulators = Vec<[Lanes<Value>; 2]>;

/// Emits the code for an element of a scan at some points.
type OnElement<'x> = &'x mut dyn FnMut(&mut Emission<'_, '_>, &[Point<Value>], &[Accumulators]);

/// A fold with everything that is the same wherever it is emitted.
pub(super) struct FoldPlan<'k> {
    pub(super) fold: &'k Fold,
    /// The first axis of the fold, of the axes of the stage.
    pub(super) first_axis: Axis,
    pub(super) body: BodyPlan<'k>,
    /// For elements that fill no vector, where vectors are along the fold.
    single: Option<BodyPlan<'k>>,
    combines: Vec<Combine>,
    /// Row-major position in the fold's axes.
    position: Affine,
}

/// The type of positions that fits beside vectors of so many lanes.
fn position_dtype(lanes: usize) -> DType {
    if lanes == 4 { DType::I32 } else { DType::I64 }
}

/// Whether the accumulators of a fold can be kept in vectors of so many lanes.
pub(crate) fn accumulators_fit(fold: &Fold, lanes: usize) -> bool {
    fold.accumulators.iter().all(|a| {
        let operand = fold_operands(a.op)[0];
        let dtype = fold.body.insts[operand].dtype;
        let is_position = matches!(a.op, FoldOp::ArgMax(_) | FoldOp::ArgMin(_));
        let positions = fold.axes.iter().product::<usize>();
        let positions_fit = !is_position || lanes < 4 || positions <= i32::MAX as usize;
        let combination = InstKind::Fma(operand, operand, operand);
        CraneliftEmitter::has_vector_form(&combination, dtype, dtype, lanes) && positions_fit
    })
}

impl<'k> FoldPlan<'k> {
    /// The plan of a fold whose axes start at `first_axis`.
    pub(super) fn new(
        fold: &'k Fold,
        first_axis: Axis,
        around: &Surroundings<'k>,
        vector: VectorAxis,
    ) -> FoldPlan<'k> {
        let roots: Vec<_> = fold.accumulators.iter().flat_map(|a| fold_operands(a.op)).collect();
        let body = BodyPlan::new::<CraneliftEmitter<'_, '_>>(&fold.body, roots.clone(), around, vector);
        let along = vector.is_some_and(|(axis, _)| axis >= first_axis);
        let single =
            along.then(|| BodyPlan::new::<CraneliftEmitter<'_, '_>>(&fold.body, roots, around, None));
        let lanes = body.lanes();
        let combines = fold.accumulators.iter().map(|a| Combine {
            op: a.op,
            dtype: fold_operands(a.op).first().map_or(a.dtype, |&s| fold.body.insts[s].dtype),
            position: position_dtype(lanes),
        });
        let position =
            dense_strides(&fold.axes).iter().enumerate().fold(Affine::constant(0), |sum, (i, &s)| {
                sum.plus(&Affine::axis(first_axis + i).times(s as i64))
            });
        FoldPlan { fold, first_axis, combines: combines.collect(), body, single, position }
    }

    /// Reads a value of the fold's body from memory that holds it.
    pub(super) fn replace(&mut self, value: ScalarId, access: &FlatAccess) {
        self.body.replace::<CraneliftEmitter<'_, '_>>(value, access.clone());
    }

    /// Lanes that are consecutive on the fold's innermost axis.
    fn along(&self) -> usize {
        if self.single.is_some() { self.body.lanes() } else { 1 }
    }

    /// Vectors that hold the partial results of one accumulator.
    fn groups(&self) -> usize {
        self.fold.lanes / self.along()
    }

    /// How many values are kept for one point.
    pub(super) fn kept(&self) -> usize {
        self.combines.iter().map(|c| c.slots()).sum::<usize>() * self.groups()
    }

    /// The kept values of a group of partials of an accumulator: their positions among those of a point.
    fn slots(&self, accumulator: usize, group: usize) -> Vec<usize> {
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
    pub(super) fn start(&self, e: &mut CraneliftEmitter<'_, '_>) -> Vec<Value> {
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
    fn step(&self, emission: &mut Emission<'_, '_>, at: &At<'_>, group: usize, kept: &mut [Value]) {
        let lanes = self.body.lanes();
        let mut shared = Shared::new();
        for (point, kept) in at.points.iter().zip(kept.chunks_mut(self.kept().max(1))) {
            let elements = self.elements(emission, &self.body, point, at.loop_axis, &mut shared);
            for (a, element) in elements.iter().enumerate() {
                let slots = self.slots(a, group);
                let old: Vec<_> = slots.iter().map(|&s| kept[s]).collect();
                let new = element.take_in(self.combines[a], &mut emission.e, lanes, &old);
                slots.into_iter().zip(new).for_each(|(slot, value)| kept[slot] = value);
            }
        }
    }

    /// Emits one element that fills no vector into one of the partials.
    fn single_step(
        &self,
        emission: &mut Emission<'_, '_>,
        single: &BodyPlan<'k>,
        at: &At<'_>,
        partial: usize,
        kept: &mut [Value],
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
                let new = element.take_in(combine, e, 1, &old);
                for (i, (slot, value)) in slots.into_iter().zip(new).enumerate() {
                    kept[slot] = e.with_lane(ty(i), kept[slot], lane, value);
                }
            }
        }
    }

    /// Emits what each accumulator takes in at a point.
    fn elements(
        &self,
        emission: &mut Emission<'_, '_>,
        plan: &BodyPlan<'_>,
        point: &Point<Value>,
        loop_axis: Option<Axis>,
        shared: &mut Shared<Value>,
    ) -> Vec<Element> {
        let site = Site { bases: &emission.bases, point, accumulators: &[], loop_axis };
        let values = emit_body(&mut emission.e, plan, &site, shared);
        let lanes = plan.lanes();
        let mut values = plan.roots.iter().zip(values).map(|(&s, v)| (plan.dtype(s), v));
        let mut elements = Vec::new();
        for combine in &self.combines {
            let own = values.by_ref().take(fold_operands(combine.op).len());
            let operands =
                own.map(|(dtype, v)| v.vector(&mut emission.e, VectorType { dtype, lanes })).collect();
            let position = combine.is_position().then(|| self.position_at(&mut emission.e, plan, point));
            elements.push(Element { operands, position });
        }
        elements
    }

    fn position_at(
        &self,
        e: &mut CraneliftEmitter<'_, '_>,
        plan: &BodyPlan<'_>,
        point: &Point<Value>,
    ) -> Value {
        let word = affine_at(e, &self.position, point, None);
        let word = whole(e, word);
        let dtype = position_dtype(self.body.lanes());
        let start = e.word_value(word, dtype);
        let ty = VectorType { dtype, lanes: plan.lanes() };
        match (plan.lanes(), self.along() > 1) {
            (1, _) => start,
            (_, true) => e.iota(ty, start, 1),
            (_, false) => e.splat(ty, start),
        }
    }

    /// Emits the whole fold at every point, and gives its results.
    pub(super) fn reduce(
        &self,
        emission: &mut Emission<'_, '_>,
        points: &[Point<Value>],
    ) -> Vec<Accumulators> {
        debug_assert_eq!(self.fold.kind, FoldKind::Reduce);
        let start = self.start(&mut emission.e);
        let kept: Vec<Value> = points.iter().flat_map(|_| start.clone()).collect();
        let all = (Coord::fixed(0), self.fold.axes.first().copied().unwrap_or(1));
        let kept = self.part(emission, points, all, kept);
        self.results(emission, points.len(), &kept)
    }

    /// Emits the part of the fold for some coordinates of its outermost axis: the first one, and how many. Parts must come
    /// in order, and be multiples of the number of partial results.
    pub(super) fn part(
        &self,
        emission: &mut Emission<'_, '_>,
        points: &[Point<Value>],
        range: (Coord<Value>, usize),
        kept: Vec<Value>,
    ) -> Vec<Value> {
        match self.fold.axes.as_slice() {
            // Over no axes there is one element.
            [] => {
                let mut kept = kept;
                self.step(emission, &At { points, loop_axis: None }, 0, &mut kept);
                kept
            }
            axes if axes.contains(&0) => kept,
            _ => self.over_axes(emission, &mut points.to_vec(), 0, range, None, kept),
        }
    }

    /// The results of so many points, from what was kept for them.
    pub(super) fn results(
        &self,
        emission: &mut Emission<'_, '_>,
        points: usize,
        kept: &[Value],
    ) -> Vec<Accumulators> {
        let own = |n: usize| &kept[n * self.kept()..][..self.kept()];
        (0..points).map(|n| self.finish(emission, own(n))).collect()
    }

    /// Emits the axes of the fold from `level` inwards, of which the first has these coordinates.
    fn over_axes(
        &self,
        emission: &mut Emission<'_, '_>,
        points: &mut [Point<Value>],
        level: usize,
        range: (Coord<Value>, usize),
        loop_axis: Option<Axis>,
        kept: Vec<Value>,
    ) -> Vec<Value> {
        let axis = self.first_axis + level;
        let Some(&inner_extent) = self.fold.axes.get(level + 1) else {
            return self.innermost(emission, points, range, loop_axis, kept);
        };
        let (start, length) = range;
        let inner = |emission: &mut Emission<'_, '_>, points: &mut [Point<Value>], coord, loop_axis, kept| {
            set(points, axis, coord);
            self.over_axes(emission, points, level + 1, (Coord::fixed(0), inner_extent), loop_axis, kept)
        };
        let size = length * self.fold.axes[level + 1..].iter().product::<usize>();
        let small = size.saturating_mul(self.step_cost(points.len())) <= UNROLLED;
        if length == 1 || (loop_axis.is_some() && small) {
            return (0..length)
                .fold(kept, |kept, c| inner(emission, points, start.plus(c as i64), loop_axis, kept));
        }
        let (first, end) = self.bounds(emission, start, length);
        emission.count(first, end, 1, &kept, &mut |emission, counter, kept| {
            inner(emission, points, Coord::counted(counter), Some(axis), kept.to_vec())
        })
    }

    /// The first of so many coordinates, and the one after the last.
    fn bounds(&self, emission: &mut Emission<'_, '_>, start: Coord<Value>, length: usize) -> (Value, Value) {
        let first = whole(&mut emission.e, (start.base, start.offset));
        (first, whole(&mut emission.e, (start.base, start.offset + length as i64)))
    }

    /// About how many instructions one element takes at so many points.
    fn step_cost(&self, points: usize) -> usize {
        points * (self.body.cost() + self.combines.len())
    }

    /// How many rounds of all partials are unrolled in the innermost loop.
    fn unroll(&self, extent: usize, points: usize) -> usize {
        let round = self.groups() * self.step_cost(points);
        let fits = |u: &usize| u * round <= UNROLLED && u * self.fold.lanes * 2 <= extent;
        let candidates = [4, 3, 2];
        let even = candidates.into_iter().filter(fits).find(|u| extent.is_multiple_of(u * self.fold.lanes));
        even.or_else(|| candidates.into_iter().find(fits)).unwrap_or(1)
    }

    fn innermost(
        &self,
        emission: &mut Emission<'_, '_>,
        points: &mut [Point<Value>],
        (start, length): (Coord<Value>, usize),
        loop_axis: Option<Axis>,
        mut kept: Vec<Value>,
    ) -> Vec<Value> {
        let axis = self.first_axis + self.fold.axes.len() - 1;
        let (partials, along) = (self.fold.lanes, self.along());
        let span = partials * self.unroll(length, points.len());
        let main = length / span * span;
        let vectors = |emission: &mut Emission<'_, '_>,
                       points: &mut [Point<Value>],
                       start: Coord<Value>,
                       count: usize,
                       loop_axis,
                       kept: &mut Vec<Value>| {
            for c in (0..count).step_by(along) {
                set(points, axis, start.plus(c as i64));
                self.step(emission, &At { points, loop_axis }, c % partials / along, kept);
            }
        };
        if main > span {
            let (first, end) = self.bounds(emission, start, main);
            kept = emission.count(first, end, span, &kept, &mut |emission, counter, kept| {
                let mut kept = kept.to_vec();
                vectors(emission, points, Coord::counted(counter), span, Some(axis), &mut kept);
                kept
            });
        } else if main > 0 {
            vectors(emission, points, start, span, loop_axis, &mut kept);
        }
        let rest = (length - main) / along * along;
        vectors(emission, points, start.plus(main as i64), rest, loop_axis, &mut kept);
        if let Some(single) = &self.single {
            for c in main + rest..length {
                set(points, axis, start.plus(c as i64));
                let at = At { points, loop_axis };
                self.single_step(emission, single, &at, (c - main) % partials, &mut kept);
            }
        }
        kept
    }

    /// Combines the partial results of a point pairwise.
    fn finish(&self, emission: &mut Emission<'_, '_>, kept: &[Value]) -> Accumulators {
        let e = &mut emission.e;
        let mut results = Vec::new();
        for (a, combine) in self.combines.iter().enumerate() {
            let mut lanes = self.body.lanes();
            let groups = (0..self.groups()).map(|g| self.slots(a, g).iter().map(|&s| kept[s]).collect());
            let mut result = pairwise(e, *combine, lanes, groups.collect());
            if self.along() > 1 {
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
    fn accumulator(
        &self,
        e: &mut CraneliftEmitter<'_, '_>,
        a: usize,
        lanes: usize,
        kept: &[Value],
    ) -> Lanes<Value> {
        let (combine, dtype) = (self.combines[a], self.fold.accumulators[a].dtype);
        let value = kept[kept.len() - 1];
        let found = combine.slot_dtype(kept.len() - 1);
        let position = VectorType { dtype: found, lanes };
        match (lanes, found == dtype) {
            (1, _) => Lanes::Uniform(e.convert(VectorType::scalar(dtype), found, value)),
            (_, true) => Lanes::Vector(value),
            (_, false) => Lanes::each(lanes, |lane| {
                let element = e.lane(position, value, lane);
                e.convert(VectorType::scalar(dtype), found, element)
            }),
        }
    }

    /// Emits a scan: `at_element` is called at every element with the accumulators of every point.
    pub(super) fn scan(
        &self,
        emission: &mut Emission<'_, '_>,
        points: &[Point<Value>],
        at_element: OnElement<'_>,
    ) {
        if self.fold.axes.contains(&0) {
            return;
        }
        let start = self.start(&mut emission.e);
        let kept: Vec<Value> = points.iter().flat_map(|_| start.clone()).collect();
        self.scan_axes(emission, &mut points.to_vec(), 0, kept, at_element);
    }

    fn scan_axes(
        &self,
        emission: &mut Emission<'_, '_>,
        points: &mut [Point<Value>],
        level: usize,
        mut kept: Vec<Value>,
        at_element: OnElement<'_>,
    ) -> Vec<Value> {
        let axis = self.first_axis + level;
        match self.fold.axes.get(level) {
            None => {
                let before = kept.clone();
                self.step(emission, &At { points, loop_axis: None }, 0, &mut kept);
                let seen: Vec<Accumulators> = (0..points.len())
                    .map(|n| {
                        let view = |emission: &mut Emission<'_, '_>, a, kept: &[Value]| {
                            let kept = &kept[n * self.kept()..];
                            let own: Vec<_> = self.slots(a, 0).iter().map(|&s| kept[s]).collect();
                            self.accumulator(&mut emission.e, a, self.body.lanes(), &own)
                        };
                        (0..self.combines.len())
                            .map(|a| [view(emission, a, &kept), view(emission, a, &before)])
                            .collect()
                    })
                    .collect();
                at_element(emission, points, &seen);
                kept
            }
            Some(1) => {
                set(points, axis, Coord::fixed(0));
                self.scan_axes(emission, points, level + 1, kept, at_element)
            }
            Some(&extent) => {
                let (first, end) = (emission.e.word(0), emission.e.word(extent as i64));
                emission.count(first, end, 1, &kept, &mut |emission, counter, kept| {
                    set(points, axis, Coord::counted(counter));
                    self.scan_axes(emission, points, level + 1, kept.to_vec(), at_element)
                })
            }
        }
    }
}

/// What an accumulator takes in.
struct Element {
    operands: Vec<Value>,
    position: Option<Value>,
}

impl Element {
    fn take_in(
        &self,
        combine: Combine,
        e: &mut CraneliftEmitter<'_, '_>,
        lanes: usize,
        kept: &[Value],
    ) -> Vec<Value> {
        combine.element(e, lanes, kept, &self.operands, self.position)
    }
}

/// Where a step of a fold is emitted.
struct At<'s> {
    points: &'s [Point<Value>],
    loop_axis: Option<Axis>,
}

fn set(points: &mut [Point<Value>], axis: Axis, coord: Coord<Value>) {
    for point in points {
        point[axis] = coord;
    }
}

/// `p[i] ∘ p[i + L/2]`, then L/4 and so on, of L results.
fn pairwise(
    e: &mut CraneliftEmitter<'_, '_>,
    combine: Combine,
    lanes: usize,
    mut results: Vec<Vec<Value>>,
) -> Vec<Value> {
    while results.len() > 1 {
        let upper = results.split_off(results.len() / 2);
        results = results.iter().zip(&upper).map(|(a, b)| combine.results(e, lanes, a, b)).collect();
    }
    results.pop().unwrap_or_default()
}
