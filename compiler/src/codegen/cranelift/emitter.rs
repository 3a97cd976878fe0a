//! The emitter itself.

use std::collections::HashMap;

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{
    Block, InstBuilder, MemFlagsData, SigRef, StackSlotData, StackSlotKind, Value, types,
};
use cranelift_frontend::FunctionBuilder;
use target_lexicon::Architecture;

use super::clif_type;
use super::control::CraneliftLoop;
use crate::codegen::Target;
use crate::codegen::emitter::{CheckedIndex, VectorEmitter, VectorType, WordTest};
use crate::kernel::{BinaryOp, CompareOp, UnaryOp, scalar};
use crate::tensor::Scalar;
use crate::types::DType;

/// Emits into the current block of a function.
pub(super) struct CraneliftEmitter<'a, 'f> {
    pub(super) builder: &'a mut FunctionBuilder<'f>,
    has_fma: bool,
    pub(super) is_x86: bool,
    pub(super) loads_apart: bool,
    pub(super) context: Value,
    fills: HashMap<Scalar, Value>,
    pub(super) report: Option<SigRef>,
}

impl<'a, 'f> CraneliftEmitter<'a, 'f> {
    /// An emitter for a function whose entry block is the current one. `context` is the pointer to the context, and
    /// `fills` are the constants whose addresses will be asked for.
    pub(super) fn new(
        builder: &'a mut FunctionBuilder<'f>,
        target: &Target,
        context: Value,
        fills: &[Scalar],
    ) -> CraneliftEmitter<'a, 'f> {
        let mut emitter = CraneliftEmitter {
            builder,
            has_fma: target.has_fma(),
            loads_apart: target.loads_apart(),
            is_x86: target.triple().architecture == Architecture::X86_64,
            context,
            fills: HashMap::new(),
            report: None,
        };
        for &fill in fills {
            if !emitter.fills.contains_key(&fill) {
                let address = emitter.place(fill);
                emitter.fills.insert(fill, address);
            }
        }
        emitter
    }

    /// Puts 16 bytes of a constant on the stack.
    fn place(&mut self, constant: Scalar) -> Value {
        let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, 16, 4);
        let slot = self.builder.create_sized_stack_slot(slot);
        let address = self.builder.ins().stack_addr(types::I64, slot, 0);
        let width = constant.dtype().bytes();
        let word = (0..8 / width).fold(0, |word, i| word | (constant.bits() << (8 * width * i)));
        let word = self.builder.ins().iconst(types::I64, word as i64);
        for offset in [0, 8] {
            self.builder.ins().store(MemFlagsData::trusted(), word, address, offset);
        }
        address
    }

    /// Keeps a u8 vector within 0 .. 256.
    pub(super) fn wrap(&mut self, ty: VectorType, a: Value) -> Value {
        if ty.lanes > 1 && ty.dtype == DType::U8 {
            let mask = self.constant(Scalar::U8(255), ty.lanes);
            self.builder.ins().band(a, mask)
        } else {
            a
        }
    }

    /// A vector or scalar of integers that are all `value`, of the representation of `ty`.
    pub(super) fn int(&mut self, ty: VectorType, value: i64) -> Value {
        let clif = clif_type(ty);
        let lane = self.builder.ins().iconst(clif.lane_type(), value & mask(clif.lane_bits()));
        if ty.lanes > 1 { self.builder.ins().splat(clif, lane) } else { lane }
    }

    /// 0 or 1 from a bool, in the integers of its representation.
    pub(super) fn bool_to_int(&mut self, lanes: usize, a: Value) -> Value {
        if lanes == 1 {
            return a;
        }
        let one = self.int(VectorType { dtype: DType::Bool, lanes }, 1);
        self.builder.ins().band(a, one)
    }
}

/// The lowest `bits` bits.
pub(super) fn mask(bits: u32) -> i64 {
    if bits >= 64 { -1 } else { (1 << bits) - 1 }
}

impl VectorEmitter for CraneliftEmitter<'_, '_> {
    type Value = Value;
    type Word = Value;
    type Loop = CraneliftLoop;
    type If = Block;

    fn begin_loop(&mut self, first: Value, carried: &[Value]) -> (CraneliftLoop, Value, Vec<Value>) {
        self.open_loop(first, carried)
    }

    fn end_loop(&mut self, inner: CraneliftLoop, step: usize, end: Value, carried: &[Value]) -> Vec<Value> {
        self.close_loop(inner, step, end, carried)
    }

    fn begin_if(&mut self, test: WordTest, word: Value, number: usize) -> Block {
        self.open_if(test, word, number)
    }

    fn end_if(&mut self, inner: Block) {
        self.builder.ins().jump(inner, &[]);
        self.builder.switch_to_block(inner);
    }

