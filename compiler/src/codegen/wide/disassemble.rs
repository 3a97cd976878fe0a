//! Assembled code for people.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use iced_x86::{Decoder, DecoderOptions, Formatter, Instruction, IntelFormatter, Mnemonic, OpKind};

/// The instructions of a function for x86-64, a line each; lines that are jumped to have a label. What stands behind
/// the last instruction, constants, is counted only.
pub(in crate::codegen) fn disassemble(bytes: &[u8]) -> String {
    let mut decoder = Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE);
    let mut instructions: Vec<Instruction> = Vec::new();
    let mut targets = BTreeSet::new();
    while decoder.can_decode() {
        let instruction = decoder.decode();
        let is_jump = instruction.op0_kind() == OpKind::NearBranch64;
        if is_jump {
            targets.insert(instruction.near_branch_target());
        }
        let goes_on = !matches!(instruction.mnemonic(), Mnemonic::Ret | Mnemonic::Jmp | Mnemonic::Int3);
        instructions.push(instruction);
        // Behind what goes nowhere, there is code only if something jumps there.
        if !goes_on && targets.range(decoder.ip()..).next().is_none() {
            break;
        }
    }
    let code_bytes = instructions.last().map_or(0, Instruction::next_ip);
    let mut formatter = IntelFormatter::new();
    formatter.options_mut().set_rip_relative_addresses(true);
    formatter.options_mut().set_branch_leading_zeros(false);
    let mut text = String::new();
    for instruction in &instructions {
        if targets.contains(&instruction.ip()) {
            let _ = writeln!(text, "{:x}:", instruction.ip());
        }
        let mut line = String::new();
        formatter.format(instruction, &mut line);
        let _ = writeln!(text, "  {line}");
    }
    match bytes.len() as u64 - code_bytes {
        0 => {}
        constants => {
            let _ = writeln!(text, "; {constants} bytes of constants and padding");
        }
    }
    text
}
