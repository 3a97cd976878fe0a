//! [`VectorEmitter`] that records.

use std::collections::HashMap;

use iced_x86::Code as Opcode;

use super::Level;
use super::code::{BlockId, Class, Code, Reg, Step};
use super::inst::{Base, Condition, Effect, Inst, Memory, Operand, View};
use super::opcodes::{Family, Single};
use super::record::{Arm, Recorder};
use super::words::{Sum, Word, Words};
use crate::codegen::emitter::{CheckedIndex, VectorEmitter, VectorType, WordTest};
use crate::kernel::{BinaryOp, CompareOp, UnaryOp};
use crate::tensor::Scalar;
use crate::types::DType;

/// Records what it is asked to emit.
pub(in crate::codegen) struct WideEmitter {
    pub(super) r: Recorder,
    pub(super) words: Words,
    pub(super) level: Level,
    /// Address of the context.
    pub(super) context: Reg,
    /// Registers that hold a constant of a dtype, in every lane if it is a vector.
    pub(super) known: HashMap<(Reg, DType), Scalar>,
}

/// A test that was begun.
pub(in crate::codegen) struct WideIf(Arm);

/// How values of a type are kept in vector registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Bytes of a lane, 4 or 8.
    pub(super) lane: usize,
    /// The part of the register that they take.
    pub(super) view: View,
}

impl WideEmitter {
    /// An emitter at the start of a function. Gives its four arguments as well.
    pub(super) fn new(level: Level) -> (WideEmitter, [Reg; 4]) {
        let mut r = Recorder::new(level);
        let arguments = [0, 1, 2, 3].map(|number| {
            let to = r.reg_at(0, Class::General, 8);
            r.push(Step::Parameter { to, number });
            to
        });
        let words = Words::default();
        (WideEmitter { r, words, level, context: arguments[0], known: HashMap::new() }, arguments)
    }

    /// What was recorded.
    pub(super) fn finish(self) -> Code {
        self.r.finish()
    }

    /// How vectors of a type are kept. Bools of AVX2 fill a register as far as the widest type of as many lanes does.
    pub(super) fn layout(&self, ty: VectorType) -> Layout {
        let lane = match ty.dtype {
            DType::U8 => 4,
            DType::Bool => (32 / ty.lanes).min(8),
            dtype => dtype.bytes(),
        };
        Layout { lane, view: View::vector(lane * ty.lanes) }
    }

    /// Whether a type is kept in masks.
    pub(super) fn is_mask(&self, ty: VectorType) -> bool {
        ty.dtype == DType::Bool && ty.lanes > 1 && self.level == Level::Avx512
    }

    /// Whether a type is kept in general registers.
    pub(super) fn is_general(ty: VectorType) -> bool {
        ty.lanes == 1 && !ty.dtype.is_float()
    }

    /// The class and the bytes of registers for values of a type.
    fn kept_in(&self, ty: VectorType) -> (Class, u8) {
        if WideEmitter::is_general(ty) {
            (Class::General, 8)
        } else if self.is_mask(ty) {
            (Class::Mask, 8)
        } else {
            (Class::Vector, self.layout(ty).view.bytes())
        }
    }

    /// The sum that a word is.
    pub(super) fn sum(&self, word: Word) -> Sum {
        self.words.sum(word).clone()
    }

    /// A register that holds a word.
    pub(super) fn word_reg(&mut self, word: Word) -> Reg {
        let sum = self.sum(word);
        self.r.register(self.r.innermost(), &sum)
    }

    /// The result of an instruction, in a vector register.
    pub(super) fn vector(&mut self, inst: Inst, view: View) -> Reg {
        self.r.pure(inst, Class::Vector, view.bytes())
    }

    /// The result of an instruction, in a general register.
    pub(super) fn general(&mut self, inst: Inst) -> Reg {
        self.r.pure(inst, Class::General, 8)
    }

    /// The result of an instruction, in a mask.
    pub(super) fn mask(&mut self, inst: Inst) -> Reg {
        self.r.pure(inst, Class::Mask, 8)
    }

    /// The bytes of an element that an instruction over vectors can repeat, 0 if it cannot.
    pub(super) fn repeated(&self, lane: usize) -> u8 {
        if self.level == Level::Avx512 { lane as u8 } else { 0 }
    }

    /// An instruction over vectors of two operands.
    pub(super) fn inst2(&self, family: Family, layout: Layout, a: Reg, b: Reg) -> Inst {
        let Layout { lane, view } = layout;
        Inst::new(family.at(self.level, view), view).reg(a, view).reg_or_memory(
            b,
            view,
            view.bytes(),
            self.repeated(lane),
        )
    }

