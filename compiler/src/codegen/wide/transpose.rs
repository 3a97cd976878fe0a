//! Vectors the other way round.

use iced_x86::Code as Opcode;

use super::Level;
use super::code::Reg;
use super::emitter::{Layout, WideEmitter};
use super::inst::{Inst, View};
use super::opcodes::{self, Family};
use crate::codegen::emitter::VectorType;

impl WideEmitter {
    /// Lane `i` of the `j`-th result is lane `j` of the `i`-th operand: first within 16 bytes of each register, then 16
    /// bytes at a time.
    pub(super) fn turned(&mut self, ty: VectorType, vectors: &[Reg]) -> Vec<Reg> {
        let layout = self.layout(ty);
        let per_quarter = 16 / layout.lane;
        let within: Vec<Vec<Reg>> =
            vectors.chunks(per_quarter).map(|group| self.turned_within(layout, group)).collect();
        // Quarter `q` of the `j`-th of a group holds a part of column `q · per_quarter + j`.
        let mut turned = vec![None; vectors.len()];
        for j in 0..per_quarter {
            let parts: Vec<Reg> = within.iter().map(|group| group[j]).collect();
            for (q, column) in self.turned_quarters(layout, &parts).into_iter().enumerate() {
                turned[q * per_quarter + j] = Some(column);
            }
        }
        turned.into_iter().flatten().collect()
    }

    /// Blocks of as many lanes as 16 bytes have, of as many registers.
    fn turned_within(&mut self, layout: Layout, group: &[Reg]) -> Vec<Reg> {
        let pair = |e: &mut WideEmitter, (families, lane): ([Family; 2], usize), a: Reg, b: Reg| {
            families.map(|family| e.op2(family, Layout { lane, ..layout }, a, b))
        };
        let doubles = ([opcodes::UNPACK_LOW_PD, opcodes::UNPACK_HIGH_PD], 8);
        let [a, b, c, d] = match *group {
            [a, b, c, d] => [a, b, c, d],
            _ => return pair(self, doubles, group[0], group[1]).to_vec(),
        };
        let singles = ([opcodes::UNPACK_LOW_PS, opcodes::UNPACK_HIGH_PS], 4);
        let [low_ab, high_ab] = pair(self, singles, a, b);
        let [low_cd, high_cd] = pair(self, singles, c, d);
        let first = pair(self, doubles, low_ab, low_cd);
        let last = pair(self, doubles, high_ab, high_cd);
        [first, last].concat()
    }

    /// Blocks of 16 bytes, of as many registers as each has.
    fn turned_quarters(&mut self, Layout { view, .. }: Layout, parts: &[Reg]) -> Vec<Reg> {
        let level = self.level;
        let mut pick = |a: Reg, b: Reg, which: i64| {
            let opcode = match (level, view) {
                (Level::Avx2, _) => Opcode::VEX_Vperm2f128_ymm_ymm_ymmm256_imm8,
                (Level::Avx512, View::Ymm) => Opcode::EVEX_Vshuff32x4_ymm_k1z_ymm_ymmm256b32_imm8,
                (Level::Avx512, _) => Opcode::EVEX_Vshuff32x4_zmm_k1z_zmm_zmmm512b32_imm8,
            };
            self.vector(Inst::new(opcode, view).reg(a, view).reg(b, view).number(which), view)
        };
        match *parts {
            [a, b] => {
                let (low, high) = if level == Level::Avx2 { (0x20, 0x31) } else { (0, 3) };
                vec![pick(a, b, low), pick(a, b, high)]
            }
            [a, b, c, d] => {
                let (low_ab, high_ab) = (pick(a, b, 0x44), pick(a, b, 0xee));
                let (low_cd, high_cd) = (pick(c, d, 0x44), pick(c, d, 0xee));
                let halves = [(low_ab, low_cd), (high_ab, high_cd)];
                halves
                    .into_iter()
                    .flat_map(|(ab, cd)| [0x88, 0xdd].map(|which| pick(ab, cd, which)))
                    .collect()
            }
            _ => parts.to_vec(),
        }
    }
}
