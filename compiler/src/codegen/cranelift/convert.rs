//! What is more than one instruction over integers: conversions and division.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};

use super::clif_type;
use super::emitter::CraneliftEmitter;
use crate::codegen::emitter::{VectorEmitter, VectorType};
use crate::kernel::CompareOp;
use crate::tensor::Scalar;
use crate::types::DType;

impl CraneliftEmitter<'_, '_> {
    /// Conversion as [`VectorEmitter::convert`] says.
    pub(super) fn converted(&mut self, ty: VectorType, from: DType, a: Value) -> Value {
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

    /// Whether an operand of any type differs from zero; NaN does.
    fn is_nonzero(&mut self, from: VectorType, a: Value) -> Value {
        let zero = self.constant(Scalar::zero(from.dtype), from.lanes);
        self.compare(CompareOp::Ne, from, a, zero)
    }

    /// Division of scalar integers.
    pub(super) fn divide(&mut self, dtype: DType, a: Value, b: Value) -> Value {
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
