//! The context: everything that generated code may ask of its caller.

use super::ABI_VERSION;
use core::ffi::c_void;
use core::mem::{offset_of, size_of};
use core::ptr;
use core::sync::atomic::AtomicU32;

/// An entry point of a program: `entry(ctx, state, scratch, args)` returns the code of a
/// [`Status`](super::Status).
///
/// # Safety
/// - `ctx` is a valid [`Context`] that no other call uses meanwhile, with a clear
///   [`IndexError::flag`].
/// - `state` and `scratch` are aligned to [`ALIGN`](super::ALIGN) and as large as the program's
///   [`ProgramLayout`](super::ProgramLayout) says for `ctx.workers`; `state` starts with a
///   [`StateHeader`](super::StateHeader) of this program. No other call uses `scratch` meanwhile; none uses
///   `state` if either of the two assigns variables.
/// - `args` points to the inputs, then the outputs, in order; each pointer is valid for the bytes of its
///   type and aligned to its element, and no output overlaps another argument.
pub type EntryFn =
    unsafe extern "C" fn(ctx: *mut Context, state: *mut u8, scratch: *mut u8, args: *const *mut u8) -> i32;

/// A kernel: runs the chunks `begin..end` as thread number `worker`.
///
/// What a chunk computes does not depend on the worker or on the range that it is part of, so chunks may be
/// dealt out in any way. `frame` is opaque to whoever runs the task.
///
/// # Safety
/// `frame` is the one that came with the task. Of one `parallel_for`, each chunk is run once, and no two
/// calls with the same `worker` overlap; `worker < ctx.workers`.
pub type TaskFn = unsafe extern "C" fn(frame: *const u8, begin: u64, end: u64, worker: u32);

/// Runs the chunks `0..chunks` of `task` and returns when all are done.
///
/// # Safety
/// `pool` is that of the [`Context`] which the function came from, and `task` with `frame` is what
/// [`TaskFn`] demands.
pub type ParallelForFn = unsafe extern "C" fn(pool: *mut c_void, task: TaskFn, frame: *const u8, chunks: u64);

/// Records that an index was out of range: see [`IndexError`].
///
/// # Safety
/// `ctx` is the context that the entry point was called with, and that call has not returned.
pub type IndexErrorFn = unsafe extern "C" fn(ctx: *mut Context, site: u32, position: u64, value: i64);

/// What an entry point is called with.
///
/// Generated code reads it at the offsets below. A zeroed context with the right version and one worker is
/// valid: it runs serially and says *that* an index was out of range, but not where.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Context {
    /// [`ABI_VERSION`] of the caller; an entry point returns `AbiMismatch` for any other than its own.
    pub abi_version: u32,
    /// Number of threads that may call a task, at least 1: each `worker` passed to one is below it.
    pub workers: u32,
    /// Runs a kernel in parallel. Null: generated code calls the task itself, with all chunks and worker 0.
    pub parallel_for: Option<ParallelForFn>,
    /// First argument of `parallel_for`.
    pub pool: *mut c_void,
    /// Records an index out of range. Null: generated code stores [`IndexError::UNLOCATED`] in the flag.
    pub report_index_error: Option<IndexErrorFn>,
    /// Where an index out of range is recorded.
    pub index_error: IndexError,
    /// Zero. Room for collectives and the abort hook.
    pub reserved: [u64; 9],
}

impl Context {
    /// Bytes in a context.
    pub const SIZE: usize = size_of::<Context>();

