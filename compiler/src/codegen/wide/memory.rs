//! Loads and stores. Bytes and bools are widened to lanes of 32 bits and narrowed again.

use iced_x86::Code as Opcode;

use super::Level;
use super::code::{Class, Reg};
use super::emitter::{Layout, WideEmitter};
use super::inst::{Effect, Inst, Memory, View};
use super::opcodes;
use crate::codegen::emitter::{VectorEmitter, VectorType};
use crate::tensor::Scalar;
use crate::types::DType;

impl WideEmitter {
    pub(super) fn load_scalar(&mut self, dtype: DType, memory: Memory, fixed: bool) -> Reg {
        let bytes = dtype.bytes() as u8;
        let effect = Effect::Load { bytes, broadcast: false, fixed };
        let (opcode, view, class) = match dtype {
            DType::F32 => (opcodes::LOAD_SCALAR_SS.at(self.level), View::Xmm, Class::Vector),
            DType::F64 => (opcodes::LOAD_SCALAR_SD.at(self.level), View::Xmm, Class::Vector),
            DType::I32 => (Opcode::Mov_r32_rm32, View::Dword, Class::General),
            DType::I64 => (Opcode::Mov_r64_rm64, View::Qword, Class::General),
            _ => (Opcode::Movzx_r32_rm8, View::Dword, Class::General),
        };
        let inst = Inst::new(opcode, view).memory(memory).effect(effect);
        let bytes = if class == Class::General { 8 } else { 16 };
        let loaded = self.r.load(inst, class, bytes);
        match dtype {
            DType::Bool => self.is_nonzero(VectorType::scalar(DType::U8), loaded),
            _ => loaded,
        }
    }

    pub(super) fn store_scalar(&mut self, dtype: DType, value: Reg, memory: Memory) {
        let (opcode, view) = match dtype {
            DType::F32 => (opcodes::STORE_SCALAR_SS.at(self.level), View::Xmm),
            DType::F64 => (opcodes::STORE_SCALAR_SD.at(self.level), View::Xmm),
            DType::I32 => (Opcode::Mov_rm32_r32, View::Dword),
            DType::I64 => (Opcode::Mov_rm64_r64, View::Qword),
            _ => (Opcode::Mov_rm8_r8, View::Byte),
        };
        self.r.store(Inst::bare(opcode).memory(memory).reg(value, view));
    }

    /// A load that cannot become another instruction's operand.
    fn load_parts(&mut self, inst: Inst, view: View) -> Reg {
        self.r.load(inst.effect(Effect::LoadParts), Class::Vector, view.bytes())
    }

    pub(super) fn load_all(&mut self, ty: VectorType, memory: Memory, fixed: bool) -> Reg {
        if matches!(ty.dtype, DType::U8 | DType::Bool) {
            return self.load_bytes(ty, ty.lanes, memory);
        }
        let Layout { lane, view } = self.layout(ty);
        let bytes = (lane * ty.lanes) as u8;
        let opcode = match bytes {
            8 => opcodes::LOAD_SCALAR_SD.at(self.level),
            _ => opcodes::LOAD_PS.at(self.level, view),
        };
        let effect = Effect::Load { bytes, broadcast: false, fixed };
        let inst = Inst::new(opcode, view).memory(memory).effect(effect);
        self.r.load(inst, Class::Vector, view.bytes())
    }