    fn mostly(
        &mut self,
        ty: VectorType,
        c: Value,
        then: &mut dyn FnMut(&mut Self) -> Value,
        otherwise: &mut dyn FnMut(&mut Self) -> Value,
    ) -> Value {
        self.usual_or_rare(ty, c, then, otherwise)
    }

    fn word(&mut self, value: i64) -> Value {
        self.builder.ins().iconst(types::I64, value)
    }

    fn word_add(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().iadd(a, b)
    }

    fn word_sub(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().isub(a, b)
    }

    fn word_min(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().smin(a, b)
    }

    fn word_times(&mut self, a: Value, factor: i64) -> Value {
        match factor {
            1 => a,
            f if f > 0 && f.count_ones() == 1 => {
                self.builder.ins().ishl_imm_u(a, i64::from(f.trailing_zeros()))
            }
            f => self.builder.ins().imul_imm_s(a, f),
        }
    }

    fn word_divide(&mut self, a: Value, by: usize) -> Value {
        self.builder.ins().udiv_imm_u(a, by as i64)
    }

    fn word_within(&mut self, a: Value, below: usize) -> Value {
        self.builder.ins().icmp_imm_s(IntCC::UnsignedLessThan, a, below as i64)
    }

    fn word_select(&mut self, c: Value, a: Value, b: Value) -> Value {
        self.builder.ins().select(c, a, b)
    }

    fn word_value(&mut self, word: Value, dtype: DType) -> Value {
        if dtype == DType::I32 { self.builder.ins().ireduce(types::I32, word) } else { word }
    }

    fn value_word(&mut self, value: Value, dtype: DType) -> Value {
        if dtype == DType::I32 { self.builder.ins().sextend(types::I64, value) } else { value }
    }

    fn constant_address(&mut self, constant: Scalar) -> Value {
        self.fills[&constant]
    }

    fn load(&mut self, ty: VectorType, active: usize, address: Value, offset: i32, fixed: bool) -> Value {
        match active == ty.lanes {
            true => self.load_all(ty, address, offset, fixed),
            false => self.load_each(ty, active, address, offset, fixed),
        }
    }

    fn store(&mut self, ty: VectorType, active: usize, value: Value, address: Value, offset: i32) {
        match active == ty.lanes {
            true => self.store_all(ty, value, address, offset),
            false => self.store_each(ty, active, value, address, offset),
        }
    }

    /// Cranelift has no such instruction.
    fn prefetch(&mut self, _: Value, _: i32) {}

    fn merge(&mut self, ty: VectorType, active: usize, new: Value, old: Value) -> Value {
        (0..active).fold(old, |merged, lane| {
            let element = self.lane(ty, new, lane);
            self.with_lane(ty, merged, lane, element)
        })
    }

    fn constant(&mut self, constant: Scalar, lanes: usize) -> Value {
        let ty = VectorType { dtype: constant.dtype(), lanes };
        let clif = clif_type(ty);
        let lane = match constant {
            Scalar::F32(v) => self.builder.ins().f32const(v),
            Scalar::F64(v) => self.builder.ins().f64const(v),
            Scalar::Bool(v) if lanes > 1 => return self.int(ty, -i64::from(v)),
            Scalar::I32(_) | Scalar::I64(_) | Scalar::U8(_) | Scalar::Bool(_) => {
                return self.int(ty, constant.bits() as i64);
            }
        };
        if lanes > 1 { self.builder.ins().splat(clif, lane) } else { lane }
    }

    fn splat(&mut self, ty: VectorType, scalar: Value) -> Value {
        let lane = self.as_lane(ty, scalar);
        self.builder.ins().splat(clif_type(ty), lane)
    }

    fn lane(&mut self, ty: VectorType, vector: Value, lane: usize) -> Value {
        let element = self.builder.ins().extractlane(vector, lane as u8);
        match ty.dtype {
            DType::U8 => self.builder.ins().ireduce(types::I8, element),
            DType::Bool => {
                let bit = self.builder.ins().band_imm_u(element, 1);
                self.builder.ins().ireduce(types::I8, bit)
            }
            _ => element,
        }
    }

    fn halves(&mut self, _ty: VectorType, _vector: Value) -> Option<[Value; 2]> {
        None
    }

    fn with_lane(&mut self, ty: VectorType, vector: Value, lane: usize, scalar: Value) -> Value {
        let element = self.as_lane(ty, scalar);
        self.builder.ins().insertlane(vector, element, lane as u8)
    }

    fn vector_of(&mut self, ty: VectorType, scalars: &[Value]) -> Value {
        let first = self.splat(ty, scalars[0]);
        let others = scalars.iter().enumerate().skip(1);
        others.fold(first, |vector, (lane, &scalar)| self.with_lane(ty, vector, lane, scalar))
    }

