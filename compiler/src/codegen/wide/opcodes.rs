//! Opcodes by what they do, at either level and for every width.

use iced_x86::Code as Opcode;

use super::Level;
use super::inst::{Condition, View};

/// An instruction over vectors of every width.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    /// AVX2, for 16 and 32 bytes.
    vex: [Opcode; 2],
    /// AVX-512, for 16, 32 and 64 bytes.
    evex: [Opcode; 3],
}

impl Family {
    /// The opcode for a level and a width.
    pub(super) fn at(self, level: Level, view: View) -> Opcode {
        let width = match view {
            View::Ymm => 1,
            View::Zmm => 2,
            _ => 0,
        };
        let opcode = match level {
            Level::Avx2 => self.vex[width],
            Level::Avx512 => self.evex[width],
        };
        debug_assert_ne!(opcode, Opcode::INVALID);
        opcode
    }
}

/// An instruction over the lowest element of a vector.
#[derive(Clone, Copy, Debug)]
pub(super) struct Single {
    vex: Opcode,
    evex: Opcode,
}

impl Single {
    /// The opcode for a level.
    pub(super) fn at(self, level: Level) -> Opcode {
        match level {
            Level::Avx2 => self.vex,
            Level::Avx512 => self.evex,
        }
    }
}

// Where AVX2 has none, there is `INVALID`.
macro_rules! families {
    ($($name:ident: [$($vex:ident),*] [$($evex:ident),*],)*) => {
        $(pub(super) const $name: Family =
            Family { vex: [$(Opcode::$vex),*], evex: [$(Opcode::$evex),*] };)*
    };
}

macro_rules! singles {
    ($($name:ident: $vex:ident $evex:ident,)*) => {
        $(pub(super) const $name: Single = Single { vex: Opcode::$vex, evex: Opcode::$evex };)*
    };
}

/// The forms 231, 213 and 132 of the fused multiply-add whose form 231 is given.
pub(super) fn fma_forms(opcode: Opcode) -> [Opcode; 3] {
    for [a, b, c] in [[FMA231_PS, FMA213_PS, FMA132_PS], [FMA231_PD, FMA213_PD, FMA132_PD]] {
        if let Some(n) = a.vex.iter().position(|&o| o == opcode) {
            return [a.vex[n], b.vex[n], c.vex[n]];
        }
        if let Some(n) = a.evex.iter().position(|&o| o == opcode) {
            return [a.evex[n], b.evex[n], c.evex[n]];
        }
    }
    for [a, b, c] in [[FMA231_SS, FMA213_SS, FMA132_SS], [FMA231_SD, FMA213_SD, FMA132_SD]] {
        if a.vex == opcode {
            return [a.vex, b.vex, c.vex];
        }
        if a.evex == opcode {
            return [a.evex, b.evex, c.evex];
        }
    }
    unreachable!("{opcode:?} is no fused multiply-add")
}

/// The opcode for an operand in memory, where that is another one.
pub(super) fn memory_form(opcode: Opcode) -> Opcode {
    match opcode {
        Opcode::VEX_Vbroadcastss_xmm_xmm => Opcode::VEX_Vbroadcastss_xmm_m32,
        Opcode::VEX_Vbroadcastss_ymm_xmm => Opcode::VEX_Vbroadcastss_ymm_m32,
        Opcode::VEX_Vbroadcastsd_ymm_xmm => Opcode::VEX_Vbroadcastsd_ymm_m64,
        _ => opcode,
    }
}

macro_rules! conditions {
    ($($name:ident: $jump:ident $set:ident $dword:ident $qword:ident,)*) => {
        impl Condition {
            /// The jump that is taken if it holds.
            pub(super) fn jump(self) -> Opcode {
                match self { $(Condition::$name => Opcode::$jump,)* }
            }

            /// The instruction that sets a byte to 1 if it holds, else to 0.
            pub(super) fn set(self) -> Opcode {
                match self { $(Condition::$name => Opcode::$set,)* }
            }

            /// The move that is done if it holds.
            pub(super) fn move_if(self, view: View) -> Opcode {
                match (self, view) {
                    $((Condition::$name, View::Qword) => Opcode::$qword,)*
                    $((Condition::$name, _) => Opcode::$dword,)*
                }
            }
        }
    };
}

conditions! {
    Equal: Je_rel32_64 Sete_rm8 Cmove_r32_rm32 Cmove_r64_rm64,
    NotEqual: Jne_rel32_64 Setne_rm8 Cmovne_r32_rm32 Cmovne_r64_rm64,
    Less: Jl_rel32_64 Setl_rm8 Cmovl_r32_rm32 Cmovl_r64_rm64,
    LessEqual: Jle_rel32_64 Setle_rm8 Cmovle_r32_rm32 Cmovle_r64_rm64,
    Greater: Jg_rel32_64 Setg_rm8 Cmovg_r32_rm32 Cmovg_r64_rm64,
    GreaterEqual: Jge_rel32_64 Setge_rm8 Cmovge_r32_rm32 Cmovge_r64_rm64,
    Below: Jb_rel32_64 Setb_rm8 Cmovb_r32_rm32 Cmovb_r64_rm64,
    BelowEqual: Jbe_rel32_64 Setbe_rm8 Cmovbe_r32_rm32 Cmovbe_r64_rm64,
    Above: Ja_rel32_64 Seta_rm8 Cmova_r32_rm32 Cmova_r64_rm64,
    AboveEqual: Jae_rel32_64 Setae_rm8 Cmovae_r32_rm32 Cmovae_r64_rm64,
}

