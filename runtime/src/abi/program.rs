//! The description of a program that an artefact carries: plain data, written by the compiler, read by the runtime.
//!
//! It is one block of bytes that begins with a [`ProgramRecord`]. What has a variable length stands behind it and is
//! reached by [`Span`]s, which count from the start of the block, so that it needs no relocation. Records are aligned
//! to 8 bytes; texts are UTF-8 and end with a NUL that their span does not count. Extents are `i64`s: `c`, or `-c`
//! for `c` times the batch size.

use super::{Context, ProgramLayout};

/// Some records, numbers or bytes of a program's description.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Span {
    /// Bytes from the start of the description to the first.
    pub offset: u32,
    /// How many there are.
    pub count: u32,
}

/// The head of a program's description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct ProgramRecord {
    /// How much memory it needs. Its first field is the ABI version.
    pub layout: ProgramLayout,
    /// Identifies the functions that the C header declares: hash of names, types and order of all that can be called.
    pub interface: u64,
    /// Identifies names and types of all variables, however they are stored: what a checkpoint is for.
    pub checkpoint: u64,
    /// Its name: a text.
    pub name: Span,
    /// Its variables: [`TensorRecord`]s.
    pub variables: Span,
    /// Its entry points: [`EntryRecord`]s.
    pub entries: Span,
    /// What a CPU must have to run it: a text such as `x86-64-v3`.
    pub cpu: Span,
    /// [`ProgramRecord::THREADS`], or 0.
    pub flags: u32,
    /// Zero.
    pub reserved: u32,
}

impl ProgramRecord {
    /// Flag: its kernels may run on several threads.
    pub const THREADS: u32 = 1;
}

/// A variable, a parameter or a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct TensorRecord {
    /// Its name: a text.
    pub name: Span,
    /// Its extents.
    pub extents: Span,
    /// Code of an [`ElementType`].
    pub dtype: u32,
    /// Any of [`TensorRecord::TRAINED`], [`TensorRecord::PER_EXAMPLE`] and [`TensorRecord::CONSTANT`].
    pub flags: u32,
    /// Of a variable: where it is in the state block, in bytes. Else 0.
    pub offset: u64,
    /// Size of its elements in bytes; times the batch size, where it is [`TensorRecord::PER_EXAMPLE`].
    pub bytes: u64,
    /// Of a variable: [`Runs`]. Its elements, row-major, are those of row after row, in each of the first of these, then of the
    /// second. Else none.
    pub runs: Span,
}

/// Bytes that are stored without a gap, *runs*, of every row of a variable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Runs {
    /// Where the first run of the first row is in the variable, in bytes.
    pub start: u64,
    /// How many runs a row has.
    pub count: u64,
    /// Bytes of a run.
    pub bytes: u64,
    /// Bytes from the start of a run to the start of the next one of its row, at least `bytes`.
    pub apart: u64,
    /// Bytes from the start of a row's first run to that of the next row, at least `bytes`.
    pub pitch: u64,
}

impl Runs {
    /// Where the elements of a variable of so many bytes are whose rows are these runs: offset and length of each, in bytes.
    pub fn in_order(row: &[Runs], bytes: u64) -> impl Iterator<Item = (u64, u64)> {
        let rows = bytes / row.iter().map(|runs| runs.count * runs.bytes).sum::<u64>().max(1);
        let of_row = move |n: u64| {
            row.iter().flat_map(move |&Runs { start, count, bytes, apart, pitch }| {
                (0..count).map(move |run| (start + n * pitch + run * apart, bytes))
            })
        };
        (0..rows).flat_map(of_row)
    }
}

impl TensorRecord {
    /// Flag: a variable that training changes and that is no slot of an optimizer.
    pub const TRAINED: u32 = 1;
    /// Flag: the size is to be multiplied by the batch size.
    pub const PER_EXAMPLE: u32 = 2;
    /// Flag: a variable, f32 or f64 without axes, that training reads and does not change.
    pub const CONSTANT: u32 = 4;
}

/// An entry point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct EntryRecord {
    /// Its name: a text.
    pub name: Span,
    /// What it reads, in order: [`TensorRecord`]s.
    pub params: Span,
    /// What it writes, in order: [`TensorRecord`]s.
    pub results: Span,
    /// What it was compiled for: [`VariantRecord`]s. One, if it does not depend on the batch size.
    pub variants: Span,
    /// Any of [`EntryRecord::EXCLUSIVE`] and [`EntryRecord::SYMBOLIC`].
    pub flags: u32,
    /// Zero.
    pub reserved: u32,
}

impl EntryRecord {
    /// Flag: it assigns variables, so that no other call may overlap it.
    pub const EXCLUSIVE: u32 = 1;
    /// Flag: what it computes depends on the batch size.
    pub const SYMBOLIC: u32 = 2;
}

/// An entry point at one batch size, or at all from one to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct VariantRecord {
    /// The smallest batch size; 1 where none matters.
    pub first: u64,
    /// The largest batch size.
    pub last: u64,
    /// Floating-point operations of a call, with the largest batch size.
    pub flops: u64,
    /// What its index checks compare, by site: [`CheckRecord`]s.
    pub checks: Span,
}

impl VariantRecord {
    /// The one for a batch size: of several that take it, the one that is for the fewest.
    pub fn of(variants: &[VariantRecord], n: u64) -> Option<&VariantRecord> {
        variants.iter().filter(|v| (v.first..=v.last).contains(&n)).min_by_key(|v| v.last - v.first)
    }

