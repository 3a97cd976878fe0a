//! The loops of reductions.

use super::emitter::VectorEmitter;
use super::fold::{Accumulators, At, FoldPlan, set};
use super::loops::{Emission, Length, Span};
use super::point::{Coord, Point};
use crate::kernel::{self, Axis, FoldKind};

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
        let all = self.fold.axes.first().map_or(Span::first(1), |&extent| emission.whole(extent));
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
        let extent = self.fold.axes.first().map_or(1, |e| e.most());
        let count = extent / segment;
        if count > 0 {
            let (first, end) = (emission.e.word(0), emission.e.word(count as i64));
            kept = emission.count(first, end, 1, &kept, &mut |emission, counter, kept| {
                beside(emission, counter);
                let start = Coord::counted(emission.e.word_times(counter, segment as i64));
                self.part(emission, points, Span { start, length: Length::Known(segment) }, kept.to_vec())
            });
        }
        let (done, rest) = (count * segment, extent % segment);
        if rest > 0 {
            let rest = Span { start: Coord::fixed(done as i64), length: Length::Known(rest) };
            kept = self.part(emission, points, rest, kept);
        }
        self.results(emission, points.len(), &kept)
    }

    /// As [`part`](Self::part), coordinate by coordinate of the outermost axis of a fold of one partial result; before each
    /// of them there is what `beside` emits.
    pub(super) fn part_beside<E: VectorEmitter>(
        &self,
        emission: &mut Emission<E>,
        points: &[Point<E::Word>],
        span: Span<E::Word>,
        kept: Vec<E::Value>,
        beside: &mut dyn FnMut(&mut Emission<E>, E::Word),
    ) -> Vec<E::Value> {
        let (first, end) = emission.bounds(&span);
        emission.count(first, end, 1, &kept, &mut |emission, counter, kept| {
            beside(emission, counter);
            let one = Span { start: Coord::counted(counter), length: Length::Known(1) };
            self.part(emission, points, one, kept.to_vec())
        })
    }

    /// Emits the part of the fold for some coordinates of its outermost axis. Parts must come in order, and be multiples of
    /// the number of partial results.
    pub(super) fn part<E: VectorEmitter>(
        &self,
        emission: &mut Emission<E>,
        points: &[Point<E::Word>],
        span: Span<E::Word>,
        kept: Vec<E::Value>,
    ) -> Vec<E::Value> {
        match self.fold.axes.as_slice() {
            // Over no axes there is one element.
            [] => {
                let mut kept = kept;
                self.step(emission, &self.body, &At { points, loop_axis: None }, 0, &mut kept);
                kept
            }
            axes if kernel::points(axes) == 0 => kept,
            axes => {
                let mut spans: Vec<_> = axes.iter().map(|&extent| emission.whole(extent)).collect();
                spans[0] = span;
                self.over_axes(emission, &mut points.to_vec(), &spans, None, kept)
            }
        }
    }

    /// Emits the innermost axes of the fold, as many as there are spans; the points have coordinates of the others.
    pub(super) fn over_axes<E: VectorEmitter>(
        &self,
        emission: &mut Emission<E>,
        points: &mut [Point<E::Word>],
        spans: &[Span<E::Word>],
        loop_axis: Option<Axis>,
        kept: Vec<E::Value>,
    ) -> Vec<E::Value> {
        let [span, inner_spans @ ..] = spans else { return kept };
        let level = self.fold.axes.len() - spans.len();
        let axis = self.first_axis + level;
        if inner_spans.is_empty() {
            return match span.length {
                Length::Known(length) => {
                    self.innermost(emission, points, (span.start, length), loop_axis, kept)
                }
                _ => self.one_by_one(emission, points, span, kept),
            };
        }
        let inner = |emission: &mut Emission<E>, points: &mut [Point<E::Word>], coord, loop_axis, kept| {
            set(points, axis, coord);
            self.over_axes(emission, points, inner_spans, loop_axis, kept)
        };
        if let Length::Known(length) = span.length {
            let size = length * kernel::points(&self.fold.axes[level + 1..]);
            let small = size.saturating_mul(self.step_cost(points.len())) <= UNROLLED;
            if length == 1 || (loop_axis.is_some() && small) {
                return (0..length).fold(kept, |kept, c| {
                    inner(emission, points, span.start.plus(c as i64), loop_axis, kept)
                });
            }
        }
        let (first, end) = emission.bounds(span);
        emission.count(first, end, 1, &kept, &mut |emission, counter, kept| {
            inner(emission, points, Coord::counted(counter), Some(axis), kept.to_vec())
        })
    }

    /// Emits the innermost axis of a fold of one lane, whose length is known when code runs.
    fn one_by_one<E: VectorEmitter>(
        &self,
        emission: &mut Emission<E>,
        points: &mut [Point<E::Word>],
        span: &Span<E::Word>,
        kept: Vec<E::Value>,
    ) -> Vec<E::Value> {
        let axis = self.first_axis + self.fold.axes.len() - 1;
        let (first, end) = emission.bounds(span);
        emission.count(first, end, 1, &kept, &mut |emission, counter, kept| {
            let mut kept = kept.to_vec();
            set(points, axis, Coord::counted(counter));
            self.step(emission, &self.body, &At { points, loop_axis: Some(axis) }, 0, &mut kept);
            kept
        })
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
            let (first, end) = emission.bounds(&Span { start, length: Length::Known(main) });
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
