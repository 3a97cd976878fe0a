//! Arithmetic and functions of one element at a time, with operands broadcast by NumPy's rules.

use super::Expr;
use crate::kernel::CompareOp;
use crate::ops::{self, Op};
use crate::types::{DType, Extent, Shape};

/// What may stand beside an expression: another one, or a number, which becomes a scalar of the other's dtype.
pub trait Operand<'g> {
    /// The operand as an expression, beside `other`.
    #[track_caller]
    fn beside(self, other: Expr<'g>) -> Expr<'g>;
}

impl<'g> Operand<'g> for Expr<'g> {
    fn beside(self, _: Expr<'g>) -> Expr<'g> {
        self
    }
}

impl<'g> Operand<'g> for f64 {
    #[track_caller]
    fn beside(self, other: Expr<'g>) -> Expr<'g> {
        other.constant_like(self)
    }
}

/// Methods that add an op without attributes.
macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident($($operand:ident)?) = $op:expr;)*) => {
        $($(#[$doc])* #[track_caller] pub fn $name(self $(, $operand: impl Operand<'g>)?) -> Expr<'g> {
            self.elementwise($op, &[$($operand.beside(self))?])
        })*
    };
}

impl<'g> Expr<'g> {
    methods! {
        /// The magnitude; see [`Abs`](ops::Abs).
        abs() = ops::Abs {};
        /// -1, 0 or 1; see [`Sign`](ops::Sign).
        sign() = ops::Sign {};
        /// `e^x`.
        exp() = ops::Exp {};
        /// `e^x - 1`, exact near zero.
        expm1() = ops::Expm1 {};
        /// The natural logarithm.
        log() = ops::Log {};
        /// `log(1 + x)`, exact near zero.
        log1p() = ops::Log1p {};
        /// The square root.
        sqrt() = ops::Sqrt {};
        /// `1 / √x`.
        rsqrt() = ops::Rsqrt {};
        /// The sine of radians.
        sin() = ops::Sin {};
        /// The cosine of radians.
        cos() = ops::Cos {};
        /// The hyperbolic tangent.
        tanh() = ops::Tanh {};
        /// The error function; see [`Erf`](ops::Erf).
        erf() = ops::Erf {};
        /// The inverse of [`erf`](Expr::erf).
        erf_inv() = ops::ErfInv {};
        /// `1 / (1 + e^-x)`.
        sigmoid() = ops::Sigmoid {};
        /// The largest integer that is not larger.
        floor() = ops::Floor {};
        /// The smallest integer that is not smaller.
        ceil() = ops::Ceil {};
        /// The nearest integer, halves to even.
        round() = ops::Round {};
        /// The value, through which no gradient flows.
        stop_gradient() = ops::StopGradient {};
        /// `self^exponent`; see [`Pow`](ops::Pow).
        pow(exponent) = ops::Pow {};
        /// The smaller; NaN wins. At ties the gradient goes to `other`.
        min(other) = ops::Min {};
        /// The larger; NaN wins. At ties the gradient goes to `other`.
        max(other) = ops::Max {};
        /// Whether both are equal, as bool; see [`Compare`](ops::Compare).
        eq(other) = ops::Compare { direction: CompareOp::Eq };
        /// Whether they differ, as bool; the only comparison that holds where one is NaN.
        ne(other) = ops::Compare { direction: CompareOp::Ne };
        /// Whether this is less, as bool.
        lt(other) = ops::Compare { direction: CompareOp::Lt };
        /// Whether this is less or equal, as bool.
        le(other) = ops::Compare { direction: CompareOp::Le };
        /// Whether this is greater, as bool.
        gt(other) = ops::Compare { direction: CompareOp::Gt };
        /// Whether this is greater or equal, as bool.
        ge(other) = ops::Compare { direction: CompareOp::Ge };
    }

    /// `a` where this condition holds, else `b`; see [`Select`](ops::Select).
    #[track_caller]
    pub fn select(self, a: Expr<'g>, b: impl Operand<'g>) -> Expr<'g> {
        self.elementwise(ops::Select {}, &[a, b.beside(a)])
    }

    /// The value as another dtype, itself if it has that dtype; see [`Cast`](ops::Cast).
    #[track_caller]
    pub fn cast(self, to: DType) -> Expr<'g> {
        if self.is_poisoned() || self.dtype() == to {
            return self;
        }
        self.graph.add(ops::Cast { to }, &[self])
    }

    /// Adds an elementwise op of this and further operands, broadcasting all by NumPy's rules.
    #[track_caller]
    pub fn elementwise(self, op: impl Into<Op>, others: &[Expr<'g>]) -> Expr<'g> {
        let operands: Vec<Expr<'g>> = [&[self], others].concat();
        if let Some(&poisoned) = operands.iter().find(|e| e.is_poisoned()) {
            return poisoned;
        }
        let shapes = operands.iter().map(|e| e.shape());
        let common = shapes.map(Some).reduce(|a, b| broadcast_shapes(&a?, &b?)).flatten();
        match common {
            Some(shape) => {
                let same: Vec<_> = operands.iter().map(|e| e.broadcast_to(shape.clone())).collect();
                self.graph.add(op, &same)
            }
            // The op says what is wrong with the operands.
            None => self.graph.add(op, &operands),
        }
    }
}

/// The shape that both broadcast to by NumPy's rules: aligned at the last axis, extents equal or one of them 1.
pub(crate) fn broadcast_shapes(a: &Shape, b: &Shape) -> Option<Shape> {
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

/// Operators of two operands, between expressions and numbers.
macro_rules! binary_operators {
    ($($trait:ident $method:ident $op:ident;)*) => {
        $(impl<'g, T: Operand<'g>> std::ops::$trait<T> for Expr<'g> {
            type Output = Expr<'g>;
            #[track_caller]
            fn $method(self, other: T) -> Expr<'g> {
                self.elementwise(ops::$op {}, &[other.beside(self)])
            }
        }

        impl<'g> std::ops::$trait<Expr<'g>> for f64 {
            type Output = Expr<'g>;
            #[track_caller]
            fn $method(self, other: Expr<'g>) -> Expr<'g> {
                self.beside(other).elementwise(ops::$op {}, &[other])
            }
        })*
    };
}

binary_operators! {
    Add add Add;
    Sub sub Sub;
    Mul mul Mul;
    Div div Div;
}

/// Operators between expressions only.
macro_rules! operators {
    ($($trait:ident $method:ident($($other:ident)?) $op:ident;)*) => {
        $(impl<'g> std::ops::$trait for Expr<'g> {
            type Output = Expr<'g>;
            #[track_caller]
            fn $method(self $(, $other: Expr<'g>)?) -> Expr<'g> {
                self.elementwise(ops::$op {}, &[$($other)?])
            }
        })*
    };
}

operators! {
    Neg neg() Neg;
    Not not() Not;
    BitAnd bitand(other) And;
    BitOr bitor(other) Or;
}