    fn transposed(&mut self, ty: VectorType, vectors: &[Value]) -> Vec<Value> {
        let column = |e: &mut Self, n: usize| {
            let lanes: Vec<Value> = vectors.iter().map(|&vector| e.lane(ty, vector, n)).collect();
            e.vector_of(ty, &lanes)
        };
        (0..ty.lanes).map(|n| column(self, n)).collect()
    }

    fn iota(&mut self, ty: VectorType, start: Value, step: i64) -> Value {
        let mut steps = self.int(ty, 0);
        for lane in 1..ty.lanes {
            let clif = clif_type(ty).lane_type();
            let value = (lane as i64).wrapping_mul(step) & mask(clif.bits());
            let value = self.builder.ins().iconst(clif, value);
            steps = self.builder.ins().insertlane(steps, value, lane as u8);
        }
        let start = self.splat(ty, start);
        self.builder.ins().iadd(start, steps)
    }

    fn unary(&mut self, op: UnaryOp, ty: VectorType, a: Value) -> Value {
        // Cranelift would fold it without flushing subnormals.
        if let Some(known) = self.known_float(a) {
            return self.constant(scalar::unary(op, known), ty.lanes);
        }
        let float = ty.dtype.is_float();
        match op {
            UnaryOp::Neg if float => self.builder.ins().fneg(a),
            UnaryOp::Neg => {
                let negated = self.builder.ins().ineg(a);
                self.wrap(ty, negated)
            }
            UnaryOp::Abs if float => self.builder.ins().fabs(a),
            UnaryOp::Abs if ty.dtype == DType::U8 => a,
            UnaryOp::Abs => self.builder.ins().iabs(a),
            UnaryOp::Sqrt => self.builder.ins().sqrt(a),
            UnaryOp::Floor | UnaryOp::Ceil | UnaryOp::Round if !float => a,
            UnaryOp::Floor => self.builder.ins().floor(a),
            UnaryOp::Ceil => self.builder.ins().ceil(a),
            UnaryOp::Round => self.builder.ins().nearest(a),
            UnaryOp::Not if ty.dtype == DType::Bool && ty.lanes == 1 => self.builder.ins().bxor_imm_u(a, 1),
            UnaryOp::Not => {
                let inverted = self.builder.ins().bnot(a);
                self.wrap(ty, inverted)
            }
            UnaryOp::Sign
            | UnaryOp::Rsqrt
            | UnaryOp::Exp
            | UnaryOp::Expm1
            | UnaryOp::Log
            | UnaryOp::Log1p
            | UnaryOp::Sin
            | UnaryOp::Cos
            | UnaryOp::Tanh
            | UnaryOp::Erf
            | UnaryOp::ErfInv
            | UnaryOp::Sigmoid => unreachable!("{op:?} is refused before anything is emitted"),
        }
    }

    fn binary(&mut self, op: BinaryOp, ty: VectorType, a: Value, b: Value) -> Value {
        // As above.
        if let (Some(a), Some(b)) = (self.known_float(a), self.known_float(b)) {
            return self.constant(scalar::binary(op, a, b), ty.lanes);
        }
        let float = ty.dtype.is_float();
        let unsigned = ty.dtype == DType::U8 && ty.lanes == 1;
        match op {
            // How folds combine bools.
            BinaryOp::Add if ty.dtype == DType::Bool => self.builder.ins().bor(a, b),
            BinaryOp::Mul if ty.dtype == DType::Bool => self.builder.ins().band(a, b),
            BinaryOp::Add if float => self.builder.ins().fadd(a, b),
            BinaryOp::Sub if float => self.builder.ins().fsub(a, b),
            BinaryOp::Mul if float => self.builder.ins().fmul(a, b),
            BinaryOp::Div if float => self.builder.ins().fdiv(a, b),
            BinaryOp::Min | BinaryOp::Max if float => self.float_extreme(op == BinaryOp::Max, ty, a, b),
            BinaryOp::Add => {
                let sum = self.builder.ins().iadd(a, b);
                self.wrap(ty, sum)
            }
            BinaryOp::Sub => {
                let difference = self.builder.ins().isub(a, b);
                self.wrap(ty, difference)
            }
            BinaryOp::Mul => {
                let product = self.builder.ins().imul(a, b);
                self.wrap(ty, product)
            }
            BinaryOp::Div => self.divide(ty.dtype, a, b),
            BinaryOp::Min if unsigned => self.builder.ins().umin(a, b),
            BinaryOp::Max if unsigned => self.builder.ins().umax(a, b),
            BinaryOp::Min => self.builder.ins().smin(a, b),
            BinaryOp::Max => self.builder.ins().smax(a, b),
            BinaryOp::And => self.builder.ins().band(a, b),
            BinaryOp::Or => self.builder.ins().bor(a, b),
            BinaryOp::Xor => self.builder.ins().bxor(a, b),
            BinaryOp::Shl | BinaryOp::ShrLogical | BinaryOp::ShrArith => self.shift(op, ty, a, b),
            BinaryOp::Pow => unreachable!("pow is refused before anything is emitted"),
        }
    }

