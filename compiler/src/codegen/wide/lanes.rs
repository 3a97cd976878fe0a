//! Constants, and the lanes of vectors.

use iced_x86::Code as Opcode;

use super::Level;
use super::code::Reg;
use super::emitter::{Layout, WideEmitter};
use super::inst::{Base, Effect, Inst, Memory, Shape, View};
use super::opcodes;
use crate::codegen::emitter::{VectorEmitter, VectorType};
use crate::kernel::BinaryOp;
use crate::tensor::Scalar;
use crate::types::DType;

impl WideEmitter {
    /// A constant in every lane.
    pub(super) fn constant_of(&mut self, constant: Scalar, lanes: usize) -> Reg {
        let ty = VectorType { dtype: constant.dtype(), lanes };
        let reg = if WideEmitter::is_general(ty) {
            let number = match constant {
                Scalar::I32(v) => i64::from(v),
                constant => constant.bits().cast_signed(),
            };
            self.r.number(self.r.innermost(), number)
        } else if self.is_mask(ty) {
            let bits = if constant == Scalar::Bool(true) { u16::MAX } else { 0 };
            self.constant_mask(bits)
        } else {
            let Layout { lane, view } = self.layout(ty);
            let bits = match constant {
                Scalar::Bool(true) => u64::MAX,
                constant => constant.bits(),
            };
            self.constant_vector(bits, if lanes == 1 { ty.dtype.bytes() } else { lane }, view, lanes > 1)
        };
        self.known.insert((reg, ty.dtype), constant);
        reg
    }

    /// A mask with these bits.
    pub(super) fn constant_mask(&mut self, bits: u16) -> Reg {
        let inst = self.pooled(&bits.to_le_bytes(), Opcode::VEX_Kmovw_kr_km16, View::Mask);
        self.mask(inst)
    }

    /// A vector of equal lanes of so many bytes, or of one such lane.
    pub(super) fn constant_vector(&mut self, bits: u64, lane: usize, view: View, in_every: bool) -> Reg {
        let element = &bits.to_le_bytes()[..lane];
        if element.iter().all(|&byte| byte == 0) {
            let inst = Inst::new(opcodes::XOR.at(self.level, view), view).shape(Shape::Zero);
            return self.vector(inst, view);
        }
        let inst = match (self.level, in_every) {
            (_, false) => {
                let single = if lane == 4 { opcodes::LOAD_SCALAR_SS } else { opcodes::LOAD_SCALAR_SD };
                self.pooled(element, single.at(self.level), View::Xmm)
            }
            (Level::Avx512, true) => {
                let family = if lane == 4 { opcodes::LOAD_SS } else { opcodes::LOAD_SD };
                let effect = Effect::Load { bytes: lane as u8, broadcast: true, fixed: true };
                self.pooled(element, family.at(self.level, view), view).effect(effect)
            }
            (Level::Avx2, true) => {
                let all = element.repeat(usize::from(view.bytes()) / lane);
                self.pooled(&all, opcodes::LOAD_PS.at(self.level, view), view)
            }
        };
        self.vector(inst, view)
    }

    /// What is true of the first lanes only.
    pub(super) fn first_lanes(&mut self, ty: VectorType, active: usize) -> Reg {
        if self.level == Level::Avx512 {
            return self.constant_mask(((1u32 << active) - 1) as u16);
        }
        let layout = self.layout(ty.with_dtype(DType::Bool));
        self.first_bytes(layout, active)
    }

    /// A vector whose first lanes have all bits set, and no others.
    pub(super) fn first_bytes(&mut self, Layout { lane, view }: Layout, active: usize) -> Reg {
        let mut bytes = vec![0xff; lane * active];
        bytes.resize(usize::from(view.bytes()), 0);
        let inst = self.pooled(&bytes, opcodes::LOAD_PS.at(self.level, view), view);
        self.vector(inst, view)
    }

    /// A scalar in every lane.
    pub(super) fn in_every_lane(&mut self, ty: VectorType, scalar: Reg) -> Reg {
        if let Some(&known) = self.known.get(&(scalar, ty.dtype)) {
            return self.constant_of(known, ty.lanes);
        }
        if ty.dtype == DType::Bool {
            let all = Inst::new(Opcode::Neg_rm64, View::Qword).tied(scalar);
            let all = self.general(all);
            return match self.level {
                Level::Avx512 => self.general_to_mask(all),
                Level::Avx2 => {
                    let layout = self.layout(ty);
                    self.broadcast_general(layout, all)
                }
            };
        }
        let layout = self.layout(ty);
        if ty.dtype.is_float() { self.broadcast(layout, scalar) } else { self.broadcast_int(ty, scalar) }
    }

