//! Conversions between dtypes.

use iced_x86::Code as Opcode;

use super::Level;
use super::code::Reg;
use super::emitter::WideEmitter;
use super::floats::predicates;
use super::inst::{Condition, Inst, Operand, View};
use super::opcodes::{self, Family};
use crate::codegen::emitter::VectorType;
use crate::kernel::BinaryOp;
use crate::tensor::Scalar;
use crate::types::DType;

impl WideEmitter {
    /// The operand converted as op `cast` defines it.
    pub(super) fn converted(&mut self, ty: VectorType, from: DType, a: Reg) -> Reg {
        let source = ty.with_dtype(from);
        if from == ty.dtype {
            return a;
        }
        if ty.dtype == DType::Bool {
            return match from.is_float() {
                true => {
                    let zero = self.constant_of(Scalar::zero(from), ty.lanes);
                    self.compare_floats(predicates::NOT_EQUAL, source, a, zero)
                }
                false => self.is_nonzero(source, a),
            };
        }
        if from == DType::Bool && ty.lanes > 1 {
            let one = self.constant_of(Scalar::Bool(true).convert(ty.dtype), ty.lanes);
            let zero = self.constant_of(Scalar::zero(ty.dtype), ty.lanes);
            return self.select_from(ty, a, one, zero);
        }
        match (from.is_float(), ty.dtype.is_float()) {
            (true, true) => self.float_to_float(ty, a),
            (true, false) => self.float_to_int(ty, from, a),
            (false, true) if ty.lanes == 1 => self.int_to_float(ty.dtype, from, a),
            (false, true) => self.ints_to_floats(ty, from, a),
            (false, false) => self.int_to_int(ty, from, a),
        }
    }

    /// The result of an instruction that converts lanes of 4 bytes to lanes of 8, or the other way round, by the
    /// wider vector.
    fn across(&mut self, family: Family, lanes: usize, widens: bool, a: Reg) -> Reg {
        let (narrow, wide) = (View::vector(4 * lanes), View::vector(8 * lanes));
        let (from, to) = if widens { (narrow, wide) } else { (wide, narrow) };
        let inst = Inst::new(family.at(self.level, wide), to).reg(a, from);
        self.vector(inst, to)
    }

    fn float_to_float(&mut self, ty: VectorType, a: Reg) -> Reg {
        let widens = ty.dtype == DType::F64;
        if ty.lanes == 1 {
            let (single, bytes) = if widens { (opcodes::SS_TO_SD, 4) } else { (opcodes::SD_TO_SS, 8) };
            let inst = self.single2(single, bytes, a, a);
            return self.vector(inst, View::Xmm);
        }
        let family = if widens { opcodes::F32_TO_F64 } else { opcodes::F64_TO_F32 };
        self.across(family, ty.lanes, widens, a)
    }

    /// A scalar integer as a float.
    pub(super) fn int_to_float(&mut self, dtype: DType, from: DType, a: Reg) -> Reg {
        let (single, part) = match (dtype, from) {
            (DType::F32, DType::I64) => (opcodes::I64_TO_SS, View::Qword),
            (DType::F32, _) => (opcodes::I32_TO_SS, View::Dword),
            (_, DType::I64) => (opcodes::I64_TO_SD, View::Qword),
            _ => (opcodes::I32_TO_SD, View::Dword),
        };
        // What the other lanes are taken from is at hand at once.
        let zero = self.constant_vector(0, 4, View::Xmm, true);
        let inst = Inst::new(single.at(self.level), View::Xmm).reg(zero, View::Xmm).reg(a, part);
        self.vector(inst, View::Xmm)
    }

    fn ints_to_floats(&mut self, ty: VectorType, from: DType, a: Reg) -> Reg {
        match (from, ty.dtype) {
            (DType::I64, DType::F32) => self.across(opcodes::I64_TO_F32, ty.lanes, false, a),
            (DType::I64, _) => {
                let layout = self.layout(ty);
                self.op1(opcodes::I64_TO_F64, layout, a)
            }
            (_, DType::F32) => {
                let layout = self.layout(ty);
                self.op1(opcodes::I32_TO_F32, layout, a)
            }
            _ => self.across(opcodes::I32_TO_F64, ty.lanes, true, a),
        }
    }

