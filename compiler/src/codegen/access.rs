//! Where an access of a body goes, in bytes.

use cranelift_entity::SecondaryMap;

use super::emitter::{VectorEmitter, VectorType};
use super::point::{Point, affine_at, whole};
use crate::kernel::{Affine, Axis, BinaryOp, BufferId, Extent, Guard, Indirect, ScalarId};
use crate::tensor::Scalar;
use crate::types::DType;

/// Where the elements of a buffer are while one kernel runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Placement {
    /// Bytes from an element to the next one on each axis.
    pub(super) strides: Vec<i64>,
    /// Whether a kernel leaves it as it is.
    pub(super) read_only: bool,
}

impl Placement {
    /// An array with so many elements from an index to the next one on each axis.
    pub(super) fn new(dtype: DType, strides: &[usize], read_only: bool) -> Placement {
        let strides = strides.iter().map(|&s| (s * dtype.bytes()) as i64).collect();
        Placement { strides, read_only }
    }
}

/// Base addresses of what a kernel touches.
#[derive(Clone, Debug)]
pub(super) struct Bases<W: Copy> {
    /// Of buffers.
    pub(super) buffers: SecondaryMap<BufferId, Option<W>>,
    /// Of the panels that operands of a tile were copied to, by [`Side`].
    pub(super) panels: [Option<W>; 2],
    /// No address, but known where they are: the batch size, if anything depends on it.
    pub(super) batch: Option<W>,
}

/// An extent when code runs.
pub(super) fn extent_word<E: VectorEmitter>(e: &mut E, bases: &Bases<E::Word>, extent: Extent) -> E::Word {
    match (extent.each(), bases.batch) {
        (Some(each), Some(batch)) => e.word_times(batch, each as i64),
        _ => e.word(extent.most() as i64),
    }
}

/// An operand of a contraction in tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Side {
    /// The one that is read by vectors along the columns.
    Columns = 0,
    /// The one that is broadcast, an element a row.
    Rows = 1,
}

/// What an address is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Base {
    /// The start of a buffer.
    Buffer(BufferId),
    /// The start of a panel.
    Panel(Side),
}

/// An access whose coordinates were made one affine expression of the axes, in bytes.
#[derive(Clone, Debug)]
pub(super) struct FlatAccess {
    /// Type of the element.
    pub(super) dtype: DType,
    pub(super) base: Base,
    /// Bytes from the base.
    pub(super) bytes: Affine,
    /// The value that is added to a coordinate, and the bytes that one of it makes.
    pub(super) indirect: Option<(ScalarId, i64)>,
    /// Guards that do not hold everywhere.
    pub(super) guards: Vec<Guard>,
    /// What the value is where one of them fails.
    pub(super) fill: Scalar,
    /// Whether the kernel never writes what is read.
    pub(super) read_only: bool,
}

impl FlatAccess {
    /// The access of `buffer` at `index`, where axes have these extents.
    pub(super) fn new(
        buffer: BufferId,
        placement: &Placement,
        index: &[Affine],
        indirect: Option<Indirect>,
        dtype: DType,
    ) -> FlatAccess {
        let bytes = index
            .iter()
            .zip(&placement.strides)
            .fold(Affine::constant(0), |sum, (coordinate, &stride)| sum.plus(&coordinate.times(stride)));
        FlatAccess {
            dtype,
            base: Base::Buffer(buffer),
            bytes,
            indirect: indirect.map(|i| (i.value, placement.strides[i.axis])),
            guards: Vec::new(),
            fill: Scalar::zero(dtype),
            read_only: placement.read_only,
        }
    }

    /// Guarded; guards that hold at every point of axes with these extents are dropped.
    pub(super) fn guarded(mut self, guards: &[Guard], fill: Scalar, extents: &[usize]) -> FlatAccess {
        let may_fail = |guard: &&Guard| match guard.expr.range(extents) {
            Some((low, high)) => low < 0 || high >= guard.below as i64,
            None => false,
        };
        self.guards = guards.iter().filter(may_fail).cloned().collect();
        self.fill = fill;
        self
    }

    /// Whether consecutive points of an axis touch consecutive elements where the guards hold.
    pub(super) fn is_contiguous(&self, axis: Axis, varies: impl Fn(ScalarId) -> bool) -> bool {
        self.bytes.factor(axis) == self.dtype.bytes() as i64
            && !self.indirect.is_some_and(|(value, _)| varies(value))
    }

    /// The access under the guards that hold for all or none of consecutive points of an axis, and the other guards.
    pub(super) fn split_guards(&self, axis: Axis) -> (FlatAccess, Vec<Guard>) {
        let (varying, uniform) =
            self.guards.iter().cloned().partition(|guard: &Guard| guard.expr.factor(axis) != 0);
        (FlatAccess { guards: uniform, ..self.clone() }, varying)
    }

    /// The address at a point, as a word and an offset in bytes. `indirect` is the value that is added to a coordinate.
    pub(super) fn address<E: VectorEmitter>(
        &self,
        e: &mut E,
        bases: &Bases<E::Word>,
        point: &Point<E::Word>,
        indirect: Option<E::Word>,
    ) -> (E::Word, i32) {
        let base = match self.base {
            Base::Buffer(buffer) => bases.buffers[buffer],
            Base::Panel(side) => bases.panels[side as usize],
        };
        let (word, offset) = affine_at(e, &self.bytes, point, base);
        let mut word = word.unwrap_or_else(|| unreachable!("an access has a base"));
        if let (Some(value), Some((_, stride))) = (indirect, self.indirect) {
            let term = e.word_times(value, stride);
            word = e.word_add(word, term);
        }
        match self.guards.is_empty().then(|| i32::try_from(offset)) {
            Some(Ok(offset)) => (word, offset),
            // A guarded address is replaced as a whole.
            _ => {
                let word = whole(e, (Some(word), offset));
                (self.or_fill(e, word, point), 0)
            }
        }
    }

    /// The address where the guards hold, else that of the fill value.
    fn or_fill<E: VectorEmitter>(&self, e: &mut E, address: E::Word, point: &Point<E::Word>) -> E::Word {
        let mut all_hold = None;
        for guard in &self.guards {
            let expr = affine_at(e, &guard.expr, point, None);
            if let (None, known) = expr
                && (0..guard.below as i64).contains(&known)
            {
                continue;
            }
            let expr = whole(e, expr);
            let holds = e.word_within(expr, guard.below);
            all_hold = Some(match all_hold {
                None => holds,
                Some(others) => e.binary(BinaryOp::And, VectorType::scalar(DType::Bool), others, holds),
            });
        }
        let Some(all_hold) = all_hold else { return address };
        let fill = e.constant_address(self.fill);
        e.word_select(all_hold, address, fill)
    }
}
