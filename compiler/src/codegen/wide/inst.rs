//! Machine instructions over virtual registers.

use cranelift_entity::packed_option::ReservedValue;
use iced_x86::Code as Opcode;

use super::code::{Reg, Slot};
use super::opcodes::memory_form;
use super::pool::ConstantId;

/// The part of a register that an operand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum View {
    Byte,
    Dword,
    Qword,
    Xmm,
    Ymm,
    Zmm,
    Mask,
}

impl View {
    /// The view of a vector register of so many bytes.
    pub(super) fn vector(bytes: usize) -> View {
        match bytes {
            64 => View::Zmm,
            32 => View::Ymm,
            _ => View::Xmm,
        }
    }

    /// Size of the part in bytes; masks have as many as sixteen lanes take.
    pub(super) fn bytes(self) -> u8 {
        match self {
            View::Byte => 1,
            View::Mask => 2,
            View::Dword => 4,
            View::Qword => 8,
            View::Xmm => 16,
            View::Ymm => 32,
            View::Zmm => 64,
        }
    }
}

/// An operand of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operand {
    /// There is none.
    None,
    /// A register.
    Reg(Reg, View),
    /// The instruction's [`Inst::memory`].
    Memory,
    /// A number, which the opcode must be able to hold.
    Number(i64),
}

/// What a memory operand is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Base {
    None,
    Reg(Reg),
    Constant(ConstantId),
    Slot(Slot),
}

/// A memory operand: `base + index · scale + offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Memory {
    pub(super) base: Base,
    pub(super) index: Option<Reg>,
    /// 1, 2, 4 or 8.
    pub(super) scale: u8,
    pub(super) offset: i32,
    /// Whether an element is repeated in every lane (EVEX).
    pub(super) broadcast: bool,
}

impl Memory {
    /// The start of something.
    pub(super) fn at(base: Base) -> Memory {
        Memory { base, index: None, scale: 1, offset: 0, broadcast: false }
    }
}

/// A condition on the flags that a comparison leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Condition {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Below,
    BelowEqual,
    Above,
    AboveEqual,
}

impl Condition {
    /// The condition that holds where this one does not.
    pub(super) fn inverted(self) -> Condition {
        match self {
            Condition::Equal => Condition::NotEqual,
            Condition::NotEqual => Condition::Equal,
            Condition::Less => Condition::GreaterEqual,
            Condition::LessEqual => Condition::Greater,
            Condition::Greater => Condition::LessEqual,
            Condition::GreaterEqual => Condition::Less,
            Condition::Below => Condition::AboveEqual,
            Condition::BelowEqual => Condition::Above,
            Condition::Above => Condition::BelowEqual,
            Condition::AboveEqual => Condition::Below,
        }
    }
}

/// How an instruction is put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Shape {
    /// The opcode with its operands.
    Plain,
    /// The first operand becomes zero: it is combined with itself by the opcode, three times named.
    Zero,
    /// `result = a · b + c`: operands result, a, b, c, of which one factor or the addend may be memory; the opcode is
    /// the form 231. Which of the three forms it becomes is decided once it is known which operand dies here.
    Fma,
    /// A comparison, of the second and the third operand, whose outcome (0 or 1) is the first.
    Set(Condition),
    /// A comparison, of the third and the fourth operand, and if the condition holds, a move of the second into the first.
    Move(Condition),
}

/// What an instruction does besides defining its first operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Effect {
    /// Nothing.
    Pure,
    /// It reads so many bytes of memory, all of which are there, and repeats them in every lane if `broadcast`. It is
    /// `fixed` if no store may change them while the load is in sight.
    Load { bytes: u8, broadcast: bool, fixed: bool },
    /// It reads memory in a way that cannot become another instruction's operand.
    LoadParts,
    /// It writes memory.
    Store,
}

