//! Moves registers to memory, but for where they are read and written.
//!
//! An innermost loop of one block that only reads such a register takes it from memory once, before it begins, if a register
//! is free in all of it.

use std::collections::HashMap;

use cranelift_entity::SecondaryMap;

use super::code::{BlockId, Code, Exit, Reg, Slot, Step};
use super::inst::{Base, Inst, Memory};

/// What was learned of registers while others were spilled.
#[derive(Default)]
pub(super) struct Short {
    /// Registers that live from a load to a use, or from a definition to a store.
    is_short: SecondaryMap<Reg, bool>,
    /// Memory that registers were taken from before a loop.
    taken_before_loop: SecondaryMap<Reg, Option<Slot>>,
    /// How constants are computed.
    constants: SecondaryMap<Reg, Option<Inst>>,
}

impl Short {
    /// Whether a register is too short-lived to be spilled.
    pub(super) fn contains(&self, reg: Reg) -> bool {
        self.is_short[reg]
    }

    /// The instruction that computes a register, if it is always the same and needs nothing.
    pub(super) fn constant(&self, reg: Reg) -> Option<&Inst> {
        self.constants[reg].as_ref()
    }

    /// Finds out which registers are constants.
    pub(super) fn find_constants(&mut self, code: &Code) {
        let mut definitions: SecondaryMap<Reg, u32> = SecondaryMap::new();
        for step in code.blocks.values().flat_map(|block| &block.steps) {
            if let Some(reg) = step.result() {
                definitions[reg] += 1;
                if let Step::Inst(inst) = step
                    && inst.is_constant()
                {
                    self.constants[reg] = Some(inst.clone());
                }
            }
        }
        for (reg, constant) in self.constants.iter_mut() {
            if definitions[reg] > 1 {
                *constant = None;
            }
        }
    }
}

/// Where a spilled register is.
#[derive(Clone)]
enum Home {
    Memory(Slot),
    Constant(Box<Inst>),
}

/// Rewrites code so that some registers are not in registers for long.
pub(super) fn spill(code: &mut Code, spilled: &[Reg], short: &mut Short) {
    let mut homes: HashMap<Reg, Home> = HashMap::new();
    for &reg in spilled {
        let home = match (short.constant(reg), short.taken_before_loop[reg]) {
            (Some(inst), _) => Home::Constant(Box::new(inst.clone())),
            (None, Some(slot)) => Home::Memory(slot),
            (None, None) => Home::Memory(code.slots.push(code.regs[reg].bytes)),
        };
        homes.insert(reg, home);
    }
    take_before_loops(code, &homes, short);
    let ids: Vec<_> = code.blocks.keys().collect();
    for id in ids {
        let steps = std::mem::take(&mut code.blocks[id].steps);
        let mut rewrite = Rewrite { code: &mut *code, homes: &homes, short: &mut *short, steps: Vec::new() };
        for step in steps {
            rewrite.step(step);
        }
        let mut exit = std::mem::replace(&mut rewrite.code.blocks[id].exit, Exit::Return);
        if let Exit::Branch { test, .. } = &mut exit {
            let own = rewrite.reload(|each| test.each_use(each));
            test.map_uses(|reg| own.get(&reg).copied().unwrap_or(reg));
        }
        let steps = rewrite.steps;
        let block = &mut code.blocks[id];
        (block.steps, block.exit) = (steps, exit);
        if let Some((_, carried)) = &mut block.repeats {
            carried.retain(|reg| !homes.contains_key(reg));
        }
    }
}

/// Gives loops of one block registers of their own for the spilled ones that they read and don't define.
fn take_before_loops(code: &mut Code, homes: &HashMap<Reg, Home>, short: &mut Short) {
    // Where loops of one block are entered from.
    let mut entries: SecondaryMap<BlockId, Vec<BlockId>> = SecondaryMap::new();
    for (from, block) in &code.blocks {
        let entered = |next: &BlockId| *next != from && is_inner_loop(code, *next);
        block.exit.successors().filter(entered).for_each(|next| entries[next].push(from));
    }
    for (id, from) in entries.iter().filter(|(_, from)| !from.is_empty()) {
        let block = &code.blocks[id];
        let mut found = Vec::new();
        let mut note = |reg: Reg| {
            if let Some(&Home::Memory(slot)) = homes.get(&reg)
                && short.taken_before_loop[reg].is_none()
                && !found.contains(&(reg, slot))
            {
                found.push((reg, slot));
            }
        };
        block.steps.iter().for_each(|step| step.each_use(&mut note));
        if let Exit::Branch { test, .. } = &block.exit {
            test.each_use(note);
        }
        found.retain(|&(reg, _)| block.steps.iter().all(|step| step.result() != Some(reg)));
        for (reg, slot) in found {
            let own = code.regs.push(code.regs[reg]);
            short.taken_before_loop[own] = Some(slot);
            for &from in from {
                code.blocks[from].steps.push(Step::Reload { to: own, slot });
            }
            let rename = |other| if other == reg { own } else { other };
            let block = &mut code.blocks[id];
            block.steps.iter_mut().for_each(|step| step.map_uses(rename));
            if let Exit::Branch { test, .. } = &mut block.exit {
                test.map_uses(rename);
            }
        }
    }
}

