//! Runs recorded code step by step, over virtual registers and a memory of its own.

use std::collections::HashMap;

use iced_x86::Code as Opcode;

use crate::codegen::wide::code::{Code, Exit, Reg, Step};
use crate::codegen::wide::inst::{Base, Condition, Inst, Memory, Operand, Shape, View};
use crate::codegen::wide::opcodes;

/// The contents of a register.
type Bytes = [u8; 64];

/// A function that is being run.
pub(super) struct Interpreter<'c> {
    code: &'c Code,
    regs: HashMap<Reg, Bytes>,
    /// What addresses `0 ..` hold.
    pub(super) memory: Vec<u8>,
}

fn word(bytes: &Bytes) -> i64 {
    i64::from_le_bytes(bytes[..8].try_into().unwrap())
}

fn of_word(word: i64) -> Bytes {
    let mut bytes = [0; 64];
    bytes[..8].copy_from_slice(&word.to_le_bytes());
    bytes
}

fn lanes(bytes: &Bytes) -> [u32; 16] {
    std::array::from_fn(|n| u32::from_le_bytes(bytes[4 * n..][..4].try_into().unwrap()))
}

fn of_lanes(view: View, lane: impl Fn(usize) -> u32) -> Bytes {
    let mut bytes = [0; 64];
    for n in 0..usize::from(view.bytes()) / 4 {
        bytes[4 * n..][..4].copy_from_slice(&lane(n).to_le_bytes());
    }
    bytes
}

