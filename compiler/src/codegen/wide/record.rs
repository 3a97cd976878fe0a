//! Records code: regions, and what is computed once.
//!
//! A *region* is the inside of a loop or of an arm of a test, or the whole function; open regions are nested. An
//! instruction that has no effect is recorded once for as long as its region is open, and in the outermost region up to
//! which its operands are known and only loops lie between: a loop runs at least once, an arm may not run.

use std::collections::HashMap;

use cranelift_entity::packed_option::ReservedValue;
use cranelift_entity::{PrimaryMap, SecondaryMap};
use iced_x86::Code as Opcode;

use super::Level;
use super::code::{Block, BlockId, Class, Code, Exit, Reg, RegData, Step};
use super::inst::{Condition, Effect, Inst, Memory, Operand, Shape, View};
use super::pool::Pool;
use super::words::Sum;

/// Code that is being recorded.
pub(super) struct Recorder {
    pub(super) code: Code,
    pub(super) regions: Vec<Region>,
    /// How many regions are around a register's definition, the function not counted.
    levels: SecondaryMap<Reg, usize>,
    /// How many stores there are so far.
    stores: usize,
    /// The scalars that were loaded, with what was loaded where.
    loaded: HashMap<Reg, (Inst, BlockId, usize)>,
}

/// An open region.
pub(super) struct Region {
    /// The block that steps are added to.
    pub(super) block: BlockId,
    /// If it is a loop.
    pub(super) repeats: Option<LoopRegion>,
    known: HashMap<Inst, Reg>,
}

/// An open loop.
pub(super) struct LoopRegion {
    pub(super) header: BlockId,
    /// Stands for the counter, and holds it where that is asked for.
    pub(super) counter: Reg,
    /// What the counter is in the first turn.
    pub(super) first: Sum,
    /// Registers that hold a multiple of the counter, and the factor.
    pub(super) inductions: Vec<(i64, Reg)>,
    /// Whether there was a loop in it.
    pub(super) has_inner: bool,
    /// What is carried.
    carried: Vec<Reg>,
}

/// A test that was begun.
pub(super) struct Arm {
    /// The block that ends with the test.
    from: BlockId,
}

impl Recorder {
    /// Nothing yet.
    pub(super) fn new(level: Level) -> Recorder {
        let mut blocks = PrimaryMap::new();
        let block = blocks.push(new_block(0, false));
        let code =
            Code { level, regs: PrimaryMap::new(), blocks, slots: PrimaryMap::new(), pool: Pool::default() };
        let regions = vec![Region { block, repeats: None, known: HashMap::new() }];
        Recorder { code, regions, levels: SecondaryMap::new(), stores: 0, loaded: HashMap::new() }
    }

    /// The whole function.
    pub(super) fn finish(self) -> Code {
        debug_assert_eq!(self.regions.len(), 1);
        self.code
    }

    /// The level of the innermost region.
    pub(super) fn innermost(&self) -> usize {
        self.regions.len() - 1
    }

    /// The level of the region that a register is defined in.
    pub(super) fn level(&self, reg: Reg) -> usize {
        self.levels[reg]
    }

    /// The block that steps of the region of a level are added to.
    fn block(&self, level: usize) -> BlockId {
        self.regions[level].block
    }

    /// The block that begins the innermost loop around or at a level.
    fn home(&self, level: usize) -> Option<BlockId> {
        self.regions[..=level].iter().rev().find_map(|region| region.repeats.as_ref().map(|l| l.header))
    }

    /// A register that is defined in the region of a level.
    pub(super) fn reg_at(&mut self, level: usize, class: Class, bytes: u8) -> Reg {
        let home = self.home(level);
        let reg = self.code.regs.push(RegData { class, bytes, home, is_apart: false });
        self.levels[reg] = level;
        reg
    }

    /// A register like another, defined in the region of a level.
    pub(super) fn reg_like(&mut self, level: usize, like: Reg) -> Reg {
        let RegData { class, bytes, .. } = self.code.regs[like];
        self.reg_at(level, class, bytes)
    }

    /// Adds a step to the region of a level.
    pub(super) fn push_at(&mut self, level: usize, step: Step) {
        let block = self.block(level);
        self.code.blocks[block].steps.push(step);
    }

    /// Adds a step.
    pub(super) fn push(&mut self, step: Step) {
        self.push_at(self.innermost(), step);
    }

