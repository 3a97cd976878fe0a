//! Gives every virtual register a physical one.
//!
//! Copies are avoided first: where a copy's source and target never hold different things at once, they become one
//! register. Then a linear scan visits registers by where their live ranges start, and takes for each of them a physical
//! register that is free in all of its range. Where none is, the ones that are cheapest to spill (by how often they are
//! read and written, a loop counting for ten turns, in relation to how long they are live) give way, or the register
//! itself is spilled. What is spilled lives in memory, or is computed again if it is a constant, and is in short-lived
//! registers around its uses; the scan is repeated with these until nothing is spilled.
//!
//! Linear scan: Poletto and Sarkar, TOPLAS 1999; live ranges with holes: Traub, Holloway and Smith, PLDI 1998.

use std::collections::BTreeMap;

use cranelift_entity::SecondaryMap;

use super::code::{Class, Code, Exit, Reg, Step};
use super::liveness::{Liveness, overlap, union};
use super::registers::{ARGUMENTS, DIVISION, allocatable, count};
use super::spill::{Short, spill};

/// The part of the cost of a use that is saved where an instruction reads a constant from memory by itself.
const READ_IN_PLACE: f32 = 0.8;

/// Where everything is.
#[derive(Debug)]
pub(super) struct Allocation {
    /// The number of the physical register of its class that holds a register.
    pub(super) assigned: SecondaryMap<Reg, Option<u8>>,
    pub(super) liveness: Liveness,
}

/// Allocates registers, for code that was simplified. Afterwards no register shares its physical one with another while
/// both are needed.
pub(super) fn allocate(code: &mut Code) -> Allocation {
    coalesce(code);
    let mut short = Short::default();
    short.find_constants(code);
    loop {
        let liveness = Liveness::new(code);
        let mut scan = Scan::new(code, &liveness, &short);
        scan.run();
        let Scan { assigned, spilled, .. } = scan;
        if spilled.is_empty() {
            return Allocation { assigned, liveness };
        }
        spill(code, &spilled, &mut short);
    }
}

/// Makes one register of both sides of a copy where they don't get into each other's way; copies in inner loops first.
fn coalesce(code: &mut Code) {
    let mut liveness = Liveness::new(code);
    let mut copies = Vec::new();
    for block in code.blocks.values() {
        for step in &block.steps {
            if let Step::Copy { to, from } = *step
                && !code.regs[to].is_apart
            {
                copies.push((block.is_cold, std::cmp::Reverse(block.depth), to, from));
            }
        }
    }
    copies.sort_by_key(|&(is_cold, depth, ..)| (is_cold, depth));
    // Each register stands for itself, or is the same as one that was there before.
    let mut same: SecondaryMap<Reg, Option<Reg>> = SecondaryMap::new();
    let stands_for = |same: &SecondaryMap<Reg, Option<Reg>>, mut reg: Reg| {
        while let Some(other) = same[reg] {
            reg = other;
        }
        reg
    };
    for (_, _, to, from) in copies {
        let (a, b) = (stands_for(&same, to), stands_for(&same, from));
        if a == b || code.regs[a].class != code.regs[b].class {
            continue;
        }
        if !overlap(&liveness.ranges[a], &liveness.ranges[b]) {
            let both = union(&liveness.ranges[a], &liveness.ranges[b]);
            liveness.ranges[a] = both;
            liveness.ranges[b] = Vec::new();
            code.regs[a].bytes = code.regs[a].bytes.max(code.regs[b].bytes);
            same[b] = Some(a);
        }
    }
    for block in code.blocks.values_mut() {
        for step in &mut block.steps {
            step.map_uses(|reg| stands_for(&same, reg));
            if let Some(reg) = step.result() {
                step.set_result(stands_for(&same, reg));
            }
        }
        block.steps.retain(|step| !matches!(step, Step::Copy { to, from } if to == from));
        if let Exit::Branch { test, .. } = &mut block.exit {
            test.map_uses(|reg| stands_for(&same, reg));
        }
        if let Some((_, regs)) = &mut block.repeats {
            regs.iter_mut().for_each(|reg| *reg = stands_for(&same, *reg));
        }
    }
}

/// Where a physical register is taken: the start of each interval, its end and by which register, or by none where
/// the machine needs it.
type Taken = BTreeMap<u32, (u32, Option<Reg>)>;

struct Scan<'c> {
    code: &'c Code,
    liveness: &'c Liveness,
    /// What it costs to spill a register.
    weights: SecondaryMap<Reg, f32>,
    /// Registers that would best be in the same physical one.
    near: SecondaryMap<Reg, Vec<Reg>>,
    /// Physical registers that a register would best be in.
    wanted: SecondaryMap<Reg, Option<u8>>,
    taken: [Vec<Taken>; 3],
    assigned: SecondaryMap<Reg, Option<u8>>,
    spilled: Vec<Reg>,
}

