//! Loops over axes.

use super::access::{Bases, extent_word};
use super::emitter::{VectorEmitter, WordTest};
use super::point::{Coord, Point, whole};
use crate::kernel::{Axis, Extent};

/// Consecutive coordinates of an axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<W> {
    /// The first one.
    pub(super) start: Coord<W>,
    /// How many they are, at least 1.
    pub(super) length: Length<W>,
}

/// Number of coordinates.
#[derive(Clone, Copy, Debug)]
pub(super) enum Length<W> {
    /// Always the same.
    Known(usize),
    /// That of a piece of an axis of known extent, which may be any of some numbers.
    OneOf {
        /// Which of them it is, when code runs.
        value: W,
        /// The largest, and two more, of which some may be the same. Where chunks are run as one, it may also be a number that
        /// leaves the rest of one of these in any step that it is cut by.
        lengths: [usize; 3],
    },
    /// Any number from 1 on: a multiple of the batch size, or what is left of one.
    UpTo {
        /// How many, when code runs.
        value: W,
        /// The most that it is.
        most: usize,
    },
}

impl<W> Length<W> {
    /// The most that it is.
    pub(super) fn most(&self) -> usize {
        match *self {
            Length::Known(length) => length,
            Length::OneOf { lengths, .. } => lengths.into_iter().max().unwrap_or(0),
            Length::UpTo { most, .. } => most,
        }
    }
}

impl<W: Copy> Span<W> {
    /// So many coordinates from 0 on.
    pub(super) fn first(length: usize) -> Span<W> {
        Span { start: Coord::fixed(0), length: Length::Known(length) }
    }
}

/// As few blocks of at most `step` coordinates as a length is cut into, with sizes that differ by one at most: how many there are of
/// the larger ones, and of those with one coordinate less.
pub(crate) fn even_blocks(length: usize, step: usize) -> [(usize, usize); 2] {
    if length == 0 {
        return [(0, 0); 2];
    }
    let blocks = length.div_ceil(step);
    let size = length.div_ceil(blocks);
    let smaller = blocks * size - length;
    [(blocks - smaller, size), (smaller, size - 1)]
}

/// A function that is being emitted: the emitter, and what addresses are relative to.
pub(super) struct Emission<E: VectorEmitter> {
    pub(super) e: E,
    pub(super) bases: Bases<E::Word>,
}

/// Emits a turn of a loop, given the counter and what is carried; gives what is carried on.
type OnTurn<'x, E> = &'x mut dyn FnMut(
    &mut Emission<E>,
    <E as VectorEmitter>::Word,
    &[<E as VectorEmitter>::Value],
) -> Vec<<E as VectorEmitter>::Value>;

/// Emits the code for some coordinates of an axis: the first one, and how many.
type OnBlock<'x, E> = &'x mut dyn FnMut(&mut Emission<E>, Coord<<E as VectorEmitter>::Word>, usize);

/// Emits the code for some coordinates of an axis.
type OnPart<'x, E> = &'x mut dyn FnMut(&mut Emission<E>, Span<<E as VectorEmitter>::Word>);

/// Emits the code for some coordinates of each of some axes.
type OnBox<'x, E> = &'x mut dyn FnMut(&mut Emission<E>, &[(Axis, Span<<E as VectorEmitter>::Word>)]);

/// Emits the code for a point.
type AtPoint<'x, E> = &'x mut dyn FnMut(&mut Emission<E>, &mut Point<<E as VectorEmitter>::Word>);

impl<E: VectorEmitter> Emission<E> {
    /// A whole axis.
    pub(super) fn whole(&mut self, extent: Extent) -> Span<E::Word> {
        match extent.each() {
            None => Span::first(extent.most()),
            Some(_) => {
                let value = extent_word(&mut self.e, &self.bases, extent);
                Span { start: Coord::fixed(0), length: Length::UpTo { value, most: extent.most() } }
            }
        }
    }

    /// The span of so many coordinates for each one of a span.
    pub(super) fn times(&mut self, span: Span<E::Word>, each: usize) -> Span<E::Word> {
        let mut word = |word| self.e.word_times(word, each as i64);
        let Span { start: Coord { base, offset }, length } = span;
        let start = Coord { base: base.map(&mut word), offset: offset * each as i64 };
        let length = match length {
            Length::Known(length) => Length::Known(length * each),
            Length::OneOf { value, lengths } => {
                Length::OneOf { value: word(value), lengths: lengths.map(|length| length * each) }
            }
            Length::UpTo { value, most } => Length::UpTo { value: word(value), most: most * each },
        };
        Span { start, length }
    }

