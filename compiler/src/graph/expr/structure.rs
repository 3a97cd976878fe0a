//! Products, sums over axes and changes of shape.

use super::{Expr, broadcast_shapes};
use crate::graph::Graph;
use crate::ops;
use crate::types::{DType, Extent, Shape};

impl<'g> Expr<'g> {
    /// The value broadcast to `shape` by NumPy's rules; itself if it has that shape.
    #[track_caller]
    pub fn broadcast_to(self, shape: impl Into<Shape>) -> Expr<'g> {
        let shape = shape.into();
        if self.is_poisoned() || self.shape() == shape {
            return self;
        }
        self.graph.add(ops::Broadcast { shape }, &[self])
    }

    /// Matrix product; see [`Matmul`](ops::Matmul). Axes before the last two are batch axes, broadcast by NumPy's rules.
    #[track_caller]
    pub fn matmul(self, other: Expr<'g>) -> Expr<'g> {
        self.matmul_transposed(other, false, false)
    }

    /// Matrix product with the last two axes of either operand swapped.
    #[track_caller]
    pub fn matmul_transposed(self, other: Expr<'g>, transpose_a: bool, transpose_b: bool) -> Expr<'g> {
        let (mut a, mut b) = (self, other);
        if !a.is_poisoned() && !b.is_poisoned() && a.rank() >= 2 && b.rank() >= 2 {
            let split = |e: Expr<'g>| {
                let mut axes = e.shape().0;
                let matrix = axes.split_off(axes.len() - 2);
                (Shape(axes), matrix)
            };
            let ((batch_a, matrix_a), (batch_b, matrix_b)) = (split(a), split(b));
            // The one matrix of all batches stays as it is.
            if batch_b.rank() > 0
                && let Some(batch) = broadcast_shapes(&batch_a, &batch_b)
            {
                a = a.broadcast_to(Shape([batch.0.clone(), matrix_a].concat()));
                b = b.broadcast_to(Shape([batch.0, matrix_b].concat()));
            }
        }
        self.graph.add(ops::Matmul { transpose_a, transpose_b }, &[a, b])
    }

    /// The axes reordered: axis `i` of the result is axis `permutation[i]` of the value.
    #[track_caller]
    pub fn transpose(self, permutation: &[usize]) -> Expr<'g> {
        self.graph.add(ops::Transpose { permutation: permutation.to_vec() }, &[self])
    }

    /// The sum over axes, which are dropped or, if `keep`, stay with extent 1.
    #[track_caller]
    pub fn reduce_sum(self, axes: &[usize], keep: bool) -> Expr<'g> {
        self.graph.add(ops::ReduceSum { axes: axes.to_vec(), keep }, &[self])
    }

    /// The largest element over axes, which are dropped or, if `keep`, stay with extent 1.
    #[track_caller]
    pub fn reduce_max(self, axes: &[usize], keep: bool) -> Expr<'g> {
        self.graph.add(ops::ReduceMax { axes: axes.to_vec(), keep, first: false }, &[self])
    }

    /// The smallest element over axes, which are dropped or, if `keep`, stay with extent 1.
    #[track_caller]
    pub fn reduce_min(self, axes: &[usize], keep: bool) -> Expr<'g> {
        self.graph.add(ops::ReduceMin { axes: axes.to_vec(), keep }, &[self])
    }

    /// The product over axes, which are dropped or, if `keep`, stay with extent 1.
    #[track_caller]
    pub fn reduce_prod(self, axes: &[usize], keep: bool) -> Expr<'g> {
        self.graph.add(ops::ReduceProd { axes: axes.to_vec(), keep }, &[self])
    }

    /// The sum of all elements.
    #[track_caller]
    pub fn sum(self) -> Expr<'g> {
        self.reduce_sum(&(0..self.rank()).collect::<Vec<_>>(), false)
    }

    /// The mean over axes, which are dropped or, if `keep`, stay with extent 1. A mean over the batch divides by the
    /// batch size at hand. Floats only.
    #[track_caller]
    pub fn reduce_mean(self, axes: &[usize], keep: bool) -> Expr<'g> {
        let sum = self.reduce_sum(axes, keep);
        if self.is_poisoned() || sum.is_poisoned() {
            return sum;
        }
        let (mut count, mut symbolic) = (1.0, Vec::new());
        for &axis in axes {
            match self.shape().0[axis] {
                Extent::Const(c) => count *= c as f64,
                batch => symbolic.push(self.graph.extent(batch).cast(self.dtype())),
            }
        }
        symbolic.into_iter().fold(sum / count, |mean, extent| mean / extent)
    }

    /// The mean of all elements.
    #[track_caller]
    pub fn mean(self) -> Expr<'g> {
        self.reduce_mean(&(0..self.rank()).collect::<Vec<_>>(), false)
    }

    /// Coordinate of the largest element along an axis, i64.
    #[track_caller]
    pub fn argmax(self, axis: usize) -> Expr<'g> {
        self.graph.add(ops::Argmax { axis }, &[self])
    }

    /// Coordinate of the smallest element along an axis, i64.
    #[track_caller]
    pub fn argmin(self, axis: usize) -> Expr<'g> {
        self.graph.add(ops::Argmin { axis }, &[self])
    }

    /// The same elements in row-major order under another shape.
    #[track_caller]
    pub fn reshape(self, shape: impl Into<Shape>) -> Expr<'g> {
        self.graph.add(ops::Reshape { shape: shape.into() }, &[self])
    }

    /// A new axis of extent 1 before axis `axis`.
    #[track_caller]
    pub fn expand(self, axis: usize) -> Expr<'g> {
        let mut extents = self.shape().0;
        extents.insert(axis.min(extents.len()), Extent::Const(1));
        self.reshape(Shape(extents))
    }

    /// Elements `start .. end` of an axis; `None` where a part of a batch axis would be taken, which cannot be said.
    #[track_caller]
    pub fn slice_axis(self, axis: usize, start: Extent, end: Extent) -> Option<Expr<'g>> {
        let whole = start == Extent::Const(0) && self.shape().0.get(axis) == Some(&end);
        match (start, end) {
            _ if whole => Some(self),
            (Extent::Const(start), Extent::Const(end)) => Some(self.slice_fixed(axis, start, end)),
            _ => None,
        }
    }

    /// Elements `start .. end` of an axis.
    #[track_caller]
    pub fn slice_fixed(self, axis: usize, start: usize, end: usize) -> Expr<'g> {
        let mut limits = self.shape().0;
        let mut starts = vec![0; limits.len()];
        if let Some(limit) = limits.get_mut(axis) {
            (*limit, starts[axis]) = (Extent::Const(end), start);
        }
        let strides = vec![1; limits.len()];
        self.graph.add(ops::Slice { starts, limits, strides }, &[self])
    }

    /// `low` elements before and `high` behind those of an axis, all `value`.
    #[track_caller]
    pub fn pad_axis(self, axis: usize, low: usize, high: usize, value: f64) -> Expr<'g> {
        let at = |n: usize| (0..self.rank()).map(|d| if d == axis { n } else { 0 }).collect::<Vec<_>>();
        self.graph.add(ops::Pad { low: at(low), high: at(high), interior: at(0), value }, &[self])
    }

    /// Every window of `window` elements along axes, `strides` apart and with elements `dilation` apart, with the elements of a
    /// window on new axes at the end; see [`Windows`](ops::Windows).
    #[track_caller]
    pub fn windows(
        self,
        axes: &[usize],
        window: &[usize],
        strides: &[usize],
        dilation: &[usize],
    ) -> Expr<'g> {
        let [axes, window, strides, dilation] = [axes, window, strides, dilation].map(<[usize]>::to_vec);
        self.graph.add(ops::Windows { axes, window, strides, dilation }, &[self])
    }

    /// Elements in the opposite order along axes.
    #[track_caller]
    pub fn reverse(self, axes: &[usize]) -> Expr<'g> {
        self.graph.add(ops::Reverse { axes: axes.to_vec() }, &[self])
    }

    /// The running sum along an axis, each element included.
    #[track_caller]
    pub fn cumsum(self, axis: usize) -> Expr<'g> {
        self.graph.add(ops::Cumsum { axis, exclusive: false, reverse: false }, &[self])
    }

    /// Rows of this table at `indices` along an axis: an embedding lookup.
    #[track_caller]
    pub fn gather(self, indices: Expr<'g>, axis: usize) -> Expr<'g> {
        self.graph.add(ops::Gather { axis, batch_axes: 0 }, &[self, indices])
    }

    /// The indices themselves, after a check that all are below `bound`; another ends the call with an error.
    #[track_caller]
    pub fn check_index(self, bound: usize) -> Expr<'g> {
        self.graph.add(ops::CheckIndex { bound }, &[self])
    }

    /// A row per index with a one at the index.
    #[track_caller]
    pub fn one_hot(self, depth: usize, dtype: DType) -> Expr<'g> {
        self.graph.add(ops::OneHot { depth, dtype }, &[self])
    }
}

