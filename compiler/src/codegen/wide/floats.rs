//! Arithmetic of floats.
//!
//! The mode flushes subnormals in every instruction that computes; what only moves bits keeps them. No constants are
//! folded, which could forget to flush.

use super::Level;
use super::code::Reg;
use super::emitter::{Layout, WideEmitter};
use super::inst::{Inst, Shape, View};
use super::opcodes::{self, Family, Single};
use crate::codegen::emitter::VectorType;
use crate::kernel::{BinaryOp, CompareOp, UnaryOp};
use crate::types::DType;

/// Predicates of comparisons, none of which signals.
pub(super) mod predicates {
    pub(in super::super) const EQUAL: i64 = 0x00;
    pub(in super::super) const UNORDERED: i64 = 0x03;
    pub(in super::super) const NOT_EQUAL: i64 = 0x04;
    pub(in super::super) const ORDERED: i64 = 0x07;
    pub(in super::super) const LESS: i64 = 0x11;
    pub(in super::super) const LESS_EQUAL: i64 = 0x12;
    pub(in super::super) const NOT_LESS_EQUAL: i64 = 0x16;
    pub(in super::super) const NOT_GREATER_EQUAL: i64 = 0x19;
    pub(in super::super) const GREATER_EQUAL: i64 = 0x1d;
    pub(in super::super) const GREATER: i64 = 0x1e;
}

/// The predicate of a comparison.
pub(super) fn predicate(op: CompareOp) -> i64 {
    match op {
        CompareOp::Eq => predicates::EQUAL,
        CompareOp::Ne => predicates::NOT_EQUAL,
        CompareOp::Lt => predicates::LESS,
        CompareOp::Le => predicates::LESS_EQUAL,
        CompareOp::Gt => predicates::GREATER,
        CompareOp::Ge => predicates::GREATER_EQUAL,
    }
}

/// One of two families, for f32 and for f64.
fn of_width(lane: usize, ps: Family, pd: Family) -> Family {
    if lane == 4 { ps } else { pd }
}

fn single_of_width(lane: usize, ss: Single, sd: Single) -> Single {
    if lane == 4 { ss } else { sd }
}

impl WideEmitter {
    pub(super) fn float_unary(&mut self, op: UnaryOp, ty: VectorType, a: Reg) -> Reg {
        let layout = self.layout(ty);
        let lane = layout.lane;
        let sign = 1u64 << (8 * lane - 1);
        match op {
            UnaryOp::Neg => {
                let sign = self.constant_vector(sign, lane, layout.view, true);
                self.commutative(of_width(lane, opcodes::XOR, opcodes::XOR_PD), layout, a, sign)
            }
            UnaryOp::Abs => {
                let others = self.constant_vector(sign - 1, lane, layout.view, true);
                self.commutative(of_width(lane, opcodes::AND, opcodes::AND_PD), layout, a, others)
            }
            UnaryOp::Sqrt if ty.lanes == 1 => {
                let single = single_of_width(lane, opcodes::SQRT_SS, opcodes::SQRT_SD);
                let inst = self.single2(single, lane, a, a);
                self.vector(inst, View::Xmm)
            }
            UnaryOp::Sqrt => self.op1(of_width(lane, opcodes::SQRT_PS, opcodes::SQRT_PD), layout, a),
            UnaryOp::Floor => self.rounded(ty, a, 0x9),
            UnaryOp::Ceil => self.rounded(ty, a, 0xa),
            UnaryOp::Round => self.rounded(ty, a, 0x8),
            _ => unreachable!("{op:?} is refused before anything is emitted"),
        }
    }

    /// Rounded to integers; `how` is the mode of the instructions.
    fn rounded(&mut self, ty: VectorType, a: Reg, how: i64) -> Reg {
        let Layout { lane, view } = self.layout(ty);
        let inst = if ty.lanes == 1 {
            let single = single_of_width(lane, opcodes::ROUND_SS, opcodes::ROUND_SD);
            self.single2(single, lane, a, a)
        } else {
            let family = of_width(lane, opcodes::ROUND_PS, opcodes::ROUND_PD);
            let inst = Inst::new(family.at(self.level, view), view);
            inst.reg_or_memory(a, view, view.bytes(), self.repeated(lane))
        };
        self.vector(inst.number(how), view)
    }

