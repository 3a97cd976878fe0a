//! Building scalar bodies.

use std::cell::RefCell;
use std::collections::HashMap;

use super::{
    Access, Affine, BinaryOp, Body, CompareOp, Extent, FoldOp, Guard, Inst, InstKind, ScalarId, Store,
    UnaryOp,
};
use crate::tensor::Scalar;
use crate::types::DType;

/// Appends instructions to a [`Body`], working out the type of each value from its operands.
///
/// Equal instructions become one value: a body only reads, and runs as a whole, so that changes nothing.
/// Methods take `&self`, so that calls nest:
///
/// ```
/// use bessemer_compiler::kernel::BodyBuilder;
/// use bessemer_compiler::types::DType;
///
/// let b = BodyBuilder::new();
/// let x = b.float(DType::F32, 3.0);
/// let y = b.add(b.mul(x, x), b.neg(x));
/// assert_eq!(b.dtype(y), DType::F32);
/// assert_eq!(b.finish().insts.len(), 4);
/// ```
///
/// # Panics
/// Every method panics if the types of the operands do not fit, or if an operand is of another body: the caller has
/// checked the graph.
#[derive(Debug, Default)]
pub struct BodyBuilder {
    parts: RefCell<Parts>,
}

#[derive(Debug, Default)]
struct Parts {
    body: Body,
    values: HashMap<Inst, ScalarId>,
}

