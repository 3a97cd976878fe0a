//! Writing the description of a program: see [`ProgramRecord`].

use bessemer_runtime::abi::{
    CheckRecord, ElementType, EntryRecord, ProgramLayout, ProgramRecord, Runs, Span, TensorRecord,
    VariantRecord,
};

use super::{ArtefactSource, EntrySource};
use crate::diagnostic::Diagnostic;
use crate::program::{self, NamedType, Program};
use crate::types::{DType, Extent, Shape};

/// The element type of a dtype.
pub(super) fn element_type(dtype: DType) -> ElementType {
    match dtype {
        DType::F32 => ElementType::F32,
        DType::F64 => ElementType::F64,
        DType::F16 => ElementType::F16,
        DType::BF16 => ElementType::BF16,
        DType::I32 => ElementType::I32,
        DType::I64 => ElementType::I64,
        DType::U8 => ElementType::U8,
        DType::Bool => ElementType::Bool,
    }
}

/// Bytes of a parameter or result for one example, and whether they are to be multiplied by the batch size; `None` if
/// its size is not proportional to the batch size.
pub(super) fn size(ty: &crate::types::TensorType) -> Option<(u64, bool)> {
    let (elements, power) = ty.shape.elements()?;
    let bytes = elements.checked_mul(ty.dtype.bytes())? as u64;
    (power <= 1).then_some((bytes, power == 1))
}

/// What the head says beside the lists.
pub(super) struct Head {
    pub(super) layout: ProgramLayout,
    pub(super) interface: u64,
    pub(super) cpu: String,
}

/// A program's description, and where in it the records of the variables begin, in bytes.
pub(super) struct Description {
    pub(super) bytes: Vec<u8>,
    pub(super) variables: usize,
}

/// Describes a program, whose entries are those of all variants, in order.
pub(super) fn describe(
    source: &ArtefactSource,
    program: &Program,
    head: &Head,
) -> Result<Description, Diagnostic> {
    let mut w = Writer { bytes: vec![0; size_of::<ProgramRecord>()] };
    let name = w.text(&source.name);
    let variables: Vec<TensorRecord> = program
        .state
        .variables
        .iter()
        .zip(&source.variables)
        .map(|(layout, variable)| {
            let tensor = w.tensor(&layout.variable);
            let runs = match layout.runs[..] {
                // Rows without gaps are one run.
                [Runs { count: 1, bytes, pitch, .. }] if bytes == pitch => {
                    let bytes = tensor.bytes.max(1);
                    w.list(&[Runs { start: 0, count: 1, bytes, apart: bytes, pitch: bytes }])
                }
                _ => w.list(&layout.runs),
            };
            let trained = if variable.is_trained { TensorRecord::TRAINED } else { 0 };
            let flags = trained | if variable.is_constant { TensorRecord::CONSTANT } else { 0 };
            TensorRecord { offset: layout.offset as u64, flags, runs, ..tensor }
        })
        .collect();
    let variables = w.list(&variables);
    let mut facts = program.entries.iter();
    let entries: Vec<EntryRecord> =
        source.entries.iter().map(|entry| w.entry(entry, facts.by_ref())).collect();
    let entries = w.list(&entries);
    let flags = if source.has_threads { ProgramRecord::THREADS } else { 0 };
    let cpu = w.text(&head.cpu);
    let Head { layout, interface, .. } = *head;
    let checkpoint = program.state.types_fingerprint();
    let record =
        ProgramRecord { layout, interface, checkpoint, name, variables, entries, cpu, flags, reserved: 0 };
    let mut bytes = Vec::new();
    record.put(&mut bytes);
    w.bytes[..bytes.len()].copy_from_slice(&bytes);
    if u32::try_from(w.bytes.len()).is_err() {
        return Err(Diagnostic::new("E0720", format!("the description of `{}` is too large", source.name)));
    }
    Ok(Description { bytes: w.bytes, variables: variables.offset as usize })
}

