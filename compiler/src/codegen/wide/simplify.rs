//! Drops what is not needed, lets instructions read memory themselves, and gives two-address instructions a register of
//! their own.

use std::collections::{HashMap, HashSet};

use cranelift_entity::SecondaryMap;
use iced_x86::Code as Opcode;

use super::code::{Code, Exit, Reg, Step};
use super::inst::{Effect, Inst, Operand, Shape};
use super::opcodes::fma_forms;

/// How often each register is read.
pub(super) type Uses = SecondaryMap<Reg, u32>;

fn count_uses(code: &Code) -> Uses {
    let mut uses = Uses::new();
    for block in code.blocks.values() {
        for step in &block.steps {
            step.each_use(|reg| uses[reg] += 1);
        }
        if let Exit::Branch { test, .. } = &block.exit {
            test.each_use(|reg| uses[reg] += 1);
        }
    }
    uses
}

/// Makes code ready for allocation: afterwards a tied register is the first operand, and no instruction has shape
/// [`Shape::Fma`].
pub(super) fn simplify(code: &mut Code) {
    drop_unused(code);
    fold_loads(code);
    copy_tied(code);
    drop_unused(code);
}

/// Drops steps whose results nothing reads.
fn drop_unused(code: &mut Code) {
    let mut uses = count_uses(code);
    let ids: Vec<_> = code.blocks.keys().collect();
    for id in ids.into_iter().rev() {
        let mut kept = Vec::new();
        for step in std::mem::take(&mut code.blocks[id].steps).into_iter().rev() {
            let has_effect = match &step {
                Step::Inst(inst) => inst.effect == Effect::Store,
                Step::Spill { .. } | Step::Parameter { .. } | Step::Report(_) => true,
                Step::Copy { .. } | Step::Reload { .. } | Step::Divide { .. } => false,
            };
            if !has_effect && step.result().is_some_and(|reg| uses[reg] == 0) {
                step.each_use(|reg| uses[reg] -= 1);
            } else {
                kept.push(step);
            }
        }
        kept.reverse();
        code.blocks[id].steps = kept;
    }
}

/// Lets an instruction read memory itself where it is the only one that uses what a load of its block gives, and no
/// store comes between.
fn fold_loads(code: &mut Code) {
    let uses = count_uses(code);
    for block in code.blocks.values_mut() {
        let mut stores = 0;
        let mut loads: HashMap<Reg, (usize, u32)> = HashMap::new();
        let mut folded = vec![false; block.steps.len()];
        for i in 0..block.steps.len() {
            let (before, rest) = block.steps.split_at_mut(i);
            let inst = match &mut rest[0] {
                Step::Inst(inst) => inst,
                Step::Report(_) => {
                    stores += 1;
                    continue;
                }
                _ => continue,
            };
            let mut take = |inst: &mut Inst, operand: usize| {
                let reg = inst.operand_reg(operand)?;
                let &(at, stored) = loads.get(&reg)?;
                let Step::Inst(load) = &before[at] else { return None };
                let fixed = matches!(load.effect, Effect::Load { fixed: true, .. });
                let taken = uses[reg] == 1 && (fixed || stored == stores) && inst.take(load);
                taken.then(|| folded[at] = true)
            };
            for operand in foldable_operands(inst) {
                let last = inst.foldable.map_or(0, |f| usize::from(f.operand));
                let kept = inst.clone();
                inst.operands.swap(operand, last);
                match take(inst, last) {
                    // Products commute, so that only an addend is where it must not be.
                    Some(()) if inst.shape == Shape::Fma && operand == 3 => inst.operands.swap(operand, last),
                    Some(()) => {}
                    None => {
                        *inst = kept;
                        continue;
                    }
                }
                break;
            }
            match (inst.effect, inst.result()) {
                (Effect::Load { .. }, Some(reg)) => {
                    loads.insert(reg, (i, stores));
                }
                (Effect::Store, _) => stores += 1,
                _ => {}
            }
        }
        let mut folded = folded.into_iter();
        block.steps.retain(|_| !folded.next().unwrap_or(false));
    }
}

