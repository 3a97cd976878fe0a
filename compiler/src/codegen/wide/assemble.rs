//! Writes instructions as bytes, with jumps and constants that are placed later.

use cranelift_entity::{PrimaryMap, SecondaryMap, entity_impl};
use iced_x86::{Code as Opcode, Encoder, Instruction, MemoryOperand, OpKind, Register};

use super::pool::{ConstantId, Pool};

/// A place in the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Label(u32);
entity_impl!(Label, "label");

/// Constants start at a multiple of this many bytes.
const CONSTANTS: usize = 64;
/// Instructions that do nothing, by size.
const NOTHING: [&[u8]; 9] = [
    &[0x90],
    &[0x66, 0x90],
    &[0x0f, 0x1f, 0x00],
    &[0x0f, 0x1f, 0x40, 0x00],
    &[0x0f, 0x1f, 0x44, 0x00, 0x00],
    &[0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
    &[0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
    &[0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
    &[0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
];

/// Bytes in the making.
pub(super) struct Assembler {
    encoder: Encoder,
    /// Bytes so far.
    size: usize,
    labels: PrimaryMap<Label, Option<usize>>,
    /// Where a distance of 32 bits to a label stands, from the end of which it counts.
    jumps: Vec<(usize, Label)>,
    /// Where a distance of 32 bits to a constant stands, and from where it counts.
    constants: Vec<(usize, usize, ConstantId)>,
}

impl Assembler {
    pub(super) fn new() -> Assembler {
        Assembler {
            encoder: Encoder::new(64),
            size: 0,
            labels: PrimaryMap::new(),
            jumps: Vec::new(),
            constants: Vec::new(),
        }
    }

    /// A label that is placed later.
    pub(super) fn label(&mut self) -> Label {
        self.labels.push(None)
    }

    /// Places a label here.
    pub(super) fn place(&mut self, label: Label) {
        self.labels[label] = Some(self.size);
    }

    /// Fills up to a multiple of so many bytes with instructions that do nothing.
    pub(super) fn align(&mut self, to: usize) {
        let mut rest = self.size.next_multiple_of(to) - self.size;
        while rest > 0 {
            let fill = NOTHING[rest.min(NOTHING.len()) - 1];
            fill.iter().for_each(|&byte| self.encoder.write_u8(byte));
            self.size += fill.len();
            rest -= fill.len();
        }
    }

    /// Writes an instruction. `constant` is what its memory operand is relative to, if that is a constant.
    pub(super) fn write(&mut self, instruction: &Instruction, constant: Option<ConstantId>) {
        let start = self.size;
        match self.encoder.encode(instruction, start as u64) {
            Ok(bytes) => self.size += bytes,
            Err(e) => unreachable!("{:?} cannot be encoded: {e}", instruction.code()),
        }
        if let Some(constant) = constant {
            let at = start + self.encoder.get_constant_offsets().displacement_offset();
            self.constants.push((at, self.size, constant));
        }
    }

    /// Writes a jump.
    pub(super) fn jump(&mut self, opcode: Opcode, to: Label) {
        match Instruction::with_branch(opcode, self.size as u64) {
            Ok(jump) => self.write(&jump, None),
            Err(e) => unreachable!("{opcode:?} is a jump: {e}"),
        }
        self.jumps.push((self.size - 4, to));
    }

    /// An instruction without operands.
    pub(super) fn op0(&mut self, opcode: Opcode) {
        self.write(&Instruction::with(opcode), None);
    }

    /// An instruction with a register.
    pub(super) fn op1(&mut self, opcode: Opcode, a: Register) {
        self.write(&build(opcode, &[Part::Reg(a)]), None);
    }

    /// An instruction with two registers.
    pub(super) fn op2(&mut self, opcode: Opcode, a: Register, b: Register) {
        self.write(&build(opcode, &[Part::Reg(a), Part::Reg(b)]), None);
    }

    /// An instruction with a memory operand.
    pub(super) fn memory(&mut self, opcode: Opcode, m: MemoryOperand) {
        self.write(&build(opcode, &[Part::Memory(m)]), None);
    }

    /// An instruction with a memory operand and a register.
    pub(super) fn memory_reg(&mut self, opcode: Opcode, m: MemoryOperand, a: Register) {
        self.write(&build(opcode, &[Part::Memory(m), Part::Reg(a)]), None);
    }

    /// An instruction with a register and a memory operand.
    pub(super) fn reg_memory(&mut self, opcode: Opcode, a: Register, m: MemoryOperand) {
        self.write(&build(opcode, &[Part::Reg(a), Part::Memory(m)]), None);
    }

    /// An instruction with a register and a number.
    pub(super) fn reg_number(&mut self, opcode: Opcode, a: Register, number: i32) {
        self.write(&build(opcode, &[Part::Reg(a), Part::Number(i64::from(number))]), None);
    }

    /// An instruction with a memory operand and a number.
    pub(super) fn memory_number(&mut self, opcode: Opcode, m: MemoryOperand, number: i32) {
        self.write(&build(opcode, &[Part::Memory(m), Part::Number(i64::from(number))]), None);
    }

    /// All bytes, with the constants that are used behind the instructions. They may be placed at any multiple of 64.
    pub(super) fn finish(mut self, pool: &Pool) -> Vec<u8> {
        let mut bytes = self.encoder.take_buffer();
        let mut is_used = SecondaryMap::new();
        self.constants.iter().for_each(|&(_, _, id)| is_used[id] = true);
        let (row, places) = pool.place(|id| is_used[id]);
        let start = if row.is_empty() { bytes.len() } else { bytes.len().next_multiple_of(CONSTANTS) };
        // Bytes between code and constants stop whoever gets there.
        bytes.resize(start, 0xcc);
        bytes.extend(row);
        let mut patch = |at: usize, distance: i64| {
            let distance = i32::try_from(distance)
                .unwrap_or_else(|_| unreachable!("a function is small enough for distances of 32 bits"));
            bytes[at..at + 4].copy_from_slice(&distance.to_le_bytes());
        };
        for &(at, from, constant) in &self.constants {
            patch(at, (start + places[constant]) as i64 - from as i64);
        }
        for &(at, label) in &self.jumps {
            let Some(to) = self.labels[label] else { unreachable!("{label} is placed") };
            patch(at, to as i64 - (at as i64 + 4));
        }
        bytes
    }
}

/// An operand.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Reg(Register),
    Memory(MemoryOperand),
    /// A number, of the kind that the opcode has.
    Number(i64),
}

/// An instruction of up to four operands.
pub(super) fn build(opcode: Opcode, parts: &[Part]) -> Instruction {
    let mut instruction = Instruction::default();
    instruction.set_code(opcode);
    for (n, &part) in parts.iter().enumerate() {
        let n = n as u32;
        match part {
            Part::Reg(reg) => {
                instruction.set_op_kind(n, OpKind::Register);
                instruction.set_op_register(n, reg);
            }
            Part::Memory(memory) => {
                instruction.set_op_kind(n, OpKind::Memory);
                instruction.set_memory_base(memory.base);
                instruction.set_memory_index(memory.index);
                instruction.set_memory_index_scale(memory.scale);
                instruction.set_memory_displ_size(memory.displ_size);
                instruction.set_memory_displacement64(memory.displacement as u64);
                instruction.set_is_broadcast(memory.is_broadcast);
            }
            Part::Number(number) => {
                let kind = number_kind(opcode);
                instruction.set_op_kind(n, kind);
                match kind {
                    OpKind::Immediate8 => instruction.set_immediate8(number as u8),
                    OpKind::Immediate8to32 => instruction.set_immediate8to32(number as i32),
                    OpKind::Immediate8to64 => instruction.set_immediate8to64(number),
                    OpKind::Immediate32 => instruction.set_immediate32(number as u32),
                    OpKind::Immediate32to64 => instruction.set_immediate32to64(number),
                    _ => instruction.set_immediate64(number as u64),
                }
            }
        }
    }
    instruction
}

/// The shortest opcode that does the same with this number.
pub(super) fn shortest(opcode: Opcode, number: i64) -> Opcode {
    match opcode {
        _ if i8::try_from(number).is_err() => opcode,
        Opcode::Add_rm64_imm32 => Opcode::Add_rm64_imm8,
        Opcode::Cmp_rm64_imm32 => Opcode::Cmp_rm64_imm8,
        Opcode::Cmp_rm32_imm32 => Opcode::Cmp_rm32_imm8,
        Opcode::Imul_r64_rm64_imm32 => Opcode::Imul_r64_rm64_imm8,
        _ => opcode,
    }
}

/// What kind of number the last operand of an opcode is.
fn number_kind(opcode: Opcode) -> OpKind {
    match opcode {
        Opcode::Mov_r64_imm64 => OpKind::Immediate64,
        Opcode::Mov_r32_imm32
        | Opcode::Mov_rm32_imm32
        | Opcode::Or_rm32_imm32
        | Opcode::And_rm32_imm32
        | Opcode::Xor_rm32_imm32
        | Opcode::Cmp_rm32_imm32
        | Opcode::Test_rm32_imm32 => OpKind::Immediate32,
        Opcode::Mov_rm64_imm32
        | Opcode::Add_rm64_imm32
        | Opcode::Sub_rm64_imm32
        | Opcode::Cmp_rm64_imm32
        | Opcode::Imul_r64_rm64_imm32 => OpKind::Immediate32to64,
        Opcode::And_rm64_imm8
        | Opcode::Add_rm64_imm8
        | Opcode::Cmp_rm64_imm8
        | Opcode::Imul_r64_rm64_imm8 => OpKind::Immediate8to64,
        Opcode::Or_rm32_imm8 | Opcode::And_rm32_imm8 | Opcode::Cmp_rm32_imm8 => OpKind::Immediate8to32,
        _ => OpKind::Immediate8,
    }
}