/// A description in the making.
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Puts records or numbers behind what there is.
    fn list<T: Put>(&mut self, list: &[T]) -> Span {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        // Whether offsets fit is checked when all is written.
        let span = Span { offset: self.bytes.len() as u32, count: list.len() as u32 };
        list.iter().for_each(|record| record.put(&mut self.bytes));
        span
    }

    fn text(&mut self, text: &str) -> Span {
        let span = Span { offset: self.bytes.len() as u32, count: text.len() as u32 };
        self.bytes.extend(text.bytes().chain([0]));
        span
    }

    fn extents(&mut self, shape: &Shape) -> Span {
        let extents = shape.0.iter().map(|extent| match *extent {
            Extent::Const(c) => c as i64,
            Extent::Batch(c) => -(c as i64),
        });
        self.list(&extents.collect::<Vec<_>>())
    }

    fn tensor(&mut self, named: &NamedType) -> TensorRecord {
        let (bytes, is_per_example) = size(&named.ty).unwrap_or_default();
        TensorRecord {
            name: self.text(&named.name),
            extents: self.extents(&named.ty.shape),
            dtype: element_type(named.ty.dtype) as u32,
            flags: if is_per_example { TensorRecord::PER_EXAMPLE } else { 0 },
            offset: 0,
            bytes,
            runs: Span { offset: 0, count: 0 },
        }
    }

    fn tensors(&mut self, named: &[NamedType]) -> Span {
        let records: Vec<TensorRecord> = named.iter().map(|tensor| self.tensor(tensor)).collect();
        self.list(&records)
    }

    fn entry<'a>(
        &mut self,
        entry: &EntrySource,
        facts: &mut impl Iterator<Item = &'a program::Entry>,
    ) -> EntryRecord {
        let mut flags = if entry.is_symbolic { EntryRecord::SYMBOLIC } else { 0 };
        let mut variants = Vec::new();
        for (variant, facts) in entry.variants.iter().zip(facts) {
            flags |= if facts.exclusive { EntryRecord::EXCLUSIVE } else { 0 };
            let checks: Vec<CheckRecord> = facts
                .checks
                .iter()
                .map(|check| CheckRecord {
                    name: self.text(&check.name),
                    extents: self.extents(&Shape::fixed(&check.shape)),
                    bound: check.bound as u64,
                })
                .collect();
            let checks = self.list(&checks);
            variants.push(VariantRecord {
                first: variant.first as u64,
                last: variant.last as u64,
                flops: facts.flops,
                checks,
            });
        }
        EntryRecord {
            name: self.text(&entry.name),
            params: self.tensors(&entry.params),
            results: self.tensors(&entry.results),
            variants: self.list(&variants),
            flags,
            reserved: 0,
        }
    }
}

/// What can be written as it lies in memory on a little-endian machine.
trait Put {
    fn put(&self, out: &mut Vec<u8>);
}

macro_rules! numbers {
    ($($ty:ty)*) => {
        $(impl Put for $ty {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend(self.to_le_bytes());
            }
        })*
    };
}

/// Records without padding, with all their fields in order.
macro_rules! records {
    ($($record:ident { $($field:ident),* })*) => {
        $(impl Put for $record {
            fn put(&self, out: &mut Vec<u8>) {
                let start = out.len();
                $(self.$field.put(out);)*
                debug_assert_eq!(out.len() - start, size_of::<$record>(), stringify!($record));
            }
        })*
    };
}

numbers! { u32 u64 i64 }

records! {
    Span { offset, count }
    ProgramLayout {
        abi_version, reserved, fingerprint, state_bytes, scratch_bytes, scratch_bytes_per_worker
    }
    ProgramRecord { layout, interface, checkpoint, name, variables, entries, cpu, flags, reserved }
    TensorRecord { name, extents, dtype, flags, offset, bytes, runs }
    Runs { start, count, bytes, apart, pitch }
    EntryRecord { name, params, results, variants, flags, reserved }
    VariantRecord { first, last, flops, checks }
    CheckRecord { name, extents, bound }
}
