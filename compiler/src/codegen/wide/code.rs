//! Recorded code: blocks of instructions over virtual registers.
//!
//! An [`Inst`] is a machine instruction whose registers are virtual. Its first operand is what it defines, unless it
//! only reads. A register is defined once, but for those that a loop carries, that two arms give, or that a two-address
//! instruction updates; all of these are written by a [`Step::Copy`] or an update.
//!
//! Blocks are in an order in which a block comes after all that dominate it, and the blocks of a loop are consecutive:
//! positions in it are what live ranges are made of.

use cranelift_entity::{PrimaryMap, entity_impl};

use super::inst::{Condition, Inst};
use super::pool::Pool;

/// A virtual register.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::codegen) struct Reg(u32);
entity_impl!(Reg, "v");

/// A block.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct BlockId(u32);
entity_impl!(BlockId, "block");

/// Memory of the stack frame that holds a register.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Slot(u32);
entity_impl!(Slot, "slot");

/// Which physical registers can hold a virtual one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Class {
    /// Words, scalar integers and bools.
    General,
    /// Floats, and vectors of anything but bools under AVX-512.
    Vector,
    /// Vectors of bools under AVX-512.
    Mask,
}

/// What is known of a virtual register.
#[derive(Clone, Copy, Debug)]
pub(super) struct RegData {
    pub(super) class: Class,
    /// Bytes that count, a power of two: 8, and for vectors 16, 32 or 64.
    pub(super) bytes: u8,
    /// The block that begins the innermost loop in which it is defined; of what a loop carries, that loop's.
    pub(super) home: Option<BlockId>,
    /// Whether it stays a register of its own: it holds behind a loop what the loop has carried, so that what is short of
    /// registers there does not move to memory what is used in every turn.
    pub(super) is_apart: bool,
}

/// A report of an index out of range, to the function that the context names; all registers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) context: Reg,
    pub(super) position: Reg,
    pub(super) index: Reg,
    pub(super) site: u32,
}

/// A step of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A machine instruction.
    Inst(Inst),
    /// A copy of a register.
    Copy { to: Reg, from: Reg },
    /// A register put into memory of the frame.
    Spill { slot: Slot, from: Reg },
    /// A register taken from memory of the frame.
    Reload { to: Reg, slot: Slot },
    /// An argument of the task. They are taken first of all, in order.
    Parameter { to: Reg, number: usize },
    /// The quotient of signed 64-bit integers; the divisor is neither 0 nor -1.
    Divide { to: Reg, dividend: Reg, divisor: Reg },
    /// A report.
    Report(Report),
}

impl Step {
    /// Every register that is read, some maybe twice.
    pub(super) fn each_use(&self, mut each: impl FnMut(Reg)) {
        match self {
            Step::Inst(inst) => inst.each_use(each),
            Step::Copy { from, .. } | Step::Spill { from, .. } => each(*from),
            Step::Reload { .. } | Step::Parameter { .. } => {}
            Step::Divide { dividend, divisor, .. } => [*dividend, *divisor].into_iter().for_each(each),
            Step::Report(r) => [r.context, r.position, r.index].into_iter().for_each(each),
        }
    }

    /// The register that is defined, or updated.
    pub(super) fn result(&self) -> Option<Reg> {
        match self {
            Step::Inst(inst) => inst.result(),
            Step::Copy { to, .. }
            | Step::Reload { to, .. }
            | Step::Parameter { to, .. }
            | Step::Divide { to, .. } => Some(*to),
            Step::Spill { .. } | Step::Report(_) => None,
        }
    }

    /// Replaces the registers that are read.
    pub(super) fn map_uses(&mut self, mut map: impl FnMut(Reg) -> Reg) {
        match self {
            Step::Inst(inst) => inst.map_uses(map),
            Step::Copy { from, .. } | Step::Spill { from, .. } => *from = map(*from),
            Step::Reload { .. } | Step::Parameter { .. } => {}
            Step::Divide { dividend, divisor, .. } => {
                (*dividend, *divisor) = (map(*dividend), map(*divisor));
            }
            Step::Report(r) => {
                (r.context, r.position, r.index) = (map(r.context), map(r.position), map(r.index));
            }
        }
    }

    /// Replaces the register that is defined.
    pub(super) fn set_result(&mut self, new: Reg) {
        match self {
            Step::Inst(inst) => inst.set_result(new),
            Step::Copy { to, .. }
            | Step::Reload { to, .. }
            | Step::Parameter { to, .. }
            | Step::Divide { to, .. } => *to = new,
            Step::Spill { .. } | Step::Report(_) => {}
        }
    }
}

/// Where a block goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// To the caller.
    Return,
    /// To a block.
    Jump(BlockId),
    /// To `then` if a comparison, an instruction that defines nothing, leaves flags as stated.
    Branch { test: Inst, condition: Condition, then: BlockId, otherwise: BlockId },
}

impl Exit {
    /// The blocks that may be next.
    pub(super) fn successors(&self) -> impl Iterator<Item = BlockId> {
        let both = match *self {
            Exit::Return => [None, None],
            Exit::Jump(block) => [Some(block), None],
            Exit::Branch { then, otherwise, .. } => [Some(then), Some(otherwise)],
        };
        both.into_iter().flatten()
    }
}

/// Consecutive steps.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) steps: Vec<Step>,
    pub(super) exit: Exit,
    /// How many loops it is in.
    pub(super) depth: u32,
    /// Whether it seldom runs.
    pub(super) is_cold: bool,
    /// If it begins a loop: the block that ends it, and the registers that it carries.
    pub(super) repeats: Option<(BlockId, Vec<Reg>)>,
}

/// A function.
#[derive(Clone, Debug)]
pub(super) struct Code {
    pub(super) level: super::Level,
    pub(super) regs: PrimaryMap<Reg, RegData>,
    pub(super) blocks: PrimaryMap<BlockId, Block>,
    /// Sizes of the frame's slots in bytes.
    pub(super) slots: PrimaryMap<Slot, u8>,
    pub(super) pool: Pool,
}
