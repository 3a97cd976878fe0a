//! Words: 64-bit integers outside of Kernel IR, such as coordinates and addresses.
//!
//! A word is a sum of registers, each times a number, and of a number. It becomes instructions where it is needed: as
//! an address, what loops around the innermost one contribute is computed outside of that, the number becomes the
//! offset, and a multiple of the innermost loop's counter is an index that the loop counts along.

use std::collections::HashMap;

use iced_x86::Code as Opcode;

use super::code::{Class, Reg, Step};
use super::inst::{Base, Condition, Inst, Memory, Operand, Shape, View};
use super::record::Recorder;

/// A sum, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Word(u32);

/// A sum of multiples of registers, in order, and a number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Sum {
    terms: Vec<(Reg, i64)>,
    number: i64,
}

impl Sum {
    /// A number.
    pub(super) fn number(number: i64) -> Sum {
        Sum { terms: Vec::new(), number }
    }

    /// A register.
    pub(super) fn reg(reg: Reg) -> Sum {
        Sum { terms: vec![(reg, 1)], number: 0 }
    }

    /// The number that it is, if there is no register in it.
    pub(super) fn known(&self) -> Option<i64> {
        self.terms.is_empty().then_some(self.number)
    }

    /// The sum of both.
    pub(super) fn plus(&self, other: &Sum) -> Sum {
        let mut terms = self.terms.clone();
        for &(reg, factor) in &other.terms {
            match terms.binary_search_by_key(&reg, |t| t.0) {
                Ok(at) => {
                    terms[at].1 = terms[at].1.wrapping_add(factor);
                    if terms[at].1 == 0 {
                        terms.remove(at);
                    }
                }
                Err(at) => terms.insert(at, (reg, factor)),
            }
        }
        Sum { terms, number: self.number.wrapping_add(other.number) }
    }

    /// The sum so many times.
    pub(super) fn times(&self, factor: i64) -> Sum {
        let terms = self.terms.iter().map(|&(reg, f)| (reg, f.wrapping_mul(factor))).filter(|t| t.1 != 0);
        Sum { terms: terms.collect(), number: self.number.wrapping_mul(factor) }
    }
}

/// All sums that there were.
#[derive(Default)]
pub(super) struct Words {
    sums: Vec<Sum>,
    known: HashMap<Sum, Word>,
}

impl Words {
    /// The word that is a sum.
    pub(super) fn word(&mut self, sum: Sum) -> Word {
        let Words { sums, known } = self;
        *known.entry(sum).or_insert_with_key(|sum| {
            sums.push(sum.clone());
            Word(sums.len() as u32 - 1)
        })
    }

    /// The sum that a word is.
    pub(super) fn sum(&self, word: Word) -> &Sum {
        &self.sums[word.0 as usize]
    }

    /// `a + b · factor`.
    pub(super) fn add(&mut self, a: Word, b: Word, factor: i64) -> Word {
        let sum = self.sum(a).plus(&self.sum(b).times(factor));
        self.word(sum)
    }

    /// `a · factor`.
    pub(super) fn times(&mut self, a: Word, factor: i64) -> Word {
        let sum = self.sum(a).times(factor);
        self.word(sum)
    }
}

impl Recorder {
    /// The memory operand at a sum and an offset from it.
    pub(super) fn address(&mut self, sum: &Sum, offset: i32) -> Memory {
        let sum = sum.plus(&Sum::number(i64::from(offset)));
        self.operand(self.innermost(), &sum)
    }

    /// A register that holds a sum, for the region of level `at`.
    pub(super) fn register(&mut self, at: usize, sum: &Sum) -> Reg {
        match *sum.terms {
            [] => return self.number(at, sum.number),
            [(reg, 1)] if sum.number == 0 => return self.held(reg),
            _ => {}
        }
        match self.operand(at, sum) {
            Memory { base: Base::Reg(reg), index: None, offset: 0, .. } => reg,
            memory => {
                let inst = Inst::new(Opcode::Lea_r64_m, View::Qword).memory(memory);
                self.pure_at(at, inst, Class::General, 8)
            }
        }
    }

