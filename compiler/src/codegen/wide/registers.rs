//! The physical registers and what they are for.

use iced_x86::Register;

use super::Level;
use super::code::Class;
use super::inst::View;

/// The stack pointer.
pub(super) const STACK: u8 = 4;
/// Registers of the first arguments of a call (System V).
pub(super) const ARGUMENTS: [u8; 4] = [7, 6, 2, 1];
/// Registers that a division reads and writes: the accumulator, and its upper half.
pub(super) const DIVISION: [u8; 2] = [0, 2];
/// Registers that a function leaves as they were (System V).
pub(super) const KEPT: [u8; 6] = [3, 5, 12, 13, 14, 15];
/// General registers in the order in which they are used: those that need not be saved come first.
const GENERAL: [u8; 15] = [0, 1, 2, 6, 7, 8, 9, 10, 11, 3, 5, 12, 13, 14, 15];

/// How many registers a class has.
pub(super) fn count(level: Level, class: Class) -> usize {
    match (class, level) {
        (Class::General, _) | (Class::Vector, Level::Avx2) => 16,
        (Class::Vector, Level::Avx512) => 32,
        (Class::Mask, _) => 8,
    }
}

/// The registers that can hold virtual ones, best first. Mask 0 stands for no mask.
pub(super) fn allocatable(level: Level, class: Class) -> impl Iterator<Item = u8> {
    let count = count(level, class) as u8;
    let (general, others) = match class {
        Class::General => (&GENERAL[..], 0..0),
        Class::Vector => (&[][..], 0..count),
        Class::Mask => (&[][..], 1..count),
    };
    general.iter().copied().chain(others)
}

/// A part of a physical register, as iced names it.
pub(super) fn name(number: u8, view: View) -> Register {
    let first = match view {
        View::Byte => {
            // The numbers of ah, ch, dh and bh come between.
            let skipped = if number >= 4 { 4 } else { 0 };
            return Register::AL + u32::from(number) + skipped;
        }
        View::Dword => Register::EAX,
        View::Qword => Register::RAX,
        View::Xmm => Register::XMM0,
        View::Ymm => Register::YMM0,
        View::Zmm => Register::ZMM0,
        View::Mask => Register::K0,
    };
    first + u32::from(number)
}
