//! Loops over axes.

use super::access::Bases;
use super::emitter::{VectorEmitter, WordTest};
use super::point::{Coord, Point, whole};
use crate::kernel::Axis;

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
    /// That of a chunk: `full`, or `last` for the last chunk.
    Chunk {
        /// Which of the two it is, when code runs.
        value: W,
        full: usize,
        last: usize,
    },
}

impl<W: Copy> Span<W> {
    /// A whole axis.
    pub(super) fn whole(extent: usize) -> Span<W> {
        Span { start: Coord::fixed(0), length: Length::Known(extent) }
    }
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

/// Emits the code for a point.
type AtPoint<'x, E> = &'x mut dyn FnMut(&mut Emission<E>, &mut Point<<E as VectorEmitter>::Word>);

impl<E: VectorEmitter> Emission<E> {
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
            Length::Chunk { value, full, last } => {
                let first = whole(&mut self.e, (span.start.base, span.start.offset));
                if full.max(last) >= step {
                    let mut main = |emission: &mut Emission<E>| {
                        let steps = emission.e.word_divide(value, step);
                        let covered = emission.e.word_times(steps, step as i64);
                        let end = emission.e.word_add(first, covered);
                        emission.full_blocks(first, end, step, on_block);
                    };
                    match full.min(last) >= step {
                        true => main(self),
                        false => {
                            self.only_if(WordTest::AtLeast, value, step, &mut main);
                        }
                    }
                }
                for length in [full, last] {
                    let rest = length % step;
                    if rest > 0 {
                        self.only_if(WordTest::Equal, value, length, &mut |emission| {
                            on_block(emission, span.start.plus((length - rest) as i64), rest);
                        });
                    }
                }
            }
        }
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