    pub(super) fn float_binary(&mut self, op: BinaryOp, ty: VectorType, a: Reg, b: Reg) -> Reg {
        use opcodes::*;
        let (ps, pd, ss, sd) = match op {
            BinaryOp::Add => (ADD_PS, ADD_PD, ADD_SS, ADD_SD),
            BinaryOp::Sub => (SUB_PS, SUB_PD, SUB_SS, SUB_SD),
            BinaryOp::Mul => (MUL_PS, MUL_PD, MUL_SS, MUL_SD),
            BinaryOp::Div => (DIV_PS, DIV_PD, DIV_SS, DIV_SD),
            BinaryOp::Min => return self.extreme(false, ty, a, b),
            BinaryOp::Max => return self.extreme(true, ty, a, b),
            _ => unreachable!("{op:?} is not for floats"),
        };
        let layout = self.layout(ty);
        let inst = if ty.lanes == 1 {
            self.single2(single_of_width(layout.lane, ss, sd), layout.lane, a, b)
        } else {
            self.inst2(of_width(layout.lane, ps, pd), layout, a, b)
        };
        let inst = if matches!(op, BinaryOp::Add | BinaryOp::Mul) { inst.commutes() } else { inst };
        self.vector(inst, layout.view)
    }

    pub(super) fn float_fma(&mut self, ty: VectorType, a: Reg, b: Reg, c: Reg) -> Reg {
        let Layout { lane, view } = self.layout(ty);
        let (opcode, bytes, element) = if ty.lanes == 1 {
            let single = single_of_width(lane, opcodes::FMA231_SS, opcodes::FMA231_SD);
            (single.at(self.level), lane as u8, 0)
        } else {
            let family = of_width(lane, opcodes::FMA231_PS, opcodes::FMA231_PD);
            (family.at(self.level, view), view.bytes(), self.repeated(lane))
        };
        let inst = Inst::new(opcode, view).reg(a, view).reg_or_memory(b, view, bytes, element).reg(c, view);
        self.vector(inst.shape(Shape::Fma), view)
    }

    /// The larger or the smaller one, with the zeros in order, and NaN if either is. The instructions for it give
    /// their second operand if either is NaN or both are zeros.
    fn extreme(&mut self, max: bool, ty: VectorType, a: Reg, b: Reg) -> Reg {
        let known = |reg: Reg| self.known.get(&(reg, ty.dtype)).map(|c| c.as_f64()).filter(|c| !c.is_nan());
        match (known(a), known(b)) {
            (_, Some(c)) => self.extreme_with(max, ty, (a, b, c)),
            (Some(c), _) => self.extreme_with(max, ty, (b, a, c)),
            _ => self.extreme_of(max, ty, a, b),
        }
    }

    /// The larger or the smaller one of `x` and a constant in a register.
    fn extreme_with(&mut self, max: bool, ty: VectorType, (x, constant, c): (Reg, Reg, f64)) -> Reg {
        // The zero that is the larger (smaller) one must win against the other.
        if c == 0.0 && c.is_sign_positive() == max {
            let keeps = if max { predicates::NOT_LESS_EQUAL } else { predicates::NOT_GREATER_EQUAL };
            let keeps = self.compare_floats(keeps, ty, x, constant);
            return self.select_from(ty, keeps, x, constant);
        }
        // If x is NaN it stays, and so does a zero that is not below (above) the constant.
        self.extreme_or_second(max, ty, constant, x)
    }