singles! {
    ADD_SS: VEX_Vaddss_xmm_xmm_xmmm32 EVEX_Vaddss_xmm_k1z_xmm_xmmm32_er,
    SUB_SS: VEX_Vsubss_xmm_xmm_xmmm32 EVEX_Vsubss_xmm_k1z_xmm_xmmm32_er,
    MUL_SS: VEX_Vmulss_xmm_xmm_xmmm32 EVEX_Vmulss_xmm_k1z_xmm_xmmm32_er,
    DIV_SS: VEX_Vdivss_xmm_xmm_xmmm32 EVEX_Vdivss_xmm_k1z_xmm_xmmm32_er,
    MIN_SS: VEX_Vminss_xmm_xmm_xmmm32 EVEX_Vminss_xmm_k1z_xmm_xmmm32_sae,
    MAX_SS: VEX_Vmaxss_xmm_xmm_xmmm32 EVEX_Vmaxss_xmm_k1z_xmm_xmmm32_sae,
    SQRT_SS: VEX_Vsqrtss_xmm_xmm_xmmm32 EVEX_Vsqrtss_xmm_k1z_xmm_xmmm32_er,
    FMA231_SS: VEX_Vfmadd231ss_xmm_xmm_xmmm32 EVEX_Vfmadd231ss_xmm_k1z_xmm_xmmm32_er,
    FMA213_SS: VEX_Vfmadd213ss_xmm_xmm_xmmm32 EVEX_Vfmadd213ss_xmm_k1z_xmm_xmmm32_er,
    FMA132_SS: VEX_Vfmadd132ss_xmm_xmm_xmmm32 EVEX_Vfmadd132ss_xmm_k1z_xmm_xmmm32_er,
    ROUND_SS: VEX_Vroundss_xmm_xmm_xmmm32_imm8 EVEX_Vrndscaless_xmm_k1z_xmm_xmmm32_imm8_sae,
    COMPARE_SS: VEX_Vcmpss_xmm_xmm_xmmm32_imm8 EVEX_Vcmpss_kr_k1_xmm_xmmm32_imm8_sae,
    LOAD_SCALAR_SS: VEX_Vmovss_xmm_m32 EVEX_Vmovss_xmm_k1z_m32,
    STORE_SCALAR_SS: VEX_Vmovss_m32_xmm EVEX_Vmovss_m32_k1_xmm,
    I32_TO_SS: VEX_Vcvtsi2ss_xmm_xmm_rm32 EVEX_Vcvtsi2ss_xmm_xmm_rm32_er,
    I64_TO_SS: VEX_Vcvtsi2ss_xmm_xmm_rm64 EVEX_Vcvtsi2ss_xmm_xmm_rm64_er,
    SS_TO_I64: VEX_Vcvttss2si_r64_xmmm32 EVEX_Vcvttss2si_r64_xmmm32_sae,
    ADD_SD: VEX_Vaddsd_xmm_xmm_xmmm64 EVEX_Vaddsd_xmm_k1z_xmm_xmmm64_er,
    SUB_SD: VEX_Vsubsd_xmm_xmm_xmmm64 EVEX_Vsubsd_xmm_k1z_xmm_xmmm64_er,
    MUL_SD: VEX_Vmulsd_xmm_xmm_xmmm64 EVEX_Vmulsd_xmm_k1z_xmm_xmmm64_er,
    DIV_SD: VEX_Vdivsd_xmm_xmm_xmmm64 EVEX_Vdivsd_xmm_k1z_xmm_xmmm64_er,
    MIN_SD: VEX_Vminsd_xmm_xmm_xmmm64 EVEX_Vminsd_xmm_k1z_xmm_xmmm64_sae,
    MAX_SD: VEX_Vmaxsd_xmm_xmm_xmmm64 EVEX_Vmaxsd_xmm_k1z_xmm_xmmm64_sae,
    SQRT_SD: VEX_Vsqrtsd_xmm_xmm_xmmm64 EVEX_Vsqrtsd_xmm_k1z_xmm_xmmm64_er,
    FMA231_SD: VEX_Vfmadd231sd_xmm_xmm_xmmm64 EVEX_Vfmadd231sd_xmm_k1z_xmm_xmmm64_er,
    FMA213_SD: VEX_Vfmadd213sd_xmm_xmm_xmmm64 EVEX_Vfmadd213sd_xmm_k1z_xmm_xmmm64_er,
    FMA132_SD: VEX_Vfmadd132sd_xmm_xmm_xmmm64 EVEX_Vfmadd132sd_xmm_k1z_xmm_xmmm64_er,
    ROUND_SD: VEX_Vroundsd_xmm_xmm_xmmm64_imm8 EVEX_Vrndscalesd_xmm_k1z_xmm_xmmm64_imm8_sae,
    COMPARE_SD: VEX_Vcmpsd_xmm_xmm_xmmm64_imm8 EVEX_Vcmpsd_kr_k1_xmm_xmmm64_imm8_sae,
    LOAD_SCALAR_SD: VEX_Vmovsd_xmm_m64 EVEX_Vmovsd_xmm_k1z_m64,
    STORE_SCALAR_SD: VEX_Vmovsd_m64_xmm EVEX_Vmovsd_m64_k1_xmm,
    I32_TO_SD: VEX_Vcvtsi2sd_xmm_xmm_rm32 EVEX_Vcvtsi2sd_xmm_xmm_rm32_er,
    I64_TO_SD: VEX_Vcvtsi2sd_xmm_xmm_rm64 EVEX_Vcvtsi2sd_xmm_xmm_rm64_er,
    SD_TO_I64: VEX_Vcvttsd2si_r64_xmmm64 EVEX_Vcvttsd2si_r64_xmmm64_sae,
    SS_TO_SD: VEX_Vcvtss2sd_xmm_xmm_xmmm32 EVEX_Vcvtss2sd_xmm_k1z_xmm_xmmm32_sae,
    SD_TO_SS: VEX_Vcvtsd2ss_xmm_xmm_xmmm64 EVEX_Vcvtsd2ss_xmm_k1z_xmm_xmmm64_er,
    DWORD_TO_VECTOR: VEX_Vmovd_xmm_rm32 EVEX_Vmovd_xmm_rm32,
    QWORD_TO_VECTOR: VEX_Vmovq_xmm_rm64 EVEX_Vmovq_xmm_rm64,
    VECTOR_TO_DWORD: VEX_Vmovd_rm32_xmm EVEX_Vmovd_rm32_xmm,
    VECTOR_TO_QWORD: VEX_Vmovq_rm64_xmm EVEX_Vmovq_rm64_xmm,
    PSHUFD: VEX_Vpshufd_xmm_xmmm128_imm8 EVEX_Vpshufd_xmm_k1z_xmmm128b32_imm8,
    INSERT_PS: VEX_Vinsertps_xmm_xmm_xmmm32_imm8 EVEX_Vinsertps_xmm_xmm_xmmm32_imm8,
    INSERT_D: VEX_Vpinsrd_xmm_xmm_rm32_imm8 EVEX_Vpinsrd_xmm_xmm_rm32_imm8,
    INSERT_Q: VEX_Vpinsrq_xmm_xmm_rm64_imm8 EVEX_Vpinsrq_xmm_xmm_rm64_imm8,
    MOVE_LOW_SD: VEX_Vmovsd_xmm_xmm_xmm EVEX_Vmovsd_xmm_k1z_xmm_xmm,
}