impl<'c> Scan<'c> {
    fn new(code: &'c Code, liveness: &'c Liveness, short: &Short) -> Scan<'c> {
        let mut scan = Scan {
            code,
            liveness,
            weights: SecondaryMap::new(),
            near: SecondaryMap::new(),
            wanted: SecondaryMap::new(),
            taken: [Class::General, Class::Vector, Class::Mask]
                .map(|c| vec![Taken::new(); count(code.level, c)]),
            assigned: SecondaryMap::new(),
            spilled: Vec::new(),
        };
        scan.look_around(short);
        for reg in code.regs.keys() {
            let ranges = &liveness.ranges[reg];
            let length: u32 = ranges.iter().map(|(from, to)| to - from).sum();
            // Where there is nothing between a definition and a use, there is nothing to be gained.
            let is_short = short.contains(reg) || length <= 2;
            scan.weights[reg] = match is_short {
                true => f32::INFINITY,
                false if short.constant(reg).is_some() => 0.3 * scan.weights[reg] / length as f32,
                false => scan.weights[reg] / length as f32,
            };
        }
        scan
    }

    /// Notes what steps tell of their registers.
    fn look_around(&mut self, short: &Short) {
        for (id, block) in &self.code.blocks {
            let often = match block.is_cold {
                true => 0.01,
                false => 10f32.powi(block.depth.min(6) as i32),
            };
            for (step, number) in block.steps.iter().zip(self.liveness.starts[id]..) {
                step.each_use(|reg| self.weights[reg] += often);
                if let Step::Inst(inst) = step
                    && let Some(reg) = inst.foldable.and_then(|f| inst.operand_reg(usize::from(f.operand)))
                    && short.constant(reg).is_some()
                {
                    self.weights[reg] -= READ_IN_PLACE * often;
                }
                if let Some(reg) = step.result() {
                    self.weights[reg] += often;
                }
                match *step {
                    Step::Copy { to, from } => {
                        self.near[to].push(from);
                        self.near[from].push(to);
                    }
                    Step::Parameter { to, number: n } => {
                        self.wanted[to] = Some(ARGUMENTS[n]);
                        self.taken[Class::General as usize][usize::from(ARGUMENTS[n])]
                            .insert(0, (2 * number + 1, None));
                    }
                    Step::Divide { .. } => {
                        for reg in DIVISION {
                            let taken = &mut self.taken[Class::General as usize][usize::from(reg)];
                            taken.insert(2 * number, (2 * number + 2, None));
                        }
                    }
                    _ => {}
                }
            }
            if let Exit::Branch { test, .. } = &block.exit {
                test.each_use(|reg| self.weights[reg] += often);
            }
        }
    }

    fn run(&mut self) {
        let mut order: Vec<_> =
            self.code.regs.keys().filter(|&reg| !self.liveness.ranges[reg].is_empty()).collect();
        order.sort_by_key(|&reg| self.liveness.ranges[reg][0].0);
        for reg in order {
            self.place(reg);
        }
    }

    /// Assigns a physical register, or spills what is cheapest.
    fn place(&mut self, reg: Reg) {
        let class = self.code.regs[reg].class;
        let preferred = self.near[reg].iter().filter_map(|&other| self.assigned[other]);
        let preferred: Vec<u8> = self.wanted[reg].into_iter().chain(preferred).collect();
        let mut cheapest: Option<(f32, u8, Vec<Reg>)> = None;
        for physical in preferred.into_iter().chain(allocatable(self.code.level, class)) {
            let Some(others) = self.in_the_way(reg, class, physical) else { continue };
            let cost = others.iter().map(|&other| self.weights[other]).sum::<f32>();
            if others.is_empty() {
                return self.take(reg, class, physical);
            }
            if cheapest.as_ref().is_none_or(|(least, ..)| cost < *least) {
                cheapest = Some((cost, physical, others));
            }
        }
        match cheapest {
            Some((cost, physical, others)) if cost < self.weights[reg] => {
                for other in others {
                    self.give_up(other);
                }
                self.take(reg, class, physical);
            }
            _ => {
                debug_assert!(self.weights[reg].is_finite(), "{reg} is short-lived and fits nowhere");
                self.spilled.push(reg);
            }
        }
    }

    /// The registers that a physical register holds in the range of another one; `None` if the machine needs it there.
    fn in_the_way(&self, reg: Reg, class: Class, physical: u8) -> Option<Vec<Reg>> {
        let taken = &self.taken[class as usize][usize::from(physical)];
        let mut found = Vec::new();
        for &(from, to) in &self.liveness.ranges[reg] {
            for (_, &(end, by)) in taken.range(..to).rev() {
                if end <= from {
                    break;
                }
                let other = by?;
                if !found.contains(&other) {
                    found.push(other);
                }
            }
        }
        Some(found)
    }

    fn take(&mut self, reg: Reg, class: Class, physical: u8) {
        let taken = &mut self.taken[class as usize][usize::from(physical)];
        for &(from, to) in &self.liveness.ranges[reg] {
            taken.insert(from, (to, Some(reg)));
        }
        self.assigned[reg] = Some(physical);
    }

    fn give_up(&mut self, reg: Reg) {
        let class = self.code.regs[reg].class;
        if let Some(physical) = self.assigned[reg].take() {
            let taken = &mut self.taken[class as usize][usize::from(physical)];
            for (from, _) in &self.liveness.ranges[reg] {
                taken.remove(from);
            }
        }
        self.spilled.push(reg);
    }
}