    /// A sum as the second operand of a comparison, and which opcode compares with it.
    pub(super) fn compared(&mut self, at: usize, sum: &Sum) -> (Opcode, Operand) {
        match sum.known() {
            Some(number) if i32::try_from(number).is_ok() => {
                (Opcode::Cmp_rm64_imm32, Operand::Number(number))
            }
            _ => (Opcode::Cmp_r64_rm64, Operand::Reg(self.register(at, sum), View::Qword)),
        }
    }

    /// A sum in the form of a memory operand, whether or not it is an address.
    fn operand(&mut self, at: usize, sum: &Sum) -> Memory {
        let (mut inner, mut outer) = (Vec::new(), Sum::default());
        let level = sum.terms.iter().map(|t| self.level(t.0)).max().unwrap_or(0);
        for &(reg, factor) in &sum.terms {
            if self.level(reg) == level { inner.push((reg, factor)) } else { outer.terms.push((reg, factor)) }
        }
        let offset = i32::try_from(sum.number).unwrap_or_else(|_| {
            outer.number = sum.number;
            0
        });
        let mut base = (outer != Sum::default()).then(|| self.register(at, &outer));
        if base.is_none() && inner.len() > 1 {
            let plain = inner.iter().position(|t| t.1 == 1);
            base = Some(match plain {
                Some(n) => {
                    let (reg, _) = inner.remove(n);
                    self.held(reg)
                }
                None => {
                    let last = inner.pop();
                    self.register(at, &Sum { terms: last.into_iter().collect(), number: 0 })
                }
            });
        }
        let index = match *inner {
            [] => None,
            [(reg, factor)] => Some(self.scaled(at, reg, factor)),
            _ => Some((self.register(at, &Sum { terms: inner, number: 0 }), 1)),
        };
        let (base, index, scale) = match (base, index) {
            (None, Some((reg, 1))) => (Base::Reg(reg), None, 1),
            (None, Some((reg, scale))) => (Base::None, Some(reg), scale),
            (None, None) => (Base::None, None, 1),
            (Some(base), Some((reg, scale))) => (Base::Reg(base), Some(reg), scale),
            (Some(base), None) => (Base::Reg(base), None, 1),
        };
        Memory { base, index, scale, offset, broadcast: false }
    }

    /// A register, and the scale by which it is the multiple of another one.
    fn scaled(&mut self, at: usize, reg: Reg, factor: i64) -> (Reg, u8) {
        if let Some(known) = self.counted_multiple(at, reg, factor) {
            return known;
        }
        let reg = self.held(reg);
        match factor {
            1 | 2 | 4 | 8 => (reg, factor as u8),
            _ => (self.product(at, reg, factor), 1),
        }
    }

    fn product(&mut self, at: usize, reg: Reg, factor: i64) -> Reg {
        let inst = match i32::try_from(factor) {
            Ok(_) => Inst::new(Opcode::Imul_r64_rm64_imm32, View::Qword).reg(reg, View::Qword).number(factor),
            Err(_) => {
                let factor = self.number(at, factor);
                Inst::new(Opcode::Imul_r64_rm64, View::Qword).reg(factor, View::Qword).tied(reg)
            }
        };
        self.pure_at(at, inst, Class::General, 8)
    }

    /// A register that holds what is wanted, which the counter of a loop does only once it is asked for.
    fn held(&mut self, reg: Reg) -> Reg {
        let level = self.level(reg);
        let region = self.regions.get(level).and_then(|r| r.repeats.as_ref());
        if region.is_some_and(|inner| inner.counter == reg) {
            return self.induction(level, 1);
        }
        reg
    }