    /// Offset of [`abi_version`](Context::abi_version), in bytes from the start of the context.
    pub const ABI_VERSION_OFFSET: usize = offset_of!(Context, abi_version);
    /// Offset of [`workers`](Context::workers), in bytes.
    pub const WORKERS_OFFSET: usize = offset_of!(Context, workers);
    /// Offset of [`parallel_for`](Context::parallel_for), in bytes.
    pub const PARALLEL_FOR_OFFSET: usize = offset_of!(Context, parallel_for);
    /// Offset of [`pool`](Context::pool), in bytes.
    pub const POOL_OFFSET: usize = offset_of!(Context, pool);
    /// Offset of [`report_index_error`](Context::report_index_error), in bytes.
    pub const REPORT_INDEX_ERROR_OFFSET: usize = offset_of!(Context, report_index_error);
    /// Offset of [`IndexError::flag`], in bytes from the start of the *context*.
    pub const INDEX_ERROR_FLAG_OFFSET: usize = offset_of!(Context, index_error.flag);
    /// Offset of [`IndexError::site`], in bytes from the start of the *context*.
    pub const INDEX_ERROR_SITE_OFFSET: usize = offset_of!(Context, index_error.site);
    /// Offset of [`IndexError::position`], in bytes from the start of the *context*.
    pub const INDEX_ERROR_POSITION_OFFSET: usize = offset_of!(Context, index_error.position);
    /// Offset of [`IndexError::value`], in bytes from the start of the *context*.
    pub const INDEX_ERROR_VALUE_OFFSET: usize = offset_of!(Context, index_error.value);

    /// A context without hooks: one worker, serial.
    pub const fn serial() -> Context {
        Context {
            abi_version: ABI_VERSION,
            workers: 1,
            parallel_for: None,
            pool: ptr::null_mut(),
            report_index_error: None,
            index_error: IndexError::new(),
            reserved: [0; 9],
        }
    }
}

/// The record of an index out of range, clear when an entry point is called.
///
/// Of several bad indices the one with the smallest `(site, position)` is kept, so that the record is the
/// same for any number of threads. For that a task must report each bad index it meets, or for each site at
/// least the one with the smallest position; and an entry point must look at `flag` only between kernels.
///
/// While tasks run, only `flag` may be read, and the other fields are written by
/// [`Context::report_index_error`] alone.
#[derive(Debug)]
#[repr(C)]
pub struct IndexError {
    /// [`CLEAR`](IndexError::CLEAR), or another of the constants: non-zero means that an index was bad.
    pub flag: AtomicU32,
    /// Which indexing operation of the program: the compiler numbers them in program order.
    pub site: u32,
    /// Which element of the index tensor, counted in row-major order.
    pub position: u64,
    /// The index found there.
    pub value: i64,
}

impl IndexError {
    /// Flag: no index was out of range.
    pub const CLEAR: u32 = 0;
    /// Flag: an index was out of range; the other fields say nothing.
    pub const UNLOCATED: u32 = 1;
    /// Flag: an index was out of range; the other fields say which.
    pub const RECORDED: u32 = 2;
    /// Flag: a thread is writing the other fields. Never seen between kernels.
    pub const LOCKED: u32 = 3;

    /// A clear record.
    pub const fn new() -> IndexError {
        IndexError { flag: AtomicU32::new(IndexError::CLEAR), site: 0, position: 0, value: 0 }
    }
}

impl Default for IndexError {
    fn default() -> IndexError {
        IndexError::new()
    }
}

const _: () = assert!(Context::SIZE == 128);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_those_of_abi_version_4() {
        assert_eq!(ABI_VERSION, 4, "a new version needs new figures here");
        assert_eq!(Context::ABI_VERSION_OFFSET, 0);
        assert_eq!(Context::WORKERS_OFFSET, 4);
        assert_eq!(Context::PARALLEL_FOR_OFFSET, 8);
        assert_eq!(Context::POOL_OFFSET, 16);
        assert_eq!(Context::REPORT_INDEX_ERROR_OFFSET, 24);
        assert_eq!(Context::INDEX_ERROR_FLAG_OFFSET, 32);
        assert_eq!(Context::INDEX_ERROR_SITE_OFFSET, 36);
        assert_eq!(Context::INDEX_ERROR_POSITION_OFFSET, 40);
        assert_eq!(Context::INDEX_ERROR_VALUE_OFFSET, 48);
    }
}
