//! [`VectorEmitter`] over Cranelift: scalars and 128-bit vectors, on every target.
//!
//! | dtype | scalar | 4 lanes | 2 lanes |
//! |---|---|---|---|
//! | f32 | F32 | F32X4 | |
//! | i32 | I32 | I32X4 | |
//! | u8 | I8 | I32X4, zero-extended | |
//! | bool | I8, 0 or 1 | I32X4, 0 or -1 | I64X2, 0 or -1 |
//! | f64 | F64 | | F64X2 |
//! | i64 | I64 | | I64X2 |

use std::collections::HashMap;

use bessemer_runtime::abi::{Context, IndexError};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{
    AbiParam, Block, BlockArg, Endianness, InstBuilder, MemFlagsData, SigRef, Signature, StackSlotData,
    StackSlotKind, Type, Value, types,
};
use cranelift_frontend::FunctionBuilder;
use target_lexicon::Architecture;

use super::Target;
use super::emitter::{CheckedIndex, VectorEmitter, VectorType};
use super::plan::is_shift;
use crate::kernel::{BinaryOp, CompareOp, InstKind, UnaryOp, scalar};
use crate::tensor::Scalar;
use crate::types::DType;

/// Emits into the current block of a function.
pub(super) struct CraneliftEmitter<'a, 'f> {
    pub(super) builder: &'a mut FunctionBuilder<'f>,
    has_fma: bool,
    pub(super) is_x86: bool,
    loads_apart: bool,
    context: Value,
    fills: HashMap<Scalar, Value>,
    report: Option<SigRef>,
}

/// Whether vectors of this many lanes can hold elements of this dtype.
fn fits(dtype: DType, lanes: usize) -> bool {
    match lanes {
        1 => true,
        2 => matches!(dtype, DType::F64 | DType::I64 | DType::Bool),
        4 => matches!(dtype, DType::F32 | DType::I32 | DType::U8 | DType::Bool),
        _ => false,
    }
}

/// The type of a value in Cranelift.
pub(super) fn clif_type(ty: VectorType) -> Type {
    match (ty.lanes, ty.dtype) {
        (1, DType::F32) => types::F32,
        (1, DType::F64) => types::F64,
        (1, DType::I32) => types::I32,
        (1, DType::I64) => types::I64,
        (1, DType::U8 | DType::Bool) => types::I8,
        (4, DType::F32) => types::F32X4,
        (4, DType::I32 | DType::U8 | DType::Bool) => types::I32X4,
        (2, DType::F64) => types::F64X2,
        (2, DType::I64 | DType::Bool) => types::I64X2,
        _ => unreachable!("there are no vectors of {} {}", ty.lanes, ty.dtype),
    }
}

fn little() -> MemFlagsData {
    MemFlagsData::new().with_endianness(Endianness::Little)
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

    /// A new block, marked as seldom run.
    fn cold_block(&mut self) -> Block {
        let block = self.builder.create_block();
        self.builder.set_cold_block(block);
        block
    }

    /// Keeps a u8 vector within 0 .. 256.
    fn wrap(&mut self, ty: VectorType, a: Value) -> Value {
        if ty.lanes > 1 && ty.dtype == DType::U8 {
            let mask = self.constant(Scalar::U8(255), ty.lanes);
            self.builder.ins().band(a, mask)
        } else {
            a
        }
    }

    /// A vector or scalar of integers that are all `value`, of the representation of `ty`.
    fn int(&mut self, ty: VectorType, value: i64) -> Value {
        let clif = clif_type(ty);
        let lane = self.builder.ins().iconst(clif.lane_type(), value & mask(clif.lane_bits()));
        if ty.lanes > 1 { self.builder.ins().splat(clif, lane) } else { lane }
    }

    /// 0 or 1 from a bool, in the integers of its representation.
    fn bool_to_int(&mut self, lanes: usize, a: Value) -> Value {
        if lanes == 1 {
            return a;
        }
        let one = self.int(VectorType { dtype: DType::Bool, lanes }, 1);
        self.builder.ins().band(a, one)
    }

    /// Whether an operand of any type differs from zero; NaN does.
    fn is_nonzero(&mut self, from: VectorType, a: Value) -> Value {
        let zero = self.constant(Scalar::zero(from.dtype), from.lanes);
        self.compare(CompareOp::Ne, from, a, zero)
    }

    /// Division of scalar integers.
    fn divide(&mut self, dtype: DType, a: Value, b: Value) -> Value {
        let clif = self.builder.func.dfg.value_type(a);
        let ins = |e: &mut Self, v| e.builder.ins().iconst(clif, v);
        let zero = ins(self, 0);
        let by_zero = self.builder.ins().icmp(IntCC::Equal, b, zero);
        let one = ins(self, 1);
        if dtype == DType::U8 {
            let divisor = self.builder.ins().select(by_zero, one, b);
            let (a, divisor) =
                (self.builder.ins().uextend(types::I32, a), self.builder.ins().uextend(types::I32, divisor));
            let quotient = self.builder.ins().udiv(a, divisor);
            let quotient = self.builder.ins().ireduce(types::I8, quotient);
            return self.builder.ins().select(by_zero, zero, quotient);
        }
        // Neither 0 nor -1 may reach the instruction, which traps on zero and on overflow.
        let next = self.builder.ins().iadd(b, one);
        let special = self.builder.ins().icmp(IntCC::UnsignedLessThanOrEqual, next, one);
        let divisor = self.builder.ins().select(special, one, b);
        let quotient = self.builder.ins().sdiv(a, divisor);
        let negated = self.builder.ins().ineg(a);
        let special_result = self.builder.ins().select(by_zero, zero, negated);
        self.builder.ins().select(special, special_result, quotient)
    }
}