    /// A register that counts along with the innermost loop at level `at`, and the scale by which it is the multiple of the
    /// loop's counter. `None` if the register is not the counter, or if that is not worth a register: where the loop has
    /// others in it, through which it would be kept.
    fn counted_multiple(&mut self, at: usize, reg: Reg, factor: i64) -> Option<(Reg, u8)> {
        const SCALES: [i64; 4] = [1, 2, 4, 8];
        let level = self.regions[..=at].iter().rposition(|region| region.repeats.is_some())?;
        let inner = self.regions[level].repeats.as_ref().filter(|inner| inner.counter == reg)?;
        let known = SCALES.into_iter().find_map(|scale| {
            let (_, reg) = inner.inductions.iter().find(|i| i.0.checked_mul(scale) == Some(factor))?;
            Some((*reg, scale as u8))
        });
        match known {
            Some(known) => Some(known),
            None if inner.has_inner => None,
            None if SCALES.contains(&factor) => Some((self.induction(level, 1), factor as u8)),
            None => Some((self.induction(level, factor), 1)),
        }
    }

    /// The register of a loop that holds a multiple of its counter.
    fn induction(&mut self, level: usize, factor: i64) -> Reg {
        let Some(inner) = &self.regions[level].repeats else {
            unreachable!("only loops count");
        };
        if let Some((_, reg)) = inner.inductions.iter().find(|i| i.0 == factor) {
            return *reg;
        }
        let (counter, first) = (inner.counter, inner.first.times(factor));
        let reg = if factor == 1 { counter } else { self.reg_at(level, Class::General, 8) };
        let from = self.register(level - 1, &first);
        self.push_at(level - 1, Step::Copy { to: reg, from });
        if let Some(inner) = &mut self.regions[level].repeats {
            inner.inductions.push((factor, reg));
        }
        reg
    }

    /// Begins a loop whose counter is `first` in the first turn. Gives the counter and what holds `carried` in the loop.
    pub(super) fn begin_counted(&mut self, first: &Sum, carried: &[Reg]) -> (Sum, Vec<Reg>) {
        let inside = self.open_loop(first.clone(), carried);
        let counter = self.regions.last().and_then(|region| region.repeats.as_ref()).map(|l| l.counter);
        (counter.map_or(Sum::default(), Sum::reg), inside)
    }

    /// Ends the innermost loop: it runs again as long as its counter, raised by `step`, is below `end`.
    pub(super) fn end_counted(&mut self, step: i64, end: &Sum, results: &[Reg]) -> Vec<Reg> {
        let level = self.innermost();
        let inductions = self.regions[level].repeats.as_ref().map_or(Vec::new(), |l| l.inductions.clone());
        // Any multiple tells when to end.
        let factor = match inductions.iter().find(|i| i.0 == 1).or(inductions.first()) {
            Some(known) => known.0,
            None => 1,
        };
        let tested = self.induction(level, factor);
        let (compare, end) = self.compared(level - 1, &end.times(factor));
        let test = Inst::bare(compare).reg(tested, View::Qword).with(end);
        let condition = if factor > 0 { Condition::Less } else { Condition::Greater };
        let inductions = self.regions[level].repeats.as_ref().map_or(Vec::new(), |l| l.inductions.clone());
        let update = inductions.iter().map(|&(factor, reg)| {
            let by = step.wrapping_mul(factor);
            let inst = match i32::try_from(by) {
                Ok(_) => Inst::new(Opcode::Add_rm64_imm32, View::Qword).number(by),
                Err(_) => {
                    let by = self.number(level - 1, by);
                    Inst::new(Opcode::Add_r64_rm64, View::Qword).reg(by, View::Qword)
                }
            };
            let mut inst = inst.tied(reg);
            inst.set_result(reg);
            Step::Inst(inst)
        });
        let update = update.collect();
        self.close_loop(results, update, test, condition)
    }

    /// The smaller of two sums.
    pub(super) fn smaller(&mut self, a: &Sum, b: &Sum) -> Reg {
        let at = self.innermost();
        let (then, otherwise) = (self.register(at, a), self.register(at, b));
        let inst = Inst::new(Opcode::Cmp_r64_rm64, View::Qword)
            .reg(then, View::Qword)
            .reg(then, View::Qword)
            .reg(otherwise, View::Qword)
            .shape(Shape::Move(Condition::Less))
            .tied(otherwise);
        self.pure(inst, Class::General, 8)
    }
}
