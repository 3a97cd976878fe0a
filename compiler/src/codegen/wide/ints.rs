//! Arithmetic of integers.
//!
//! Scalars are in general registers, of whose bits those above an i32 mean nothing; a u8 has none set among the lower
//! 32. Lanes of u8 are 32-bit integers below 256.

use iced_x86::Code as Opcode;

use super::Level;
use super::code::{Reg, Step};
use super::emitter::{Layout, WideEmitter};
use super::inst::{Base, Condition, Inst, Memory, Operand, View};
use super::opcodes::{self, Family};
use crate::codegen::emitter::VectorType;
use crate::kernel::{BinaryOp, CompareOp, UnaryOp};
use crate::tensor::Scalar;
use crate::types::DType;

/// How a comparison of signed integers shows.
fn condition(op: CompareOp) -> Condition {
    match op {
        CompareOp::Eq => Condition::Equal,
        CompareOp::Ne => Condition::NotEqual,
        CompareOp::Lt => Condition::Less,
        CompareOp::Le => Condition::LessEqual,
        CompareOp::Gt => Condition::Greater,
        CompareOp::Ge => Condition::GreaterEqual,
    }
}

/// One of two families, for lanes of 32 bits and of 64.
fn of_width(lane: usize, d: Family, q: Family) -> Family {
    if lane == 4 { d } else { q }
}

impl WideEmitter {
    /// Keeps a u8 below 256.
    pub(super) fn wrap(&mut self, ty: VectorType, a: Reg) -> Reg {
        if ty.dtype != DType::U8 {
            return a;
        }
        if ty.lanes == 1 {
            return self.general(Inst::new(Opcode::Movzx_r32_rm8, View::Dword).reg(a, View::Byte));
        }
        let layout = self.layout(ty);
        let low = self.constant_vector(255, layout.lane, layout.view, true);
        self.bits(opcodes::AND, layout, a, low)
    }

    pub(super) fn int_unary(&mut self, op: UnaryOp, ty: VectorType, a: Reg) -> Reg {
        let layout = self.layout(ty);
        let Layout { lane, view } = layout;
        match op {
            UnaryOp::Floor | UnaryOp::Ceil | UnaryOp::Round => a,
            UnaryOp::Abs if ty.dtype == DType::U8 => a,
            UnaryOp::Neg | UnaryOp::Not if ty.lanes == 1 => {
                let opcode = if op == UnaryOp::Neg { Opcode::Neg_rm64 } else { Opcode::Not_rm64 };
                let changed = self.general(Inst::new(opcode, View::Qword).tied(a));
                self.wrap(ty, changed)
            }
            UnaryOp::Abs if ty.lanes == 1 => {
                let negated = self.general(Inst::new(Opcode::Neg_rm64, View::Qword).tied(a));
                let (compare, part) = compared(ty.dtype, true);
                let negative = (compare, (a, part), Operand::Number(0), Condition::Less);
                self.r.choose(negative, (negated, a, View::Qword))
            }
            UnaryOp::Neg => {
                let zero = self.constant_vector(0, lane, view, true);
                let negated = self.op2(of_width(lane, opcodes::SUB_D, opcodes::SUB_Q), layout, zero, a);
                self.wrap(ty, negated)
            }
            UnaryOp::Not => {
                let all = self.constant_vector(u64::MAX, lane, view, true);
                let inverted = self.bits(opcodes::XOR, layout, a, all);
                self.wrap(ty, inverted)
            }
            UnaryOp::Abs if lane == 8 && self.level == Level::Avx2 => {
                let zero = self.constant_vector(0, lane, view, true);
                let negative = self.op2(opcodes::GREATER_Q, layout, zero, a);
                let inverted = self.bits(opcodes::XOR, layout, a, negative);
                self.op2(opcodes::SUB_Q, layout, inverted, negative)
            }
            UnaryOp::Abs => self.op1(of_width(lane, opcodes::ABS_D, opcodes::ABS_Q), layout, a),
            _ => unreachable!("{op:?} is refused before anything is emitted"),
        }
    }

