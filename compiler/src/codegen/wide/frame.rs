//! The stack frame: what is in it, and how a function begins and ends.
//!
//! ```text
//! [slots of spilled registers, the largest first] [registers that a report keeps] [mode] [caller's mode] [caller's stack]
//! ```
//!
//! The floating-point mode (MXCSR) is saved, and subnormals are flushed from then on. A function that returns leaves
//! the upper halves of vector registers zero, so that SSE instructions of the caller are not slowed down.

use cranelift_entity::SecondaryMap;
use iced_x86::{Code as Opcode, MemoryOperand, Register};

use super::allocate::Allocation;
use super::assemble::Assembler;
use super::code::{Class, Code, Slot, Step};
use super::registers::{KEPT, STACK};

/// Flush-to-zero and denormals-are-zero of MXCSR.
const FLUSH: i32 = 0x8040;
/// What the stack pointer is a multiple of in a frame.
const ALIGNMENT: i32 = 64;
/// Distance of two addresses of which the system must see one before the stack may grow past the other.
const PAGE: i32 = 4096;

/// The frame of a function.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// Bytes from the stack pointer to each slot.
    pub(super) slots: SecondaryMap<Slot, i32>,
    /// Bytes from the stack pointer to where a report keeps registers.
    pub(super) kept: i32,
    mode: i32,
    callers_mode: i32,
    callers_stack: i32,
    size: i32,
    /// Registers that the caller wants back.
    saved: Vec<u8>,
}

impl Frame {
    /// The frame of a function whose reports keep at most so many bytes of registers.
    pub(super) fn new(code: &Code, allocation: &Allocation, kept_bytes: i32) -> Frame {
        let mut slots = SecondaryMap::new();
        let mut order: Vec<_> = code.slots.keys().collect();
        order.sort_by_key(|&slot| std::cmp::Reverse(code.slots[slot]));
        let mut next = 0;
        for slot in order {
            slots[slot] = next;
            next += i32::from(code.slots[slot]);
        }
        let kept = round_up(next, ALIGNMENT);
        let mode = kept + kept_bytes;
        let written = code.blocks.values().flat_map(|block| &block.steps).filter_map(Step::result);
        let written: Vec<_> = written
            .filter(|&reg| code.regs[reg].class == Class::General)
            .filter_map(|reg| allocation.assigned[reg])
            .collect();
        Frame {
            slots,
            kept,
            mode,
            callers_mode: mode + 4,
            callers_stack: mode + 8,
            size: round_up(mode + 16, ALIGNMENT),
            saved: KEPT.into_iter().filter(|reg| written.contains(reg)).collect(),
        }
    }

    /// Emits the beginning of the function. Arguments stay where they are.
    pub(super) fn enter(&self, out: &mut Assembler) {
        for &reg in &self.saved {
            out.op1(Opcode::Push_r64, qword(reg));
        }
        out.op2(Opcode::Mov_r64_rm64, Register::RAX, Register::RSP);
        for page in 1..=self.size / PAGE {
            out.memory_number(Opcode::Or_rm32_imm8, stack(-page * PAGE), 0);
        }
        out.reg_number(Opcode::Sub_rm64_imm32, Register::RSP, self.size);
        out.reg_number(Opcode::And_rm64_imm8, Register::RSP, -ALIGNMENT);
        out.memory_reg(Opcode::Mov_rm64_r64, stack(self.callers_stack), Register::RAX);
        out.memory(Opcode::VEX_Vstmxcsr_m32, stack(self.callers_mode));
        out.reg_memory(Opcode::Mov_r32_rm32, Register::EAX, stack(self.callers_mode));
        out.reg_number(Opcode::Or_rm32_imm32, Register::EAX, FLUSH);
        out.memory_reg(Opcode::Mov_rm32_r32, stack(self.mode), Register::EAX);
        out.memory(Opcode::VEX_Vldmxcsr_m32, stack(self.mode));
    }

    /// Emits the end of the function.
    pub(super) fn leave(&self, out: &mut Assembler) {
        out.memory(Opcode::VEX_Vldmxcsr_m32, stack(self.callers_mode));
        out.op0(Opcode::VEX_Vzeroupper);
        out.reg_memory(Opcode::Mov_r64_rm64, Register::RSP, stack(self.callers_stack));
        for &reg in self.saved.iter().rev() {
            out.op1(Opcode::Pop_r64, qword(reg));
        }
        out.op0(Opcode::Retnq);
    }
}

fn qword(number: u8) -> Register {
    super::registers::name(number, super::inst::View::Qword)
}

/// Memory of the frame.
pub(super) fn stack(offset: i32) -> MemoryOperand {
    MemoryOperand::with_base_displ(qword(STACK), i64::from(offset))
}

fn round_up(bytes: i32, to: i32) -> i32 {
    (bytes + to - 1) / to * to
}
