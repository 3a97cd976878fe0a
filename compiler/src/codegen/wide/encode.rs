//! Recorded code as bytes: position independent, with its constants behind it.
//!
//! Blocks that seldom run are placed behind all others, and behind them, once, what all reports of a function share.

use std::collections::BTreeMap;

use bessemer_runtime::abi::{Context, IndexError};
use cranelift_entity::EntityRef;
use iced_x86::{Code as Opcode, MemoryOperand, Register};

use super::allocate::{Allocation, allocate};
use super::assemble::{Assembler, Label, Part, build, shortest};
use super::code::{Block, BlockId, Class, Code, Exit, Reg, Report, Step};
use super::frame::{Frame, stack};
use super::inst::{Base, Inst, Memory, Operand, Shape, View};
use super::opcodes;
use super::pool::ConstantId;
use super::registers::{ARGUMENTS, KEPT, name};
use super::simplify::simplify;

/// Innermost loops start at a multiple of this many bytes.
const LOOP_ALIGNMENT: usize = 32;
/// Bytes at the start of what a report keeps: the context, the position, the index and the site.
const REPORTED: i32 = 64;
/// Bytes on the stack while what reports share runs: where it returns to, and as much to keep the stack aligned.
const CALLED: i32 = 16;

/// The bytes of a function, to be placed at a multiple of 64.
pub(super) fn encode(mut code: Code) -> Vec<u8> {
    simplify(&mut code);
    let allocation = allocate(&mut code);
    let live = reports(&code, &allocation);
    let kept = live.as_ref().map_or(0, |regs| REPORTED + regs.iter().map(|r| i32::from(r.2)).sum::<i32>());
    let frame = Frame::new(&code, &allocation, kept);
    let labels = code.blocks.keys().collect::<Vec<_>>();
    let mut out = Assembler::new();
    let labels = labels.iter().map(|_| out.label()).collect();
    let reporter = live.map(|live| (out.label(), live));
    let mut encoder = Encoder { code: &code, allocation: &allocation, frame: &frame, labels, reporter, out };
    encoder.function();
    encoder.out.finish(&code.pool)
}

/// A physical register and how many of its bytes count.
type Physical = (Class, u8, u8);

/// What is live across any report and a call may overwrite; nothing if there is no report.
fn reports(code: &Code, allocation: &Allocation) -> Option<Vec<Physical>> {
    let mut all: Option<BTreeMap<(Class, u8), u8>> = None;
    for (id, block) in &code.blocks {
        for (n, step) in block.steps.iter().enumerate() {
            if !matches!(step, Step::Report(_)) {
                continue;
            }
            let number = allocation.liveness.starts[id] + n as u32;
            let at = 2 * number;
            let lives = |reg: &Reg| {
                let ranges = &allocation.liveness.ranges[*reg];
                ranges.iter().any(|&(from, to)| from <= at && to > at + 1)
            };
            let kept = code.regs.keys().filter(lives).filter_map(|reg| {
                let (class, number) = (code.regs[reg].class, allocation.assigned[reg]?);
                let keeps = class == Class::General && KEPT.contains(&number);
                (!keeps).then_some((class, number, code.regs[reg].bytes))
            });
            let all = all.get_or_insert_default();
            for (class, number, bytes) in kept {
                let most = all.entry((class, number)).or_default();
                *most = bytes.max(*most);
            }
        }
    }
    Some(all?.into_iter().map(|((class, number), bytes)| (class, number, bytes)).collect())
}

struct Encoder<'c> {
    code: &'c Code,
    allocation: &'c Allocation,
    frame: &'c Frame,
    labels: Vec<Label>,
    /// Where what all reports share begins, and what it keeps.
    reporter: Option<(Label, Vec<Physical>)>,
    out: Assembler,
}