    pub(super) fn int_binary(&mut self, op: BinaryOp, ty: VectorType, a: Reg, b: Reg) -> Reg {
        let result = match (op, ty.lanes) {
            (BinaryOp::Shl | BinaryOp::ShrLogical | BinaryOp::ShrArith, _) => {
                return self.shift_scalar(op, ty.dtype, a, b);
            }
            (BinaryOp::Div, _) => return self.divided(ty.dtype, a, b),
            (_, 1) => self.scalars(op, ty.dtype, a, b),
            _ => self.vectors(op, ty, a, b),
        };
        match op {
            BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul => self.wrap(ty, result),
            _ => result,
        }
    }

    fn scalars(&mut self, op: BinaryOp, dtype: DType, a: Reg, b: Reg) -> Reg {
        match op {
            BinaryOp::Add => {
                let sum = Memory { index: Some(b), ..Memory::at(Base::Reg(a)) };
                self.general(Inst::new(Opcode::Lea_r64_m, View::Qword).memory(sum))
            }
            BinaryOp::Sub => self.general2(Opcode::Sub_r64_rm64, a, b),
            BinaryOp::Mul => self.general2(Opcode::Imul_r64_rm64, a, b),
            BinaryOp::And => self.general2(Opcode::And_r64_rm64, a, b),
            BinaryOp::Or => self.general2(Opcode::Or_r64_rm64, a, b),
            BinaryOp::Xor => self.general2(Opcode::Xor_r64_rm64, a, b),
            BinaryOp::Min | BinaryOp::Max => {
                let wins = if op == BinaryOp::Min { Condition::Less } else { Condition::Greater };
                let (compare, part) = compared(dtype, false);
                self.r.choose((compare, (a, part), Operand::Reg(b, part), wins), (a, b, View::Qword))
            }
            _ => unreachable!("{op:?} is not for integers"),
        }
    }

    fn vectors(&mut self, op: BinaryOp, ty: VectorType, a: Reg, b: Reg) -> Reg {
        let layout = self.layout(ty);
        let lane = layout.lane;
        let narrow = self.level == Level::Avx2 && lane == 8;
        match op {
            BinaryOp::Add => self.commutative(of_width(lane, opcodes::ADD_D, opcodes::ADD_Q), layout, a, b),
            BinaryOp::Sub => self.op2(of_width(lane, opcodes::SUB_D, opcodes::SUB_Q), layout, a, b),
            BinaryOp::Mul if narrow => self.product_of_halves(layout, a, b),
            BinaryOp::Mul => self.commutative(of_width(lane, opcodes::MUL_D, opcodes::MUL_Q), layout, a, b),
            BinaryOp::And => self.bits(opcodes::AND, layout, a, b),
            BinaryOp::Or => self.bits(opcodes::OR, layout, a, b),
            BinaryOp::Xor => self.bits(opcodes::XOR, layout, a, b),
            BinaryOp::Min | BinaryOp::Max if narrow => {
                let greater = self.op2(opcodes::GREATER_Q, layout, a, b);
                let (then, otherwise) = if op == BinaryOp::Max { (a, b) } else { (b, a) };
                let view = layout.view;
                let inst = Inst::new(opcodes::BLEND_PD.at(self.level, view), view)
                    .reg(otherwise, view)
                    .reg(then, view)
                    .reg(greater, view);
                self.vector(inst, view)
            }
            BinaryOp::Min => self.commutative(of_width(lane, opcodes::MIN_D, opcodes::MIN_Q), layout, a, b),
            BinaryOp::Max => self.commutative(of_width(lane, opcodes::MAX_D, opcodes::MAX_Q), layout, a, b),
            _ => unreachable!("{op:?} is not for vectors of integers"),
        }
    }

    /// Products of 64-bit lanes by those of their halves, of which the two upper ones do not matter.
    fn product_of_halves(&mut self, layout: Layout, a: Reg, b: Reg) -> Reg {
        let (upper_a, upper_b) = (
            self.shifted(opcodes::SRL_Q_NUMBER, layout, a, 32),
            self.shifted(opcodes::SRL_Q_NUMBER, layout, b, 32),
        );
        let crossed = self.op2(opcodes::MUL_LOW, layout, upper_a, b);
        let other = self.op2(opcodes::MUL_LOW, layout, a, upper_b);
        let upper = self.op2(opcodes::ADD_Q, layout, crossed, other);
        let upper = self.shifted(opcodes::SLL_Q_NUMBER, layout, upper, 32);
        let lower = self.op2(opcodes::MUL_LOW, layout, a, b);
        self.op2(opcodes::ADD_Q, layout, lower, upper)
    }