    /// The first coordinate of a span, and the one behind its last.
    pub(super) fn bounds(&mut self, span: &Span<E::Word>) -> (E::Word, E::Word) {
        let Span { start, length } = *span;
        let first = whole(&mut self.e, (start.base, start.offset));
        let end = match length {
            Length::Known(length) => whole(&mut self.e, (start.base, start.offset + length as i64)),
            Length::OneOf { value, .. } | Length::UpTo { value, .. } => self.e.word_add(first, value),
        };
        (first, end)
    }

    /// A loop that runs at least once, with `counter = first, first + step, …` while it is below `end`, and values that are
    /// carried from one turn to the next. Gives the values after the last turn.
    pub(super) fn count(
        &mut self,
        first: E::Word,
        end: E::Word,
        step: usize,
        carried: &[E::Value],
        turn: OnTurn<'_, E>,
    ) -> Vec<E::Value> {
        let (inner, counter, inside) = self.e.begin_loop(first, carried);
        let results = turn(self, counter, &inside);
        self.e.end_loop(inner, step, end, &results)
    }

    /// Runs `turn` only if a comparison with a number holds.
    pub(super) fn only_if(
        &mut self,
        test: WordTest,
        word: E::Word,
        number: usize,
        turn: &mut dyn FnMut(&mut Emission<E>),
    ) {
        let inner = self.e.begin_if(test, word, number);
        turn(self);
        self.e.end_if(inner);
    }

    /// Cuts a span into blocks of at most `step` coordinates, as [`even_blocks`] does where the length is known, else like
    /// [`blocks`](Emission::blocks).
    pub(super) fn even_blocks(&mut self, span: &Span<E::Word>, step: usize, on_block: OnBlock<'_, E>) {
        let Length::Known(length) = span.length else { return self.blocks(span, step, on_block) };
        let mut start = span.start;
        for (count, size) in even_blocks(length, step) {
            if count > 0 {
                self.blocks(&Span { start, length: Length::Known(count * size) }, size, on_block);
                start = start.plus((count * size) as i64);
            }
        }
    }

    /// Cuts a span into blocks of `step` coordinates and a shorter one for the rest, if any. The size of every block is
    /// known; blocks of `step` share their code.
    pub(super) fn blocks(&mut self, span: &Span<E::Word>, step: usize, on_block: OnBlock<'_, E>) {
        match span.length {
            Length::Known(length) => {
                let full = length / step * step;
                if full == step {
                    on_block(self, span.start, step);
                } else if full > 0 {
                    let first = whole(&mut self.e, (span.start.base, span.start.offset));
                    let end = whole(&mut self.e, (span.start.base, span.start.offset + full as i64));
                    self.full_blocks(first, end, step, on_block);
                }
                if full < length {
                    on_block(self, span.start.plus(full as i64), length - full);
                }
            }
            Length::OneOf { value, lengths } => {
                let mut at = whole(&mut self.e, (span.start.base, span.start.offset));
                let mut left = value;
                if lengths.iter().any(|&length| length >= step) {
                    let steps = self.e.word_divide(value, step);
                    let covered = self.e.word_times(steps, step as i64);
                    let end = self.e.word_add(at, covered);
                    match lengths.iter().all(|&length| length >= step) {
                        true => self.full_blocks(at, end, step, on_block),
                        false => self.only_if(WordTest::AtLeast, value, step, &mut |emission| {
                            emission.full_blocks(at, end, step, on_block);
                        }),
                    }
                    at = end;
                    left = self.e.word_sub(value, covered);
                }
                let rests = lengths.map(|length| length % step);
                for (n, &rest) in rests.iter().enumerate() {
                    if rest > 0 && !rests[..n].contains(&rest) {
                        self.only_if(WordTest::Equal, left, rest, &mut |emission| {
                            on_block(emission, Coord::counted(at), rest);
                        });
                    }
                }
            }
            Length::UpTo { value, most } => {
                let mut at = whole(&mut self.e, (span.start.base, span.start.offset));
                let mut rest = value;
                let steps = self.e.word_divide(value, step);
                let covered = self.e.word_times(steps, step as i64);
                let end = self.e.word_add(at, covered);
                match step {
                    1 => return self.full_blocks(at, end, step, on_block),
                    _ if most < step => {}
                    _ => {
                        self.only_if(WordTest::AtLeast, value, step, &mut |emission| {
                            emission.full_blocks(at, end, step, on_block);
                        });
                        at = end;
                        rest = self.e.word_sub(value, covered);
                    }
                }
                // Less than a step is left: blocks of powers of two, each at most once.
                let largest = step.min(most + 1).next_power_of_two() / 2;
                for size in std::iter::successors(Some(largest), |size| Some(size / 2)).take_while(|&s| s > 0)
                {
                    self.only_if(WordTest::AtLeast, rest, size, &mut |emission| {
                        on_block(emission, Coord::counted(at), size);
                    });
                    let taken = self.e.word_divide(rest, size);
                    let taken = self.e.word_times(taken, size as i64);
                    at = self.e.word_add(at, taken);
                    rest = self.e.word_sub(rest, taken);
                }
            }
        }
    }

