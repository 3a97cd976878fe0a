//! Random programs: what the machine computes is what a reader of the recorded code would.

use iced_x86::Code as Opcode;

use super::interpreter::Interpreter;
use super::levels;
use crate::codegen::wide::Level;
use crate::codegen::wide::code::{Class, Reg, Step};
use crate::codegen::wide::encode::encode;
use crate::codegen::wide::inst::{Base, Condition, Effect, Inst, Memory, Operand, Shape, View};
use crate::codegen::wide::opcodes;
use crate::codegen::wide::record::Recorder;
use crate::codegen::wide::testing::call;
use crate::codegen::wide::words::Sum;
use crate::ops::sample::Sampler;

/// Programs that are tried at every level.
const PROGRAMS: u64 = 300;
/// Bytes that a program may read and write.
const BYTES: usize = 4096;

struct Program {
    draw: Sampler,
    r: Recorder,
    level: Level,
    view: View,
    /// Address of the memory.
    base: Reg,
    /// What can be read: words, vectors and masks.
    words: Vec<Reg>,
    vectors: Vec<Reg>,
    masks: Vec<Reg>,
    /// How many instructions may still come.
    size: usize,
}

impl Program {
    fn below(&mut self, n: usize) -> usize {
        self.draw.int(0, n as i64) as usize
    }

    fn pick(&mut self, of: fn(&Program) -> &Vec<Reg>) -> Reg {
        let count = of(self).len();
        // Recent ones mostly, so that some are live for long and many are not.
        let back = if self.below(3) == 0 { self.below(count) } else { self.below(count.min(6)) };
        of(self)[count - 1 - back]
    }

    fn bytes(&self) -> u8 {
        self.view.bytes()
    }

    /// Somewhere in the half of the memory that is written.
    fn memory(&mut self) -> Memory {
        let offset = self.below(BYTES / 128) as i32 * 64;
        Memory { offset, ..Memory::at(Base::Reg(self.base)) }
    }

    fn vector(&mut self, inst: Inst) -> Reg {
        let bytes = self.bytes();
        self.r.pure(inst, Class::Vector, bytes)
    }