families! {
    ADD_PS: [VEX_Vaddps_xmm_xmm_xmmm128, VEX_Vaddps_ymm_ymm_ymmm256] [EVEX_Vaddps_xmm_k1z_xmm_xmmm128b32, EVEX_Vaddps_ymm_k1z_ymm_ymmm256b32, EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er],
    SUB_PS: [VEX_Vsubps_xmm_xmm_xmmm128, VEX_Vsubps_ymm_ymm_ymmm256] [EVEX_Vsubps_xmm_k1z_xmm_xmmm128b32, EVEX_Vsubps_ymm_k1z_ymm_ymmm256b32, EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er],
    MUL_PS: [VEX_Vmulps_xmm_xmm_xmmm128, VEX_Vmulps_ymm_ymm_ymmm256] [EVEX_Vmulps_xmm_k1z_xmm_xmmm128b32, EVEX_Vmulps_ymm_k1z_ymm_ymmm256b32, EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er],
    DIV_PS: [VEX_Vdivps_xmm_xmm_xmmm128, VEX_Vdivps_ymm_ymm_ymmm256] [EVEX_Vdivps_xmm_k1z_xmm_xmmm128b32, EVEX_Vdivps_ymm_k1z_ymm_ymmm256b32, EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er],
    MIN_PS: [VEX_Vminps_xmm_xmm_xmmm128, VEX_Vminps_ymm_ymm_ymmm256] [EVEX_Vminps_xmm_k1z_xmm_xmmm128b32, EVEX_Vminps_ymm_k1z_ymm_ymmm256b32, EVEX_Vminps_zmm_k1z_zmm_zmmm512b32_sae],
    MAX_PS: [VEX_Vmaxps_xmm_xmm_xmmm128, VEX_Vmaxps_ymm_ymm_ymmm256] [EVEX_Vmaxps_xmm_k1z_xmm_xmmm128b32, EVEX_Vmaxps_ymm_k1z_ymm_ymmm256b32, EVEX_Vmaxps_zmm_k1z_zmm_zmmm512b32_sae],
    SQRT_PS: [VEX_Vsqrtps_xmm_xmmm128, VEX_Vsqrtps_ymm_ymmm256] [EVEX_Vsqrtps_xmm_k1z_xmmm128b32, EVEX_Vsqrtps_ymm_k1z_ymmm256b32, EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er],
    FMA231_PS: [VEX_Vfmadd231ps_xmm_xmm_xmmm128, VEX_Vfmadd231ps_ymm_ymm_ymmm256] [EVEX_Vfmadd231ps_xmm_k1z_xmm_xmmm128b32, EVEX_Vfmadd231ps_ymm_k1z_ymm_ymmm256b32, EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er],
    FMA213_PS: [VEX_Vfmadd213ps_xmm_xmm_xmmm128, VEX_Vfmadd213ps_ymm_ymm_ymmm256] [EVEX_Vfmadd213ps_xmm_k1z_xmm_xmmm128b32, EVEX_Vfmadd213ps_ymm_k1z_ymm_ymmm256b32, EVEX_Vfmadd213ps_zmm_k1z_zmm_zmmm512b32_er],
    FMA132_PS: [VEX_Vfmadd132ps_xmm_xmm_xmmm128, VEX_Vfmadd132ps_ymm_ymm_ymmm256] [EVEX_Vfmadd132ps_xmm_k1z_xmm_xmmm128b32, EVEX_Vfmadd132ps_ymm_k1z_ymm_ymmm256b32, EVEX_Vfmadd132ps_zmm_k1z_zmm_zmmm512b32_er],
    ROUND_PS: [VEX_Vroundps_xmm_xmmm128_imm8, VEX_Vroundps_ymm_ymmm256_imm8] [EVEX_Vrndscaleps_xmm_k1z_xmmm128b32_imm8, EVEX_Vrndscaleps_ymm_k1z_ymmm256b32_imm8, EVEX_Vrndscaleps_zmm_k1z_zmmm512b32_imm8_sae],
    COMPARE_PS: [VEX_Vcmpps_xmm_xmm_xmmm128_imm8, VEX_Vcmpps_ymm_ymm_ymmm256_imm8] [EVEX_Vcmpps_kr_k1_xmm_xmmm128b32_imm8, EVEX_Vcmpps_kr_k1_ymm_ymmm256b32_imm8, EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae],
    RANGE_PS: [INVALID, INVALID] [EVEX_Vrangeps_xmm_k1z_xmm_xmmm128b32_imm8, EVEX_Vrangeps_ymm_k1z_ymm_ymmm256b32_imm8, EVEX_Vrangeps_zmm_k1z_zmm_zmmm512b32_imm8_sae],
    LOAD_PS: [VEX_Vmovups_xmm_xmmm128, VEX_Vmovups_ymm_ymmm256] [EVEX_Vmovups_xmm_k1z_xmmm128, EVEX_Vmovups_ymm_k1z_ymmm256, EVEX_Vmovups_zmm_k1z_zmmm512],
    STORE_PS: [VEX_Vmovups_xmmm128_xmm, VEX_Vmovups_ymmm256_ymm] [EVEX_Vmovups_xmmm128_k1z_xmm, EVEX_Vmovups_ymmm256_k1z_ymm, EVEX_Vmovups_zmmm512_k1z_zmm],
    BLEND_PS: [VEX_Vblendvps_xmm_xmm_xmmm128_xmm, VEX_Vblendvps_ymm_ymm_ymmm256_ymm] [EVEX_Vblendmps_xmm_k1z_xmm_xmmm128b32, EVEX_Vblendmps_ymm_k1z_ymm_ymmm256b32, EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32],
    ADD_PD: [VEX_Vaddpd_xmm_xmm_xmmm128, VEX_Vaddpd_ymm_ymm_ymmm256] [EVEX_Vaddpd_xmm_k1z_xmm_xmmm128b64, EVEX_Vaddpd_ymm_k1z_ymm_ymmm256b64, EVEX_Vaddpd_zmm_k1z_zmm_zmmm512b64_er],
    SUB_PD: [VEX_Vsubpd_xmm_xmm_xmmm128, VEX_Vsubpd_ymm_ymm_ymmm256] [EVEX_Vsubpd_xmm_k1z_xmm_xmmm128b64, EVEX_Vsubpd_ymm_k1z_ymm_ymmm256b64, EVEX_Vsubpd_zmm_k1z_zmm_zmmm512b64_er],
    MUL_PD: [VEX_Vmulpd_xmm_xmm_xmmm128, VEX_Vmulpd_ymm_ymm_ymmm256] [EVEX_Vmulpd_xmm_k1z_xmm_xmmm128b64, EVEX_Vmulpd_ymm_k1z_ymm_ymmm256b64, EVEX_Vmulpd_zmm_k1z_zmm_zmmm512b64_er],
    DIV_PD: [VEX_Vdivpd_xmm_xmm_xmmm128, VEX_Vdivpd_ymm_ymm_ymmm256] [EVEX_Vdivpd_xmm_k1z_xmm_xmmm128b64, EVEX_Vdivpd_ymm_k1z_ymm_ymmm256b64, EVEX_Vdivpd_zmm_k1z_zmm_zmmm512b64_er],
    MIN_PD: [VEX_Vminpd_xmm_xmm_xmmm128, VEX_Vminpd_ymm_ymm_ymmm256] [EVEX_Vminpd_xmm_k1z_xmm_xmmm128b64, EVEX_Vminpd_ymm_k1z_ymm_ymmm256b64, EVEX_Vminpd_zmm_k1z_zmm_zmmm512b64_sae],
    MAX_PD: [VEX_Vmaxpd_xmm_xmm_xmmm128, VEX_Vmaxpd_ymm_ymm_ymmm256] [EVEX_Vmaxpd_xmm_k1z_xmm_xmmm128b64, EVEX_Vmaxpd_ymm_k1z_ymm_ymmm256b64, EVEX_Vmaxpd_zmm_k1z_zmm_zmmm512b64_sae],
    SQRT_PD: [VEX_Vsqrtpd_xmm_xmmm128, VEX_Vsqrtpd_ymm_ymmm256] [EVEX_Vsqrtpd_xmm_k1z_xmmm128b64, EVEX_Vsqrtpd_ymm_k1z_ymmm256b64, EVEX_Vsqrtpd_zmm_k1z_zmmm512b64_er],
    FMA231_PD: [VEX_Vfmadd231pd_xmm_xmm_xmmm128, VEX_Vfmadd231pd_ymm_ymm_ymmm256] [EVEX_Vfmadd231pd_xmm_k1z_xmm_xmmm128b64, EVEX_Vfmadd231pd_ymm_k1z_ymm_ymmm256b64, EVEX_Vfmadd231pd_zmm_k1z_zmm_zmmm512b64_er],
    FMA213_PD: [VEX_Vfmadd213pd_xmm_xmm_xmmm128, VEX_Vfmadd213pd_ymm_ymm_ymmm256] [EVEX_Vfmadd213pd_xmm_k1z_xmm_xmmm128b64, EVEX_Vfmadd213pd_ymm_k1z_ymm_ymmm256b64, EVEX_Vfmadd213pd_zmm_k1z_zmm_zmmm512b64_er],
    FMA132_PD: [VEX_Vfmadd132pd_xmm_xmm_xmmm128, VEX_Vfmadd132pd_ymm_ymm_ymmm256] [EVEX_Vfmadd132pd_xmm_k1z_xmm_xmmm128b64, EVEX_Vfmadd132pd_ymm_k1z_ymm_ymmm256b64, EVEX_Vfmadd132pd_zmm_k1z_zmm_zmmm512b64_er],
    ROUND_PD: [VEX_Vroundpd_xmm_xmmm128_imm8, VEX_Vroundpd_ymm_ymmm256_imm8] [EVEX_Vrndscalepd_xmm_k1z_xmmm128b64_imm8, EVEX_Vrndscalepd_ymm_k1z_ymmm256b64_imm8, EVEX_Vrndscalepd_zmm_k1z_zmmm512b64_imm8_sae],
    COMPARE_PD: [VEX_Vcmppd_xmm_xmm_xmmm128_imm8, VEX_Vcmppd_ymm_ymm_ymmm256_imm8] [EVEX_Vcmppd_kr_k1_xmm_xmmm128b64_imm8, EVEX_Vcmppd_kr_k1_ymm_ymmm256b64_imm8, EVEX_Vcmppd_kr_k1_zmm_zmmm512b64_imm8_sae],
    RANGE_PD: [INVALID, INVALID] [EVEX_Vrangepd_xmm_k1z_xmm_xmmm128b64_imm8, EVEX_Vrangepd_ymm_k1z_ymm_ymmm256b64_imm8, EVEX_Vrangepd_zmm_k1z_zmm_zmmm512b64_imm8_sae],
    LOAD_PD: [VEX_Vmovupd_xmm_xmmm128, VEX_Vmovupd_ymm_ymmm256] [EVEX_Vmovupd_xmm_k1z_xmmm128, EVEX_Vmovupd_ymm_k1z_ymmm256, EVEX_Vmovupd_zmm_k1z_zmmm512],
    STORE_PD: [VEX_Vmovupd_xmmm128_xmm, VEX_Vmovupd_ymmm256_ymm] [EVEX_Vmovupd_xmmm128_k1z_xmm, EVEX_Vmovupd_ymmm256_k1z_ymm, EVEX_Vmovupd_zmmm512_k1z_zmm],
    BLEND_PD: [VEX_Vblendvpd_xmm_xmm_xmmm128_xmm, VEX_Vblendvpd_ymm_ymm_ymmm256_ymm] [EVEX_Vblendmpd_xmm_k1z_xmm_xmmm128b64, EVEX_Vblendmpd_ymm_k1z_ymm_ymmm256b64, EVEX_Vblendmpd_zmm_k1z_zmm_zmmm512b64],
    COPY: [VEX_Vmovaps_xmm_xmmm128, VEX_Vmovaps_ymm_ymmm256] [EVEX_Vmovaps_xmm_k1z_xmmm128, EVEX_Vmovaps_ymm_k1z_ymmm256, EVEX_Vmovaps_zmm_k1z_zmmm512],
    ADD_D: [VEX_Vpaddd_xmm_xmm_xmmm128, VEX_Vpaddd_ymm_ymm_ymmm256] [EVEX_Vpaddd_xmm_k1z_xmm_xmmm128b32, EVEX_Vpaddd_ymm_k1z_ymm_ymmm256b32, EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32],
    SUB_D: [VEX_Vpsubd_xmm_xmm_xmmm128, VEX_Vpsubd_ymm_ymm_ymmm256] [EVEX_Vpsubd_xmm_k1z_xmm_xmmm128b32, EVEX_Vpsubd_ymm_k1z_ymm_ymmm256b32, EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32],
    MUL_D: [VEX_Vpmulld_xmm_xmm_xmmm128, VEX_Vpmulld_ymm_ymm_ymmm256] [EVEX_Vpmulld_xmm_k1z_xmm_xmmm128b32, EVEX_Vpmulld_ymm_k1z_ymm_ymmm256b32, EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32],
    MIN_D: [VEX_Vpminsd_xmm_xmm_xmmm128, VEX_Vpminsd_ymm_ymm_ymmm256] [EVEX_Vpminsd_xmm_k1z_xmm_xmmm128b32, EVEX_Vpminsd_ymm_k1z_ymm_ymmm256b32, EVEX_Vpminsd_zmm_k1z_zmm_zmmm512b32],
    MAX_D: [VEX_Vpmaxsd_xmm_xmm_xmmm128, VEX_Vpmaxsd_ymm_ymm_ymmm256] [EVEX_Vpmaxsd_xmm_k1z_xmm_xmmm128b32, EVEX_Vpmaxsd_ymm_k1z_ymm_ymmm256b32, EVEX_Vpmaxsd_zmm_k1z_zmm_zmmm512b32],
    ABS_D: [VEX_Vpabsd_xmm_xmmm128, VEX_Vpabsd_ymm_ymmm256] [EVEX_Vpabsd_xmm_k1z_xmmm128b32, EVEX_Vpabsd_ymm_k1z_ymmm256b32, EVEX_Vpabsd_zmm_k1z_zmmm512b32],
    GREATER_D: [VEX_Vpcmpgtd_xmm_xmm_xmmm128, VEX_Vpcmpgtd_ymm_ymm_ymmm256] [EVEX_Vpcmpgtd_kr_k1_xmm_xmmm128b32, EVEX_Vpcmpgtd_kr_k1_ymm_ymmm256b32, EVEX_Vpcmpgtd_kr_k1_zmm_zmmm512b32],
    EQUAL_D: [VEX_Vpcmpeqd_xmm_xmm_xmmm128, VEX_Vpcmpeqd_ymm_ymm_ymmm256] [EVEX_Vpcmpeqd_kr_k1_xmm_xmmm128b32, EVEX_Vpcmpeqd_kr_k1_ymm_ymmm256b32, EVEX_Vpcmpeqd_kr_k1_zmm_zmmm512b32],
    COMPARE_D: [INVALID, INVALID] [EVEX_Vpcmpd_kr_k1_xmm_xmmm128b32_imm8, EVEX_Vpcmpd_kr_k1_ymm_ymmm256b32_imm8, EVEX_Vpcmpd_kr_k1_zmm_zmmm512b32_imm8],
    SLL_D: [VEX_Vpslld_xmm_xmm_xmmm128, VEX_Vpslld_ymm_ymm_xmmm128] [EVEX_Vpslld_xmm_k1z_xmm_xmmm128, EVEX_Vpslld_ymm_k1z_ymm_xmmm128, EVEX_Vpslld_zmm_k1z_zmm_xmmm128],
    SLL_D_NUMBER: [VEX_Vpslld_xmm_xmm_imm8, VEX_Vpslld_ymm_ymm_imm8] [EVEX_Vpslld_xmm_k1z_xmmm128b32_imm8, EVEX_Vpslld_ymm_k1z_ymmm256b32_imm8, EVEX_Vpslld_zmm_k1z_zmmm512b32_imm8],
    SRL_D: [VEX_Vpsrld_xmm_xmm_xmmm128, VEX_Vpsrld_ymm_ymm_xmmm128] [EVEX_Vpsrld_xmm_k1z_xmm_xmmm128, EVEX_Vpsrld_ymm_k1z_ymm_xmmm128, EVEX_Vpsrld_zmm_k1z_zmm_xmmm128],
    SRL_D_NUMBER: [VEX_Vpsrld_xmm_xmm_imm8, VEX_Vpsrld_ymm_ymm_imm8] [EVEX_Vpsrld_xmm_k1z_xmmm128b32_imm8, EVEX_Vpsrld_ymm_k1z_ymmm256b32_imm8, EVEX_Vpsrld_zmm_k1z_zmmm512b32_imm8],
    SRA_D: [VEX_Vpsrad_xmm_xmm_xmmm128, VEX_Vpsrad_ymm_ymm_xmmm128] [EVEX_Vpsrad_xmm_k1z_xmm_xmmm128, EVEX_Vpsrad_ymm_k1z_ymm_xmmm128, EVEX_Vpsrad_zmm_k1z_zmm_xmmm128],
    SRA_D_NUMBER: [VEX_Vpsrad_xmm_xmm_imm8, VEX_Vpsrad_ymm_ymm_imm8] [EVEX_Vpsrad_xmm_k1z_xmmm128b32_imm8, EVEX_Vpsrad_ymm_k1z_ymmm256b32_imm8, EVEX_Vpsrad_zmm_k1z_zmmm512b32_imm8],
    ADD_Q: [VEX_Vpaddq_xmm_xmm_xmmm128, VEX_Vpaddq_ymm_ymm_ymmm256] [EVEX_Vpaddq_xmm_k1z_xmm_xmmm128b64, EVEX_Vpaddq_ymm_k1z_ymm_ymmm256b64, EVEX_Vpaddq_zmm_k1z_zmm_zmmm512b64],
    SUB_Q: [VEX_Vpsubq_xmm_xmm_xmmm128, VEX_Vpsubq_ymm_ymm_ymmm256] [EVEX_Vpsubq_xmm_k1z_xmm_xmmm128b64, EVEX_Vpsubq_ymm_k1z_ymm_ymmm256b64, EVEX_Vpsubq_zmm_k1z_zmm_zmmm512b64],
    MUL_Q: [INVALID, INVALID] [EVEX_Vpmullq_xmm_k1z_xmm_xmmm128b64, EVEX_Vpmullq_ymm_k1z_ymm_ymmm256b64, EVEX_Vpmullq_zmm_k1z_zmm_zmmm512b64],
    MIN_Q: [INVALID, INVALID] [EVEX_Vpminsq_xmm_k1z_xmm_xmmm128b64, EVEX_Vpminsq_ymm_k1z_ymm_ymmm256b64, EVEX_Vpminsq_zmm_k1z_zmm_zmmm512b64],
    MAX_Q: [INVALID, INVALID] [EVEX_Vpmaxsq_xmm_k1z_xmm_xmmm128b64, EVEX_Vpmaxsq_ymm_k1z_ymm_ymmm256b64, EVEX_Vpmaxsq_zmm_k1z_zmm_zmmm512b64],
    ABS_Q: [INVALID, INVALID] [EVEX_Vpabsq_xmm_k1z_xmmm128b64, EVEX_Vpabsq_ymm_k1z_ymmm256b64, EVEX_Vpabsq_zmm_k1z_zmmm512b64],
    GREATER_Q: [VEX_Vpcmpgtq_xmm_xmm_xmmm128, VEX_Vpcmpgtq_ymm_ymm_ymmm256] [EVEX_Vpcmpgtq_kr_k1_xmm_xmmm128b64, EVEX_Vpcmpgtq_kr_k1_ymm_ymmm256b64, EVEX_Vpcmpgtq_kr_k1_zmm_zmmm512b64],
    EQUAL_Q: [VEX_Vpcmpeqq_xmm_xmm_xmmm128, VEX_Vpcmpeqq_ymm_ymm_ymmm256] [EVEX_Vpcmpeqq_kr_k1_xmm_xmmm128b64, EVEX_Vpcmpeqq_kr_k1_ymm_ymmm256b64, EVEX_Vpcmpeqq_kr_k1_zmm_zmmm512b64],
    COMPARE_Q: [INVALID, INVALID] [EVEX_Vpcmpq_kr_k1_xmm_xmmm128b64_imm8, EVEX_Vpcmpq_kr_k1_ymm_ymmm256b64_imm8, EVEX_Vpcmpq_kr_k1_zmm_zmmm512b64_imm8],
    SLL_Q: [VEX_Vpsllq_xmm_xmm_xmmm128, VEX_Vpsllq_ymm_ymm_xmmm128] [EVEX_Vpsllq_xmm_k1z_xmm_xmmm128, EVEX_Vpsllq_ymm_k1z_ymm_xmmm128, EVEX_Vpsllq_zmm_k1z_zmm_xmmm128],
    SLL_Q_NUMBER: [VEX_Vpsllq_xmm_xmm_imm8, VEX_Vpsllq_ymm_ymm_imm8] [EVEX_Vpsllq_xmm_k1z_xmmm128b64_imm8, EVEX_Vpsllq_ymm_k1z_ymmm256b64_imm8, EVEX_Vpsllq_zmm_k1z_zmmm512b64_imm8],
    SRL_Q: [VEX_Vpsrlq_xmm_xmm_xmmm128, VEX_Vpsrlq_ymm_ymm_xmmm128] [EVEX_Vpsrlq_xmm_k1z_xmm_xmmm128, EVEX_Vpsrlq_ymm_k1z_ymm_xmmm128, EVEX_Vpsrlq_zmm_k1z_zmm_xmmm128],
    SRL_Q_NUMBER: [VEX_Vpsrlq_xmm_xmm_imm8, VEX_Vpsrlq_ymm_ymm_imm8] [EVEX_Vpsrlq_xmm_k1z_xmmm128b64_imm8, EVEX_Vpsrlq_ymm_k1z_ymmm256b64_imm8, EVEX_Vpsrlq_zmm_k1z_zmmm512b64_imm8],
    SRA_Q: [INVALID, INVALID] [EVEX_Vpsraq_xmm_k1z_xmm_xmmm128, EVEX_Vpsraq_ymm_k1z_ymm_xmmm128, EVEX_Vpsraq_zmm_k1z_zmm_xmmm128],
    SRA_Q_NUMBER: [INVALID, INVALID] [EVEX_Vpsraq_xmm_k1z_xmmm128b64_imm8, EVEX_Vpsraq_ymm_k1z_ymmm256b64_imm8, EVEX_Vpsraq_zmm_k1z_zmmm512b64_imm8],
    MUL_LOW: [VEX_Vpmuludq_xmm_xmm_xmmm128, VEX_Vpmuludq_ymm_ymm_ymmm256] [EVEX_Vpmuludq_xmm_k1z_xmm_xmmm128b64, EVEX_Vpmuludq_ymm_k1z_ymm_ymmm256b64, EVEX_Vpmuludq_zmm_k1z_zmm_zmmm512b64],
    AND: [VEX_Vpand_xmm_xmm_xmmm128, VEX_Vpand_ymm_ymm_ymmm256] [EVEX_Vpandd_xmm_k1z_xmm_xmmm128b32, EVEX_Vpandd_ymm_k1z_ymm_ymmm256b32, EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32],
    AND_PD: [VEX_Vandpd_xmm_xmm_xmmm128, VEX_Vandpd_ymm_ymm_ymmm256] [EVEX_Vandpd_xmm_k1z_xmm_xmmm128b64, EVEX_Vandpd_ymm_k1z_ymm_ymmm256b64, EVEX_Vandpd_zmm_k1z_zmm_zmmm512b64],
    OR: [VEX_Vpor_xmm_xmm_xmmm128, VEX_Vpor_ymm_ymm_ymmm256] [EVEX_Vpord_xmm_k1z_xmm_xmmm128b32, EVEX_Vpord_ymm_k1z_ymm_ymmm256b32, EVEX_Vpord_zmm_k1z_zmm_zmmm512b32],
    XOR: [VEX_Vpxor_xmm_xmm_xmmm128, VEX_Vpxor_ymm_ymm_ymmm256] [EVEX_Vpxord_xmm_k1z_xmm_xmmm128b32, EVEX_Vpxord_ymm_k1z_ymm_ymmm256b32, EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32],
    XOR_PD: [VEX_Vxorpd_xmm_xmm_xmmm128, VEX_Vxorpd_ymm_ymm_ymmm256] [EVEX_Vxorpd_xmm_k1z_xmm_xmmm128b64, EVEX_Vxorpd_ymm_k1z_ymm_ymmm256b64, EVEX_Vxorpd_zmm_k1z_zmm_zmmm512b64],
    I32_TO_F32: [VEX_Vcvtdq2ps_xmm_xmmm128, VEX_Vcvtdq2ps_ymm_ymmm256] [EVEX_Vcvtdq2ps_xmm_k1z_xmmm128b32, EVEX_Vcvtdq2ps_ymm_k1z_ymmm256b32, EVEX_Vcvtdq2ps_zmm_k1z_zmmm512b32_er],
    F32_TO_I32: [VEX_Vcvttps2dq_xmm_xmmm128, VEX_Vcvttps2dq_ymm_ymmm256] [EVEX_Vcvttps2dq_xmm_k1z_xmmm128b32, EVEX_Vcvttps2dq_ymm_k1z_ymmm256b32, EVEX_Vcvttps2dq_zmm_k1z_zmmm512b32_sae],
    I64_TO_F64: [INVALID, INVALID] [EVEX_Vcvtqq2pd_xmm_k1z_xmmm128b64, EVEX_Vcvtqq2pd_ymm_k1z_ymmm256b64, EVEX_Vcvtqq2pd_zmm_k1z_zmmm512b64_er],
    F64_TO_I64: [INVALID, INVALID] [EVEX_Vcvttpd2qq_xmm_k1z_xmmm128b64, EVEX_Vcvttpd2qq_ymm_k1z_ymmm256b64, EVEX_Vcvttpd2qq_zmm_k1z_zmmm512b64_sae],
    F32_TO_F64: [VEX_Vcvtps2pd_xmm_xmmm64, VEX_Vcvtps2pd_ymm_xmmm128] [EVEX_Vcvtps2pd_xmm_k1z_xmmm64b32, EVEX_Vcvtps2pd_ymm_k1z_xmmm128b32, EVEX_Vcvtps2pd_zmm_k1z_ymmm256b32_sae],
    F64_TO_F32: [VEX_Vcvtpd2ps_xmm_xmmm128, VEX_Vcvtpd2ps_xmm_ymmm256] [EVEX_Vcvtpd2ps_xmm_k1z_xmmm128b64, EVEX_Vcvtpd2ps_xmm_k1z_ymmm256b64, EVEX_Vcvtpd2ps_ymm_k1z_zmmm512b64_er],
    I32_TO_F64: [VEX_Vcvtdq2pd_xmm_xmmm64, VEX_Vcvtdq2pd_ymm_xmmm128] [EVEX_Vcvtdq2pd_xmm_k1z_xmmm64b32, EVEX_Vcvtdq2pd_ymm_k1z_xmmm128b32, EVEX_Vcvtdq2pd_zmm_k1z_ymmm256b32_er],
    F64_TO_I32: [VEX_Vcvttpd2dq_xmm_xmmm128, VEX_Vcvttpd2dq_xmm_ymmm256] [EVEX_Vcvttpd2dq_xmm_k1z_xmmm128b64, EVEX_Vcvttpd2dq_xmm_k1z_ymmm256b64, EVEX_Vcvttpd2dq_ymm_k1z_zmmm512b64_sae],
    F32_TO_I64: [INVALID, INVALID] [EVEX_Vcvttps2qq_xmm_k1z_xmmm64b32, EVEX_Vcvttps2qq_ymm_k1z_xmmm128b32, EVEX_Vcvttps2qq_zmm_k1z_ymmm256b32_sae],
    I64_TO_F32: [INVALID, INVALID] [EVEX_Vcvtqq2ps_xmm_k1z_xmmm128b64, EVEX_Vcvtqq2ps_xmm_k1z_ymmm256b64, EVEX_Vcvtqq2ps_ymm_k1z_zmmm512b64_er],
    I32_TO_I64: [VEX_Vpmovsxdq_xmm_xmmm64, VEX_Vpmovsxdq_ymm_xmmm128] [EVEX_Vpmovsxdq_xmm_k1z_xmmm64, EVEX_Vpmovsxdq_ymm_k1z_xmmm128, EVEX_Vpmovsxdq_zmm_k1z_ymmm256],
    I64_TO_I32: [INVALID, INVALID] [EVEX_Vpmovqd_xmmm64_k1z_xmm, EVEX_Vpmovqd_xmmm128_k1z_ymm, EVEX_Vpmovqd_ymmm256_k1z_zmm],
    WIDEN_BYTES: [VEX_Vpmovzxbd_xmm_xmmm32, VEX_Vpmovzxbd_ymm_xmmm64] [EVEX_Vpmovzxbd_xmm_k1z_xmmm32, EVEX_Vpmovzxbd_ymm_k1z_xmmm64, EVEX_Vpmovzxbd_zmm_k1z_xmmm128],
    NARROW_BYTES: [INVALID, INVALID] [EVEX_Vpmovdb_xmmm32_k1z_xmm, EVEX_Vpmovdb_xmmm64_k1z_ymm, EVEX_Vpmovdb_xmmm128_k1z_zmm],
    BROADCAST_SS: [VEX_Vbroadcastss_xmm_xmm, VEX_Vbroadcastss_ymm_xmm] [EVEX_Vbroadcastss_xmm_k1z_xmmm32, EVEX_Vbroadcastss_ymm_k1z_xmmm32, EVEX_Vbroadcastss_zmm_k1z_xmmm32],
    BROADCAST_SD: [VEX_Vpbroadcastq_xmm_xmmm64, VEX_Vbroadcastsd_ymm_xmm] [EVEX_Vpbroadcastq_xmm_k1z_xmmm64, EVEX_Vbroadcastsd_ymm_k1z_xmmm64, EVEX_Vbroadcastsd_zmm_k1z_xmmm64],
    LOAD_SS: [VEX_Vbroadcastss_xmm_m32, VEX_Vbroadcastss_ymm_m32] [EVEX_Vbroadcastss_xmm_k1z_xmmm32, EVEX_Vbroadcastss_ymm_k1z_xmmm32, EVEX_Vbroadcastss_zmm_k1z_xmmm32],
    LOAD_SD: [VEX_Vpbroadcastq_xmm_xmmm64, VEX_Vbroadcastsd_ymm_m64] [EVEX_Vpbroadcastq_xmm_k1z_xmmm64, EVEX_Vbroadcastsd_ymm_k1z_xmmm64, EVEX_Vbroadcastsd_zmm_k1z_xmmm64],
    BROADCAST_D: [VEX_Vpbroadcastd_xmm_xmmm32, VEX_Vpbroadcastd_ymm_xmmm32] [EVEX_Vpbroadcastd_xmm_k1z_r32, EVEX_Vpbroadcastd_ymm_k1z_r32, EVEX_Vpbroadcastd_zmm_k1z_r32],
    BROADCAST_Q: [VEX_Vpbroadcastq_xmm_xmmm64, VEX_Vpbroadcastq_ymm_xmmm64] [EVEX_Vpbroadcastq_xmm_k1z_r64, EVEX_Vpbroadcastq_ymm_k1z_r64, EVEX_Vpbroadcastq_zmm_k1z_r64],
    UNPACK_LOW_PS: [VEX_Vunpcklps_xmm_xmm_xmmm128, VEX_Vunpcklps_ymm_ymm_ymmm256] [EVEX_Vunpcklps_xmm_k1z_xmm_xmmm128b32, EVEX_Vunpcklps_ymm_k1z_ymm_ymmm256b32, EVEX_Vunpcklps_zmm_k1z_zmm_zmmm512b32],
    UNPACK_HIGH_PS: [VEX_Vunpckhps_xmm_xmm_xmmm128, VEX_Vunpckhps_ymm_ymm_ymmm256] [EVEX_Vunpckhps_xmm_k1z_xmm_xmmm128b32, EVEX_Vunpckhps_ymm_k1z_ymm_ymmm256b32, EVEX_Vunpckhps_zmm_k1z_zmm_zmmm512b32],
    UNPACK_HIGH_PD: [VEX_Vunpckhpd_xmm_xmm_xmmm128, VEX_Vunpckhpd_ymm_ymm_ymmm256] [EVEX_Vunpckhpd_xmm_k1z_xmm_xmmm128b64, EVEX_Vunpckhpd_ymm_k1z_ymm_ymmm256b64, EVEX_Vunpckhpd_zmm_k1z_zmm_zmmm512b64],
    UNPACK_LOW_PD: [VEX_Vunpcklpd_xmm_xmm_xmmm128, VEX_Vunpcklpd_ymm_ymm_ymmm256] [EVEX_Vunpcklpd_xmm_k1z_xmm_xmmm128b64, EVEX_Vunpcklpd_ymm_k1z_ymm_ymmm256b64, EVEX_Vunpcklpd_zmm_k1z_zmm_zmmm512b64],
}