    fn shifted(&mut self, family: Family, Layout { view, .. }: Layout, a: Reg, by: i64) -> Reg {
        let inst = Inst::new(family.at(self.level, view), view).reg(a, view).number(by);
        self.vector(inst, view)
    }

    /// A quotient of scalars, which is stated for every divisor.
    fn divided(&mut self, dtype: DType, a: Reg, b: Reg) -> Reg {
        if dtype == DType::I64 {
            // Neither 0 nor -1 may reach the instruction; times these, the dividend is what the quotient shall be.
            let one = self.r.number(self.r.innermost(), 1);
            let next = Memory { offset: 1, ..Memory::at(Base::Reg(b)) };
            let next = self.general(Inst::new(Opcode::Lea_r64_m, View::Qword).memory(next));
            let special =
                (Opcode::Cmp_rm64_imm32, (next, View::Qword), Operand::Number(1), Condition::BelowEqual);
            let divisor = self.r.choose(special, (one, b, View::Qword));
            let at = self.r.innermost();
            let to = self.r.reg_at(at, super::code::Class::General, 8);
            self.r.push(Step::Divide { to, dividend: a, divisor });
            let product = self.general2(Opcode::Imul_r64_rm64, a, b);
            return self.r.choose(special, (product, to, View::Qword));
        }
        // The quotient of doubles, cut to an integer, is that of 32-bit integers: a quotient that is no integer is farther
        // from one than rounding moves it. Of no quotient and of an infinite one, the lower half of the integer is 0, and
        // 2³¹ wraps.
        let [a, b] = [a, b].map(|operand| self.int_to_float(DType::F64, DType::I32, operand));
        let inst = self.single2(opcodes::DIV_SD, 8, a, b);
        let quotient = self.vector(inst, View::Xmm);
        let inst = Inst::new(opcodes::SD_TO_I64.at(self.level), View::Qword).reg(quotient, View::Xmm);
        let quotient = self.general(inst);
        self.wrap(VectorType::scalar(dtype), quotient)
    }

    pub(super) fn shift_scalar(&mut self, op: BinaryOp, dtype: DType, a: Reg, amount: Reg) -> Reg {
        let (opcode, view) = match (op, dtype) {
            (BinaryOp::Shl, DType::I32) => (Opcode::VEX_Shlx_r32_rm32_r32, View::Dword),
            (BinaryOp::Shl, _) => (Opcode::VEX_Shlx_r64_rm64_r64, View::Qword),
            (BinaryOp::ShrLogical, DType::I32) => (Opcode::VEX_Shrx_r32_rm32_r32, View::Dword),
            (BinaryOp::ShrLogical, _) => (Opcode::VEX_Shrx_r64_rm64_r64, View::Qword),
            (_, DType::I32) => (Opcode::VEX_Sarx_r32_rm32_r32, View::Dword),
            _ => (Opcode::VEX_Sarx_r64_rm64_r64, View::Qword),
        };
        self.general(Inst::new(opcode, view).reg(a, view).reg(amount, view))
    }