    /// Cuts a span into spans of at most `step` coordinates, whose number is known if that of the span is.
    pub(super) fn parts(&mut self, span: &Span<E::Word>, step: usize, on_part: OnPart<'_, E>) {
        match span.length {
            Length::UpTo { most, .. } if most > step => {
                let (first, end) = self.bounds(span);
                self.count(first, end, step, &[], &mut |emission, counter, _| {
                    let rest = emission.e.word_sub(end, counter);
                    let full = emission.e.word(step as i64);
                    let value = emission.e.word_min(rest, full);
                    let length = Length::UpTo { value, most: step };
                    on_part(emission, Span { start: Coord::counted(counter), length });
                    Vec::new()
                });
            }
            Length::UpTo { .. } => on_part(self, *span),
            Length::Known(_) | Length::OneOf { .. } => {
                self.blocks(span, step, &mut |emission, start, length| {
                    on_part(emission, Span { start, length: Length::Known(length) });
                })
            }
        }
    }

    /// Cuts a span, which is no group itself, into spans of at most `step` coordinates, which share their code.
    pub(super) fn groups(&mut self, span: &Span<E::Word>, step: usize, on_group: OnPart<'_, E>) {
        if span.length.most() <= step {
            return on_group(self, *span);
        }
        let rest = |length: usize| match length % step {
            0 => step,
            rest => rest,
        };
        let (first, end) = self.bounds(span);
        self.count(first, end, step, &[], &mut |emission, counter, _| {
            let mut value = || {
                let rest = emission.e.word_sub(end, counter);
                let full = emission.e.word(step as i64);
                emission.e.word_min(rest, full)
            };
            let length = match span.length {
                Length::Known(length) if rest(length) == step => Length::Known(step),
                Length::Known(length) => {
                    Length::OneOf { value: value(), lengths: [step, step, rest(length)] }
                }
                Length::OneOf { lengths: [a, b, c], .. } => {
                    debug_assert_eq!(a, b, "a chunk's lengths are two");
                    Length::OneOf { value: value(), lengths: [step, rest(a), rest(c)] }
                }
                Length::UpTo { .. } => Length::UpTo { value: value(), most: step },
            };
            on_group(emission, Span { start: Coord::counted(counter), length });
            Vec::new()
        });
    }

    /// Cuts axes into spans of at most so many coordinates each, and runs `on_box` for all combinations of these.
    pub(super) fn boxes(
        &mut self,
        axes: &[(Axis, Span<E::Word>)],
        steps: &[usize],
        outer: &mut Vec<(Axis, Span<E::Word>)>,
        on_box: OnBox<'_, E>,
    ) {
        let (Some((&(axis, span), axes)), Some((&step, steps))) = (axes.split_first(), steps.split_first())
        else {
            return on_box(self, outer);
        };
        self.groups(&span, step, &mut |emission, part| {
            outer.push((axis, part));
            emission.boxes(axes, steps, outer, on_box);
            outer.pop();
        });
    }

    fn full_blocks(&mut self, first: E::Word, end: E::Word, step: usize, on_block: OnBlock<'_, E>) {
        self.count(first, end, step, &[], &mut |emission, counter, _| {
            on_block(emission, Coord::counted(counter), step);
            Vec::new()
        });
    }

    /// Runs `at_point` for every point of some axes, the first axis outermost.
    pub(super) fn nest(
        &mut self,
        axes: &[(Axis, Span<E::Word>)],
        point: &mut Point<E::Word>,
        at_point: AtPoint<'_, E>,
    ) {
        let Some((&(axis, span), inner)) = axes.split_first() else {
            return at_point(self, point);
        };
        self.blocks(&span, 1, &mut |emission, coord, _| {
            point[axis] = coord;
            emission.nest(inner, point, at_point);
        });
    }
}
