//! How a fold combines: identities, elements into results, results into one.

use super::emitter::{VectorEmitter, VectorType};
use crate::kernel::{BinaryOp, CompareOp, FoldOp};
use crate::tensor::Scalar;
use crate::types::DType;

/// One accumulator of a fold, as it is kept in registers: a result, and for argmax and argmin the position as well.
#[derive(Clone, Copy, Debug)]
pub(super) struct Combine {
    pub(super) op: FoldOp,
    /// Type of the operands.
    pub(super) dtype: DType,
    /// Type of positions while the fold runs.
    pub(super) position: DType,
}

/// The least or the largest value of a dtype.
fn extreme(dtype: DType, largest: bool) -> Scalar {
    match (dtype, largest) {
        (DType::F32, true) => Scalar::F32(f32::INFINITY),
        (DType::F32, false) => Scalar::F32(f32::NEG_INFINITY),
        (DType::F64, true) => Scalar::F64(f64::INFINITY),
        (DType::F64, false) => Scalar::F64(f64::NEG_INFINITY),
        (DType::I32, true) => Scalar::I32(i32::MAX),
        (DType::I32, false) => Scalar::I32(i32::MIN),
        (DType::I64, true) => Scalar::I64(i64::MAX),
        (DType::I64, false) => Scalar::I64(i64::MIN),
        (DType::U8, true) => Scalar::U8(u8::MAX),
        (DType::U8, false) => Scalar::U8(u8::MIN),
        (DType::Bool, largest) => Scalar::Bool(largest),
        (DType::F16 | DType::BF16, _) => unreachable!("no op accepts {dtype} yet"),
    }
}

impl Combine {
    /// Number of values that it keeps.
    pub(super) fn slots(self) -> usize {
        if self.is_position() { 2 } else { 1 }
    }

    /// Whether the result is a position.
    pub(super) fn is_position(self) -> bool {
        matches!(self.op, FoldOp::ArgMax(_) | FoldOp::ArgMin(_))
    }

    /// The dtype of a value that it keeps.
    pub(super) fn slot_dtype(self, slot: usize) -> DType {
        if slot == 0 { self.dtype } else { self.position }
    }

    /// What it starts from. Where no element was seen, position 0 with the least value stands for position 0's own value:
    /// whatever that is, it wins.
    pub(super) fn start<E: VectorEmitter>(self, e: &mut E, slot: usize, lanes: usize) -> E::Value {
        let identity = match (slot, self.op) {
            (1, _) => Scalar::zero(self.position),
            (_, FoldOp::Sum(_) | FoldOp::Dot(..)) => Scalar::zero(self.dtype),
            (_, FoldOp::Prod(_)) => Scalar::Bool(true).convert(self.dtype),
            (_, FoldOp::Max(_) | FoldOp::ArgMax(_)) => extreme(self.dtype, false),
            (_, FoldOp::Min(_) | FoldOp::ArgMin(_)) => extreme(self.dtype, true),
        };
        e.constant(identity, lanes)
    }

    /// Takes in an element: the operands, and the position where that matters.
    pub(super) fn element<E: VectorEmitter>(
        self,
        e: &mut E,
        lanes: usize,
        kept: &[E::Value],
        operands: &[E::Value],
        position: Option<E::Value>,
    ) -> Vec<E::Value> {
        let ty = VectorType { dtype: self.dtype, lanes };
        match (self.op, position) {
            (FoldOp::Dot(..), _) => vec![e.fma(ty, operands[0], operands[1], kept[0])],
            (FoldOp::ArgMax(_) | FoldOp::ArgMin(_), Some(position)) => {
                let wins = self.wins(e, ty, operands[0], kept[0]);
                self.choose(e, ty, wins, &[operands[0], position], kept)
            }
            _ => self.results(e, lanes, kept, &operands[..1]),
        }
    }

    /// Combines two results; of equal ones, argmax and argmin take the smaller position.
    pub(super) fn results<E: VectorEmitter>(
        self,
        e: &mut E,
        lanes: usize,
        a: &[E::Value],
        b: &[E::Value],
    ) -> Vec<E::Value> {
        let ty = VectorType { dtype: self.dtype, lanes };
        let op = match self.op {
            FoldOp::Sum(_) | FoldOp::Dot(..) => BinaryOp::Add,
            FoldOp::Prod(_) => BinaryOp::Mul,
            FoldOp::Max(_) => BinaryOp::Max,
            FoldOp::Min(_) => BinaryOp::Min,
            FoldOp::ArgMax(_) | FoldOp::ArgMin(_) => {
                let wins = self.wins(e, ty, b[0], a[0]);
                let loses = self.wins(e, ty, a[0], b[0]);
                let earlier = e.compare(CompareOp::Lt, ty.with_dtype(self.position), b[1], a[1]);
                let bool_type = ty.with_dtype(DType::Bool);
                let not_less = e.unary(crate::kernel::UnaryOp::Not, bool_type, loses);
                let tie = e.binary(BinaryOp::And, bool_type, earlier, not_less);
                let wins = e.binary(BinaryOp::Or, bool_type, wins, tie);
                return self.choose(e, ty, wins, b, a);
            }
        };
        vec![e.binary(op, ty, a[0], b[0])]
    }

    /// Whether `a` beats `b`: it is larger (smaller), or the only NaN.
    fn wins<E: VectorEmitter>(self, e: &mut E, ty: VectorType, a: E::Value, b: E::Value) -> E::Value {
        let op = if matches!(self.op, FoldOp::ArgMax(_)) { CompareOp::Gt } else { CompareOp::Lt };
        let beats = e.compare(op, ty, a, b);
        if !self.dtype.is_float() {
            return beats;
        }
        let bool_type = ty.with_dtype(DType::Bool);
        let is_nan = e.compare(CompareOp::Ne, ty, a, a);
        let other_is_not = e.compare(CompareOp::Eq, ty, b, b);
        let only_nan = e.binary(BinaryOp::And, bool_type, is_nan, other_is_not);
        e.binary(BinaryOp::Or, bool_type, beats, only_nan)
    }

    fn choose<E: VectorEmitter>(
        self,
        e: &mut E,
        ty: VectorType,
        c: E::Value,
        a: &[E::Value],
        b: &[E::Value],
    ) -> Vec<E::Value> {
        (0..2).map(|slot| e.select(ty.with_dtype(self.slot_dtype(slot)), c, a[slot], b[slot])).collect()
    }
}
