//! Arithmetic and functions of one element at a time, with operands broadcast by NumPy's rules.

use super::Expr;
use crate::ops::{self, Op};
use crate::types::{Extent, Shape};

impl<'g> Expr<'g> {
    /// Adds an elementwise op of two operands, broadcasting both by NumPy's rules.
    #[track_caller]
    pub fn binary(self, op: impl Into<Op>, other: Expr<'g>) -> Expr<'g> {
        if self.is_poisoned() || other.is_poisoned() {
            return if self.is_poisoned() { self } else { other };
        }
        match broadcast_shapes(&self.shape(), &other.shape()) {
            Some(shape) => self.graph.add(op, &[self.broadcast_to(shape.clone()), other.broadcast_to(shape)]),
            // The op says what is wrong with the operands.
            None => self.graph.add(op, &[self, other]),
        }
    }
}

/// The shape that both broadcast to by NumPy's rules: aligned at the last axis, extents equal or one of them 1.
pub(super) fn broadcast_shapes(a: &Shape, b: &Shape) -> Option<Shape> {
    let rank = a.rank().max(b.rank());
    let one = Extent::Const(1);
    let at = |s: &Shape, i: usize| (i + s.rank()).checked_sub(rank).map_or(one, |j| s.0[j]);
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y => Some(x),
            (x, y) if y == one => Some(x),
            (x, y) if x == one => Some(y),
            _ => None,
        })
        .collect::<Option<Vec<_>>>()
        .map(Shape)
}

macro_rules! operators {
    ($($trait:ident $method:ident $op:ident;)*) => {
        $(impl<'g> std::ops::$trait for Expr<'g> {
            type Output = Expr<'g>;
            #[track_caller]
            fn $method(self, other: Expr<'g>) -> Expr<'g> {
                self.binary(ops::$op {}, other)
            }
        }

        impl<'g> std::ops::$trait<f64> for Expr<'g> {
            type Output = Expr<'g>;
            #[track_caller]
            fn $method(self, other: f64) -> Expr<'g> {
                self.binary(ops::$op {}, self.constant_like(other))
            }
        }

        impl<'g> std::ops::$trait<Expr<'g>> for f64 {
            type Output = Expr<'g>;
            #[track_caller]
            fn $method(self, other: Expr<'g>) -> Expr<'g> {
                other.constant_like(self).binary(ops::$op {}, other)
            }
        })*
    };
}

operators! {
    Add add Add;
}