    /// The lowest lane of a vector register in every lane.
    pub(super) fn broadcast(&mut self, Layout { lane, view }: Layout, from: Reg) -> Reg {
        let family = if lane == 4 { opcodes::BROADCAST_SS } else { opcodes::BROADCAST_SD };
        let inst = Inst::new(family.at(self.level, view), view);
        let inst = inst.reg_or_memory(from, View::Xmm, lane as u8, 0).repeats();
        self.vector(inst, view)
    }

    fn broadcast_int(&mut self, ty: VectorType, scalar: Reg) -> Reg {
        let layout = self.layout(ty);
        let Layout { lane, view } = layout;
        // What was just loaded is loaded once more into every lane, rather than moved between registers.
        let of_lanes =
            |load: &&Inst| matches!(load.effect, Effect::Load { bytes, .. } if usize::from(bytes) == lane);
        if let Some(load) = self.r.loaded(scalar).filter(of_lanes) {
            let memory: Memory = load.memory;
            let family = if lane == 4 { opcodes::LOAD_SS } else { opcodes::LOAD_SD };
            let effect = Effect::Load { bytes: lane as u8, broadcast: true, fixed: false };
            let inst = Inst::new(family.at(self.level, view), view).memory(memory).effect(effect);
            return self.r.load(inst, super::code::Class::Vector, view.bytes());
        }
        self.broadcast_general(layout, scalar)
    }

    /// A general register in every lane.
    pub(super) fn broadcast_general(&mut self, layout: Layout, from: Reg) -> Reg {
        let Layout { lane, view } = layout;
        match self.level {
            Level::Avx512 => {
                let (family, part) = match lane {
                    4 => (opcodes::BROADCAST_D, View::Dword),
                    _ => (opcodes::BROADCAST_Q, View::Qword),
                };
                let inst = Inst::new(family.at(self.level, view), view).reg(from, part);
                self.vector(inst, view)
            }
            Level::Avx2 => {
                let low = self.general_to_vector(from, lane);
                self.broadcast(layout, low)
            }
        }
    }

    /// A general register as the lowest lane of a vector register; other lanes are zero.
    pub(super) fn general_to_vector(&mut self, from: Reg, lane: usize) -> Reg {
        let (single, part) = match lane {
            4 => (opcodes::DWORD_TO_VECTOR, View::Dword),
            _ => (opcodes::QWORD_TO_VECTOR, View::Qword),
        };
        let inst = Inst::new(single.at(self.level), View::Xmm);
        self.vector(inst.reg_or_memory(from, part, part.bytes(), 0), View::Xmm)
    }

    /// The lowest lane of a vector register in a general one.
    pub(super) fn vector_to_general(&mut self, from: Reg, lane: usize) -> Reg {
        let (single, part) = match lane {
            4 => (opcodes::VECTOR_TO_DWORD, View::Dword),
            _ => (opcodes::VECTOR_TO_QWORD, View::Qword),
        };
        let inst = Inst::new(single.at(self.level), part).reg(from, View::Xmm);
        self.general(inst)
    }

    /// A general register as a mask.
    pub(super) fn general_to_mask(&mut self, from: Reg) -> Reg {
        let inst = Inst::new(Opcode::VEX_Kmovw_kr_r32, View::Mask).reg(from, View::Dword);
        self.mask(inst)
    }

    /// A mask in a general register.
    pub(super) fn mask_to_general(&mut self, from: Reg) -> Reg {
        let inst = Inst::new(Opcode::VEX_Kmovw_r32_kr, View::Dword).reg(from, View::Mask);
        self.general(inst)
    }

    /// Sixteen bytes of a vector register.
    pub(super) fn quarter(&mut self, view: View, vector: Reg, quarter: usize) -> Reg {
        if quarter == 0 {
            return vector;
        }
        let opcode = match (self.level, view) {
            (Level::Avx2, _) => Opcode::VEX_Vextractf128_xmmm128_ymm_imm8,
            (Level::Avx512, View::Ymm) => Opcode::EVEX_Vextractf32x4_xmmm128_k1z_ymm_imm8,
            (Level::Avx512, _) => Opcode::EVEX_Vextractf32x4_xmmm128_k1z_zmm_imm8,
        };
        let inst = Inst::new(opcode, View::Xmm).reg(vector, view).number(quarter as i64);
        self.vector(inst, View::Xmm)
    }