/// Methods that name one operator each.
macro_rules! operators {
    ($($(#[$doc:meta])* $name:ident($($operand:ident),+) = $method:ident($op:expr);)*) => {
        $($(#[$doc])* pub fn $name(&self, $($operand: ScalarId),+) -> ScalarId {
            self.$method($op, $($operand),+)
        })*
    };
}

impl BodyBuilder {
    /// A builder of an empty body.
    pub fn new() -> BodyBuilder {
        BodyBuilder::default()
    }

    /// The body that was built.
    pub fn finish(self) -> Body {
        self.parts.into_inner().body
    }

    /// The type of a value.
    pub fn dtype(&self, value: ScalarId) -> DType {
        self.parts.borrow().body.insts[value].dtype
    }

    /// What a value is, if it is a constant.
    pub fn as_constant(&self, value: ScalarId) -> Option<Scalar> {
        match self.parts.borrow().body.insts[value].kind {
            InstKind::Const(c) => Some(c),
            _ => None,
        }
    }

    /// The value of an instruction, which is appended unless an equal one is there already.
    pub fn inst(&self, kind: InstKind, dtype: DType) -> ScalarId {
        let parts = &mut *self.parts.borrow_mut();
        let inst = Inst { kind, dtype };
        inst.kind.each_operand(|s| assert!(parts.body.insts.is_valid(s), "{s} is of another body"));
        match parts.values.get(&inst) {
            Some(&value) => value,
            None => {
                let value = parts.body.insts.push(inst.clone());
                parts.values.insert(inst, value);
                value
            }
        }
    }

    /// A constant.
    pub fn constant(&self, value: Scalar) -> ScalarId {
        self.inst(InstKind::Const(value), value.dtype())
    }

    /// A constant of a float type, rounded to nearest.
    pub fn float(&self, dtype: DType, value: f64) -> ScalarId {
        assert!(dtype.is_float(), "expected a float type, found {dtype}");
        self.constant(Scalar::F64(value).convert(dtype))
    }

    /// A constant of an integer type, reduced modulo its width.
    pub fn int(&self, dtype: DType, value: i64) -> ScalarId {
        assert!(dtype.is_int(), "expected an integer type, found {dtype}");
        self.constant(Scalar::I64(value).convert(dtype))
    }

    /// The constant `value` of any type, as op `cast` converts it.
    pub fn number(&self, dtype: DType, value: f64) -> ScalarId {
        self.constant(Scalar::F64(value).convert(dtype))
    }

    /// A constant of type bool.
    pub fn bool(&self, value: bool) -> ScalarId {
        self.constant(Scalar::Bool(value))
    }

    /// The value of an affine expression of the axes, as i32 or i64.
    pub fn index(&self, expr: Affine, dtype: DType) -> ScalarId {
        assert!(matches!(dtype, DType::I32 | DType::I64), "an index is i32 or i64, found {dtype}");
        self.inst(InstKind::Index(expr), dtype)
    }

    /// An extent, as i64.
    pub fn extent(&self, extent: Extent) -> ScalarId {
        self.inst(InstKind::Extent(extent), DType::I64)
    }

    /// An element of a buffer whose elements are of type `dtype`.
    pub fn load(&self, access: Access, dtype: DType) -> ScalarId {
        assert_eq!(access.fill.dtype(), dtype, "the fill is of another type than the buffer");
        self.inst(InstKind::Load(access), dtype)
    }

    /// An accumulator of the stage's fold, of type `dtype`; see [`InstKind::Acc`].
    pub fn acc(&self, index: usize, before: bool, dtype: DType) -> ScalarId {
        self.inst(InstKind::Acc { index, before }, dtype)
    }

    /// Whether all guards hold, as bool.
    pub fn in_bounds(&self, guards: Vec<Guard>) -> ScalarId {
        self.inst(InstKind::InBounds(guards), DType::Bool)
    }

    /// The index `value`, checked; see [`InstKind::Check`].
    pub fn check(&self, value: ScalarId, site: usize, position: Affine) -> ScalarId {
        let dtype = self.dtype(value);
        assert!(matches!(dtype, DType::I32 | DType::I64), "an index is i32 or i64, found {dtype}");
        self.inst(InstKind::Check { value, site, position }, dtype)
    }

    /// A word of a block of random bits, as i64; see [`InstKind::Philox`].
    pub fn philox(&self, key: u64, seed: ScalarId, step: ScalarId, element: ScalarId, word: u8) -> ScalarId {
        for operand in [seed, step, element] {
            self.expect(operand, DType::I64);
        }
        assert!(word < 4, "a block has four words");
        self.inst(InstKind::Philox { key, seed, step, element, word }, DType::I64)
    }

    /// A function of one operand.
    pub fn unary(&self, op: UnaryOp, a: ScalarId) -> ScalarId {
        self.inst(InstKind::Unary(op, a), self.dtype(a))
    }

    /// A function of two operands of one type.
    pub fn binary(&self, op: BinaryOp, a: ScalarId, b: ScalarId) -> ScalarId {
        self.expect(b, self.dtype(a));
        self.inst(InstKind::Binary(op, a, b), self.dtype(a))
    }

    /// A comparison of two operands of one type, as bool.
    pub fn compare(&self, op: CompareOp, a: ScalarId, b: ScalarId) -> ScalarId {
        self.expect(b, self.dtype(a));
        self.inst(InstKind::Compare(op, a, b), DType::Bool)
    }

    /// `a · b + c` on floats, with one rounding where the CPU level has it.
    pub fn fma(&self, a: ScalarId, b: ScalarId, c: ScalarId) -> ScalarId {
        let dtype = self.dtype(a);
        assert!(dtype.is_float(), "fma is on floats, found {dtype}");
        self.expect(b, dtype);
        self.expect(c, dtype);
        self.inst(InstKind::Fma(a, b, c), dtype)
    }

    /// `if condition { a } else { b }`, for a bool and two values of one type.
    pub fn select(&self, condition: ScalarId, a: ScalarId, b: ScalarId) -> ScalarId {
        self.expect(condition, DType::Bool);
        self.expect(b, self.dtype(a));
        self.inst(InstKind::Select(condition, a, b), self.dtype(a))
    }

    /// The operand converted as op `cast` defines it; the operand itself if it is of that type.
    pub fn convert(&self, a: ScalarId, dtype: DType) -> ScalarId {
        if self.dtype(a) == dtype { a } else { self.inst(InstKind::Convert(a), dtype) }
    }

    /// The operand's bits as a type of the same size; the operand itself if it is of that type.
    pub fn bitcast(&self, a: ScalarId, dtype: DType) -> ScalarId {
        let from = self.dtype(a);
        assert_eq!(from.bytes(), dtype.bytes(), "bitcast from {from} to {dtype}");
        if from == dtype { a } else { self.inst(InstKind::Bitcast(a), dtype) }
    }

    operators! {
        /// `-a`; integers wrap.
        neg(a) = unary(UnaryOp::Neg);
        /// The magnitude; of the least integer, itself.
        abs(a) = unary(UnaryOp::Abs);
        /// The square root, correctly rounded.
        sqrt(a) = unary(UnaryOp::Sqrt);
        /// The largest integer that is not larger.
        floor(a) = unary(UnaryOp::Floor);
        /// The smallest integer that is not smaller.
        ceil(a) = unary(UnaryOp::Ceil);
        /// The nearest integer, halves to even.
        round(a) = unary(UnaryOp::Round);
        /// Logical on bool, bitwise on integers.
        not(a) = unary(UnaryOp::Not);
        /// The sum.
        add(a, b) = binary(BinaryOp::Add);
        /// The difference.
        sub(a, b) = binary(BinaryOp::Sub);
        /// The product.
        mul(a, b) = binary(BinaryOp::Mul);
        /// The quotient; see [`BinaryOp::Div`] for integers.
        div(a, b) = binary(BinaryOp::Div);
        /// The smaller; NaN wins.
        min(a, b) = binary(BinaryOp::Min);
        /// The larger; NaN wins.
        max(a, b) = binary(BinaryOp::Max);
        /// Logical on bool, bitwise on integers.
        and(a, b) = binary(BinaryOp::And);
        /// Logical on bool, bitwise on integers.
        or(a, b) = binary(BinaryOp::Or);
        /// Logical on bool, bitwise on integers.
        xor(a, b) = binary(BinaryOp::Xor);
        /// `a` shifted left by `b` bits.
        shl(a, b) = binary(BinaryOp::Shl);
        /// `a` shifted right by `b` bits, filling with zeros.
        shr_logical(a, b) = binary(BinaryOp::ShrLogical);
        /// `a` shifted right by `b` bits, filling with the sign.
        shr_arith(a, b) = binary(BinaryOp::ShrArith);
        /// `a == b`.
        eq(a, b) = compare(CompareOp::Eq);
        /// `a != b`; the only comparison that holds where an operand is NaN.
        ne(a, b) = compare(CompareOp::Ne);
        /// `a < b`.
        lt(a, b) = compare(CompareOp::Lt);
        /// `a <= b`.
        le(a, b) = compare(CompareOp::Le);
        /// `a > b`.
        gt(a, b) = compare(CompareOp::Gt);
        /// `a >= b`.
        ge(a, b) = compare(CompareOp::Ge);
    }

    fn expect(&self, value: ScalarId, dtype: DType) {
        let found = self.dtype(value);
        assert_eq!(found, dtype, "expected {value} to be {dtype}, found {found}");
    }
}

impl InstKind {
    /// Calls `f` with every operand, in order.
    pub fn each_operand(&self, mut f: impl FnMut(ScalarId)) {
        match *self {
            InstKind::Const(_)
            | InstKind::Index(_)
            | InstKind::Extent(_)
            | InstKind::Acc { .. }
            | InstKind::InBounds(_) => {}
            InstKind::Load(ref access) => access.indirect.iter().for_each(|i| f(i.value)),
            InstKind::Unary(_, a) | InstKind::Convert(a) | InstKind::Bitcast(a) => f(a),
            InstKind::Check { value, .. } => f(value),
            InstKind::Binary(_, a, b) | InstKind::Compare(_, a, b) => [a, b].into_iter().for_each(f),
            InstKind::Fma(a, b, c) | InstKind::Select(a, b, c) => [a, b, c].into_iter().for_each(f),
            InstKind::Philox { seed, step, element, .. } => [seed, step, element].into_iter().for_each(f),
        }
    }

    /// Calls `f` with every operand, in order, to change it.
    pub fn each_operand_mut(&mut self, mut f: impl FnMut(&mut ScalarId)) {
        match self {
            InstKind::Const(_)
            | InstKind::Index(_)
            | InstKind::Extent(_)
            | InstKind::Acc { .. }
            | InstKind::InBounds(_) => {}
            InstKind::Load(access) => access.indirect.iter_mut().for_each(|i| f(&mut i.value)),
            InstKind::Unary(_, a) | InstKind::Convert(a) | InstKind::Bitcast(a) => f(a),
            InstKind::Check { value, .. } => f(value),
            InstKind::Binary(_, a, b) | InstKind::Compare(_, a, b) => [a, b].into_iter().for_each(f),
            InstKind::Fma(a, b, c) | InstKind::Select(a, b, c) => [a, b, c].into_iter().for_each(f),
            InstKind::Philox { seed, step, element, .. } => [seed, step, element].into_iter().for_each(f),
        }
    }
}

impl FoldOp {
    /// Calls `f` with every operand, in order, to change it.
    pub fn each_operand_mut(&mut self, mut f: impl FnMut(&mut ScalarId)) {
        match self {
            FoldOp::Sum(a)
            | FoldOp::Prod(a)
            | FoldOp::Max(a)
            | FoldOp::Min(a)
            | FoldOp::ArgMax(a)
            | FoldOp::ArgMin(a) => f(a),
            FoldOp::Dot(a, b) => [a, b].into_iter().for_each(f),
        }
    }
}

impl Store {
    /// Calls `f` with the value that is kept and with an indirect coordinate, to change them.
    pub fn each_operand_mut(&mut self, mut f: impl FnMut(&mut ScalarId)) {
        f(&mut self.value);
        self.indirect.iter_mut().for_each(|i| f(&mut i.value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_instructions_are_one_value() {
        let b = BodyBuilder::new();
        let x = b.acc(0, false, DType::F32);
        let one = b.float(DType::F32, 1.0);
        assert_eq!(b.add(x, one), b.add(x, b.number(DType::F32, 1.0)));
        assert_ne!(b.add(x, one), b.sub(x, one));
        // Zeros of either sign are different constants.
        assert_ne!(b.float(DType::F32, 0.0), b.float(DType::F32, -0.0));
        assert_eq!(b.finish().insts.len(), 6);
    }

    #[test]
    fn types_follow_from_operands() {
        let b = BodyBuilder::new();
        let x = b.acc(0, false, DType::F64);
        assert_eq!(b.dtype(b.lt(x, x)), DType::Bool);
        assert_eq!(b.dtype(b.bitcast(x, DType::I64)), DType::I64);
        assert_eq!(b.dtype(b.convert(x, DType::U8)), DType::U8);
        assert_eq!(b.convert(x, DType::F64), x);
        assert_eq!(b.as_constant(b.int(DType::I32, -1)), Some(Scalar::I32(-1)));
    }

    #[test]
    #[should_panic(expected = "expected s1 to be f32, found f64")]
    fn operands_of_different_types_are_refused() {
        let b = BodyBuilder::new();
        b.add(b.float(DType::F32, 1.0), b.float(DType::F64, 1.0));
    }
}