    /// Every batch size that one of them is for, ascending.
    pub fn sizes(variants: &[VariantRecord]) -> impl Iterator<Item = u64> {
        let after = |n: u64| {
            let next = variants.iter().filter(|v| v.last > n).map(|v| v.first.max(n + 1));
            next.min()
        };
        core::iter::successors(after(0), move |&n| after(n))
    }
}

/// An index check: which tensor holds the indices, and what they must be below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct CheckRecord {
    /// Name of the tensor: a text.
    pub name: Span,
    /// Its extents, all fixed.
    pub extents: Span,
    /// An index must be at least 0 and below this.
    pub bound: u64,
}

/// Element type of a tensor, as a number that crosses the C border. Codes are never renumbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum ElementType {
    F32 = 0,
    F64 = 1,
    I32 = 2,
    I64 = 3,
    U8 = 4,
    Bool = 5,
    F16 = 6,
    BF16 = 7,
}

impl ElementType {
    /// Every type, in the order of the codes.
    pub const ALL: [ElementType; 8] = [
        ElementType::F32,
        ElementType::F64,
        ElementType::I32,
        ElementType::I64,
        ElementType::U8,
        ElementType::Bool,
        ElementType::F16,
        ElementType::BF16,
    ];

    /// The type with this code.
    pub fn from_code(code: u32) -> Option<ElementType> {
        ElementType::ALL.get(code as usize).copied()
    }

    /// Bytes of an element.
    pub const fn bytes(self) -> usize {
        match self {
            ElementType::F64 | ElementType::I64 => 8,
            ElementType::F32 | ElementType::I32 => 4,
            ElementType::F16 | ElementType::BF16 => 2,
            ElementType::U8 | ElementType::Bool => 1,
        }
    }

    /// The name in the text form of models, such as `f32`.
    pub const fn name(self) -> &'static str {
        match self {
            ElementType::F32 => "f32",
            ElementType::F64 => "f64",
            ElementType::I32 => "i32",
            ElementType::I64 => "i64",
            ElementType::U8 => "u8",
            ElementType::Bool => "bool",
            ElementType::F16 => "f16",
            ElementType::BF16 => "bf16",
        }
    }

    /// The name in safetensors files, such as `F32`.
    pub const fn file_name(self) -> &'static str {
        match self {
            ElementType::F32 => "F32",
            ElementType::F64 => "F64",
            ElementType::I32 => "I32",
            ElementType::I64 => "I64",
            ElementType::U8 => "U8",
            ElementType::Bool => "BOOL",
            ElementType::F16 => "F16",
            ElementType::BF16 => "BF16",
        }
    }
}

/// Writes the header of a state: that of a state of this program whose variables are yet to be given values.
///
/// # Safety
/// `state` is null, or is aligned to [`ALIGN`](super::ALIGN) and as large as the program's state.
pub type SetupFn = unsafe extern "C" fn(state: *mut u8) -> i32;

/// Gives all variables their first values. Takes the context (null: serial), state, scratch and the seed.
///
/// # Safety
/// As [`EntryFn`](super::EntryFn).
pub type InitFn = unsafe extern "C" fn(ctx: *mut Context, state: *mut u8, scratch: *mut u8, seed: u64) -> i32;

/// Calls the entry point with this position, at this batch size.
///
/// # Safety
/// As [`EntryFn`](super::EntryFn).
pub type CallFn = unsafe extern "C" fn(
    ctx: *mut Context,
    state: *mut u8,
    scratch: *mut u8,
    entry: u32,
    n: u64,
    args: *const *mut u8,
) -> i32;

/// What an artefact gives the runtime: its description and its code.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Artefact {
    /// The description.
    pub program: *const ProgramRecord,
    /// Makes memory a state.
    pub setup: SetupFn,
    /// Gives variables their first values.
    pub init: InitFn,
    /// Calls an entry point.
    pub call: CallFn,
    /// Gives the place for the text of the calling thread's last error: [`TEXT_BYTES`] bytes, zero at first.
    pub text: extern "C" fn() -> *mut u8,
}

// SAFETY: it points to constants and code, neither of which changes.
unsafe impl Sync for Artefact {}

/// Bytes of the text of a thread's last error, with its NUL.
pub const TEXT_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;

    #[test]
    fn runs_are_in_the_order_of_the_elements() {
        let places = |bytes, row: &[Runs]| -> Vec<(u64, u64)> { Runs::in_order(row, bytes).collect() };
        let of = |start, count, bytes, apart, pitch| Runs { start, count, bytes, apart, pitch };
        assert_eq!(places(48, &[of(0, 1, 48, 48, 48)]), [(0, 48)]);
        assert_eq!(places(48, &[of(0, 1, 16, 16, 20)]), [(0, 16), (20, 16), (40, 16)]);
        let panels = of(0, 2, 16, 40, 16);
        assert_eq!(places(64, &[panels]), [(0, 16), (40, 16), (16, 16), (56, 16)]);
        assert_eq!(places(0, &[panels]), []);
        let rows = [[(0, 16), (40, 16), (80, 4), (92, 4)], [(16, 16), (56, 16), (84, 4), (96, 4)]];
        assert_eq!(places(80, &[panels, of(80, 2, 4, 12, 4)]), rows.concat());
    }
}