    fn int_to_int(&mut self, ty: VectorType, from: DType, a: Reg) -> Reg {
        let wide = |dtype| dtype == DType::I64;
        if ty.lanes == 1 {
            return match (from, ty.dtype) {
                (DType::I32, DType::I64) => {
                    self.general(Inst::new(Opcode::Movsxd_r64_rm32, View::Qword).reg(a, View::Dword))
                }
                // Bytes and bools are not negative.
                (_, DType::I64) => {
                    self.general(Inst::new(Opcode::Mov_r32_rm32, View::Dword).reg(a, View::Dword))
                }
                (DType::Bool, _) => a,
                _ => self.wrap(ty, a),
            };
        }
        match (wide(from), wide(ty.dtype)) {
            (false, true) => self.across(opcodes::I32_TO_I64, ty.lanes, true, a),
            (true, false) => {
                let narrow = match self.level {
                    Level::Avx512 => self.across(opcodes::I64_TO_I32, ty.lanes, false, a),
                    Level::Avx2 => self.even_lanes(a, View::vector(8 * ty.lanes)),
                };
                self.wrap(ty, narrow)
            }
            _ => self.wrap(ty, a),
        }
    }

    /// Cut to an integer, to the nearest one where it is out of range, and NaN to 0.
    fn float_to_int(&mut self, ty: VectorType, from: DType, a: Reg) -> Reg {
        if ty.dtype == DType::U8 {
            let wide = ty.with_dtype(DType::I32);
            let int = self.float_to_int(wide, from, a);
            let (low, high) =
                (self.constant_of(Scalar::I32(0), ty.lanes), self.constant_of(Scalar::I32(255), ty.lanes));
            let int = self.int_binary(BinaryOp::Max, wide, int, low);
            return self.int_binary(BinaryOp::Min, wide, int, high);
        }
        if ty.lanes > 1 {
            return self.floats_to_ints(ty, from, a);
        }
        if self.level == Level::Avx2 && ty.dtype == DType::I64 {
            return self.scalar_to_i64(from, a);
        }
        // Of a vector whose other lanes do not matter.
        let widest = from.bytes().max(ty.dtype.bytes());
        let ints = self.floats_to_ints(VectorType { lanes: 16 / widest, ..ty }, from, a);
        self.vector_to_general(ints, ty.dtype.bytes())
    }

    fn floats_to_ints(&mut self, ty: VectorType, from: DType, a: Reg) -> Reg {
        let floats = ty.with_dtype(from);
        let source = self.layout(floats);
        let lanes = ty.lanes;
        let (family, largest) = match ty.dtype {
            DType::I64 => {
                (if from == DType::F32 { opcodes::F32_TO_I64 } else { opcodes::F64_TO_I64 }, i64::MAX as u64)
            }
            _ => {
                (if from == DType::F32 { opcodes::F32_TO_I32 } else { opcodes::F64_TO_I32 }, i32::MAX as u64)
            }
        };
        let result = self.layout(ty);
        // By the wider side.
        let by = if source.lane > result.lane { source.view } else { result.view };
        let inst = Inst::new(family.at(self.level, by), result.view).reg(a, source.view);
        // What is too large or no number becomes the least integer.
        let bound = Scalar::F64((largest as f64 + 1.0).round()).convert(from);
        let bound = self.constant_of(bound, lanes);
        let bools = ty.with_dtype(DType::Bool);
        let too_large = self.compare_floats(predicates::GREATER_EQUAL, floats, a, bound);
        let ordered = self.compare_floats(predicates::ORDERED, floats, a, a);
        let largest = self.constant_of(Scalar::I64(largest.cast_signed()).convert(ty.dtype), lanes);
        let ints = match self.level {
            Level::Avx512 => self.vector(inst.masked(ordered, true), result.view),
            Level::Avx2 => {
                let ints = self.vector(inst, result.view);
                let kept = self.resized_mask(ordered, lanes, self.layout(bools).lane, result.lane);
                self.bits(opcodes::AND, result, ints, kept)
            }
        };
        self.select_from(ty, too_large, largest, ints)
    }

    fn scalar_to_i64(&mut self, from: DType, a: Reg) -> Reg {
        let floats = VectorType::scalar(from);
        let single = if from == DType::F32 { opcodes::SS_TO_I64 } else { opcodes::SD_TO_I64 };
        let int = self.general(Inst::new(single.at(self.level), View::Qword).reg(a, View::Xmm));
        let bound = self.constant_of(Scalar::F64(9_223_372_036_854_775_808.0).convert(from), 1);
        let too_large = self.compare_floats(predicates::GREATER_EQUAL, floats, a, bound);
        let ordered = self.compare_floats(predicates::ORDERED, floats, a, a);
        let at = self.r.innermost();
        let (largest, zero) = (self.r.number(at, i64::MAX), self.r.number(at, 0));
        let int = self.choose_if(too_large, largest, int);
        let is_number =
            (Opcode::Cmp_rm32_imm32, (ordered, View::Dword), Operand::Number(0), Condition::NotEqual);
        self.r.choose(is_number, (int, zero, View::Qword))
    }
}
