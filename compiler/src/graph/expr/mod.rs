//! Values as Rust expressions: `x.matmul(w) + b`.

mod elementwise;
mod structure;

pub use elementwise::Operand;
pub(crate) use elementwise::broadcast_shapes;

use std::panic::Location;
use std::sync::Arc;

use cranelift_entity::packed_option::ReservedValue;

use super::{Graph, ValueDef, ValueId};
use crate::diagnostic::Diagnostic;
use crate::ops::{self, Op};
use crate::tensor::{Scalar, Tensor};
use crate::types::{DType, Extent, Shape, TensorType};

/// A value of a function under construction. Arithmetic on it adds nodes, with operands broadcast by NumPy's rules.
#[derive(Clone, Copy)]
pub struct Expr<'g> {
    graph: &'g Graph,
    value: ValueId,
}

impl<'g> Expr<'g> {
    pub(super) fn new(graph: &'g Graph, value: ValueId) -> Expr<'g> {
        Expr { graph, value }
    }

    /// Which value of the function this is.
    pub fn id(self) -> ValueId {
        self.value
    }

    /// The function that the value belongs to.
    pub fn graph(self) -> &'g Graph {
        self.graph
    }

    /// Whether this stands for a value that could not be computed.
    pub fn is_poisoned(self) -> bool {
        self.value.is_reserved_value()
    }

    /// Dtype and shape; f32[] for a poisoned value.
    pub fn ty(self) -> TensorType {
        match self.is_poisoned() {
            true => TensorType::scalar(DType::F32),
            false => self.graph.borrow().ty(self.value).clone(),
        }
    }

    /// Element type.
    pub fn dtype(self) -> DType {
        self.ty().dtype
    }

    /// Extents.
    pub fn shape(self) -> Shape {
        self.ty().shape
    }

    /// Number of axes.
    pub fn rank(self) -> usize {
        self.ty().rank()
    }

    /// The op that computes this value, and its operands; `None` for a parameter.
    pub fn def(self) -> Option<(Op, Vec<Expr<'g>>)> {
        let function = self.graph.borrow();
        match function.values.get(self.value)?.def {
            ValueDef::Param(_) => None,
            ValueDef::Node(node, _) => {
                let node = &function.nodes[node];
                Some((node.op.clone(), node.operands.iter().map(|&v| self.graph.expr(v)).collect()))
            }
        }
    }

    /// The one number that all elements are, if that is known: a constant, or a broadcast of one.
    pub fn as_splat(self) -> Option<Scalar> {
        match self.def()? {
            (Op::Constant(constant), _) => constant.splat(),
            (Op::Broadcast(_), operands) => operands[0].as_splat(),
            _ => None,
        }
    }

    /// The elements, if they are written in the graph.
    pub fn as_constant(self) -> Option<Arc<Tensor>> {
        match self.def()? {
            (Op::Constant(constant), _) => Some(constant.shared()),
            _ => None,
        }
    }

    /// Whether the value is a constant, or moved elements of constants.
    pub fn is_known(self) -> bool {
        self.def().is_some_and(|(op, operands)| {
            let moves = op.traits().view && !operands.is_empty();
            self.as_constant().is_some() || (moves && operands.into_iter().all(Expr::is_known))
        })
    }

    /// What this repeats by being broadcast; itself if it is not.
    pub fn unrepeated(self) -> Expr<'g> {
        match self.def() {
            Some((Op::Broadcast(_), operands)) => operands[0].unrepeated(),
            _ => self,
        }
    }

    /// Whether every element is known to be `number`.
    pub fn is_splat(self, number: f64) -> bool {
        self.as_splat().is_some_and(|s| s == Scalar::F64(number).convert(s.dtype()))
    }

    /// Gives the value a name, within the current scope.
    pub fn named(self, name: &str) -> Expr<'g> {
        if !self.is_poisoned() {
            self.graph.name(self.value, name);
        }
        self
    }

    /// A scalar of this value's dtype.
    #[track_caller]
    pub fn constant_like(self, number: f64) -> Expr<'g> {
        self.graph.scalar(self.dtype(), number)
    }

    /// A tensor of this value's type with all elements alike.
    #[track_caller]
    pub fn full_like(self, number: f64) -> Expr<'g> {
        self.constant_like(number).broadcast_to(self.shape())
    }

    /// The extent of an axis, counted from the end if negative; E0214 and 1 if there is no such axis.
    #[track_caller]
    pub fn extent(self, axis: isize) -> Extent {
        self.axis(axis).map_or(Extent::Const(1), |a| self.shape().0[a])
    }

    /// An axis counted from the front, given one counted from the end if negative; E0214 if there is no such axis.
    #[track_caller]
    pub fn axis(self, axis: isize) -> Option<usize> {
        if self.is_poisoned() {
            return None;
        }
        let rank = self.rank() as isize;
        let counted = if axis < 0 { axis + rank } else { axis };
        if (0..rank).contains(&counted) {
            return Some(counted as usize);
        }
        let place = self.graph.here(Location::caller());
        let error = Diagnostic::new("E0214", format!("there is no axis {axis}"))
            .at(place, format!("the value is {}", self.ty()));
        self.graph.poison(error);
        None
    }
}

impl Graph {
    /// A scalar constant.
    #[track_caller]
    pub fn scalar(&self, dtype: DType, number: f64) -> Expr<'_> {
        self.add(ops::Constant::scalar(Scalar::F64(number).convert(dtype)), &[])
    }

    /// A constant.
    #[track_caller]
    pub fn constant(&self, tensor: impl Into<Tensor>) -> Expr<'_> {
        self.add(ops::Constant::new(tensor.into()), &[])
    }
}
