//! The thread pool that runs the chunks of a kernel.
//!
//! A small training step calls `parallel_for` several times in a hundred microseconds, so what counts is the
//! time from the call to the first chunk on another thread, and from the last chunk to the return. Threads
//! therefore spin for a short while before they sleep (on a futex), the calling thread works too, and a call
//! returns when all chunks are done, whether or not every thread woke in time to take part.
//!
//! - `job` holds the one kernel in progress and deals out its chunks;
//! - `rest` is how long a thread spins before it sleeps;
//! - `placement` keeps a thread that wakes off the caller's CPU;
//! - `shared` joins them and is what a [`Pool`] is a handle to.

mod job;
mod placement;
mod rest;
mod shared;

use crate::abi::{ParallelForFn, Status, TaskFn};
use crate::cores::available_cores;
use crate::memory::Owned;
use core::ffi::c_void;
use core::fmt;
use core::ops::Range;
use core::ptr::NonNull;
use shared::Shared;

/// A handle to a thread pool. Cloning it shares the pool; dropping the last handle joins the threads.
///
/// ```
/// use bessemer_runtime::pool::Pool;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// let pool = Pool::new(2)?;
/// let sum = AtomicU64::new(0);
/// pool.for_each_chunk(100, |range, _worker| {
///     sum.fetch_add(range.sum(), Ordering::Relaxed);
/// });
/// assert_eq!(sum.into_inner(), 4950);
/// # Ok::<(), bessemer_runtime::abi::Status>(())
/// ```
///
/// # One kernel at a time
///
/// The pool runs one `parallel_for` at a time. A call that comes while another is in progress does not wait:
/// it runs its chunks on the calling thread. So threads that run `predict` side by side each keep their own
/// core, and a `parallel_for` from inside a task is a plain loop, with the worker number of that task.
///
/// # Fork
///
/// A forked child has none of the threads. There, every call runs on the calling thread, and dropping the
/// last handle joins nothing.
///
/// # Threads
///
/// Worker threads block all signals and are named `bessemer`. They start with the affinity mask of the thread
/// that made the pool; one that wakes on the caller's CPU may take that CPU out of its own mask. The last handle must not be dropped by a
/// task that the pool runs.
pub struct Pool {
    shared: NonNull<Shared>,
}

impl Pool {
    /// Most threads that a pool can have.
    pub const MAX_THREADS: u32 = 1024;

    /// A pool of `threads` threads, the caller of `parallel_for` included: it starts one fewer.
    ///
    /// Threads spin before they sleep only if there are no more of them than [`available_cores`] at this
    /// moment.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] if `threads` is 0 or more than [`Pool::MAX_THREADS`],
    /// [`Status::OutOfMemory`], or [`Status::NoThreads`] if the system refuses to start one.
    pub fn new(threads: u32) -> Result<Pool, Status> {
        if threads == 0 || threads > Pool::MAX_THREADS {
            return Err(Status::InvalidArgument);
        }
        let pool = Pool { shared: Owned::into_raw(Owned::new(Shared::new(threads)?)?) };
        // SAFETY: the value stays where it is, and dropping the last handle stops the threads first.
        unsafe { pool.shared().start_workers()? };
        Ok(pool)
    }

    /// A pool with as many threads as there are [`available_cores`].
    ///
    /// # Errors
    /// As [`Pool::new`].
    pub fn with_available_cores() -> Result<Pool, Status> {
        Pool::new(available_cores().min(Pool::MAX_THREADS))
    }

    /// Number of threads, the caller of `parallel_for` included: worker numbers are below it.
    pub fn threads(&self) -> u32 {
        self.shared().threads()
    }

    /// Runs `body(range, worker)` for ranges that together are the chunks `0..chunks`, each once, and returns
    /// when all are done.
    ///
    /// In one call no two ranges overlap in time with the same `worker`. A panic in `body` ends the process.
    pub fn for_each_chunk<F: Fn(Range<u64>, u32) + Sync>(&self, chunks: u64, body: F) {
        unsafe extern "C" fn task<F: Fn(Range<u64>, u32) + Sync>(
            frame: *const u8,
            begin: u64,
            end: u64,
            worker: u32,
        ) {
            // SAFETY: `frame` is the `body` below, which lives until all chunks are done, and is `Sync`.
            let body = unsafe { &*frame.cast::<F>() };
            body(begin..end, worker);
        }
        // SAFETY: the task may be called with the address of `body` and any range, on any thread.
        unsafe { self.shared().parallel_for(task::<F>, (&raw const body).cast(), chunks) }
    }

    /// The function and its first argument, for the fields of a [`Context`](crate::abi::Context).
    ///
    /// They may be used as long as a handle to this pool lives.
    pub fn hook(&self) -> (ParallelForFn, *mut c_void) {
        (parallel_for, self.shared.as_ptr().cast())
    }

    fn shared(&self) -> &Shared {
        // SAFETY: a handle keeps the value alive, and everyone uses it through shared references.
        unsafe { self.shared.as_ref() }
    }
}

/// [`ParallelForFn`] of a [`Pool`].
///
/// # Safety
/// As [`ParallelForFn`]; `pool` came from [`Pool::hook`], and a handle to that pool lives.
unsafe extern "C" fn parallel_for(pool: *mut c_void, task: TaskFn, frame: *const u8, chunks: u64) {
    // SAFETY: by this function's contract.
    unsafe { (*pool.cast::<Shared>()).parallel_for(task, frame, chunks) }
}

// SAFETY: `Shared` is `Sync`, and dropping it on another thread than the one that made it is fine.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

impl Clone for Pool {
    fn clone(&self) -> Pool {
        self.shared().add_handle();
        Pool { shared: self.shared }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if self.shared().drop_handle() {
            // SAFETY: a call in progress borrows a handle, and this was the last one. The threads have ended
            // before the value that they use goes back to its owner, which drops it.
            unsafe {
                self.shared().stop();
                drop(Owned::from_raw(self.shared));
            }
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("threads", &self.threads()).finish_non_exhaustive()
    }
}

const _: () = {
    const fn sync<T: Sync + Send>() {}
    sync::<Shared>();
};
