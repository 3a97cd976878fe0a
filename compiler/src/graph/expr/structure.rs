//! Products, sums over axes and changes of shape.

use super::{Expr, broadcast_shapes};
use crate::ops;
use crate::types::Shape;

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
            if let Some(batch) = broadcast_shapes(&batch_a, &batch_b) {
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
}