    /// One lane as a scalar.
    pub(super) fn lane_of(&mut self, ty: VectorType, vector: Reg, lane: usize) -> Reg {
        if self.is_mask(ty) {
            let bits = self.mask_to_general(vector);
            let bit = match lane {
                0 => bits,
                _ => {
                    let inst = Inst::new(Opcode::Shr_rm32_imm8, View::Dword).number(lane as i64);
                    self.general(inst.tied(bits))
                }
            };
            return self.lowest_bit(bit);
        }
        let Layout { lane: bytes, view } = self.layout(ty);
        let per_quarter = 16 / bytes;
        let quarter = self.quarter(view, vector, lane / per_quarter);
        let within = lane % per_quarter;
        let low = match within {
            0 => quarter,
            _ => {
                // Which of four 32-bit lanes comes first.
                let order = if bytes == 4 { within as i64 } else { 0xee };
                self.shuffle(quarter, order)
            }
        };
        if ty.dtype.is_float() {
            return low;
        }
        let scalar = self.vector_to_general(low, bytes);
        if ty.dtype == DType::Bool { self.lowest_bit(scalar) } else { scalar }
    }

    fn lowest_bit(&mut self, from: Reg) -> Reg {
        self.general(Inst::new(Opcode::And_rm32_imm8, View::Dword).number(1).tied(from))
    }

    /// The 32-bit lanes of 16 bytes in another order.
    fn shuffle(&mut self, from: Reg, order: i64) -> Reg {
        let inst = Inst::new(opcodes::PSHUFD.at(self.level), View::Xmm);
        self.vector(inst.reg(from, View::Xmm).number(order), View::Xmm)
    }

    /// The lower and the upper half, where a half is a vector.
    pub(super) fn halves_of(&mut self, ty: VectorType, vector: Reg) -> Option<[Reg; 2]> {
        if ty.dtype == DType::Bool || ty.lanes < 4 {
            return None;
        }
        let Layout { lane, view } = self.layout(ty);
        let upper = match (ty.lanes * lane, self.level) {
            (..=16, _) => self.shuffle(vector, 0xee),
            (64, _) => {
                let opcode = Opcode::EVEX_Vextractf64x4_ymmm256_k1z_zmm_imm8;
                let inst = Inst::new(opcode, View::Ymm).reg(vector, view).number(1);
                self.vector(inst, View::Ymm)
            }
            _ => self.quarter(view, vector, 1),
        };
        Some([vector, upper])
    }

    /// The vector with another scalar in one lane.
    pub(super) fn replace_lane(&mut self, ty: VectorType, vector: Reg, lane: usize, scalar: Reg) -> Reg {
        match self.level {
            Level::Avx512 => self.replace_masked(ty, vector, lane, scalar),
            Level::Avx2 => self.replace_in_quarter(ty, vector, lane, scalar),
        }
    }

    fn replace_masked(&mut self, ty: VectorType, vector: Reg, lane: usize, scalar: Reg) -> Reg {
        let only = self.constant_mask(1 << lane);
        if ty.dtype == DType::Bool {
            let all = self.in_every_lane(ty, scalar);
            return self.select_from(ty, only, all, vector);
        }
        let Layout { lane: bytes, view } = self.layout(ty);
        let (family, part) = match (ty.dtype.is_float(), bytes) {
            (true, 4) => (opcodes::BROADCAST_SS, View::Xmm),
            (true, _) => (opcodes::BROADCAST_SD, View::Xmm),
            (false, 4) => (opcodes::BROADCAST_D, View::Dword),
            (false, _) => (opcodes::BROADCAST_Q, View::Qword),
        };
        let inst = Inst::new(family.at(self.level, view), view).reg(scalar, part);
        self.vector(inst.tied(vector).masked(only, false), view)
    }

