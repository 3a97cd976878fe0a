//! What needs care about floats in Cranelift: the larger and the smaller of two, constants, and subnormals.

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{InstBuilder, InstructionData, MemFlagsData, Opcode, Value};

use super::clif_type;
use super::emitter::CraneliftEmitter;
use crate::codegen::emitter::{VectorEmitter, VectorType};
use crate::kernel::CompareOp;
use crate::tensor::Scalar;
use crate::types::DType;

impl CraneliftEmitter<'_, '_> {
    /// The element that is in every lane, if it is a constant float.
    pub(super) fn known_float(&self, value: Value) -> Option<Scalar> {
        let dfg = &self.builder.func.dfg;
        let inst = dfg.value_def(value).inst()?;
        match dfg.insts[inst] {
            InstructionData::UnaryIeee32 { imm, .. } => Some(Scalar::F32(f32::from_bits(imm.bits()))),
            InstructionData::UnaryIeee64 { imm, .. } => Some(Scalar::F64(f64::from_bits(imm.bits()))),
            InstructionData::Unary { opcode: Opcode::Splat, arg } => self.known_float(arg),
            _ => None,
        }
    }

    /// The larger (or smaller) of two floats.
    pub(super) fn float_extreme(&mut self, max: bool, ty: VectorType, a: Value, b: Value) -> Value {
        if !self.is_x86 {
            return if max { self.builder.ins().fmax(a, b) } else { self.builder.ins().fmin(a, b) };
        }
        let known = |value| self.known_float(value).map(Scalar::as_f64);
        let (x, c, known) = match (known(a), known(b)) {
            (_, Some(c)) if !c.is_nan() => (a, b, Some(c)),
            (Some(c), _) if !c.is_nan() => (b, a, Some(c)),
            _ => (a, b, None),
        };
        match known {
            // The zero that is the larger (smaller) one must win against the other.
            Some(c_value) if c_value == 0.0 && c_value.is_sign_positive() == max => {
                let op = if max { CompareOp::Le } else { CompareOp::Ge };
                let replace = self.compare(op, ty, x, c);
                self.select(ty, replace, c, x)
            }
            // If x is NaN it stays, and so does a zero that is not below (above) the constant.
            Some(_) => self.x86_extreme(max, ty, c, x),
            None if ty.lanes > 1 => {
                let one = self.x86_extreme(max, ty, a, b);
                let other = self.x86_extreme(max, ty, b, a);
                let nan = self.builder.ins().fcmp(FloatCC::Unordered, a, b);
                let bits = self.builder.func.dfg.value_type(nan);
                let [one, other] =
                    [one, other].map(|v| self.builder.ins().bitcast(bits, MemFlagsData::new(), v));
                // They differ only where there is a NaN, or zeros of both signs.
                let both = match max {
                    true => self.builder.ins().band(one, other),
                    false => self.builder.ins().bor(one, other),
                };
                let extreme = self.builder.ins().bor(both, nan);
                self.builder.ins().bitcast(clif_type(ty), MemFlagsData::new(), extreme)
            }
            None => {
                let extreme = if max { self.builder.ins().fmax(a, b) } else { self.builder.ins().fmin(a, b) };
                // Of equal scalars, subnormal ones are combined as bits: what comes out is not flushed yet.
                let zero = match ty.dtype {
                    DType::F64 => self.builder.ins().f64const(-0.0),
                    _ => self.builder.ins().f32const(-0.0),
                };
                self.builder.ins().fadd(extreme, zero)
            }
        }
    }

    /// `maxps` or `minps`, which gives its second operand if either is NaN or both are zeros, and flushes subnormals.
    fn x86_extreme(&mut self, max: bool, ty: VectorType, a: Value, b: Value) -> Value {
        let (low, high) = if max { (b, a) } else { (a, b) };
        let first = self.builder.ins().fcmp(FloatCC::LessThan, low, high);
        if ty.lanes == 1 {
            return self.builder.ins().select(first, a, b);
        }
        let mask = self.builder.ins().bitcast(clif_type(ty), MemFlagsData::new(), first);
        self.builder.ins().bitselect(mask, a, b)
    }

    /// The condition of a selection and its two choices in an order such that the selection moves bits and no more:
    /// `if x < y { x } else { y }` of scalars would become the smaller one, which flushes subnormals.
    pub(super) fn choice(&mut self, c: Value, a: Value, b: Value) -> (Value, Value, Value) {
        let dfg = &self.builder.func.dfg;
        let Some(inst) = dfg.value_def(c).inst() else { return (c, a, b) };
        match dfg.insts[inst] {
            InstructionData::FloatCompare { cond: FloatCC::LessThan, args: [x, y], .. } => {
                let not_less = self.builder.ins().fcmp(FloatCC::UnorderedOrGreaterThanOrEqual, x, y);
                (not_less, b, a)
            }
            _ => (c, a, b),
        }
    }
}