    fn step(&mut self) {
        let (level, view, bytes) = (self.level, self.view, self.bytes());
        match self.below(12) {
            0 => {
                let number = self.draw.int(-1000, 1000) << (8 * self.below(5));
                let at = self.r.innermost();
                let word = self.r.number(at, number);
                self.words.push(word);
            }
            1 => {
                let (a, b) = (self.pick(|p| &p.words), self.pick(|p| &p.words));
                let inst = Inst::new(Opcode::Add_r64_rm64, View::Qword).reg(b, View::Qword).tied(a);
                let word = self.r.pure(inst, Class::General, 8);
                self.words.push(word);
            }
            2 => {
                let (a, b) = (self.pick(|p| &p.words), self.pick(|p| &p.words));
                let (c, d) = (self.pick(|p| &p.words), self.pick(|p| &p.words));
                let condition = [Condition::Less, Condition::Below, Condition::Equal][self.below(3)];
                let compared =
                    (Opcode::Cmp_r64_rm64, (a, View::Qword), Operand::Reg(b, View::Qword), condition);
                let word = self.r.choose(compared, (c, d, View::Qword));
                self.words.push(word);
            }
            3 => {
                let divisor = 2 + self.below(5) as i64;
                let at = self.r.innermost();
                let divisor = self.r.number(at, divisor);
                let dividend = self.pick(|p| &p.words);
                let to = self.r.reg_at(at, Class::General, 8);
                self.r.push(Step::Divide { to, dividend, divisor });
                self.words.push(to);
            }
            4 | 5 => {
                let memory = self.memory();
                let broadcast = self.below(2) == 0;
                let (opcode, read) = match broadcast {
                    true => (opcodes::LOAD_SS, 4),
                    false => (opcodes::LOAD_PS, bytes),
                };
                let effect = Effect::Load { bytes: read, broadcast, fixed: false };
                let inst = Inst::new(opcode.at(level, view), view).memory(memory).effect(effect);
                let vector = self.r.load(inst, Class::Vector, bytes);
                self.vectors.push(vector);
            }
            6 | 7 => {
                // Factors are numbers that stay as they are, so that nothing becomes NaN.
                let mut memory = self.memory();
                memory.offset += BYTES as i32 / 2;
                let effect = Effect::Load { bytes: 4, broadcast: true, fixed: false };
                let inst = Inst::new(opcodes::LOAD_SS.at(level, view), view).memory(memory).effect(effect);
                let factor = self.r.load(inst, Class::Vector, bytes);
                let addend = self.pick(|p| &p.vectors);
                let inst = Inst::new(opcodes::FMA231_PS.at(level, view), view)
                    .reg(factor, view)
                    .reg_or_memory(factor, view, bytes, if level == Level::Avx512 { 4 } else { 0 })
                    .reg(addend, view)
                    .shape(Shape::Fma);
                let vector = self.vector(inst);
                self.vectors.push(vector);
            }
            8 => {
                let (a, b) = (self.pick(|p| &p.vectors), self.pick(|p| &p.vectors));
                let element = if level == Level::Avx512 { 4 } else { 0 };
                let inst = Inst::new(opcodes::ADD_PS.at(level, view), view)
                    .reg(a, view)
                    .reg_or_memory(b, view, bytes, element)
                    .commutes();
                let vector = self.vector(inst);
                self.vectors.push(vector);
            }
            9 => {
                let value = self.pick(|p| &p.vectors);
                let memory = self.memory();
                let inst = Inst::bare(opcodes::STORE_PS.at(level, view)).memory(memory).reg(value, view);
                self.r.store(inst);
            }
            10 if level == Level::Avx512 => {
                let word = self.pick(|p| &p.words);
                let inst = Inst::new(Opcode::VEX_Kmovw_kr_r32, View::Mask).reg(word, View::Dword);
                let mask = self.r.pure(inst, Class::Mask, 8);
                self.masks.push(mask);
                let (a, b) = (self.pick(|p| &p.vectors), self.pick(|p| &p.vectors));
                let mask = self.pick(|p| &p.masks);
                let inst = Inst::new(opcodes::BLEND_PS.at(level, view), view).reg(a, view).reg(b, view);
                let vector = self.vector(inst.masked(mask, false));
                self.vectors.push(vector);
            }
            _ => {
                let constant = self.draw.int(0, 50) as f32;
                let bytes = usize::from(bytes);
                let id = self.r.code.pool.repeated(u64::from(constant.to_bits()), 4, bytes);
                let inst =
                    Inst::new(opcodes::LOAD_PS.at(level, view), view).memory(Memory::at(Base::Constant(id)));
                let vector = self.vector(inst);
                self.vectors.push(vector);
            }
        }
    }

    /// Steps, loops and arms, until enough was recorded.
    fn body(&mut self, depth: usize) {
        let steps = 1 + self.below(25);
        for _ in 0..steps {
            if self.size == 0 {
                return;
            }
            self.size -= 1;
            match self.below(16) {
                0 if depth < 3 => self.repeated(depth),
                1 if depth < 3 => self.arm(depth),
                _ => self.step(),
            }
        }
    }

    fn repeated(&mut self, depth: usize) {
        let mut carried: Vec<Reg> = Vec::new();
        for _ in 0..self.below(20) {
            let reg = self.pick(|p| &p.vectors);
            carried.push(reg);
        }
        for _ in 0..self.below(4) {
            let reg = self.pick(|p| &p.words);
            carried.push(reg);
        }
        let (first, turns) = (self.draw.int(-3, 3), 1 + self.below(3) as i64);
        let (counter, inside) = self.r.begin_counted(&Sum::number(first), &carried);
        let known = (self.words.len(), self.vectors.len(), self.masks.len());
        for &reg in &inside {
            let is_word = self.r.code.regs[reg].class == Class::General;
            if is_word { self.words.push(reg) } else { self.vectors.push(reg) }
        }
        let at = self.r.innermost();
        if self.below(2) == 0 {
            let word = self.r.register(at, &counter);
            self.words.push(word);
        }
        // What the counter is a part of.
        let address = Sum::reg(self.base).plus(&counter.times(64)).plus(&Sum::number(1024));
        let memory = self.r.address(&address, 0);
        let inst = Inst::new(opcodes::LOAD_PS.at(self.level, self.view), self.view).memory(memory);
        let effect = Effect::Load { bytes: self.bytes(), broadcast: false, fixed: false };
        let vector = self.r.load(inst.effect(effect), Class::Vector, self.view.bytes());
        self.vectors.push(vector);
        self.body(depth + 1);
        let results: Vec<Reg> = (inside.iter())
            .map(|&reg| match self.r.code.regs[reg].class {
                Class::General => self.pick(|p| &p.words),
                _ => self.pick(|p| &p.vectors),
            })
            .collect();
        self.words.truncate(known.0);
        self.vectors.truncate(known.1);
        self.masks.truncate(known.2);
        for reg in self.r.end_counted(2, &Sum::number(first + 2 * turns - 1), &results) {
            let is_word = self.r.code.regs[reg].class == Class::General;
            if is_word { self.words.push(reg) } else { self.vectors.push(reg) }
        }
    }