    pub(super) fn load_some(&mut self, ty: VectorType, active: usize, memory: Memory) -> Reg {
        if matches!(ty.dtype, DType::U8 | DType::Bool) {
            return self.load_bytes(ty, active, memory);
        }
        let layout = self.layout(ty);
        let Layout { lane, view } = layout;
        let inst = match self.level {
            Level::Avx512 => {
                let mask = self.first_lanes(ty, active);
                let family = if lane == 4 { opcodes::LOAD_PS } else { opcodes::LOAD_PD };
                Inst::new(family.at(self.level, view), view).memory(memory).masked(mask, true)
            }
            Level::Avx2 => {
                let mask = self.first_bytes(layout, active);
                let opcode = match (lane, view) {
                    (4, View::Xmm) => Opcode::VEX_Vmaskmovps_xmm_xmm_m128,
                    (4, _) => Opcode::VEX_Vmaskmovps_ymm_ymm_m256,
                    (_, View::Xmm) => Opcode::VEX_Vmaskmovpd_xmm_xmm_m128,
                    _ => Opcode::VEX_Vmaskmovpd_ymm_ymm_m256,
                };
                Inst::new(opcode, view).reg(mask, view).memory(memory)
            }
        };
        self.load_parts(inst, view)
    }

    /// So many bytes, each in a lane; bools are whether they differ from zero.
    fn load_bytes(&mut self, ty: VectorType, active: usize, memory: Memory) -> Reg {
        let bytes = ty.with_dtype(DType::U8);
        let view = self.layout(bytes).view;
        let widen = Inst::new(opcodes::WIDEN_BYTES.at(self.level, view), view);
        let all = active == ty.lanes && active >= 4;
        let loaded = match self.level {
            _ if all => self.load_parts(widen.memory(memory), view),
            Level::Avx512 => {
                let mask = self.first_lanes(bytes, active);
                self.load_parts(widen.memory(memory).masked(mask, true), view)
            }
            Level::Avx2 => {
                let packed = self.load_packed(active, memory);
                self.vector(widen.reg(packed, View::Xmm), view)
            }
        };
        if ty.dtype == DType::Bool { self.is_nonzero(bytes, loaded) } else { loaded }
    }

    /// Up to 7 bytes as the first ones of a register, by pieces of 4, 2 and 1 (AVX2).
    fn load_packed(&mut self, count: usize, memory: Memory) -> Reg {
        let mut at = 0;
        let mut vector = match count {
            4.. => {
                at = 4;
                let inst = Inst::new(Opcode::VEX_Vmovd_xmm_rm32, View::Xmm).memory(memory);
                self.load_parts(inst, View::Xmm)
            }
            _ => self.constant_vector(0, 4, View::Xmm, true),
        };
        for (size, opcode) in
            [(2, Opcode::VEX_Vpinsrw_xmm_xmm_r32m16_imm8), (1, Opcode::VEX_Vpinsrb_xmm_xmm_r32m8_imm8)]
        {
            if count - at >= size {
                let memory = Memory { offset: memory.offset + at as i32, ..memory };
                let inst = Inst::new(opcode, View::Xmm).reg(vector, View::Xmm).memory(memory);
                vector = self.load_parts(inst.number((at / size) as i64), View::Xmm);
                at += size;
            }
        }
        vector
    }

    pub(super) fn store_all(&mut self, ty: VectorType, value: Reg, memory: Memory) {
        if matches!(ty.dtype, DType::U8 | DType::Bool) {
            return self.store_bytes(ty, ty.lanes, value, memory);
        }
        let Layout { lane, view } = self.layout(ty);
        let opcode = match lane * ty.lanes {
            8 => opcodes::STORE_SCALAR_SD.at(self.level),
            _ => opcodes::STORE_PS.at(self.level, view),
        };
        self.r.store(Inst::bare(opcode).memory(memory).reg(value, view));
    }

    pub(super) fn store_some(&mut self, ty: VectorType, active: usize, value: Reg, memory: Memory) {
        if matches!(ty.dtype, DType::U8 | DType::Bool) {
            return self.store_bytes(ty, active, value, memory);
        }
        let Layout { lane, view } = self.layout(ty);
        match self.level {
            Level::Avx512 => {
                let mask = self.first_lanes(ty, active);
                let family = if lane == 4 { opcodes::STORE_PS } else { opcodes::STORE_PD };
                let inst = Inst::bare(family.at(self.level, view)).memory(memory).reg(value, view);
                self.r.store(inst.masked(mask, false));
            }
            Level::Avx2 => self.store_pieces(view, lane * active, value, memory),
        }
    }