    /// The result of an instruction that has no effect, for the region of level `at`.
    pub(super) fn pure_at(&mut self, at: usize, mut inst: Inst, class: Class, bytes: u8) -> Reg {
        debug_assert!(inst.effect == Effect::Pure || inst.is_constant(), "{inst:?}");
        inst.set_result(Reg::reserved_value());
        let mut known_from = 0;
        inst.each_use(|reg| known_from = known_from.max(self.levels[reg]));
        if let Some(&reg) = self.regions[known_from..=at].iter().rev().find_map(|r| r.known.get(&inst)) {
            return reg;
        }
        let arm = self.regions[..=at].iter().rposition(|region| region.repeats.is_none());
        let level = known_from.max(arm.unwrap_or(0));
        let reg = self.reg_at(level, class, bytes);
        self.regions[level].known.insert(inst.clone(), reg);
        inst.set_result(reg);
        self.push_at(level, Step::Inst(inst));
        reg
    }

    /// The result of an instruction that has no effect.
    pub(super) fn pure(&mut self, inst: Inst, class: Class, bytes: u8) -> Reg {
        self.pure_at(self.innermost(), inst, class, bytes)
    }

    /// The result of an instruction that reads memory.
    pub(super) fn load(&mut self, mut inst: Inst, class: Class, bytes: u8) -> Reg {
        let reg = self.reg_at(self.innermost(), class, bytes);
        if class == Class::General {
            self.loaded.insert(reg, (inst.clone(), self.block(self.innermost()), self.stores));
        }
        inst.set_result(reg);
        self.push(Step::Inst(inst));
        reg
    }

    /// Records an instruction that writes memory.
    pub(super) fn store(&mut self, inst: Inst) {
        self.stores += 1;
        self.push(Step::Inst(inst.effect(Effect::Store)));
    }

    /// Records that a cache line is asked for.
    pub(super) fn prefetch(&mut self, memory: Memory) {
        self.push(Step::Inst(Inst::bare(Opcode::Prefetcht0_m8).memory(memory)));
    }

    /// The load that gave a register of general class, if it would give the same now.
    pub(super) fn loaded(&self, reg: Reg) -> Option<&Inst> {
        let (inst, block, stores) = self.loaded.get(&reg)?;
        (*block == self.block(self.innermost()) && *stores == self.stores).then_some(inst)
    }

    /// A number in a general register.
    pub(super) fn number(&mut self, at: usize, number: i64) -> Reg {
        let inst = match i32::try_from(number) {
            Ok(0..) => Inst::new(Opcode::Mov_r32_imm32, View::Dword),
            Ok(_) => Inst::new(Opcode::Mov_rm64_imm32, View::Qword),
            Err(_) => Inst::new(Opcode::Mov_r64_imm64, View::Qword),
        };
        let inst = inst.number(number);
        self.pure_at(at, inst, Class::General, 8)
    }

    /// A new block with so many loops around it.
    fn new_block(&mut self, depth: u32, is_cold: bool) -> BlockId {
        self.code.blocks.push(new_block(depth, is_cold))
    }

    /// Opens a loop that carries registers. Gives what holds them in the loop.
    pub(super) fn open_loop(&mut self, first: Sum, carried: &[Reg]) -> Vec<Reg> {
        let outer = self.innermost();
        let before = self.block(outer);
        let (depth, is_cold) = (self.code.blocks[before].depth, self.code.blocks[before].is_cold);
        let header = self.new_block(depth + 1, is_cold);
        self.code.blocks[before].exit = Exit::Jump(header);
        if let Some(around) = self.regions.iter_mut().rev().find_map(|r| r.repeats.as_mut()) {
            around.has_inner = true;
        }
        let repeats = LoopRegion {
            header,
            counter: Reg::reserved_value(),
            first,
            inductions: Vec::new(),
            has_inner: false,
            carried: Vec::new(),
        };
        self.regions.push(Region { block: header, repeats: Some(repeats), known: HashMap::new() });
        let level = self.innermost();
        let counter = self.reg_at(level, Class::General, 8);
        let mut inside = Vec::new();
        for &from in carried {
            let to = self.reg_like(level, from);
            self.push_at(outer, Step::Copy { to, from });
            inside.push(to);
        }
        if let Some(l) = &mut self.regions[level].repeats {
            l.counter = counter;
            l.carried.clone_from(&inside);
        }
        inside
    }