    fn extreme_or_second(&mut self, max: bool, ty: VectorType, a: Reg, b: Reg) -> Reg {
        let layout = self.layout(ty);
        if ty.lanes == 1 {
            let single = match max {
                true => single_of_width(layout.lane, opcodes::MAX_SS, opcodes::MAX_SD),
                false => single_of_width(layout.lane, opcodes::MIN_SS, opcodes::MIN_SD),
            };
            let inst = self.single2(single, layout.lane, a, b);
            return self.vector(inst, View::Xmm);
        }
        let family = match max {
            true => of_width(layout.lane, opcodes::MAX_PS, opcodes::MAX_PD),
            false => of_width(layout.lane, opcodes::MIN_PS, opcodes::MIN_PD),
        };
        self.op2(family, layout, a, b)
    }

    fn extreme_of(&mut self, max: bool, ty: VectorType, a: Reg, b: Reg) -> Reg {
        // Of scalars, all lanes of 16 bytes are computed: it costs nothing.
        let layout = self.layout(ty);
        let Layout { lane, view } = layout;
        let compare = of_width(lane, opcodes::COMPARE_PS, opcodes::COMPARE_PD);
        let compare = Inst::new(
            compare.at(self.level, view),
            if self.level == Level::Avx512 { View::Mask } else { view },
        );
        let unordered = compare.reg(a, view).reg(b, view).number(predicates::UNORDERED);
        match self.level {
            Level::Avx512 => {
                // The instruction orders zeros, and prefers numbers.
                let family = of_width(lane, opcodes::RANGE_PS, opcodes::RANGE_PD);
                let how = 0b0100 | i64::from(max);
                let inst = Inst::new(family.at(self.level, view), view);
                let ordered = self.vector(inst.reg(a, view).reg(b, view).number(how), view);
                let unordered = self.mask(unordered);
                let family = of_width(lane, opcodes::ADD_PS, opcodes::ADD_PD);
                let sum = Inst::new(family.at(self.level, view), view).reg(a, view).reg(b, view);
                self.vector(sum.tied(ordered).masked(unordered, false), view)
            }
            Level::Avx2 => {
                let family = match max {
                    true => of_width(lane, opcodes::MAX_PS, opcodes::MAX_PD),
                    false => of_width(lane, opcodes::MIN_PS, opcodes::MIN_PD),
                };
                let (one, other) = (self.op2(family, layout, a, b), self.op2(family, layout, b, a));
                // They differ only where there is a NaN, or zeros of both signs.
                let both = if max { opcodes::AND } else { opcodes::OR };
                let both = self.bits(both, layout, one, other);
                let nan = self.vector(unordered, view);
                self.bits(opcodes::OR, layout, both, nan)
            }
        }
    }

    /// Whether a comparison holds, as a bool.
    pub(super) fn compare_floats(&mut self, predicate: i64, ty: VectorType, a: Reg, b: Reg) -> Reg {
        let Layout { lane, view } = self.layout(ty);
        let result = if self.level == Level::Avx512 { View::Mask } else { view };
        if ty.lanes == 1 {
            let single = single_of_width(lane, opcodes::COMPARE_SS, opcodes::COMPARE_SD);
            let inst = Inst::new(single.at(self.level), result).reg(a, View::Xmm);
            let inst = inst.reg_or_memory(b, View::Xmm, lane as u8, 0).number(predicate);
            return match self.level {
                Level::Avx512 => {
                    let mask = self.mask(inst);
                    self.mask_to_general(mask)
                }
                Level::Avx2 => {
                    let vector = self.vector(inst, View::Xmm);
                    let one = VectorType { dtype: DType::Bool, lanes: if lane == 4 { 8 } else { 4 } };
                    self.lane_of(one, vector, 0)
                }
            };
        }
        let family = of_width(lane, opcodes::COMPARE_PS, opcodes::COMPARE_PD);
        let inst = Inst::new(family.at(self.level, view), result).reg(a, view);
        let inst = inst.reg_or_memory(b, view, view.bytes(), self.repeated(lane)).number(predicate);
        match self.level {
            Level::Avx512 => self.mask(inst),
            Level::Avx2 => {
                let found = self.vector(inst, view);
                self.resized_mask(found, ty.lanes, lane, self.layout(ty.with_dtype(DType::Bool)).lane)
            }
        }
    }
}
