//! What there is: for programs that do not know the header.

use super::handle;
use super::message::{Reason, Reporter};
use super::program::element_type;
use crate::abi::{ABI_VERSION, Artefact, EntryRecord, Status, TensorRecord, VariantRecord};
use core::ffi::c_char;

/// A variable, parameter or result, for C.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct TensorInfo {
    /// Its name.
    pub name: *const c_char,
    /// Code of its [`ElementType`](crate::abi::ElementType).
    pub dtype: u32,
    /// How many extents it has.
    pub rank: u32,
    /// Extents: `c`, or `-c` for `c` times the batch size.
    pub extents: *const i64,
    /// Bytes; of a parameter or result those at batch size 1.
    pub bytes: u64,
    /// Whether it is a variable that training changes and that is no slot of an optimizer.
    pub is_trained: u32,
    /// Zero.
    pub reserved: u32,
}

/// An entry point, for C.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct EntryInfo {
    /// Its name.
    pub name: *const c_char,
    /// How many parameters it has.
    pub params: u32,
    /// How many results it has.
    pub results: u32,
    /// How many batch sizes it was compiled for.
    pub batch_sizes: u32,
    /// Whether its C function takes the batch size.
    pub is_symbolic: u32,
    /// Whether it assigns variables.
    pub is_exclusive: u32,
    /// Zero.
    pub reserved: u32,
}

/// Refuses a caller whose header was made for another artefact.
///
/// # Errors
/// [`Status::AbiMismatch`] if it has another ABI version, [`Status::ProgramMismatch`] if it declares other functions.
pub fn check_header(artefact: &Artefact, abi_version: u32, interface: u64) -> i32 {
    Reporter::run(artefact, |reporter| {
        let record = reporter.program().record();
        if abi_version != ABI_VERSION || record.layout.abi_version != ABI_VERSION {
            return Err(reporter.say(
                Status::AbiMismatch,
                format_args!("the header is for ABI version {abi_version}, the library for {ABI_VERSION}"),
            ));
        }
        if interface != record.interface {
            return Err(reporter.say(
                Status::ProgramMismatch,
                format_args!("the header of `{}` is not the one of this library", reporter.program().name()),
            ));
        }
        Ok(())
    })
}

/// How many variables there are, slots of optimizers included.
pub fn variable_count(artefact: &Artefact) -> usize {
    Reporter { artefact }.program().variables().len()
}

/// How many entry points there are.
pub fn entry_count(artefact: &Artefact) -> usize {
    Reporter { artefact }.program().entries().len()
}

/// Describes the variable at a position.
///
/// # Errors
/// [`Status::NotFound`] if there is none; [`Status::InvalidArgument`] if `out` is null.
///
/// # Safety
/// `out` is null or good for a write.
pub unsafe fn variable(artefact: &Artefact, at: usize, out: *mut TensorInfo) -> i32 {
    // SAFETY: by this function's contract.
    unsafe { describe(artefact, out, |r| Some(tensor(r, r.program().variables().get(at)?))) }
}

/// Describes the entry point at a position.
///
/// # Errors
/// As [`variable`].
///
/// # Safety
/// `out` is null or good for a write.
pub unsafe fn entry(artefact: &Artefact, at: usize, out: *mut EntryInfo) -> i32 {
    let info = |r: Reporter<'_>| {
        let entry = r.program().entries().get(at)?;
        Some(EntryInfo {
            name: r.program().text(entry.name).as_ptr().cast(),
            params: entry.params.count,
            results: entry.results.count,
            batch_sizes: VariantRecord::sizes(r.program().variants(entry)).count() as u32,
            is_symbolic: u32::from(entry.flags & EntryRecord::SYMBOLIC != 0),
            is_exclusive: u32::from(entry.flags & EntryRecord::EXCLUSIVE != 0),
            reserved: 0,
        })
    };
    // SAFETY: by this function's contract.
    unsafe { describe(artefact, out, info) }
}

/// Describes an argument of an entry point: its parameters come first, then its results.
///
/// # Errors
/// As [`variable`].
///
/// # Safety
/// `out` is null or good for a write.
pub unsafe fn argument(artefact: &Artefact, entry: usize, at: usize, out: *mut TensorInfo) -> i32 {
    let info = |r: Reporter<'_>| {
        let program = r.program();
        let entry = program.entries().get(entry)?;
        let (params, results) = (program.params(entry), program.results(entry));
        Some(tensor(r, params.iter().chain(results).nth(at)?))
    };
    // SAFETY: by this function's contract.
    unsafe { describe(artefact, out, info) }
}

fn tensor(reporter: Reporter<'_>, record: &TensorRecord) -> TensorInfo {
    let program = reporter.program();
    TensorInfo {
        name: program.text(record.name).as_ptr().cast(),
        dtype: record.dtype,
        rank: record.extents.count,
        extents: program.extents(record.extents).as_ptr(),
        bytes: record.bytes,
        is_trained: u32::from(record.flags & TensorRecord::TRAINED != 0),
        reserved: 0,
    }
}

/// Writes a description.
///
/// # Safety
/// `out` is null or good for a write.
unsafe fn describe<T>(artefact: &Artefact, out: *mut T, info: impl FnOnce(Reporter<'_>) -> Option<T>) -> i32 {
    Reporter::run(artefact, |reporter| {
        if out.is_null() {
            return Err(reporter.null("out"));
        }
        let info = info(reporter).ok_or(Reason::from(Status::NotFound))?;
        // SAFETY: by this function's contract.
        unsafe { out.write(info) };
        Ok(())
    })
}

/// A batch size that an entry point takes, in ascending order; 0 if there is none at this position.
pub fn batch_size(artefact: &Artefact, entry: usize, at: usize) -> usize {
    let program = Reporter { artefact }.program();
    let variants = program.entries().get(entry).map(|entry| program.variants(entry));
    variants.and_then(|all| VariantRecord::sizes(all).nth(at)).map_or(0, |n| n as usize)
}

/// Elements of all variables that training changes, without slots of optimizers.
pub fn parameter_count(artefact: &Artefact) -> u64 {
    let trained = Reporter { artefact }.program().variables().iter();
    let trained = trained.filter(|v| v.flags & TensorRecord::TRAINED != 0);
    trained.map(|v| v.bytes / element_type(v).bytes() as u64).sum()
}

/// Bytes of an instance's state.
pub fn state_bytes(artefact: &Artefact) -> usize {
    Reporter { artefact }.program().record().layout.state_size().unwrap_or(0)
}

/// Bytes of scratch for a call on an instance; for null, for one on a single thread.
///
/// # Safety
/// See the [module](super).
pub unsafe fn scratch_bytes(artefact: &Artefact, pointer: *const super::Handle) -> usize {
    let reporter = Reporter { artefact };
    let workers = match pointer.is_null() {
        true => Ok(1),
        // SAFETY: by the contract of the module.
        false => unsafe { handle(reporter, pointer) }
            .and_then(|handle| handle.with(|instance| Ok(instance.threads().workers()))),
    };
    workers.ok().and_then(|n| reporter.program().record().layout.scratch_size(n)).unwrap_or(0)
}