    fn arm(&mut self, depth: usize) {
        let word = self.pick(|p| &p.words);
        let test = Inst::bare(Opcode::Cmp_rm64_imm32).reg(word, View::Qword).number(3);
        let known = (self.words.len(), self.vectors.len(), self.masks.len());
        let is_cold = self.below(2) == 0;
        let arm = self.r.open_arm(test, Condition::Less, is_cold);
        self.body(depth + 1);
        let forget = |program: &mut Program| {
            program.words.truncate(known.0);
            program.vectors.truncate(known.1);
            program.masks.truncate(known.2);
        };
        if self.below(2) == 0 {
            forget(self);
            return self.r.close_arm(&arm);
        }
        let joined = self.pick(|p| &p.vectors);
        let result = self.r.reg_like(self.r.innermost() - 1, joined);
        self.r.push(Step::Copy { to: result, from: joined });
        forget(self);
        let first = self.r.other_arm(&arm, !is_cold);
        self.body(depth + 1);
        let joined = self.pick(|p| &p.vectors);
        self.r.push(Step::Copy { to: result, from: joined });
        forget(self);
        self.r.join_arms(&arm, first);
        self.vectors.push(result);
    }
}

/// A program that reads and writes the memory of its second argument.
fn program(seed: u64, level: Level) -> Recorder {
    let mut r = Recorder::new(level);
    let parameters: Vec<Reg> = (0..4)
        .map(|number| {
            let to = r.reg_at(0, Class::General, 8);
            r.push(Step::Parameter { to, number });
            to
        })
        .collect();
    let mut draw = Sampler::new(seed);
    let views = [View::Xmm, View::Ymm, View::Zmm];
    let view = views[draw.int(0, if level == Level::Avx512 { 3 } else { 2 }) as usize];
    let size = 10 + draw.int(0, 300) as usize;
    let mut p = Program {
        draw,
        r,
        level,
        view,
        base: parameters[1],
        words: vec![parameters[0], parameters[2], parameters[3]],
        vectors: Vec::new(),
        masks: Vec::new(),
        size,
    };
    let memory = p.memory();
    let inst = Inst::new(opcodes::LOAD_PS.at(level, view), view).memory(memory);
    let first = p.r.load(inst.effect(Effect::LoadParts), Class::Vector, view.bytes());
    p.vectors.push(first);
    while p.size > 0 {
        p.body(0);
    }
    // Whatever there is now counts.
    for (n, &vector) in p.vectors.clone().iter().enumerate().take(30) {
        let memory = Memory { offset: n as i32 * 64, ..Memory::at(Base::Reg(p.base)) };
        p.r.store(Inst::bare(opcodes::STORE_PS.at(level, view)).memory(memory).reg(vector, view));
    }
    for (n, &word) in p.words.clone().iter().enumerate().take(100) {
        let memory = Memory { offset: 2048 + n as i32 * 8, ..Memory::at(Base::Reg(p.base)) };
        p.r.store(Inst::bare(Opcode::Mov_rm64_r64).memory(memory).reg(word, View::Qword));
    }
    p.r
}

#[test]
fn machine_code_computes_what_was_recorded() {
    for level in levels() {
        for seed in 0..PROGRAMS {
            let code = program(seed, level).finish();
            let content: Vec<u8> =
                (0..BYTES / 4).flat_map(|n| ((n * 7 % 23) as f32).to_bits().to_le_bytes()).collect();
            let arguments = [5, 0, 1 << 40, 77];
            let expected = Interpreter::run(&code, arguments, content.clone());
            let mut found = content;
            let address = found.as_mut_ptr() as u64;
            call(&encode(code), [arguments[0], address, arguments[2], arguments[3]]);
            assert!(found == expected, "program {seed} at {level:?}");
        }
    }
}