    /// The result of an instruction over vectors of two operands.
    pub(super) fn op2(&mut self, family: Family, layout: Layout, a: Reg, b: Reg) -> Reg {
        let inst = self.inst2(family, layout, a, b);
        self.vector(inst, layout.view)
    }

    /// The same, where operands may be swapped.
    pub(super) fn commutative(&mut self, family: Family, layout: Layout, a: Reg, b: Reg) -> Reg {
        let inst = self.inst2(family, layout, a, b).commutes();
        self.vector(inst, layout.view)
    }

    /// The same of an instruction over bits, whatever the lanes.
    pub(super) fn bits(&mut self, family: Family, layout: Layout, a: Reg, b: Reg) -> Reg {
        self.commutative(family, Layout { lane: 4, ..layout }, a, b)
    }

    /// The result of an instruction over vectors of one operand.
    pub(super) fn op1(&mut self, family: Family, layout: Layout, a: Reg) -> Reg {
        let Layout { lane, view } = layout;
        let inst = Inst::new(family.at(self.level, view), view).reg_or_memory(
            a,
            view,
            view.bytes(),
            self.repeated(lane),
        );
        self.vector(inst, view)
    }

    /// An instruction over the lowest element of two operands.
    pub(super) fn single2(&self, single: Single, bytes: usize, a: Reg, b: Reg) -> Inst {
        Inst::new(single.at(self.level), View::Xmm).reg(a, View::Xmm).reg_or_memory(
            b,
            View::Xmm,
            bytes as u8,
            0,
        )
    }

    /// A constant of the pool in a register of `view`: all of its bytes.
    pub(super) fn pooled(&mut self, bytes: &[u8], opcode: Opcode, view: View) -> Inst {
        let id = self.r.code.pool.add(bytes);
        let effect = Effect::Load { bytes: bytes.len() as u8, broadcast: false, fixed: true };
        Inst::new(opcode, view).memory(Memory::at(Base::Constant(id))).effect(effect)
    }
}

impl VectorEmitter for WideEmitter {
    type Value = Reg;
    type Word = Word;
    type Loop = ();
    type If = WideIf;

    fn begin_loop(&mut self, first: Word, carried: &[Reg]) -> ((), Word, Vec<Reg>) {
        let first = self.sum(first);
        let (counter, inside) = self.r.begin_counted(&first, carried);
        ((), self.words.word(counter), inside)
    }

    fn end_loop(&mut self, (): (), step: usize, end: Word, carried: &[Reg]) -> Vec<Reg> {
        let end = self.sum(end);
        self.r.end_counted(step as i64, &end, carried)
    }

    fn begin_if(&mut self, test: WordTest, word: Word, number: usize) -> WideIf {
        let reg = self.word_reg(word);
        let (compare, number) = self.r.compared(self.r.innermost(), &Sum::number(number as i64));
        let condition = match test {
            WordTest::Equal => Condition::Equal,
            WordTest::AtLeast => Condition::GreaterEqual,
        };
        WideIf(self.r.open_arm(Inst::bare(compare).reg(reg, View::Qword).with(number), condition, false))
    }

    fn end_if(&mut self, inner: WideIf) {
        self.r.close_arm(&inner.0);
    }

    fn mostly(
        &mut self,
        ty: VectorType,
        c: Reg,
        then: &mut dyn FnMut(&mut Self) -> Reg,
        otherwise: &mut dyn FnMut(&mut Self) -> Reg,
    ) -> Reg {
        let test = Inst::bare(Opcode::Test_rm32_r32).reg(c, View::Dword).reg(c, View::Dword);
        let arm = self.r.open_arm(test, Condition::NotEqual, false);
        let from = then(self);
        let (class, bytes) = self.kept_in(ty);
        let to = self.r.reg_at(self.r.innermost() - 1, class, bytes);
        self.r.push(Step::Copy { to, from });
        let first: BlockId = self.r.other_arm(&arm, true);
        let from = otherwise(self);
        self.r.push(Step::Copy { to, from });
        self.r.join_arms(&arm, first);
        to
    }

    fn word(&mut self, value: i64) -> Word {
        self.words.word(Sum::number(value))
    }

    fn word_add(&mut self, a: Word, b: Word) -> Word {
        self.words.add(a, b, 1)
    }

    fn word_sub(&mut self, a: Word, b: Word) -> Word {
        self.words.add(a, b, -1)
    }