impl Interpreter<'_> {
    /// Runs a function on memory.
    pub(super) fn run(code: &Code, arguments: [u64; 4], memory: Vec<u8>) -> Vec<u8> {
        let mut run = Interpreter { code, regs: HashMap::new(), memory };
        let mut next = code.blocks.keys().next();
        while let Some(id) = next {
            let block = &code.blocks[id];
            for step in &block.steps {
                run.step(step, arguments);
            }
            next = match &block.exit {
                Exit::Return => None,
                Exit::Jump(to) => Some(*to),
                Exit::Branch { test, condition, then, otherwise } => {
                    let holds = run.holds(test, &test.operands, *condition);
                    Some(if holds { *then } else { *otherwise })
                }
            };
        }
        run.memory
    }

    fn get(&self, reg: Reg) -> Bytes {
        self.regs.get(&reg).copied().unwrap_or_else(|| panic!("{reg} is read before it is written"))
    }

    fn step(&mut self, step: &Step, arguments: [u64; 4]) {
        let (to, value) = match *step {
            Step::Inst(ref inst) => return self.inst(inst),
            Step::Copy { to, from } => (to, self.get(from)),
            Step::Parameter { to, number } => (to, of_word(arguments[number].cast_signed())),
            Step::Divide { to, dividend, divisor } => {
                (to, of_word(word(&self.get(dividend)) / word(&self.get(divisor))))
            }
            Step::Spill { .. } | Step::Reload { .. } | Step::Report(_) => unreachable!("{step:?}"),
        };
        self.regs.insert(to, value);
    }

    fn operand(&self, inst: &Inst, operand: Operand) -> Bytes {
        match operand {
            Operand::Reg(reg, _) => self.get(reg),
            Operand::Number(number) => of_word(number),
            Operand::Memory => self.read(&inst.memory, 64),
            Operand::None => unreachable!(),
        }
    }

    fn holds(&self, inst: &Inst, operands: &[Operand], condition: Condition) -> bool {
        let [a, b] = [0, 1].map(|n| word(&self.operand(inst, operands[n])));
        match condition {
            Condition::Equal => a == b,
            Condition::NotEqual => a != b,
            Condition::Less => a < b,
            Condition::LessEqual => a <= b,
            Condition::Greater => a > b,
            Condition::GreaterEqual => a >= b,
            Condition::Below => a.cast_unsigned() < b.cast_unsigned(),
            Condition::BelowEqual => a.cast_unsigned() <= b.cast_unsigned(),
            Condition::Above => a.cast_unsigned() > b.cast_unsigned(),
            Condition::AboveEqual => a.cast_unsigned() >= b.cast_unsigned(),
        }
    }

    fn address(&self, memory: &Memory) -> i64 {
        let base = match memory.base {
            Base::None => 0,
            Base::Reg(reg) => word(&self.get(reg)),
            Base::Constant(_) | Base::Slot(_) => unreachable!(),
        };
        let index = memory.index.map_or(0, |reg| word(&self.get(reg)) * i64::from(memory.scale));
        base.wrapping_add(index).wrapping_add(i64::from(memory.offset))
    }

    fn read(&self, memory: &Memory, bytes: usize) -> Bytes {
        let mut found = [0; 64];
        match memory.base {
            Base::Constant(id) => {
                let constant = self.code.pool.bytes(id);
                let count = constant.len().min(bytes);
                found[..count].copy_from_slice(&constant[..count]);
            }
            _ => {
                let at = self.address(memory) as usize;
                let count = bytes.min(self.memory.len().saturating_sub(at));
                found[..count].copy_from_slice(&self.memory[at..at + count]);
            }
        }
        found
    }

    fn inst(&mut self, inst: &Inst) {
        let level = self.code.level;
        let operand = |n: usize| self.operand(inst, inst.operands[n]);
        let is = |family: opcodes::Family, view| {
            (level == crate::codegen::wide::Level::Avx512 || view != View::Zmm)
                && family.at(level, view) == inst.opcode
        };
        let view = match inst.operands {
            [Operand::Reg(_, view), ..] | [_, Operand::Reg(_, view), ..] => view,
            _ => View::Qword,
        };
        let size = usize::from(view.bytes());
        if let (Operand::Memory, Operand::Reg(reg, _)) = (inst.operands[0], inst.operands[1]) {
            let at = self.address(&inst.memory) as usize;
            let value = self.get(reg);
            self.memory[at..at + size].copy_from_slice(&value[..size]);
            return;
        }
        let tied = inst.tied.map(|reg| self.get(reg));
        let value = match (inst.shape, inst.opcode) {
            (Shape::Set(condition), _) => {
                of_word(i64::from(self.holds(inst, &inst.operands[1..], condition)))
            }
            (Shape::Move(condition), _) => match self.holds(inst, &inst.operands[2..], condition) {
                true => operand(1),
                false => tied.unwrap(),
            },
            (Shape::Fma, _) => {
                let [a, b, c] = [1, 2, 3].map(|n| lanes(&operand(n)).map(f32::from_bits));
                of_lanes(view, |n| a[n].mul_add(b[n], c[n]).to_bits())
            }
            (_, Opcode::Mov_r32_imm32 | Opcode::Mov_rm64_imm32 | Opcode::Mov_r64_imm64) => operand(1),
            (_, Opcode::Mov_r64_rm64) => operand(1),
            (_, Opcode::Add_r64_rm64 | Opcode::Add_rm64_imm32) => {
                of_word(word(&tied.unwrap()).wrapping_add(word(&operand(1))))
            }
            (_, Opcode::Imul_r64_rm64_imm32) => of_word(word(&operand(1)).wrapping_mul(word(&operand(2)))),
            (_, Opcode::Imul_r64_rm64) => of_word(word(&tied.unwrap()).wrapping_mul(word(&operand(1)))),
            (_, Opcode::Lea_r64_m) => of_word(self.address(&inst.memory)),
            (_, Opcode::VEX_Kmovw_kr_r32) => of_word(word(&operand(1)) & 0xffff),
            _ if is(opcodes::LOAD_PS, view) => of_lanes(view, |n| lanes(&operand(1))[n]),
            _ if is(opcodes::LOAD_SS, view) => of_lanes(view, |_| lanes(&operand(1))[0]),
            _ if is(opcodes::ADD_PS, view) => {
                let [a, b] = [1, 2].map(|n| lanes(&operand(n)).map(f32::from_bits));
                of_lanes(view, |n| (a[n] + b[n]).to_bits())
            }
            _ if is(opcodes::BLEND_PS, view) => {
                let [a, b] = [1, 2].map(|n| lanes(&operand(n)));
                let mask = word(&self.get(inst.mask.unwrap().0));
                of_lanes(view, |n| if mask >> n & 1 == 1 { b[n] } else { a[n] })
            }
            _ => unreachable!("{inst:?}"),
        };
        let result = inst.result().unwrap_or_else(|| panic!("{inst:?} defines nothing"));
        self.regs.insert(result, value);
    }
}