    pub(super) fn shift_vector(&mut self, op: BinaryOp, ty: VectorType, a: Reg, amount: Reg) -> Reg {
        let layout = self.layout(ty);
        let Layout { lane, view } = layout;
        if op == BinaryOp::ShrArith && lane == 8 && self.level == Level::Avx2 {
            // Shifted with zeros, and the sign extended from where it is then.
            let sign = self.constant_vector(1 << 63, lane, view, true);
            let [a, sign] = [a, sign].map(|v| self.shift_vector(BinaryOp::ShrLogical, ty, v, amount));
            let flipped = self.bits(opcodes::XOR, layout, a, sign);
            return self.op2(opcodes::SUB_Q, layout, flipped, sign);
        }
        let bits = 8 * lane as i64 - 1;
        if let Some(known) = self.known.get(&(amount, ty.dtype)) {
            let by = known.bits() as i64 & bits;
            let family = match op {
                BinaryOp::Shl => of_width(lane, opcodes::SLL_D_NUMBER, opcodes::SLL_Q_NUMBER),
                BinaryOp::ShrLogical => of_width(lane, opcodes::SRL_D_NUMBER, opcodes::SRL_Q_NUMBER),
                _ => of_width(lane, opcodes::SRA_D_NUMBER, opcodes::SRA_Q_NUMBER),
            };
            return self.shifted(family, layout, a, by);
        }
        let by = self.general(Inst::new(Opcode::And_rm32_imm8, View::Dword).number(bits).tied(amount));
        let by = self.general_to_vector(by, 4);
        let family = match op {
            BinaryOp::Shl => of_width(lane, opcodes::SLL_D, opcodes::SLL_Q),
            BinaryOp::ShrLogical => of_width(lane, opcodes::SRL_D, opcodes::SRL_Q),
            _ => of_width(lane, opcodes::SRA_D, opcodes::SRA_Q),
        };
        let inst = Inst::new(family.at(self.level, view), view).reg(a, view).reg(by, View::Xmm);
        self.vector(inst, view)
    }

    pub(super) fn compare_ints(&mut self, op: CompareOp, ty: VectorType, a: Reg, b: Reg) -> Reg {
        if ty.lanes == 1 {
            let (compare, part) = compared(ty.dtype, false);
            return self.r.test(compare, (a, part), Operand::Reg(b, part), condition(op));
        }
        let layout = self.layout(ty);
        let Layout { lane, view } = layout;
        match self.level {
            Level::Avx512 => {
                let predicate = match op {
                    CompareOp::Eq => 0,
                    CompareOp::Lt => 1,
                    CompareOp::Le => 2,
                    CompareOp::Ne => 4,
                    CompareOp::Ge => 5,
                    CompareOp::Gt => 6,
                };
                let family = of_width(lane, opcodes::COMPARE_D, opcodes::COMPARE_Q);
                let inst = Inst::new(family.at(self.level, view), View::Mask).reg(a, view);
                let inst = inst.reg_or_memory(b, view, view.bytes(), self.repeated(lane)).number(predicate);
                self.mask(inst)
            }
            Level::Avx2 => {
                let (family, a, b) = match op {
                    CompareOp::Eq | CompareOp::Ne => {
                        (of_width(lane, opcodes::EQUAL_D, opcodes::EQUAL_Q), a, b)
                    }
                    CompareOp::Gt | CompareOp::Le => {
                        (of_width(lane, opcodes::GREATER_D, opcodes::GREATER_Q), a, b)
                    }
                    CompareOp::Lt | CompareOp::Ge => {
                        (of_width(lane, opcodes::GREATER_D, opcodes::GREATER_Q), b, a)
                    }
                };
                let found = self.op2(family, layout, a, b);
                let bools = ty.with_dtype(DType::Bool);
                let found = self.resized_mask(found, ty.lanes, lane, self.layout(bools).lane);
                match op {
                    CompareOp::Ne | CompareOp::Le | CompareOp::Ge => self.not(bools, found),
                    CompareOp::Eq | CompareOp::Gt | CompareOp::Lt => found,
                }
            }
        }
    }

    /// Whether an integer is not zero.
    pub(super) fn is_nonzero(&mut self, ty: VectorType, a: Reg) -> Reg {
        if ty.lanes == 1 {
            let (compare, part) = compared(ty.dtype, true);
            return self.r.test(compare, (a, part), Operand::Number(0), Condition::NotEqual);
        }
        let zero = self.constant_of(Scalar::zero(ty.dtype), ty.lanes);
        self.compare_ints(CompareOp::Ne, ty, a, zero)
    }
}

/// The opcode that compares scalars of a dtype, with a number or with a register, and the part that they are.
fn compared(dtype: DType, with_number: bool) -> (Opcode, View) {
    match (dtype, with_number) {
        (DType::I64, true) => (Opcode::Cmp_rm64_imm32, View::Qword),
        (DType::I64, false) => (Opcode::Cmp_r64_rm64, View::Qword),
        (_, true) => (Opcode::Cmp_rm32_imm32, View::Dword),
        (_, false) => (Opcode::Cmp_r32_rm32, View::Dword),
    }
}