    fn word_min(&mut self, a: Word, b: Word) -> Word {
        let (a, b) = (self.sum(a), self.sum(b));
        let smaller = self.r.smaller(&a, &b);
        self.words.word(Sum::reg(smaller))
    }

    fn word_times(&mut self, a: Word, factor: i64) -> Word {
        self.words.times(a, factor)
    }

    fn word_divide(&mut self, a: Word, by: usize) -> Word {
        if let Some(known) = self.words.sum(a).known() {
            return self.word(known / by as i64);
        }
        let dividend = self.word_reg(a);
        let quotient = match by {
            1 => dividend,
            _ if by.is_power_of_two() => {
                let inst = Inst::new(Opcode::Shr_rm64_imm8, View::Qword);
                self.general(inst.number(i64::from(by.trailing_zeros())).tied(dividend))
            }
            _ => {
                let at = self.r.innermost();
                let divisor = self.r.number(at, by as i64);
                let to = self.r.reg_at(at, Class::General, 8);
                self.r.push(Step::Divide { to, dividend, divisor });
                to
            }
        };
        self.words.word(Sum::reg(quotient))
    }

    fn word_within(&mut self, a: Word, below: usize) -> Reg {
        if let Some(known) = self.words.sum(a).known() {
            return self.constant(Scalar::Bool((0..below as i64).contains(&known)), 1);
        }
        let reg = self.word_reg(a);
        let (compare, below) = self.r.compared(self.r.innermost(), &Sum::number(below as i64));
        self.r.test(compare, (reg, View::Qword), below, Condition::Below)
    }

    fn word_select(&mut self, c: Reg, a: Word, b: Word) -> Word {
        let (a, b) = (self.word_reg(a), self.word_reg(b));
        let chosen = self.choose_if(c, a, b);
        self.words.word(Sum::reg(chosen))
    }

    fn word_value(&mut self, word: Word, dtype: DType) -> Reg {
        match self.words.sum(word).known() {
            Some(known) => self.constant(Scalar::I64(known).convert(dtype), 1),
            None => self.word_reg(word),
        }
    }

    fn value_word(&mut self, value: Reg, dtype: DType) -> Word {
        let sum = match (self.known.get(&(value, dtype)), dtype) {
            (Some(&Scalar::I32(known)), _) => Sum::number(i64::from(known)),
            (Some(&Scalar::I64(known)), _) => Sum::number(known),
            (_, DType::I32) => {
                let inst = Inst::new(Opcode::Movsxd_r64_rm32, View::Qword).reg(value, View::Dword);
                Sum::reg(self.general(inst))
            }
            _ => Sum::reg(value),
        };
        self.words.word(sum)
    }

    fn constant_address(&mut self, constant: Scalar) -> Word {
        let id = self.r.code.pool.repeated(constant.bits(), constant.dtype().bytes(), 64);
        let inst = Inst::new(Opcode::Lea_r64_m, View::Qword).memory(Memory::at(Base::Constant(id)));
        let reg = self.general(inst);
        self.words.word(Sum::reg(reg))
    }

    fn load(&mut self, ty: VectorType, active: usize, address: Word, offset: i32, fixed: bool) -> Reg {
        let sum = self.sum(address);
        let memory = self.r.address(&sum, offset);
        match ty.lanes {
            1 => self.load_scalar(ty.dtype, memory, fixed),
            lanes if active == lanes => self.load_all(ty, memory, fixed),
            _ => self.load_some(ty, active, memory),
        }
    }

    fn store(&mut self, ty: VectorType, active: usize, value: Reg, address: Word, offset: i32) {
        let sum = self.sum(address);
        let memory = self.r.address(&sum, offset);
        match ty.lanes {
            1 => self.store_scalar(ty.dtype, value, memory),
            lanes if active == lanes => self.store_all(ty, value, memory),
            _ => self.store_some(ty, active, value, memory),
        }
    }

    fn prefetch(&mut self, address: Word, offset: i32) {
        let sum = self.sum(address);
        let memory = self.r.address(&sum, offset);
        self.r.prefetch(memory);
    }

    fn merge(&mut self, ty: VectorType, active: usize, new: Reg, old: Reg) -> Reg {
        let first = self.first_lanes(ty, active);
        self.select(ty, first, new, old)
    }

    fn constant(&mut self, constant: Scalar, lanes: usize) -> Reg {
        self.constant_of(constant, lanes)
    }

    fn splat(&mut self, ty: VectorType, scalar: Reg) -> Reg {
        self.in_every_lane(ty, scalar)
    }

    fn lane(&mut self, ty: VectorType, vector: Reg, lane: usize) -> Reg {
        self.lane_of(ty, vector, lane)
    }