/// The lowest `bits` bits.
fn mask(bits: u32) -> i64 {
    if bits >= 64 { -1 } else { (1 << bits) - 1 }
}

impl VectorEmitter for CraneliftEmitter<'_, '_> {
    type Value = Value;
    type Word = Value;

    fn has_vector_memory(dtype: DType, lanes: usize) -> bool {
        // Two bytes are not worth a vector.
        fits(dtype, lanes) && (lanes, dtype) != (2, DType::Bool)
    }

    fn has_vector_shift(dtype: DType, lanes: usize) -> bool {
        fits(dtype, lanes)
    }

    fn has_vector_form(kind: &InstKind, dtype: DType, operand: DType, lanes: usize) -> bool {
        if !fits(dtype, lanes) || !fits(operand, lanes) {
            return false;
        }
        match kind {
            InstKind::Binary(op, ..) => !is_shift(*op) && (*op != BinaryOp::Div || dtype.is_float()),
            InstKind::Convert(_) => lanes == 4 || dtype == operand || [dtype, operand].contains(&DType::Bool),
            InstKind::InBounds(_) | InstKind::Check { .. } | InstKind::Philox { .. } => false,
            _ => true,
        }
    }

    fn word(&mut self, value: i64) -> Value {
        self.builder.ins().iconst(types::I64, value)
    }

