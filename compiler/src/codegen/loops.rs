//! Loops over axes.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{BlockArg, InstBuilder, Value, types};

use super::access::Bases;
use super::cranelift_emitter::CraneliftEmitter;
use super::emitter::VectorEmitter;
use super::point::{Coord, Point, whole};
use crate::kernel::Axis;

/// Consecutive coordinates of an axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// The first one.
    pub(super) start: Coord<Value>,
    /// How many they are, at least 1.
    pub(super) length: Length,
}

/// Number of coordinates.
#[derive(Clone, Copy, Debug)]
pub(super) enum Length {
    /// Always the same.
    Known(usize),
    /// That of a chunk: `full`, or `last` for the last chunk.
    Chunk {
        /// Which of the two it is, when code runs.
        value: Value,
        full: usize,
        last: usize,
    },
}

impl Span {
    /// A whole axis.
    pub(super) fn whole(extent: usize) -> Span {
        Span { start: Coord::fixed(0), length: Length::Known(extent) }
    }
}

/// A function that is being emitted: the emitter, and what addresses are relative to.
pub(super) struct Emission<'a, 'f> {
    pub(super) e: CraneliftEmitter<'a, 'f>,
    pub(super) bases: Bases<Value>,
}

/// Emits a turn of a loop, given the counter and what is carried; gives what is carried on.
type OnTurn<'x> = &'x mut dyn FnMut(&mut Emission<'_, '_>, Value, &[Value]) -> Vec<Value>;

/// Emits the code for some coordinates of an axis: the first one, and how many.
type OnBlock<'x> = &'x mut dyn FnMut(&mut Emission<'_, '_>, Coord<Value>, usize);

impl Emission<'_, '_> {
    /// A loop that runs at least once, with `counter = first, first + step, …` while it is below `end`, and values that are
    /// carried from one turn to the next. Gives the values after the last turn.
    pub(super) fn count(
        &mut self,
        first: Value,
        end: Value,
        step: usize,
        carried: &[Value],
        turn: OnTurn<'_>,
    ) -> Vec<Value> {
        let builder = &mut self.e.builder;
        let (header, exit) = (builder.create_block(), builder.create_block());
        let counter = builder.append_block_param(header, types::I64);
        let mut inside = Vec::new();
        let mut after = Vec::new();
        for &value in carried {
            let ty = builder.func.dfg.value_type(value);
            inside.push(builder.append_block_param(header, ty));
            after.push(builder.append_block_param(exit, ty));
        }
        let arguments = |counter: Value, values: &[Value]| -> Vec<BlockArg> {
            [counter].iter().chain(values).map(|&v| BlockArg::Value(v)).collect()
        };
        builder.ins().jump(header, &arguments(first, carried));
        builder.switch_to_block(header);
        let results = turn(self, counter, &inside);
        let builder = &mut self.e.builder;
        let next = builder.ins().iadd_imm_s(counter, step as i64);
        let again = builder.ins().icmp(IntCC::SignedLessThan, next, end);
        let arguments = arguments(next, &results);
        builder.ins().brif(again, header, &arguments, exit, &arguments[1..]);
        builder.switch_to_block(exit);
        after
    }

    /// Runs `turn` only if a comparison with a number holds.
    fn only_if(
        &mut self,
        cc: IntCC,
        value: Value,
        number: usize,
        turn: &mut dyn FnMut(&mut Emission<'_, '_>),
    ) {
        let builder = &mut self.e.builder;
        let (then, next) = (builder.create_block(), builder.create_block());
        let holds = builder.ins().icmp_imm_s(cc, value, number as i64);
        builder.ins().brif(holds, then, &[], next, &[]);
        builder.switch_to_block(then);
        turn(self);
        self.e.builder.ins().jump(next, &[]);
        self.e.builder.switch_to_block(next);
    }

    /// Cuts a span into blocks of `step` coordinates and a shorter one for the rest, if any. The size of every block is
    /// known; blocks of `step` share their code.
    pub(super) fn blocks(&mut self, span: &Span, step: usize, on_block: OnBlock<'_>) {
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
                    let mut main = |emission: &mut Emission<'_, '_>| {
                        let steps = emission.e.builder.ins().udiv_imm_u(value, step as i64);
                        let covered = emission.e.word_times(steps, step as i64);
                        let end = emission.e.word_add(first, covered);
                        emission.full_blocks(first, end, step, on_block);
                    };
                    match full.min(last) >= step {
                        true => main(self),
                        false => {
                            self.only_if(IntCC::SignedGreaterThanOrEqual, value, step, &mut main);
                        }
                    }
                }
                for length in [full, last] {
                    let rest = length % step;
                    if rest > 0 {
                        self.only_if(IntCC::Equal, value, length, &mut |emission| {
                            on_block(emission, span.start.plus((length - rest) as i64), rest);
                        });
                    }
                }
            }
        }
    }

    fn full_blocks(&mut self, first: Value, end: Value, step: usize, on_block: OnBlock<'_>) {
        self.count(first, end, step, &[], &mut |emission, counter, _| {
            on_block(emission, Coord::counted(counter), step);
            Vec::new()
        });
    }

    /// Runs `at_point` for every point of some axes, the first axis outermost.
    pub(super) fn nest(
        &mut self,
        axes: &[(Axis, Span)],
        point: &mut Point<Value>,
        at_point: &mut dyn FnMut(&mut Emission<'_, '_>, &mut Point<Value>),
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
