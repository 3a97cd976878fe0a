//! Lowering of sums over windows that overlap: which elements of which windows lie at a position, as affine expressions.
//!
//! A position `h` of the result is `q · stride + r` with `r` below the stride. What is added up at it are the elements `k` of
//! windows `o` with `o · stride + k · dilation = h + low`. Where the dilation is 1, these are, for `j` from 0 on,
//!
//! ```text
//! o = q + first - j        k = r + (low - first · stride) + j · stride        first = ceil(low / stride)
//! ```
//!
//! and where the stride is 1, `o = q + first - j · dilation` and `k = j`. So `q` and `r` are axes of a kernel, `j` is
//! an axis of its fold, and guards keep `o` and `k` within their extents. Windows that do not overlap need no fold.
//! Where the last block of `stride` positions is cut, it is a kernel of its own.

use std::ops::Range;

use super::{FoldSpec, LowerCx, accumulator, identity, pad};
use crate::kernel::{Affine, BodyBuilder, BufferId, Extent, FoldKind, FoldOp, Guard, ScalarId, most};
use crate::tensor::Scalar;

/// How windows walk along an axis, and which positions are asked for.
#[derive(Clone)]
pub struct Walk {
    /// Axis of the operand that counts windows, and of the result.
    pub axis: usize,
    /// How many positions the result has.
    pub extent: usize,
    /// How many there are before the first of them.
    pub low: usize,
    /// From one window to the next.
    pub stride: usize,
    /// From one element of a window to the next.
    pub dilation: usize,
}

/// Lowers the sum of operand 0, whose last axes are within the windows, to result 0.
pub fn sum(cx: &mut LowerCx<'_>, mut walks: Vec<Walk>) {
    let (mut from, mut shape) = (cx.operand(0), cx.operand_extents(0));
    // With both a stride and a dilation, windows are put apart, with zeros between them.
    let mut interior = vec![0; shape.len()];
    for walk in walks.iter_mut().filter(|w| w.stride > 1 && w.dilation > 1) {
        interior[walk.axis] = walk.stride - 1;
        walk.stride = 1;
    }
    if interior.iter().any(|&between| between > 0) {
        let apart = |d: usize| match interior[d] {
            0 => shape[d],
            between => {
                let extent = cx.fixed(shape[d]);
                (extent + extent.saturating_sub(1) * between).into()
            }
        };
        let apart: Vec<Extent> = (0..shape.len()).map(apart).collect();
        let (nothing, zero) = (vec![0; shape.len()], Scalar::zero(cx.operand_dtype(0)));
        let to = cx.temp(zero.dtype(), apart.clone());
        pad::pad(cx, (from, shape), [&nothing, &nothing, &interior], zero, to);
        (from, shape) = (to, apart);
    }
    let pieces: Vec<Vec<Piece>> = walks.iter().map(Walk::pieces).collect();
    for n in 0..pieces.iter().map(Vec::len).product() {
        let mut rest = n;
        let piece = |choices: &Vec<Piece>| {
            let piece = choices[rest % choices.len()].clone();
            rest /= choices.len();
            piece
        };
        let piece: Vec<Piece> = pieces.iter().map(piece).collect();
        sum_piece(cx, from, &shape, &walks, &piece);
    }
}

/// Positions `q · stride + r` for these `q` and `r`.
#[derive(Clone)]
struct Piece {
    blocks: Range<usize>,
    within: Range<usize>,
}

impl Walk {
    /// All positions: the whole blocks, and what is left of the last one.
    fn pieces(&self) -> Vec<Piece> {
        let (whole, left) = (self.extent / self.stride, self.extent % self.stride);
        let blocks = Piece { blocks: 0..whole, within: 0..self.stride };
        let last = Piece { blocks: whole..whole + 1, within: 0..left };
        match (whole, left) {
            (_, 0) => vec![blocks],
            (0, _) => vec![last],
            _ => vec![blocks, last],
        }
    }

    fn first(&self) -> usize {
        self.low.div_ceil(self.stride)
    }

    /// The most elements of windows of this extent that lie at one position.
    fn taps(&self, extent: usize) -> usize {
        (extent - 1 + self.first() * self.stride - self.low) / self.stride + 1
    }
}

fn sum_piece(cx: &mut LowerCx<'_>, from: BufferId, shape: &[Extent], walks: &[Walk], pieces: &[Piece]) {
    let (to, dtype, rank) = (cx.result(0), cx.result_dtype(0), cx.result_rank(0));
    // The kernel has the result's axes, each that is walked along as two: blocks, and positions within a block.
    let (mut axes, mut index) = (Vec::new(), identity(rank));
    let mut coordinates = vec![[Affine::constant(0), Affine::constant(0)]; walks.len()];
    for d in 0..rank {
        let mut axis = |start: usize, extent: Extent| {
            if extent == 1 {
                return Affine::constant(start as i64);
            }
            axes.push(extent);
            Affine::axis(axes.len() - 1).plus_constant(start as i64)
        };
        match walks.iter().position(|w| w.axis == d) {
            None => index[d] = axis(0, shape[d]),
            Some(n) => {
                let Piece { blocks, within } = &pieces[n];
                let [q, r] = [blocks, within].map(|range| axis(range.start, range.len().into()));
                index[d] = q.times(walks[n].stride as i64).plus(&r);
                coordinates[n] = [q, r];
            }
        }
    }
    let (mut source, mut fold_axes, mut bounds) = (index.clone(), Vec::new(), Vec::new());
    source.resize(shape.len(), Affine::constant(0));
    for (n, (walk, [q, r])) in walks.iter().zip(coordinates).enumerate() {
        let (stride, dilation, first) = (walk.stride as i64, walk.dilation as i64, walk.first() as i64);
        let tap = match walk.taps(cx.fixed(shape[rank + n])) {
            1 => Affine::constant(0),
            taps => {
                fold_axes.push(taps.into());
                Affine::axis(axes.len() + fold_axes.len() - 1)
            }
        };
        let window = q.plus_constant(first).plus(&tap.times(-dilation));
        let element = r.plus_constant(walk.low as i64 - first * stride).plus(&tap.times(stride));
        for (d, expr) in [(walk.axis, window), (rank + n, element)] {
            bounds.push((expr.clone(), cx.fixed(shape[d])));
            source[d] = expr;
        }
    }
    let extents = most(&[axes.as_slice(), &fold_axes].concat());
    let reaches_out = |(expr, below): &(Affine, usize)| {
        expr.range(&extents).is_some_and(|(low, high)| low < 0 || high >= *below as i64)
    };
    let guards = bounds.into_iter().filter(reaches_out).map(|(expr, below)| Guard { expr, below }).collect();
    let element =
        |cx: &LowerCx<'_>, b: &BodyBuilder| -> ScalarId { cx.load_within(b, from, source, guards, None) };
    if fold_axes.is_empty() {
        return cx.map_to(axes, to, index, element);
    }
    let spec = FoldSpec { axes, kind: FoldKind::Reduce, fold_axes, lanes: 1 };
    cx.fold_to(
        spec,
        to,
        index,
        |cx, b| vec![accumulator(FoldOp::Sum(element(cx, b)), dtype)],
        |_, b| b.acc(0, false, dtype),
    );
}