    fn halves(&mut self, ty: VectorType, vector: Reg) -> Option<[Reg; 2]> {
        self.halves_of(ty, vector)
    }

    fn with_lane(&mut self, ty: VectorType, vector: Reg, lane: usize, scalar: Reg) -> Reg {
        self.replace_lane(ty, vector, lane, scalar)
    }

    fn vector_of(&mut self, ty: VectorType, scalars: &[Reg]) -> Reg {
        self.collected(ty, scalars)
    }

    fn transposed(&mut self, ty: VectorType, vectors: &[Reg]) -> Vec<Reg> {
        self.turned(ty, vectors)
    }

    fn iota(&mut self, ty: VectorType, start: Reg, step: i64) -> Reg {
        self.counting(ty, start, step)
    }

    fn unary(&mut self, op: UnaryOp, ty: VectorType, a: Reg) -> Reg {
        match ty.dtype {
            DType::Bool => self.not(ty, a),
            dtype if dtype.is_float() => self.float_unary(op, ty, a),
            _ => self.int_unary(op, ty, a),
        }
    }

    fn binary(&mut self, op: BinaryOp, ty: VectorType, a: Reg, b: Reg) -> Reg {
        match ty.dtype {
            DType::Bool => self.logical(op, ty, a, b),
            dtype if dtype.is_float() => self.float_binary(op, ty, a, b),
            _ => self.int_binary(op, ty, a, b),
        }
    }

    fn shift(&mut self, op: BinaryOp, ty: VectorType, a: Reg, amount: Reg) -> Reg {
        match ty.lanes {
            1 => self.shift_scalar(op, ty.dtype, a, amount),
            _ => self.shift_vector(op, ty, a, amount),
        }
    }

    fn fma(&mut self, ty: VectorType, a: Reg, b: Reg, c: Reg) -> Reg {
        if ty.dtype.is_float() {
            return self.float_fma(ty, a, b, c);
        }
        let product = self.binary(BinaryOp::Mul, ty, a, b);
        self.binary(BinaryOp::Add, ty, product, c)
    }

    fn compare(&mut self, op: CompareOp, ty: VectorType, a: Reg, b: Reg) -> Reg {
        match ty.dtype {
            DType::Bool => self.compare_bools(op, ty, a, b),
            dtype if dtype.is_float() => self.compare_floats(super::floats::predicate(op), ty, a, b),
            _ => self.compare_ints(op, ty, a, b),
        }
    }

    fn select(&mut self, ty: VectorType, c: Reg, a: Reg, b: Reg) -> Reg {
        self.select_from(ty, c, a, b)
    }

    fn convert(&mut self, ty: VectorType, from: DType, a: Reg) -> Reg {
        self.converted(ty, from, a)
    }

    fn bitcast(&mut self, ty: VectorType, from: DType, a: Reg) -> Reg {
        match (ty.lanes, from, ty.dtype) {
            (1, DType::F32, DType::I32) => self.vector_to_general(a, 4),
            (1, DType::F64, DType::I64) => self.vector_to_general(a, 8),
            (1, DType::I32, DType::F32) => self.general_to_vector(a, 4),
            (1, DType::I64, DType::F64) => self.general_to_vector(a, 8),
            _ => a,
        }
    }

    fn check(&mut self, dtype: DType, index: Reg, what: CheckedIndex<Word>) -> Reg {
        let word = self.value_word(index, dtype);
        let index = self.word_reg(word);
        let at = self.r.innermost();
        let (compare, bound) = self.r.compared(at, &Sum::number(what.bound as i64));
        let checked = self.r.reg_at(at, Class::General, 8);
        self.r.push(Step::Copy { to: checked, from: index });
        let test = Inst::bare(compare).reg(index, View::Qword).with(bound);
        let arm = self.r.open_arm(test, Condition::AboveEqual, true);
        let position = self.word_reg(what.position);
        let report = super::code::Report { context: self.context, position, index, site: what.site as u32 };
        self.r.push(Step::Report(report));
        let inside = self.r.innermost();
        let (low, high) = (self.r.number(inside, 0), self.r.number(inside, what.bound as i64 - 1));
        // What is out of range is below all, or above.
        let negative = (Opcode::Cmp_rm64_imm32, (index, View::Qword), Operand::Number(0), Condition::Less);
        let nearest = self.r.choose(negative, (low, high, View::Qword));
        self.r.push(Step::Copy { to: checked, from: nearest });
        self.r.close_arm(&arm);
        let word = self.words.word(Sum::reg(checked));
        self.word_value(word, dtype)
    }
}
