//! The loops of reductions.

use super::emitter::VectorEmitter;
use super::fold::{Accumulators, At, FoldPlan, set};
use super::loops::Emission;
use super::point::{Coord, Point, whole};
use crate::kernel::{Axis, FoldKind};

/// About how many instructions are unrolled in the body of a loop.
const UNROLLED: usize = 64;

impl FoldPlan<'_> {
    /// Emits the whole fold at every point, and gives its results.
    pub(super) fn reduce<E: VectorEmitter>(
        &self,
        emission: &mut Emission<E>,
        points: &[Point<E::Word>],
    ) -> Vec<Accumulators<E::Value>> {
        debug_assert_eq!(self.fold.kind, FoldKind::Reduce);
        let start = self.start(&mut emission.e);
        let kept: Vec<E::Value> = points.iter().flat_map(|_| start.clone()).collect();
        let all = (Coord::fixed(0), self.fold.axes.first().copied().unwrap_or(1));
        let kept = self.part(emission, points, all, kept);
        self.results(emission, points.len(), &kept)
    }

    /// As [`reduce`](Self::reduce), over segments of so many coordinates of the outermost axis, a multiple of the number of
    /// partial results; before each of them there is what `beside` emits, given the number of the segment.
    pub(super) fn reduce_beside<E: VectorEmitter>(
        &self,
        emission: &mut Emission<E>,
        points: &[Point<E::Word>],
        segment: usize,
        beside: &mut dyn FnMut(&mut Emission<E>, E::Word),
    ) -> Vec<Accumulators<E::Value>> {
        let start = self.start(&mut emission.e);
        let mut kept: Vec<E::Value> = points.iter().flat_map(|_| start.clone()).collect();
        let extent = self.fold.axes.first().copied().unwrap_or(1);
        let count = extent / segment;
        if count > 0 {
            let (first, end) = (emission.e.word(0), emission.e.word(count as i64));
            kept = emission.count(first, end, 1, &kept, &mut |emission, counter, kept| {
                beside(emission, counter);
                let start = Coord::counted(emission.e.word_times(counter, segment as i64));
                self.part(emission, points, (start, segment), kept.to_vec())
            });
        }
        let rest = (Coord::fixed((count * segment) as i64), extent - count * segment);
        if rest.1 > 0 {
            kept = self.part(emission, points, rest, kept);
        }
        self.results(emission, points.len(), &kept)
    }

    /// Emits the part of the fold for some coordinates of its outermost axis: the first one, and how many. Parts must come
    /// in order, and be multiples of the number of partial results.
    pub(super) fn part<E: VectorEmitter>(
        &self,
        emission: &mut Emission<E>,
        points: &[Point<E::Word>],
        range: (Coord<E::Word>, usize),
        kept: Vec<E::Value>,
    ) -> Vec<E::Value> {
        match self.fold.axes.as_slice() {
            // Over no axes there is one element.
            [] => {
                let mut kept = kept;
                self.step(emission, &self.body, &At { points, loop_axis: None }, 0, &mut kept);
                kept
            }
            axes if axes.contains(&0) => kept,
            _ => self.over_axes(emission, &mut points.to_vec(), 0, range, None, kept),
        }
    }

    /// Emits the axes of the fold from `level` inwards, of which the first has these coordinates.
    fn over_axes<E: VectorEmitter>(
        &self,
        emission: &mut Emission<E>,
        points: &mut [Point<E::Word>],
        level: usize,
        range: (Coord<E::Word>, usize),
        loop_axis: Option<Axis>,
        kept: Vec<E::Value>,
    ) -> Vec<E::Value> {
        let axis = self.first_axis + level;
        let Some(&inner_extent) = self.fold.axes.get(level + 1) else {
            return self.innermost(emission, points, range, loop_axis, kept);
        };
        let (start, length) = range;
        let inner = |emission: &mut Emission<E>, points: &mut [Point<E::Word>], coord, loop_axis, kept| {
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
    fn bounds<E: VectorEmitter>(
        &self,
        emission: &mut Emission<E>,
        start: Coord<E::Word>,
        length: usize,
    ) -> (E::Word, E::Word) {
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

    fn innermost<E: VectorEmitter>(
        &self,
        emission: &mut Emission<E>,
        points: &mut [Point<E::Word>],
        (start, length): (Coord<E::Word>, usize),
        loop_axis: Option<Axis>,
        mut kept: Vec<E::Value>,
    ) -> Vec<E::Value> {
        let axis = self.first_axis + self.fold.axes.len() - 1;
        let (partials, along) = (self.fold.lanes, self.along());
        let span = partials * self.unroll(length, points.len());
        let main = length / span * span;
        let vectors = |emission: &mut Emission<E>,
                       points: &mut [Point<E::Word>],
                       start: Coord<E::Word>,
                       count: usize,
                       loop_axis,
                       kept: &mut Vec<E::Value>| {
            for c in (0..count).step_by(along) {
                set(points, axis, start.plus(c as i64));
                self.step(emission, &self.body, &At { points, loop_axis }, c % partials / along, kept);
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
        if let Some(tail) = &self.tail {
            for c in (main + rest..length).step_by(tail.active()) {
                set(points, axis, start.plus(c as i64));
                let (at, partial) = (At { points, loop_axis }, (c - main) % partials);
                match tail.vector {
                    Some(_) => self.step(emission, tail, &at, partial / along, &mut kept),
                    None => self.single_step(emission, tail, &at, partial, &mut kept),
                }
            }
        }
        kept
    }
}