/// Whether a block is a loop by itself.
fn is_inner_loop(code: &Code, id: BlockId) -> bool {
    code.blocks[id].repeats.as_ref().is_some_and(|(last, _)| *last == id)
}

struct Rewrite<'r> {
    code: &'r mut Code,
    homes: &'r HashMap<Reg, Home>,
    short: &'r mut Short,
    steps: Vec<Step>,
}

impl Rewrite<'_> {
    fn step(&mut self, mut step: Step) {
        match step {
            // The definition of a constant is repeated wherever it is needed.
            Step::Inst(_) | Step::Copy { .. }
                if step.result().is_some_and(|r| matches!(self.homes.get(&r), Some(Home::Constant(_)))) =>
            {
                return;
            }
            Step::Reload { to, slot } if matches!(self.homes.get(&to), Some(&Home::Memory(home)) if home == slot) =>
            {
                return;
            }
            Step::Copy { to, from } => return self.copy(to, from),
            Step::Inst(ref mut inst) => self.fold(inst),
            _ => {}
        }
        let result = step.result();
        let own = self.reload(|each| step.each_use(each));
        step.map_uses(|reg| own.get(&reg).copied().unwrap_or(reg));
        let stored = result.and_then(|reg| match self.homes.get(&reg) {
            Some(&Home::Memory(slot)) => {
                let from = own.get(&reg).copied().unwrap_or_else(|| self.short_like(reg));
                step.set_result(from);
                Some(Step::Spill { slot, from })
            }
            _ => None,
        });
        self.steps.push(step);
        self.steps.extend(stored);
    }

    /// A copy from or to memory.
    fn copy(&mut self, to: Reg, from: Reg) {
        let source = match self.homes.get(&from) {
            None => from,
            Some(home) => {
                let target = if self.homes.contains_key(&to) { self.short_like(from) } else { to };
                let load = load(home, target);
                self.steps.push(load);
                target
            }
        };
        match self.homes.get(&to) {
            Some(&Home::Memory(slot)) => self.steps.push(Step::Spill { slot, from: source }),
            _ if source == from => self.steps.push(Step::Copy { to, from }),
            _ => {}
        }
    }

    /// Lets an instruction read a spilled operand from where it is.
    fn fold(&mut self, inst: &mut Inst) {
        let Some(reg) = inst.foldable.and_then(|f| inst.operand_reg(usize::from(f.operand))) else { return };
        let mut uses = 0;
        inst.each_use(|other| uses += u32::from(other == reg));
        if uses != 1 {
            return;
        }
        match self.homes.get(&reg) {
            Some(&Home::Memory(slot)) => {
                let bytes = inst.foldable.map_or(0, |f| f.bytes);
                // The slot has all the bytes of the register, of which an operand may read the first ones.
                if bytes <= self.code.regs[reg].bytes {
                    inst.take_from(Memory::at(Base::Slot(slot)), bytes, false);
                }
            }
            Some(Home::Constant(constant)) => {
                inst.take(constant);
            }
            None => {}
        }
    }

    /// Puts the spilled ones of some registers into registers of their own.
    fn reload(&mut self, each_use: impl Fn(&mut dyn FnMut(Reg))) -> HashMap<Reg, Reg> {
        let mut read = Vec::new();
        each_use(&mut |reg| read.push(reg));
        let mut own = HashMap::new();
        for reg in read {
            let Some(home) = self.homes.get(&reg) else { continue };
            if own.contains_key(&reg) {
                continue;
            }
            let to = self.short_like(reg);
            own.insert(reg, to);
            self.steps.push(load(home, to));
        }
        own
    }

    fn short_like(&mut self, reg: Reg) -> Reg {
        let new = self.code.regs.push(self.code.regs[reg]);
        self.short.is_short[new] = true;
        new
    }
}

/// The step that puts what is spilled into a register.
fn load(home: &Home, to: Reg) -> Step {
    match home {
        Home::Memory(slot) => Step::Reload { to, slot: *slot },
        Home::Constant(inst) => {
            let mut inst = Inst::clone(inst);
            inst.set_result(to);
            Step::Inst(inst)
        }
    }
}