/// An operand that may be memory instead of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Foldable {
    /// Which operand.
    pub(super) operand: u8,
    /// Bytes that are read.
    pub(super) bytes: u8,
    /// Bytes of an element that may be repeated instead (EVEX); 0 if none may.
    pub(super) element: u8,
    /// Whether the instruction is then a load that repeats what it reads in every lane.
    pub(super) repeats: bool,
    /// Whether the operand before it may stand in its place.
    pub(super) commutes: bool,
}

/// A machine instruction over virtual registers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Inst {
    pub(super) shape: Shape,
    pub(super) opcode: Opcode,
    pub(super) operands: [Operand; 4],
    pub(super) memory: Memory,
    /// Lanes that are computed, and whether others become zero.
    pub(super) mask: Option<(Reg, bool)>,
    /// The register whose value the first operand has before it is updated; once copies are made, it is the first operand.
    pub(super) tied: Option<Reg>,
    /// Whether the first operand is defined.
    pub(super) defines: bool,
    pub(super) effect: Effect,
    pub(super) foldable: Option<Foldable>,
}

impl Inst {
    /// An instruction that defines its first operand.
    pub(super) fn new(opcode: Opcode, result: View) -> Inst {
        let first = Operand::Reg(Reg::reserved_value(), result);
        Inst { defines: true, ..Inst::bare(opcode).with(first) }
    }

    /// An instruction that defines nothing.
    pub(super) fn bare(opcode: Opcode) -> Inst {
        Inst {
            shape: Shape::Plain,
            opcode,
            operands: [Operand::None; 4],
            memory: Memory::at(Base::None),
            mask: None,
            tied: None,
            defines: false,
            effect: Effect::Pure,
            foldable: None,
        }
    }

    /// With another operand.
    pub(super) fn with(mut self, operand: Operand) -> Inst {
        let free = self.operands.iter().position(|o| *o == Operand::None);
        let free = free.unwrap_or_else(|| unreachable!("an instruction has at most four operands"));
        self.operands[free] = operand;
        self
    }

    /// With another operand, a register.
    pub(super) fn reg(self, reg: Reg, view: View) -> Inst {
        self.with(Operand::Reg(reg, view))
    }

    /// With another operand, a register for which memory of so many bytes may stand, or elements of so many.
    pub(super) fn reg_or_memory(self, reg: Reg, view: View, bytes: u8, element: u8) -> Inst {
        let mut inst = self.reg(reg, view);
        let operand = inst.operands.iter().filter(|o| **o != Operand::None).count() as u8 - 1;
        inst.foldable = Some(Foldable { operand, bytes, element, repeats: false, commutes: false });
        inst
    }

    /// Giving the same if its last two operands are swapped.
    pub(super) fn commutes(mut self) -> Inst {
        self.foldable = self.foldable.map(|f| Foldable { commutes: true, ..f });
        self
    }

    /// Repeating its operand in every lane.
    pub(super) fn repeats(mut self) -> Inst {
        self.foldable = self.foldable.map(|f| Foldable { repeats: true, ..f });
        self
    }

    /// With another operand, a number.
    pub(super) fn number(self, number: i64) -> Inst {
        self.with(Operand::Number(number))
    }

    /// With another operand, memory.
    pub(super) fn memory(mut self, memory: Memory) -> Inst {
        self.memory = memory;
        self.with(Operand::Memory)
    }

    /// Doing something besides.
    pub(super) fn effect(self, effect: Effect) -> Inst {
        Inst { effect, ..self }
    }

    /// Put together in another way.
    pub(super) fn shape(self, shape: Shape) -> Inst {
        Inst { shape, ..self }
    }

    /// Computing some lanes only; others become zero, or stay what they are in the tied register.
    pub(super) fn masked(self, mask: Reg, zeroing: bool) -> Inst {
        Inst { mask: Some((mask, zeroing)), foldable: None, ..self }
    }

