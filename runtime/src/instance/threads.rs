//! On which threads an instance runs its kernels.

use crate::abi::{Context, ParallelForFn};
use crate::index_error::report_index_error;
use crate::pool::Pool;
use core::ffi::c_void;
use core::ptr;

/// On which threads an instance runs its kernels.
#[derive(Clone, Debug)]
pub struct Threads {
    workers: u32,
    parallel_for: Option<ParallelForFn>,
    pool: *mut c_void,
    /// Keeps `pool` alive where it is one of this crate.
    _handle: Option<Pool>,
}

impl Threads {
    /// On the calling thread alone.
    pub const fn serial() -> Threads {
        Threads { workers: 1, parallel_for: None, pool: ptr::null_mut(), _handle: None }
    }

    /// On a thread pool of the caller's own: `parallel_for(pool, …)` runs a kernel, calling its task with
    /// worker numbers below `workers` (at least 1; 0 counts as 1).
    ///
    /// # Safety
    /// As long as an instance with the result or a clone of it lives, `parallel_for` may be called with `pool`
    /// from any thread, by several at once and from inside a task too. It does what [`ParallelForFn`] says,
    /// keeping the promises of [`TaskFn`](crate::abi::TaskFn).
    pub const unsafe fn custom(workers: u32, parallel_for: ParallelForFn, pool: *mut c_void) -> Threads {
        let workers = if workers == 0 { 1 } else { workers };
        Threads { workers, parallel_for: Some(parallel_for), pool, _handle: None }
    }

    /// Number of threads that may run a task, the calling one included.
    pub const fn workers(&self) -> u32 {
        self.workers
    }

    /// A context for one call on these threads, with this crate's hooks.
    pub(super) fn context(&self) -> Context {
        Context {
            workers: self.workers,
            parallel_for: self.parallel_for,
            pool: self.pool,
            report_index_error: Some(report_index_error),
            ..Context::serial()
        }
    }
}

impl From<Pool> for Threads {
    /// On the threads of `pool`, which other instances may share.
    fn from(pool: Pool) -> Threads {
        // One thread needs no pool: generated code then calls its tasks directly.
        if pool.threads() == 1 {
            return Threads::serial();
        }
        let (parallel_for, address) = pool.hook();
        Threads {
            workers: pool.threads(),
            parallel_for: Some(parallel_for),
            pool: address,
            _handle: Some(pool),
        }
    }
}

// SAFETY: the pointer is only passed to the function that it goes with, which `custom` demands, and `Pool`
// allows, to be called from any thread.
unsafe impl Send for Threads {}
// SAFETY: as above.
unsafe impl Sync for Threads {}