    /// Closes a loop that carries `results` on: it runs again if the flags after `test` say so. Gives what holds them
    /// behind the loop.
    pub(super) fn close_loop(
        &mut self,
        results: &[Reg],
        update: Vec<Step>,
        test: Inst,
        condition: Condition,
    ) -> Vec<Reg> {
        let level = self.innermost();
        let Some(Region { block: last, repeats: Some(inner), .. }) = self.regions.pop() else {
            unreachable!("the innermost region is the loop that is closed")
        };
        let LoopRegion { header, inductions, carried, .. } = inner;
        // A result that is carried in another's place is moved away before that is overwritten.
        let mut steps = Vec::new();
        let results: Vec<Reg> = (results.iter().zip(&carried))
            .map(|(&from, &to)| {
                if from == to || !carried.contains(&from) {
                    return from;
                }
                let kept = self.code.regs.push(self.code.regs[from]);
                steps.push(Step::Copy { to: kept, from });
                kept
            })
            .collect();
        let moved = results.iter().zip(&carried).filter(|(from, to)| from != to);
        steps.extend(moved.map(|(&from, &to)| Step::Copy { to, from }));
        steps.extend(update);
        let (depth, is_cold) = (self.code.blocks[last].depth - 1, self.code.blocks[last].is_cold);
        let after = self.new_block(depth, is_cold);
        let block = &mut self.code.blocks[last];
        block.steps.extend(steps);
        block.exit = Exit::Branch { test, condition, then: header, otherwise: after };
        // A few leave what comes behind the loop enough registers.
        let vectors = carried.iter().filter(|&&reg| self.code.regs[reg].class == Class::Vector);
        let is_many = vectors.count() > self.code.level.registers() / 4;
        let all = carried.iter().copied().chain(inductions.iter().map(|i| i.1)).collect();
        self.code.blocks[header].repeats = Some((last, all));
        self.regions[level - 1].block = after;
        carried
            .iter()
            .map(|&from| {
                let to = self.reg_like(level - 1, from);
                self.code.regs[to].is_apart = is_many && self.code.regs[to].class == Class::Vector;
                self.push(Step::Copy { to, from });
                to
            })
            .collect()
    }

    /// Opens an arm that runs if the flags after `test` say so.
    pub(super) fn open_arm(&mut self, test: Inst, condition: Condition, is_cold: bool) -> Arm {
        let from = self.block(self.innermost());
        let depth = self.code.blocks[from].depth;
        let block = self.new_block(depth, is_cold || self.code.blocks[from].is_cold);
        // Where the test fails is known when the arm is closed.
        self.code.blocks[from].exit = Exit::Branch { test, condition, then: block, otherwise: block };
        self.regions.push(Region { block, repeats: None, known: HashMap::new() });
        Arm { from }
    }

    /// Closes an arm; what follows runs after it, or if the test failed.
    pub(super) fn close_arm(&mut self, arm: &Arm) {
        let ended = self.pop_arm();
        let after = self.block_after(arm.from);
        self.code.blocks[ended].exit = Exit::Jump(after);
        self.fails_to(arm.from, after);
        let level = self.innermost();
        self.regions[level].block = after;
    }

    /// Closes an arm and opens the one that runs if the test failed. Gives the block that ended.
    pub(super) fn other_arm(&mut self, arm: &Arm, is_cold: bool) -> BlockId {
        let ended = self.pop_arm();
        let depth = self.code.blocks[arm.from].depth;
        let block = self.new_block(depth, is_cold || self.code.blocks[arm.from].is_cold);
        self.fails_to(arm.from, block);
        self.regions.push(Region { block, repeats: None, known: HashMap::new() });
        ended
    }

    /// Closes the second of two arms, whose first ended with a block.
    pub(super) fn join_arms(&mut self, arm: &Arm, first: BlockId) {
        let second = self.pop_arm();
        let after = self.block_after(arm.from);
        for ended in [first, second] {
            self.code.blocks[ended].exit = Exit::Jump(after);
        }
        let level = self.innermost();
        self.regions[level].block = after;
    }

    fn pop_arm(&mut self) -> BlockId {
        match self.regions.pop() {
            Some(Region { block, repeats: None, .. }) => block,
            _ => unreachable!("the innermost region is the arm that is closed"),
        }
    }

    fn block_after(&mut self, block: BlockId) -> BlockId {
        let Block { depth, is_cold, .. } = self.code.blocks[block];
        self.new_block(depth, is_cold)
    }

    fn fails_to(&mut self, from: BlockId, to: BlockId) {
        if let Exit::Branch { otherwise, .. } = &mut self.code.blocks[from].exit {
            *otherwise = to;
        }
    }

    /// 0 or 1: whether a comparison of registers, or of a register with a number, has an outcome.
    pub(super) fn test(&mut self, compare: Opcode, a: (Reg, View), b: Operand, condition: Condition) -> Reg {
        let inst = Inst::new(compare, View::Dword).reg(a.0, a.1).with(b).shape(Shape::Set(condition));
        self.pure(inst, Class::General, 8)
    }

    /// `then` if a comparison has an outcome, else `otherwise`, of a view of general registers.
    pub(super) fn choose(
        &mut self,
        (compare, a, b, condition): (Opcode, (Reg, View), Operand, Condition),
        (then, otherwise, view): (Reg, Reg, View),
    ) -> Reg {
        let inst = Inst::new(compare, view).reg(then, view).reg(a.0, a.1).with(b);
        self.pure(inst.shape(Shape::Move(condition)).tied(otherwise), Class::General, 8)
    }
}

fn new_block(depth: u32, is_cold: bool) -> Block {
    Block { steps: Vec::new(), exit: Exit::Return, depth, is_cold, repeats: None }
}
