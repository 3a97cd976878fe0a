//! Reading the description of a program.

use crate::abi::{
    CheckRecord, ElementType, EntryRecord, ProgramRecord, Runs, Span, TensorRecord, VariantRecord,
};
use core::fmt;
use core::marker::PhantomData;

/// The description of a program, which the compiler wrote.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    start: *const u8,
    lifetime: PhantomData<&'a ProgramRecord>,
}

impl<'a> Program<'a> {
    /// The description that begins with this record.
    ///
    /// # Safety
    /// The compiler wrote it: every span leads to what it should, aligned, within one block that lives for `'a`.
    pub const unsafe fn new(record: &'a ProgramRecord) -> Program<'a> {
        Program { start: (&raw const *record).cast(), lifetime: PhantomData }
    }

    /// The head.
    pub fn record(&self) -> &'a ProgramRecord {
        // SAFETY: by the contract of `new`.
        unsafe { &*self.start.cast() }
    }

    /// The records, numbers or bytes of a span.
    ///
    /// # Safety
    /// They are of this type.
    unsafe fn slice<T>(&self, span: Span) -> &'a [T] {
        // SAFETY: by the contracts of `new` and of this function.
        unsafe {
            core::slice::from_raw_parts(self.start.add(span.offset as usize).cast(), span.count as usize)
        }
    }

    /// The text of a span, which a NUL follows.
    pub fn text(&self, span: Span) -> &'a str {
        // SAFETY: spans that are passed here lead to texts, which are UTF-8.
        unsafe { core::str::from_utf8_unchecked(self.slice(span)) }
    }

    /// The program's name.
    pub fn name(&self) -> &'a str {
        self.text(self.record().name)
    }

    /// The variables.
    pub fn variables(&self) -> &'a [TensorRecord] {
        // SAFETY: that is what the field leads to; and so below.
        unsafe { self.slice(self.record().variables) }
    }

    /// The entry points.
    pub fn entries(&self) -> &'a [EntryRecord] {
        // SAFETY: as above.
        unsafe { self.slice(self.record().entries) }
    }

    /// What an entry point reads.
    pub fn params(&self, entry: &EntryRecord) -> &'a [TensorRecord] {
        // SAFETY: as above.
        unsafe { self.slice(entry.params) }
    }

    /// What an entry point writes.
    pub fn results(&self, entry: &EntryRecord) -> &'a [TensorRecord] {
        // SAFETY: as above.
        unsafe { self.slice(entry.results) }
    }

    /// The batch sizes of an entry point.
    pub fn variants(&self, entry: &EntryRecord) -> &'a [VariantRecord] {
        // SAFETY: as above.
        unsafe { self.slice(entry.variants) }
    }

    /// The index checks of an entry point at a batch size.
    pub fn checks(&self, variant: &VariantRecord) -> &'a [CheckRecord] {
        // SAFETY: as above.
        unsafe { self.slice(variant.checks) }
    }

    /// Extents: `c`, or `-c` for `c` times the batch size.
    pub fn extents(&self, span: Span) -> &'a [i64] {
        // SAFETY: as above.
        unsafe { self.slice(span) }
    }

    /// The runs of bytes in which a variable is stored, as offset in the state block and length, in the order of its elements.
    pub fn runs(&self, variable: &TensorRecord) -> impl Iterator<Item = (usize, usize)> + use<'a> {
        let TensorRecord { offset, bytes, .. } = *variable;
        // SAFETY: as above.
        let runs: &'a [Runs] = unsafe { self.slice(variable.runs) };
        Runs::in_order(runs, bytes).map(move |(start, length)| ((offset + start) as usize, length as usize))
    }

    /// The type of a tensor, to be displayed like `f32[N,784]`.
    pub fn type_of(&self, tensor: &TensorRecord) -> impl fmt::Display + use<'a> {
        let (dtype, extents) = (element_type(tensor), self.extents(tensor.extents));
        fmt::from_fn(move |f| {
            f.write_str(dtype.name())?;
            f.write_str("[")?;
            for (axis, &extent) in extents.iter().enumerate() {
                let comma = if axis > 0 { "," } else { "" };
                match extent {
                    -1 => write!(f, "{comma}N")?,
                    ..0 => write!(f, "{comma}{}*N", extent.unsigned_abs())?,
                    _ => write!(f, "{comma}{extent}")?,
                }
            }
            f.write_str("]")
        })
    }
}

/// Element type of a tensor.
pub(super) fn element_type(tensor: &TensorRecord) -> ElementType {
    // The compiler writes no other codes.
    ElementType::from_code(tensor.dtype).unwrap_or(ElementType::U8)
}

/// Bytes of a parameter or result at a batch size. It fits, as the compiler checked for the sizes that it compiled for.
pub(super) fn bytes_at(tensor: &TensorRecord, n: u64) -> usize {
    let factor = if tensor.flags & TensorRecord::PER_EXAMPLE != 0 { n } else { 1 };
    tensor.bytes.saturating_mul(factor) as usize
}