    fn word_add(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().iadd(a, b)
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

    fn load(&mut self, ty: VectorType, address: Value, offset: i32, fixed: bool) -> Value {
        // Elements are aligned to their own size, vectors are not.
        let mut flags = MemFlagsData::new().with_notrap();
        if fixed {
            flags = flags.with_readonly().with_can_move();
        }
        match (ty.lanes, ty.dtype) {
            (4, DType::U8 | DType::Bool) => {
                let bytes = self.builder.ins().load(types::I32, flags, address, offset);
                let bytes = self.builder.ins().scalar_to_vector(types::I32X4, bytes);
                let bytes = self.builder.ins().bitcast(types::I8X16, little(), bytes);
                let halves = self.builder.ins().uwiden_low(bytes);
                let wide = self.builder.ins().uwiden_low(halves);
                if ty.dtype == DType::U8 {
                    return wide;
                }
                let zero = self.int(ty, 0);
                self.builder.ins().icmp(IntCC::NotEqual, wide, zero)
            }
            (1, DType::Bool) => {
                let byte = self.builder.ins().load(types::I8, flags, address, offset);
                self.builder.ins().icmp_imm_u(IntCC::NotEqual, byte, 0)
            }
            (lanes, _) if lanes > 1 && self.loads_apart => {
                // What is no load in CLIF becomes no memory operand.
                let bytes = self.builder.ins().load(types::I8X16, flags, address, offset);
                self.builder.ins().bitcast(clif_type(ty), little(), bytes)
            }
            _ => self.builder.ins().load(clif_type(ty), flags, address, offset),
        }
    }

    fn store(&mut self, ty: VectorType, value: Value, address: Value, offset: i32) {
        let flags = MemFlagsData::new().with_notrap();
        let stored = match (ty.lanes, ty.dtype) {
            (4, DType::U8 | DType::Bool) => {
                let wide = if ty.dtype == DType::Bool { self.bool_to_int(ty.lanes, value) } else { value };
                let halves = self.builder.ins().snarrow(wide, wide);
                let bytes = self.builder.ins().unarrow(halves, halves);
                let words = self.builder.ins().bitcast(types::I32X4, little(), bytes);
                self.builder.ins().extractlane(words, 0)
            }
            _ => value,
        };
        self.builder.ins().store(flags, stored, address, offset);
    }

    fn mostly(
        &mut self,
        ty: VectorType,
        c: Value,
        then: &mut dyn FnMut(&mut Self) -> Value,
        otherwise: &mut dyn FnMut(&mut Self) -> Value,
    ) -> Value {
        let (usual, rare, next) =
            (self.builder.create_block(), self.cold_block(), self.builder.create_block());
        let result = self.builder.append_block_param(next, clif_type(ty));
        self.builder.ins().brif(c, usual, &[], rare, &[]);
        self.builder.switch_to_block(usual);
        let value = then(self);
        self.builder.ins().jump(next, &[BlockArg::Value(value)]);
        self.builder.switch_to_block(rare);
        let value = otherwise(self);
        self.builder.ins().jump(next, &[BlockArg::Value(value)]);
        self.builder.switch_to_block(next);
        result
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

    fn with_lane(&mut self, ty: VectorType, vector: Value, lane: usize, scalar: Value) -> Value {
        let element = self.as_lane(ty, scalar);
        self.builder.ins().insertlane(vector, element, lane as u8)
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
        let source = ty.with_dtype(from);
        let clif = clif_type(ty);
        if ty.dtype == from {
            return a;
        }
        if ty.dtype == DType::Bool {
            return self.is_nonzero(source, a);
        }
        if from == DType::Bool && ty.lanes > 1 {
            let one = Scalar::Bool(true).convert(ty.dtype);
            let one = self.constant(one, ty.lanes);
            let zero = self.constant(Scalar::zero(ty.dtype), ty.lanes);
            return self.select(ty, a, one, zero);
        }
        match (from.is_float(), ty.dtype.is_float()) {
            (true, true) if ty.dtype == DType::F64 => self.builder.ins().fpromote(clif, a),
            (true, true) => self.builder.ins().fdemote(clif, a),
            (true, false) if ty.dtype == DType::U8 => {
                let wide = VectorType { dtype: DType::I32, ..ty };
                let integer = self.builder.ins().fcvt_to_sint_sat(clif_type(wide), a);
                let (low, high) = (self.int(wide, 0), self.int(wide, 255));
                let integer = self.builder.ins().smax(integer, low);
                let integer = self.builder.ins().smin(integer, high);
                if ty.lanes > 1 { integer } else { self.builder.ins().ireduce(clif, integer) }
            }
            (true, false) => self.builder.ins().fcvt_to_sint_sat(clif, a),
            (false, true) => {
                // Bytes are not negative once they are widened.
                let narrow = ty.lanes == 1 && matches!(from, DType::U8 | DType::Bool);
                let integer = if narrow { self.builder.ins().uextend(types::I32, a) } else { a };
                self.builder.ins().fcvt_from_sint(clif, integer)
            }
            (false, false) if ty.lanes > 1 => self.wrap(ty, a),
            (false, false) => {
                let found = self.builder.func.dfg.value_type(a);
                match found.bits().cmp(&clif.bits()) {
                    std::cmp::Ordering::Equal => a,
                    std::cmp::Ordering::Greater => self.builder.ins().ireduce(clif, a),
                    std::cmp::Ordering::Less if matches!(from, DType::U8 | DType::Bool) => {
                        self.builder.ins().uextend(clif, a)
                    }
                    std::cmp::Ordering::Less => self.builder.ins().sextend(clif, a),
                }
            }
        }
    }

    fn bitcast(&mut self, ty: VectorType, from: DType, a: Value) -> Value {
        match from == ty.dtype {
            true => a,
            false => self.builder.ins().bitcast(clif_type(ty), MemFlagsData::new(), a),
        }
    }

    fn check(&mut self, dtype: DType, index: Value, what: CheckedIndex<Value>) -> Value {
        let index = self.value_word(index, dtype);
        let good = self.word_within(index, what.bound);
        let (bad, call, flag, next) =
            (self.cold_block(), self.cold_block(), self.cold_block(), self.builder.create_block());
        self.builder.ins().brif(good, next, &[], bad, &[]);

        self.builder.switch_to_block(bad);
        let trusted = MemFlagsData::trusted();
        let hook_offset = Context::REPORT_INDEX_ERROR_OFFSET as i32;
        let hook = self.builder.ins().load(types::I64, trusted, self.context, hook_offset);
        self.builder.ins().brif(hook, call, &[], flag, &[]);

        self.builder.switch_to_block(call);
        let signature = self.report_signature();
        let site = self.builder.ins().iconst(types::I32, what.site as i64 & mask(32));
        self.builder.ins().call_indirect(signature, hook, &[self.context, site, what.position, index]);
        self.builder.ins().jump(next, &[]);

        self.builder.switch_to_block(flag);
        let unlocated = self.builder.ins().iconst(types::I32, i64::from(IndexError::UNLOCATED));
        let flag_address =
            self.builder.ins().iadd_imm_s(self.context, Context::INDEX_ERROR_FLAG_OFFSET as i64);
        self.builder.ins().atomic_store(trusted, unlocated, flag_address);
        self.builder.ins().jump(next, &[]);

        self.builder.switch_to_block(next);
        let (low, high) =
            (self.word(0), self.builder.ins().iconst(types::I64, what.bound.saturating_sub(1) as i64));
        let index = self.builder.ins().smax(index, low);
        let index = self.builder.ins().smin(index, high);
        self.word_value(index, dtype)
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

    /// The signature of [`IndexErrorFn`](bessemer_runtime::abi::IndexErrorFn).
    fn report_signature(&mut self) -> SigRef {
        if let Some(signature) = self.report {
            return signature;
        }
        let mut signature = Signature::new(self.builder.func.signature.call_conv);
        signature.params.extend([types::I64, types::I32, types::I64, types::I64].map(AbiParam::new));
        let signature = self.builder.import_signature(signature);
        self.report = Some(signature);
        signature
    }
}