impl Encoder<'_> {
    fn function(&mut self) {
        self.frame.enter(&mut self.out);
        let (warm, cold): (Vec<_>, Vec<_>) =
            self.code.blocks.keys().partition(|&id| !self.code.blocks[id].is_cold);
        let order: Vec<BlockId> = warm.into_iter().chain(cold).collect();
        for (n, &id) in order.iter().enumerate() {
            let block = &self.code.blocks[id];
            if block.repeats.as_ref().is_some_and(|(last, _)| self.is_innermost(id, *last)) {
                self.out.align(LOOP_ALIGNMENT);
            }
            self.out.place(self.label(id));
            block.steps.iter().for_each(|step| self.step(step));
            self.exit(block, order.get(n + 1).copied());
        }
        if let Some((label, kept)) = self.reporter.take() {
            self.reporter(label, &kept);
        }
    }

    /// Whether there is no loop in a loop.
    fn is_innermost(&self, header: BlockId, last: BlockId) -> bool {
        let inside = self.code.blocks.iter().filter(|(id, _)| *id > header && *id <= last);
        inside.into_iter().all(|(_, block)| block.repeats.is_none())
    }

    fn label(&self, block: BlockId) -> Label {
        self.labels[block.index()]
    }

    fn exit(&mut self, block: &Block, next: Option<BlockId>) {
        match &block.exit {
            Exit::Return => self.frame.leave(&mut self.out),
            Exit::Jump(to) => self.jump(*to, next),
            Exit::Branch { test, condition, then, otherwise } => {
                self.plain(test);
                if Some(*then) == next {
                    self.out.jump(condition.inverted().jump(), self.label(*otherwise));
                } else {
                    self.out.jump(condition.jump(), self.label(*then));
                    self.jump(*otherwise, next);
                }
            }
        }
    }

    fn jump(&mut self, to: BlockId, next: Option<BlockId>) {
        if Some(to) != next {
            self.out.jump(Opcode::Jmp_rel32_64, self.label(to));
        }
    }

    fn number(&self, reg: Reg) -> u8 {
        self.allocation.assigned[reg].unwrap_or_else(|| unreachable!("{reg} has a register"))
    }

    fn physical(&self, reg: Reg, view: View) -> Register {
        name(self.number(reg), view)
    }

    fn memory(&self, memory: &Memory) -> (MemoryOperand, Option<ConstantId>) {
        let (base, offset, constant) = match memory.base {
            Base::None => (Register::None, memory.offset, None),
            Base::Reg(reg) => (self.physical(reg, View::Qword), memory.offset, None),
            Base::Slot(slot) => (Register::RSP, self.frame.slots[slot] + memory.offset, None),
            Base::Constant(id) => (Register::RIP, 0, Some(id)),
        };
        let index = memory.index.map_or(Register::None, |reg| self.physical(reg, View::Qword));
        let size = if offset == 0 && base != Register::None { 0 } else { 1 };
        let scale = u32::from(memory.scale);
        let operand =
            MemoryOperand::new(base, index, scale, i64::from(offset), size, memory.broadcast, Register::None);
        (operand, constant)
    }

    /// An instruction of the operands as they are.
    fn plain(&mut self, inst: &Inst) {
        let mut opcode = inst.opcode;
        let mut constant = None;
        let mut parts = Vec::with_capacity(4);
        for operand in inst.operands {
            parts.push(match operand {
                Operand::None => break,
                Operand::Reg(reg, view) => Part::Reg(self.physical(reg, view)),
                Operand::Memory => {
                    let (memory, from) = self.memory(&inst.memory);
                    constant = from;
                    Part::Memory(memory)
                }
                Operand::Number(number) => {
                    opcode = shortest(opcode, number);
                    Part::Number(number)
                }
            });
        }
        let mut instruction = build(opcode, &parts);
        if let Some((mask, zeroing)) = inst.mask {
            instruction.set_op_mask(self.physical(mask, View::Mask));
            instruction.set_zeroing_masking(zeroing);
        }
        self.out.write(&instruction, constant);
    }

    fn inst(&mut self, inst: &Inst) {
        let [first, rest @ ..] = inst.operands;
        let (Operand::Reg(result, view), Shape::Zero | Shape::Set(_) | Shape::Move(_)) = (first, inst.shape)
        else {
            return self.plain(inst);
        };
        let compared = |operands: &[Operand]| {
            let mut compare = Inst { memory: inst.memory, ..Inst::bare(inst.opcode) };
            compare.operands[..operands.len()].copy_from_slice(operands);
            compare
        };
        match inst.shape {
            Shape::Zero => {
                let reg = Part::Reg(self.physical(result, view));
                self.out.write(&build(inst.opcode, &[reg; 3]), None);
            }
            Shape::Set(condition) => {
                self.plain(&compared(&rest[..2]));
                let byte = self.physical(result, View::Byte);
                self.out.op1(condition.set(), byte);
                self.out.op2(Opcode::Movzx_r32_rm8, self.physical(result, View::Dword), byte);
            }
            Shape::Move(condition) => {
                self.plain(&compared(&rest[1..]));
                let Operand::Reg(then, _) = rest[0] else { unreachable!("registers are moved") };
                self.out.op2(condition.move_if(view), self.physical(result, view), self.physical(then, view));
            }
            Shape::Plain | Shape::Fma => {}
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Inst(ref inst) => self.inst(inst),
            Step::Copy { to, from } if self.number(to) == self.number(from) => {}
            Step::Copy { to, from } => {
                let (data, source) = (self.code.regs[to], self.code.regs[from]);
                let (opcode, view) = match data.class {
                    Class::General => (Opcode::Mov_r64_rm64, View::Qword),
                    Class::Vector => {
                        let view = View::vector(usize::from(data.bytes.max(source.bytes)));
                        (opcodes::COPY.at(self.code.level, view), view)
                    }
                    Class::Mask => (Opcode::VEX_Kmovw_kr_km16, View::Mask),
                };
                self.out.op2(opcode, self.physical(to, view), self.physical(from, view));
            }
            Step::Spill { slot, from } => {
                let data = self.code.regs[from];
                self.keep(data.class, self.number(from), data.bytes, self.frame.slots[slot]);
            }
            Step::Reload { to, slot } => {
                let data = self.code.regs[to];
                self.restore(data.class, self.number(to), data.bytes, self.frame.slots[slot]);
            }
            Step::Parameter { to, number } => {
                let (to, from) = (self.number(to), ARGUMENTS[number]);
                if to != from {
                    self.out.op2(Opcode::Mov_r64_rm64, name(to, View::Qword), name(from, View::Qword));
                }
            }
            Step::Divide { to, dividend, divisor } => {
                let (quotient, dividend, divisor) = (
                    self.physical(to, View::Qword),
                    self.physical(dividend, View::Qword),
                    self.physical(divisor, View::Qword),
                );
                self.out.op2(Opcode::Mov_r64_rm64, Register::RAX, dividend);
                self.out.op0(Opcode::Cqo);
                self.out.op1(Opcode::Idiv_rm64, divisor);
                self.out.op2(Opcode::Mov_r64_rm64, quotient, Register::RAX);
            }
            Step::Report(ref report) => self.report(report),
        }
    }

    /// Puts a register into memory of the frame.
    fn keep(&mut self, class: Class, number: u8, bytes: u8, at: i32) {
        let (opcode, view) = match class {
            Class::General => (Opcode::Mov_rm64_r64, View::Qword),
            Class::Vector => {
                let view = View::vector(usize::from(bytes));
                (opcodes::STORE_PS.at(self.code.level, view), view)
            }
            Class::Mask => (Opcode::VEX_Kmovw_m16_kr, View::Mask),
        };
        self.out.memory_reg(opcode, stack(at), name(number, view));
    }

    /// Takes a register from memory of the frame.
    fn restore(&mut self, class: Class, number: u8, bytes: u8, at: i32) {
        let (opcode, view) = match class {
            Class::General => (Opcode::Mov_r64_rm64, View::Qword),
            Class::Vector => {
                let view = View::vector(usize::from(bytes));
                (opcodes::LOAD_PS.at(self.code.level, view), view)
            }
            Class::Mask => (Opcode::VEX_Kmovw_kr_km16, View::Mask),
        };
        self.out.reg_memory(opcode, name(number, view), stack(at));
    }

    /// Says what is reported, and calls what all reports share.
    fn report(&mut self, report: &Report) {
        let start = self.frame.kept;
        for (n, reg) in [report.context, report.position, report.index].into_iter().enumerate() {
            self.keep(Class::General, self.number(reg), 8, start + 8 * n as i32);
        }
        self.out.memory_number(Opcode::Mov_rm32_imm32, stack(start + 24), report.site.cast_signed());
        if let Some((label, _)) = self.reporter {
            self.out.jump(Opcode::Call_rel32_64, label);
        }
    }

    /// Calls the function that the context names, or, if it names none, sets the flag. Keeps all registers that a report asks
    /// it to.
    fn reporter(&mut self, label: Label, kept: &[Physical]) {
        let start = self.frame.kept + CALLED;
        let places = || {
            kept.iter().scan(start + REPORTED, |next, &(class, number, bytes)| {
                let at = *next;
                *next += i32::from(bytes);
                Some((class, number, bytes, at))
            })
        };
        self.out.place(label);
        self.out.reg_number(Opcode::Sub_rm64_imm32, Register::RSP, 8);
        for (class, number, bytes, at) in places() {
            self.keep(class, number, bytes, at);
        }
        let [context, site, position, index] = ARGUMENTS.map(|number| name(number, View::Qword));
        self.out.op0(Opcode::VEX_Vzeroupper);
        let (flag, done) = (self.out.label(), self.out.label());
        self.out.reg_memory(Opcode::Mov_r64_rm64, context, stack(start));
        let field = |offset: usize| MemoryOperand::with_base_displ(context, offset as i64);
        self.out.reg_memory(Opcode::Mov_r64_rm64, Register::RAX, field(Context::REPORT_INDEX_ERROR_OFFSET));
        self.out.op2(Opcode::Test_rm64_r64, Register::RAX, Register::RAX);
        self.out.jump(Opcode::Je_rel32_64, flag);
        for (n, argument) in [position, index, site].into_iter().enumerate() {
            self.out.reg_memory(Opcode::Mov_r64_rm64, argument, stack(start + 8 + 8 * n as i32));
        }
        self.out.op1(Opcode::Call_rm64, Register::RAX);
        self.out.jump(Opcode::Jmp_rel32_64, done);
        self.out.place(flag);
        let unlocated = IndexError::UNLOCATED.cast_signed();
        self.out.memory_number(Opcode::Mov_rm32_imm32, field(Context::INDEX_ERROR_FLAG_OFFSET), unlocated);
        self.out.place(done);
        for (class, number, bytes, at) in places() {
            self.restore(class, number, bytes, at);
        }
        self.out.reg_number(Opcode::Add_rm64_imm32, Register::RSP, 8);
        self.out.op0(Opcode::Retnq);
    }
}