/// The operands of an instruction for which memory may stand, if others change places with them.
fn foldable_operands(inst: &Inst) -> Vec<usize> {
    match inst.foldable {
        None => Vec::new(),
        Some(_) if inst.shape == Shape::Fma => vec![2, 1, 3],
        Some(f) if f.commutes => vec![usize::from(f.operand), usize::from(f.operand) - 1],
        Some(f) => vec![usize::from(f.operand)],
    }
}

/// Gives every updated register a copy of its own, which is the result as well. Constants are repeated, not copied.
fn copy_tied(code: &mut Code) {
    // What a loop carries is copied behind the loop, where it holds something else.
    let carried: HashSet<Reg> =
        code.blocks.values().filter_map(|block| block.repeats.as_ref()).flat_map(|r| r.1.clone()).collect();
    let mut uses = count_uses(code);
    for step in code.blocks.values().flat_map(|block| &block.steps) {
        if let Step::Copy { from, .. } = step
            && carried.contains(from)
        {
            uses[*from] -= 1;
        }
    }
    let mut constants: HashMap<Reg, Inst> = HashMap::new();
    let ids: Vec<_> = code.blocks.keys().collect();
    for &id in &ids {
        for step in &code.blocks[id].steps {
            if let (Step::Inst(inst), Some(reg)) = (step, step.result())
                && inst.is_constant()
            {
                constants.insert(reg, inst.clone());
            }
        }
    }
    let copy = |to: Reg, from: Reg| match constants.get(&from) {
        Some(constant) => {
            let mut constant = constant.clone();
            constant.set_result(to);
            Step::Inst(constant)
        }
        None => Step::Copy { to, from },
    };
    for id in ids {
        let mut steps = Vec::new();
        for mut step in std::mem::take(&mut code.blocks[id].steps) {
            match &mut step {
                Step::Copy { to, from } => step = copy(*to, *from),
                Step::Inst(inst) => {
                    if inst.shape == Shape::Fma {
                        let is_constant = |reg| constants.contains_key(&reg);
                        choose_form(inst, |reg| uses[reg] == 1, is_constant, |reg| code.regs[reg].home);
                    }
                    if let (Some(tied), Some(result)) = (inst.tied, inst.result())
                        && tied != result
                    {
                        steps.push(copy(result, tied));
                        inst.tied = Some(result);
                    }
                }
                _ => {}
            }
            steps.push(step);
        }
        code.blocks[id].steps = steps;
    }
}

/// Chooses one of the three forms of `result = a · b + c`: it overwrites the operand that is not needed any more, if
/// there is one, preferably the addend. A constant factor is where memory may stand, if there is a choice.
fn choose_form<H: PartialEq>(
    inst: &mut Inst,
    used_once: impl Fn(Reg) -> bool,
    is_constant: impl Fn(Reg) -> bool,
    home: impl Fn(Reg) -> H,
) {
    let [result, mut a, mut b, c] = inst.operands;
    let forms: [Opcode; 3] = fma_forms(inst.opcode);
    let around = inst.result().map(&home);
    let dies = |operand: Operand| match operand {
        Operand::Reg(reg, _) => used_once(reg) && Some(home(reg)) == around,
        _ => false,
    };
    if b != Operand::Memory && dies(b) && !dies(a) {
        (a, b) = (b, a);
    }
    let is_constant = |operand: Operand| matches!(operand, Operand::Reg(reg, _) if is_constant(reg));
    if b != Operand::Memory && !dies(a) && is_constant(a) && !is_constant(b) {
        (a, b) = (b, a);
    }
    let (form, tied, operands) = if c == Operand::Memory {
        (1, a, [result, b, c])
    } else if dies(c) || !dies(a) {
        (0, c, [result, a, b])
    } else if b == Operand::Memory {
        (2, a, [result, c, b])
    } else {
        (1, a, [result, b, c])
    };
    let [x, y, z] = operands;
    inst.opcode = forms[form];
    inst.operands = [x, y, z, Operand::None];
    inst.shape = Shape::Plain;
    if let Operand::Reg(reg, _) = tied {
        inst.tied = Some(reg);
    }
}
