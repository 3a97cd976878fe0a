//! Bools and selections.

use iced_x86::Code as Opcode;

use super::Level;
use super::code::{Class, Reg};
use super::emitter::{Layout, WideEmitter};
use super::inst::{Condition, Inst, Operand, View};
use super::opcodes;
use crate::codegen::emitter::VectorType;
use crate::kernel::{BinaryOp, CompareOp};
use crate::tensor::Scalar;
use crate::types::DType;

impl WideEmitter {
    /// One of two general registers, by a bool.
    pub(super) fn choose_if(&mut self, c: Reg, a: Reg, b: Reg) -> Reg {
        let is_set = (Opcode::Cmp_rm32_imm32, (c, View::Dword), Operand::Number(0), Condition::NotEqual);
        self.r.choose(is_set, (a, b, View::Qword))
    }

    /// `if c { a } else { b }`, which moves bits and no more.
    pub(super) fn select_from(&mut self, ty: VectorType, c: Reg, a: Reg, b: Reg) -> Reg {
        if WideEmitter::is_general(ty) {
            return self.choose_if(c, a, b);
        }
        let layout = self.layout(ty);
        let Layout { lane, view } = layout;
        match self.level {
            Level::Avx512 if self.is_mask(ty) => {
                let (yes, no) = (
                    self.masks2(Opcode::VEX_Kandw_kr_kr_kr, c, a),
                    self.masks2(Opcode::VEX_Kandnw_kr_kr_kr, c, b),
                );
                self.masks2(Opcode::VEX_Korw_kr_kr_kr, yes, no)
            }
            Level::Avx512 => {
                let mask = if ty.lanes == 1 { self.general_to_mask(c) } else { c };
                // Only a zero of positive sign has no bits set.
                let zero = self.known.get(&(b, ty.dtype)).is_some_and(|known| known.bits() == 0);
                if zero {
                    let family = if lane == 4 { opcodes::LOAD_PS } else { opcodes::LOAD_PD };
                    let inst = Inst::new(family.at(self.level, view), view).reg(a, view);
                    return self.vector(inst.masked(mask, true), view);
                }
                let family = if lane == 4 { opcodes::BLEND_PS } else { opcodes::BLEND_PD };
                let inst = Inst::new(family.at(self.level, view), view).reg(b, view).reg(a, view);
                self.vector(inst.masked(mask, false), view)
            }
            Level::Avx2 => {
                let mask = if ty.lanes == 1 {
                    let all = self.general(Inst::new(Opcode::Neg_rm64, View::Qword).tied(c));
                    self.general_to_vector(all, lane)
                } else {
                    let bools = self.layout(ty.with_dtype(DType::Bool));
                    self.resized_mask(c, ty.lanes, bools.lane, lane)
                };
                let family = if lane == 4 { opcodes::BLEND_PS } else { opcodes::BLEND_PD };
                let bytes = if ty.lanes == 1 { lane as u8 } else { view.bytes() };
                let inst = Inst::new(family.at(self.level, view), view).reg(b, view);
                let inst = match ty.lanes {
                    // Sixteen bytes are read from memory, of which a scalar has fewer.
                    1 => inst.reg(a, view),
                    _ => inst.reg_or_memory(a, view, bytes, 0),
                };
                self.vector(inst.reg(mask, view), view)
            }
        }
    }

    /// The bits of a comparison of lanes of one width, for lanes of another one (AVX2).
    pub(super) fn resized_mask(&mut self, mask: Reg, lanes: usize, from: usize, to: usize) -> Reg {
        let wide = View::vector(8 * lanes);
        match (from, to) {
            (4, 8) => {
                let inst = Inst::new(opcodes::I32_TO_I64.at(self.level, wide), wide);
                self.vector(inst.reg(mask, View::Xmm), wide)
            }
            (8, 4) => self.even_lanes(mask, wide),
            _ => mask,
        }
    }

    /// Every other 32-bit lane of a register of up to 32 bytes, in 16 bytes (AVX2).
    pub(super) fn even_lanes(&mut self, from: Reg, view: View) -> Reg {
        let upper = if view == View::Xmm { from } else { self.quarter(view, from, 1) };
        let inst = Inst::new(Opcode::VEX_Vshufps_xmm_xmm_xmmm128_imm8, View::Xmm)
            .reg(from, View::Xmm)
            .reg(upper, View::Xmm)
            .number(0x88);
        self.vector(inst, View::Xmm)
    }

    fn masks2(&mut self, opcode: Opcode, a: Reg, b: Reg) -> Reg {
        self.mask(Inst::new(opcode, View::Mask).reg(a, View::Mask).reg(b, View::Mask))
    }

    /// The bools that are false.
    pub(super) fn not(&mut self, ty: VectorType, a: Reg) -> Reg {
        if self.is_mask(ty) {
            return self.mask(Inst::new(Opcode::VEX_Knotw_kr_kr, View::Mask).reg(a, View::Mask));
        }
        let all = self.constant_of(Scalar::Bool(true), ty.lanes);
        self.logical(BinaryOp::Xor, ty, a, all)
    }

    /// A function of two bools; sums and products are how folds combine bools.
    pub(super) fn logical(&mut self, op: BinaryOp, ty: VectorType, a: Reg, b: Reg) -> Reg {
        let (mask, family, general) = match op {
            BinaryOp::Or | BinaryOp::Add | BinaryOp::Max => {
                (Opcode::VEX_Korw_kr_kr_kr, opcodes::OR, Opcode::Or_r64_rm64)
            }
            BinaryOp::And | BinaryOp::Mul | BinaryOp::Min => {
                (Opcode::VEX_Kandw_kr_kr_kr, opcodes::AND, Opcode::And_r64_rm64)
            }
            BinaryOp::Xor => (Opcode::VEX_Kxorw_kr_kr_kr, opcodes::XOR, Opcode::Xor_r64_rm64),
            _ => unreachable!("{op:?} is not for bools"),
        };
        if ty.lanes == 1 {
            return self.general2(general, a, b);
        }
        if self.is_mask(ty) {
            return self.masks2(mask, a, b);
        }
        let layout = self.layout(ty);
        self.bits(family, layout, a, b)
    }

    /// An instruction over 64 bits that updates a copy of `a`.
    pub(super) fn general2(&mut self, opcode: Opcode, a: Reg, b: Reg) -> Reg {
        let inst = Inst::new(opcode, View::Qword).reg(b, View::Qword).tied(a);
        self.r.pure(inst, Class::General, 8)
    }

    /// Whether a comparison of bools holds; false is below true.
    pub(super) fn compare_bools(&mut self, op: CompareOp, ty: VectorType, a: Reg, b: Reg) -> Reg {
        match op {
            CompareOp::Ne => self.logical(BinaryOp::Xor, ty, a, b),
            CompareOp::Eq => {
                let differ = self.logical(BinaryOp::Xor, ty, a, b);
                self.not(ty, differ)
            }
            CompareOp::Gt | CompareOp::Lt => {
                let (larger, smaller) = if op == CompareOp::Gt { (a, b) } else { (b, a) };
                let smaller = self.not(ty, smaller);
                self.logical(BinaryOp::And, ty, larger, smaller)
            }
            CompareOp::Ge | CompareOp::Le => {
                let (larger, smaller) = if op == CompareOp::Ge { (a, b) } else { (b, a) };
                let smaller = self.not(ty, smaller);
                self.logical(BinaryOp::Or, ty, larger, smaller)
            }
        }
    }
}