    /// Updating a register, which stays as it is: the result is a copy.
    pub(super) fn tied(self, to: Reg) -> Inst {
        Inst { tied: Some(to), ..self }
    }

    /// The register that it defines.
    pub(super) fn result(&self) -> Option<Reg> {
        match self.operands[0] {
            Operand::Reg(reg, _) if self.defines => Some(reg),
            _ => None,
        }
    }

    /// The register that an operand is.
    pub(super) fn operand_reg(&self, n: usize) -> Option<Reg> {
        match self.operands[n] {
            Operand::Reg(reg, _) => Some(reg),
            _ => None,
        }
    }

    /// What the instruction reads, if it could be an operand of another one instead of an instruction.
    fn read(&self) -> Option<(u8, bool)> {
        match self.effect {
            Effect::Load { bytes, broadcast, .. } if self.mask.is_none() => Some((bytes, broadcast)),
            _ => None,
        }
    }

    /// Takes the operand that may be memory from where `load` takes it. Whether it does.
    pub(super) fn take(&mut self, load: &Inst) -> bool {
        let Some((bytes, broadcast)) = load.read() else { return false };
        self.take_from(load.memory, bytes, broadcast)
    }

    /// Takes the operand that may be memory from there: so many bytes, repeated in every lane if `broadcast`. Whether
    /// it does.
    pub(super) fn take_from(&mut self, memory: Memory, bytes: u8, broadcast: bool) -> bool {
        let Some(foldable) = self.foldable else { return false };
        let fits = if broadcast { bytes == foldable.element } else { bytes == foldable.bytes };
        if !fits || self.memory != Memory::at(Base::None) {
            return false;
        }
        self.operands[usize::from(foldable.operand)] = Operand::Memory;
        self.opcode = memory_form(self.opcode);
        self.memory = Memory { broadcast, ..memory };
        self.foldable = None;
        self.effect = match foldable.repeats {
            true => Effect::Load { bytes, broadcast: true, fixed: false },
            false => Effect::LoadParts,
        };
        true
    }

    /// Whether it needs nothing but constants, so that it can be repeated wherever its result is needed.
    pub(super) fn is_constant(&self) -> bool {
        let mut reads = false;
        self.each_use(|_| reads = true);
        let memory = matches!(self.memory.base, Base::None | Base::Constant(_));
        self.defines && self.effect != Effect::Store && memory && !reads
    }

    /// Every register that it reads, some maybe twice.
    pub(super) fn each_use(&self, mut each: impl FnMut(Reg)) {
        for operand in &self.operands[usize::from(self.defines)..] {
            if let Operand::Reg(reg, _) = operand {
                each(*reg);
            }
        }
        if let Base::Reg(reg) = self.memory.base {
            each(reg);
        }
        self.memory
            .index
            .iter()
            .chain(self.mask.iter().map(|(reg, _)| reg))
            .chain(&self.tied)
            .copied()
            .for_each(each);
    }

    /// Replaces the registers that it reads. The first operand is not among them if it is updated: that one is
    /// replaced with the result.
    pub(super) fn map_uses(&mut self, mut map: impl FnMut(Reg) -> Reg) {
        let defines = usize::from(self.defines);
        for operand in &mut self.operands[defines..] {
            if let Operand::Reg(reg, _) = operand {
                *reg = map(*reg);
            }
        }
        if let Base::Reg(reg) = &mut self.memory.base {
            *reg = map(*reg);
        }
        if let Some(reg) = &mut self.memory.index {
            *reg = map(*reg);
        }
        if let Some((reg, _)) = &mut self.mask {
            *reg = map(*reg);
        }
        if let Some(reg) = &mut self.tied {
            *reg = map(*reg);
        }
    }

    /// Replaces the register that it defines.
    pub(super) fn set_result(&mut self, to: Reg) {
        if let (Operand::Reg(reg, _), true) = (&mut self.operands[0], self.defines) {
            *reg = to;
        }
    }
}
