//! When each register holds something that is still needed.
//!
//! Every step and every exit has a number `n`; what it reads is read at position `2n` and what it defines is defined at
//! `2n + 1`. A live range is a list of half-open intervals of positions. Blocks are visited from the last to the first,
//! after Wimmer and Franz, "Linear scan register allocation on SSA form", CGO 2010: what is live where a loop begins is live
//! in all of it, but for what the loop carries, which is dead between its last use and where it is carried on.

use cranelift_entity::SecondaryMap;

use super::code::{BlockId, Code, Exit, Reg};

/// Half-open intervals of positions, in order.
pub(super) type Ranges = Vec<(u32, u32)>;

/// The live ranges of a function.
#[derive(Debug, Default)]
pub(super) struct Liveness {
    pub(super) ranges: SecondaryMap<Reg, Ranges>,
    /// The number of a block's first step.
    pub(super) starts: SecondaryMap<BlockId, u32>,
}

/// Whether two ranges have a position in common.
pub(super) fn overlap(a: &[(u32, u32)], b: &[(u32, u32)]) -> bool {
    let (mut i, mut j) = (0, 0);
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        if x.0 < y.1 && y.0 < x.1 {
            return true;
        }
        if x.1 <= y.1 { i += 1 } else { j += 1 }
    }
    false
}

/// The positions of two ranges that do not overlap.
pub(super) fn union(a: &[(u32, u32)], b: &[(u32, u32)]) -> Ranges {
    let mut all: Ranges = a.iter().chain(b).copied().collect();
    all.sort_unstable();
    let mut merged: Ranges = Vec::with_capacity(all.len());
    for (from, to) in all {
        match merged.last_mut() {
            Some(last) if last.1 == from => last.1 = to,
            _ => merged.push((from, to)),
        }
    }
    merged
}

/// Registers that are live, while blocks are visited.
#[derive(Default)]
struct Live {
    is_live: SecondaryMap<Reg, bool>,
    /// All that are, and some that were.
    list: Vec<Reg>,
}

impl Live {
    fn insert(&mut self, reg: Reg) {
        if !self.is_live[reg] {
            self.is_live[reg] = true;
            self.list.push(reg);
        }
    }

    fn remove(&mut self, reg: Reg) {
        self.is_live[reg] = false;
    }

    /// Takes out all of them.
    fn take(&mut self) -> Vec<Reg> {
        let Live { is_live, list } = self;
        std::mem::take(list).into_iter().filter(|&reg| std::mem::take(&mut is_live[reg])).collect()
    }
}

impl Liveness {
    /// The live ranges of a function.
    pub(super) fn new(code: &Code) -> Liveness {
        let mut found = Liveness::default();
        let mut next = 0;
        for (id, block) in &code.blocks {
            found.starts[id] = next;
            next += block.steps.len() as u32 + 1;
        }
        // Latest interval first, until all are there.
        let ranges = &mut found.ranges;
        let mut live_in: SecondaryMap<BlockId, Vec<Reg>> = SecondaryMap::new();
        // What is carried by the loop that a block ends.
        let mut carried: SecondaryMap<BlockId, Vec<Reg>> = SecondaryMap::new();
        for block in code.blocks.values() {
            if let Some((last, regs)) = &block.repeats {
                carried[*last].clone_from(regs);
            }
        }
        let mut live = Live::default();
        for (id, block) in code.blocks.iter().rev() {
            let (from, exit) = (2 * found.starts[id], 2 * (found.starts[id] + block.steps.len() as u32));
            let until = exit + 2;
            let successors = block.exit.successors().flat_map(|next| live_in[next].iter());
            for &reg in successors.chain(&carried[id]) {
                if !live.is_live[reg] {
                    live.insert(reg);
                    add(&mut ranges[reg], from, until);
                }
            }
            let reads = |ranges: &mut SecondaryMap<Reg, Ranges>, live: &mut Live, reg: Reg, at: u32| {
                if !live.is_live[reg] {
                    live.insert(reg);
                    add(&mut ranges[reg], from, at + 1);
                }
            };
            if let Exit::Branch { test, .. } = &block.exit {
                test.each_use(|reg| reads(ranges, &mut live, reg, exit));
            }
            for (n, step) in block.steps.iter().enumerate().rev() {
                let at = from + 2 * n as u32;
                if let Some(reg) = step.result() {
                    match live.is_live[reg] {
                        true => {
                            if let Some(first) = ranges[reg].last_mut() {
                                first.0 = at + 1;
                            }
                        }
                        false => add(&mut ranges[reg], at + 1, at + 2),
                    }
                    live.remove(reg);
                }
                step.each_use(|reg| reads(ranges, &mut live, reg, at));
            }
            let found_live = live.take();
            if let Some((last, regs)) = &block.repeats {
                let end = 2 * (found.starts[*last] + code.blocks[*last].steps.len() as u32) + 2;
                for reg in found_live.iter().filter(|reg| !regs.contains(reg)) {
                    add(&mut ranges[*reg], from, end);
                }
            }
            live_in[id] = found_live;
        }
        for ranges in ranges.values_mut() {
            ranges.reverse();
        }
        found
    }
}

/// Adds an interval that starts no later than all others.
fn add(ranges: &mut Ranges, from: u32, mut to: u32) {
    while let Some(&(start, end)) = ranges.last() {
        if start > to {
            break;
        }
        debug_assert!(from <= start);
        to = to.max(end);
        ranges.pop();
    }
    ranges.push((from, to));
}