    /// The first so many bytes of a register, a multiple of 4, by pieces of 16, 8 and 4 (AVX2): a masked store takes some
    /// processors as long as ten others.
    fn store_pieces(&mut self, view: View, count: usize, value: Reg, memory: Memory) {
        for (quarter, start) in (0..count).step_by(16).enumerate() {
            let (value, end) = (self.quarter(view, value, quarter), count.min(start + 16));
            let mut at = start;
            for (size, opcode) in [
                (16, opcodes::STORE_PS.at(self.level, View::Xmm)),
                (8, opcodes::STORE_SCALAR_SD.at(self.level)),
                (4, Opcode::VEX_Vpextrd_rm32_xmm_imm8),
            ] {
                if end - at >= size {
                    let memory = Memory { offset: memory.offset + at as i32, ..memory };
                    let inst = Inst::bare(opcode).memory(memory).reg(value, View::Xmm);
                    self.r.store(if size == 4 { inst.number(((at - start) / size) as i64) } else { inst });
                    at += size;
                }
            }
        }
    }

    fn store_bytes(&mut self, ty: VectorType, active: usize, value: Reg, memory: Memory) {
        let bytes = ty.with_dtype(DType::U8);
        let value = match ty.dtype {
            DType::Bool => self.bools_to_bytes(ty, value),
            _ => value,
        };
        let view = self.layout(bytes).view;
        match self.level {
            Level::Avx512 => {
                let inst =
                    Inst::bare(opcodes::NARROW_BYTES.at(self.level, view)).memory(memory).reg(value, view);
                let inst = if active == ty.lanes && active >= 4 {
                    inst
                } else {
                    let mask = self.first_lanes(bytes, active);
                    inst.masked(mask, false)
                };
                self.r.store(inst);
            }
            Level::Avx2 => self.store_packed(view, active, value, memory),
        }
    }

    /// 0 or 1 for each bool, in lanes of bytes.
    fn bools_to_bytes(&mut self, ty: VectorType, value: Reg) -> Reg {
        let bytes = ty.with_dtype(DType::U8);
        let (one, zero) =
            (self.constant_of(Scalar::U8(1), ty.lanes), self.constant_of(Scalar::U8(0), ty.lanes));
        self.select(bytes, value, one, zero)
    }

    /// The bytes of up to 8 lanes, by pieces of 8, 4, 2 and 1 (AVX2).
    fn store_packed(&mut self, view: View, count: usize, value: Reg, memory: Memory) {
        let upper = self.quarter(view, value, usize::from(view == View::Ymm));
        let pack = |e: &mut WideEmitter, opcode, a: Reg, b: Reg| {
            e.vector(Inst::new(opcode, View::Xmm).reg(a, View::Xmm).reg(b, View::Xmm), View::Xmm)
        };
        let halves = pack(self, Opcode::VEX_Vpackusdw_xmm_xmm_xmmm128, value, upper);
        let packed = pack(self, Opcode::VEX_Vpackuswb_xmm_xmm_xmmm128, halves, halves);
        let mut at = 0;
        for (size, opcode) in [
            (8, Opcode::VEX_Vmovq_xmmm64_xmm),
            (4, Opcode::VEX_Vpextrd_rm32_xmm_imm8),
            (2, Opcode::VEX_Vpextrw_r32m16_xmm_imm8),
            (1, Opcode::VEX_Vpextrb_r32m8_xmm_imm8),
        ] {
            if count - at >= size {
                let memory = Memory { offset: memory.offset + at as i32, ..memory };
                let inst = Inst::bare(opcode).memory(memory).reg(packed, View::Xmm);
                self.r.store(if size == 8 { inst } else { inst.number((at / size) as i64) });
                at += size;
            }
        }
    }
}