    fn shift(&mut self, op: BinaryOp, ty: VectorType, a: Value, amount: Value) -> Value {
        let bits = i64::from(clif_type(ty).lane_bits()) - 1;
        let amount = self.builder.ins().band_imm_u(amount, bits);
        match op {
            BinaryOp::Shl => self.builder.ins().ishl(a, amount),
            BinaryOp::ShrLogical => self.builder.ins().ushr(a, amount),
            _ => self.builder.ins().sshr(a, amount),
        }
    }

    fn fma(&mut self, ty: VectorType, a: Value, b: Value, c: Value) -> Value {
        if ty.dtype.is_float() && self.has_fma {
            return self.builder.ins().fma(a, b, c);
        }
        let product = self.binary(BinaryOp::Mul, ty, a, b);
        self.binary(BinaryOp::Add, ty, product, c)
    }

    fn compare(&mut self, op: CompareOp, ty: VectorType, a: Value, b: Value) -> Value {
        if ty.dtype.is_float() {
            let cc = match op {
                CompareOp::Eq => FloatCC::Equal,
                CompareOp::Ne => FloatCC::NotEqual,
                CompareOp::Lt => FloatCC::LessThan,
                CompareOp::Le => FloatCC::LessThanOrEqual,
                CompareOp::Gt => FloatCC::GreaterThan,
                CompareOp::Ge => FloatCC::GreaterThanOrEqual,
            };
            return self.builder.ins().fcmp(cc, a, b);
        }
        let (a, b) = match ty.dtype {
            DType::Bool => (self.bool_to_int(ty.lanes, a), self.bool_to_int(ty.lanes, b)),
            _ => (a, b),
        };
        let signed = ty.lanes > 1 || !matches!(ty.dtype, DType::U8 | DType::Bool);
        let cc = match (op, signed) {
            (CompareOp::Eq, _) => IntCC::Equal,
            (CompareOp::Ne, _) => IntCC::NotEqual,
            (CompareOp::Lt, true) => IntCC::SignedLessThan,
            (CompareOp::Le, true) => IntCC::SignedLessThanOrEqual,
            (CompareOp::Gt, true) => IntCC::SignedGreaterThan,
            (CompareOp::Ge, true) => IntCC::SignedGreaterThanOrEqual,
            (CompareOp::Lt, false) => IntCC::UnsignedLessThan,
            (CompareOp::Le, false) => IntCC::UnsignedLessThanOrEqual,
            (CompareOp::Gt, false) => IntCC::UnsignedGreaterThan,
            (CompareOp::Ge, false) => IntCC::UnsignedGreaterThanOrEqual,
        };
        self.builder.ins().icmp(cc, a, b)
    }

    fn select(&mut self, ty: VectorType, c: Value, a: Value, b: Value) -> Value {
        if ty.lanes == 1 {
            let (c, a, b) = self.choice(c, a, b);
            return self.builder.ins().select(c, a, b);
        }
        if !ty.dtype.is_float() {
            return self.builder.ins().bitselect(c, a, b);
        }
        // Of the bits, so that it does not become the smaller or the larger one, which flush subnormals.
        let mask = self.builder.func.dfg.value_type(c);
        let [a, b] = [a, b].map(|v| self.builder.ins().bitcast(mask, MemFlagsData::new(), v));
        let bits = self.builder.ins().bitselect(c, a, b);
        self.builder.ins().bitcast(clif_type(ty), MemFlagsData::new(), bits)
    }

    fn convert(&mut self, ty: VectorType, from: DType, a: Value) -> Value {
        self.converted(ty, from, a)
    }

    fn bitcast(&mut self, ty: VectorType, from: DType, a: Value) -> Value {
        match from == ty.dtype {
            true => a,
            false => self.builder.ins().bitcast(clif_type(ty), MemFlagsData::new(), a),
        }
    }

    fn check(&mut self, dtype: DType, index: Value, what: CheckedIndex<Value>) -> Value {
        self.checked(dtype, index, what)
    }
}

impl CraneliftEmitter<'_, '_> {
    /// A scalar in the representation that it has as a lane of a vector of `ty`.
    fn as_lane(&mut self, ty: VectorType, scalar: Value) -> Value {
        let lane = clif_type(ty).lane_type();
        match ty.dtype {
            DType::U8 => self.builder.ins().uextend(lane, scalar),
            DType::Bool => {
                let bit = self.builder.ins().uextend(lane, scalar);
                self.builder.ins().ineg(bit)
            }
            _ => scalar,
        }
    }
}