impl Graph {
    /// Values one after the other along an axis.
    #[track_caller]
    pub fn concat<'g>(&'g self, parts: &[Expr<'g>], axis: usize) -> Expr<'g> {
        self.add(ops::Concat { axis }, parts)
    }

    /// The coordinate on an axis.
    #[track_caller]
    pub fn iota(&self, dtype: DType, shape: impl Into<Shape>, axis: usize) -> Expr<'_> {
        self.add(ops::Iota { dtype, shape: shape.into(), axis }, &[])
    }

    /// An extent as i64, such as the batch size.
    #[track_caller]
    pub fn extent(&self, of: Extent) -> Expr<'_> {
        self.add(ops::ExtentOf { of }, &[])
    }

    /// f32 numbers from 0 to 1, anew for every step.
    #[track_caller]
    pub fn random_uniform(&self, shape: impl Into<Shape>) -> Expr<'_> {
        self.add(ops::RandomUniform { key: self.fresh_key(), dtype: DType::F32, shape: shape.into() }, &[])
    }

    /// f32 numbers from the normal distribution with mean 0 and variance 1, anew for every step.
    #[track_caller]
    pub fn random_normal(&self, shape: impl Into<Shape>) -> Expr<'_> {
        self.add(ops::RandomNormal { key: self.fresh_key(), dtype: DType::F32, shape: shape.into() }, &[])
    }
}