    /// Scalars in the first lanes; what is in others may be any of them.
    pub(super) fn collected(&mut self, ty: VectorType, scalars: &[Reg]) -> Reg {
        if ty.dtype == DType::Bool {
            let first = self.in_every_lane(ty, scalars[0]);
            let others = scalars.iter().enumerate().skip(1);
            return others.fold(first, |v, (lane, &scalar)| self.replace_lane(ty, v, lane, scalar));
        }
        let Layout { lane, .. } = self.layout(ty);
        let mut parts: Vec<Reg> =
            scalars.chunks(16 / lane).map(|own| self.quarter_of(ty, lane, own)).collect();
        let mut view = View::Xmm;
        while parts.len() > 1 {
            let wider = if view == View::Xmm { View::Ymm } else { View::Zmm };
            let opcode = match (self.level, wider) {
                (Level::Avx2, _) => Opcode::VEX_Vinsertf128_ymm_ymm_xmmm128_imm8,
                (Level::Avx512, View::Ymm) => Opcode::EVEX_Vinsertf32x4_ymm_k1z_ymm_xmmm128_imm8,
                (Level::Avx512, _) => Opcode::EVEX_Vinsertf64x4_zmm_k1z_zmm_ymmm256_imm8,
            };
            parts = (parts.chunks(2))
                .map(|pair| match *pair {
                    [low, high] => {
                        let inst = Inst::new(opcode, wider).reg(low, wider).reg(high, view).number(1);
                        self.vector(inst, wider)
                    }
                    _ => pair[0],
                })
                .collect();
            view = wider;
        }
        parts[0]
    }

    /// Up to 16 bytes of scalars.
    fn quarter_of(&mut self, ty: VectorType, lane: usize, scalars: &[Reg]) -> Reg {
        let first = match ty.dtype.is_float() {
            true => scalars[0],
            false => self.general_to_vector(scalars[0], lane),
        };
        scalars.iter().enumerate().skip(1).fold(first, |vector, (within, &scalar)| {
            let inst = self.inserted(ty, lane, (vector, within, scalar));
            self.vector(inst, View::Xmm)
        })
    }

    fn replace_in_quarter(&mut self, ty: VectorType, vector: Reg, lane: usize, scalar: Reg) -> Reg {
        let Layout { lane: bytes, view } = self.layout(ty);
        let scalar = match ty.dtype {
            DType::Bool => self.general(Inst::new(Opcode::Neg_rm64, View::Qword).tied(scalar)),
            _ => scalar,
        };
        let per_quarter = 16 / bytes;
        let (n, within) = (lane / per_quarter, lane % per_quarter);
        let quarter = self.quarter(view, vector, n);
        let inst = self.inserted(ty, bytes, (quarter, within, scalar));
        let replaced = self.vector(inst, View::Xmm);
        if view == View::Xmm {
            return replaced;
        }
        let inst = Inst::new(Opcode::VEX_Vinsertf128_ymm_ymm_xmmm128_imm8, view)
            .reg(vector, view)
            .reg(replaced, View::Xmm)
            .number(n as i64);
        self.vector(inst, view)
    }

    /// Sixteen bytes with one lane replaced by a scalar.
    fn inserted(&self, ty: VectorType, lane: usize, (quarter, within, scalar): (Reg, usize, Reg)) -> Inst {
        let (single, part) = match (ty.dtype.is_float(), lane) {
            (true, 4) => (opcodes::INSERT_PS, View::Xmm),
            (true, _) if within == 0 => (opcodes::MOVE_LOW_SD, View::Xmm),
            (true, _) => {
                let both = opcodes::UNPACK_LOW_PD.at(self.level, View::Xmm);
                return Inst::new(both, View::Xmm).reg(quarter, View::Xmm).reg(scalar, View::Xmm);
            }
            (false, 4) => (opcodes::INSERT_D, View::Dword),
            (false, _) => (opcodes::INSERT_Q, View::Qword),
        };
        let inst = Inst::new(single.at(self.level), View::Xmm).reg(quarter, View::Xmm);
        match (ty.dtype.is_float(), lane) {
            (true, 8) => inst.reg(scalar, part),
            (is_float, _) => {
                let number = if is_float { 16 * within } else { within };
                inst.reg_or_memory(scalar, part, lane as u8, 0).number(number as i64)
            }
        }
    }

    /// `start + lane · step`.
    pub(super) fn counting(&mut self, ty: VectorType, start: Reg, step: i64) -> Reg {
        let Layout { lane, view } = self.layout(ty);
        let mut steps = Vec::new();
        for n in 0..usize::from(view.bytes()) / lane {
            let number = step.wrapping_mul(n as i64).to_le_bytes();
            steps.extend_from_slice(&number[..lane]);
        }
        let id = self.r.code.pool.add(&steps);
        let effect = Effect::Load { bytes: view.bytes(), broadcast: false, fixed: true };
        let inst = Inst::new(opcodes::LOAD_PS.at(self.level, view), view);
        let steps = self.vector(inst.memory(Memory::at(Base::Constant(id))).effect(effect), view);
        let start = self.in_every_lane(ty, start);
        self.binary(BinaryOp::Add, ty, start, steps)
    }
}
