//! The kernel in progress, and how its chunks are dealt out.
//!
//! Chunks are grouped into at most [`MAX_UNITS`] *units* of equal size. One word, the *claim*, holds the number
//! of units that nobody has taken yet, under the number of the job:
//!
//! ```text
//! bit 63                     24 23                       0
//!     | number of the job      | units left            |
//! ```
//!
//! A thread takes units by compare-and-swap, from the first on, more at a time while many are left. That the
//! swap succeeds also proves that the job which the thread read is the one it takes units of: the fields are
//! overwritten only after all units are done, so not before the thread has done its own, and then the claim
//! holds another number. So a thread that comes late, or sleeps through a job, is not waited for.
//!
//! The number wraps after 2⁴⁰ jobs: twelve days of one per microsecond, all during one swap of one thread.

use crate::abi::TaskFn;
use core::mem;
use core::ptr;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};

/// Bits of the claim that count units.
const UNIT_BITS: u32 = 24;

/// Most units in a job.
pub(super) const MAX_UNITS: u64 = (1 << UNIT_BITS) - 1;

/// Set in [`Job::done`] while the caller sleeps on it.
const CALLER_SLEEPS: u32 = 1 << 31;

/// A value that has a cache line to itself, so that writing one does not slow down readers of another.
#[repr(align(64))]
pub(super) struct Line<T>(pub(super) T);

/// The kernel in progress, or the last one. All fields are atomics, as a late thread may read them while the
/// next job is being written.
pub(super) struct Job {
    claim: Line<AtomicU64>,
    /// Units done, and [`CALLER_SLEEPS`].
    done: Line<AtomicU32>,
    fields: Line<Fields>,
}

/// What does not change during a job.
struct Fields {
    /// A [`TaskFn`].
    task: AtomicPtr<()>,
    frame: AtomicPtr<u8>,
    chunks: AtomicU64,
    units: AtomicU32,
    /// A thread takes the units that are left divided by this, so that each takes several, ever smaller turns.
    divisor: u32,
}

impl Job {
    /// No job, for a pool of `threads` threads.
    pub(super) fn new(threads: u32) -> Job {
        Job {
            claim: Line(AtomicU64::new(0)),
            done: Line(AtomicU32::new(0)),
            fields: Line(Fields {
                task: AtomicPtr::new(ptr::null_mut()),
                frame: AtomicPtr::new(ptr::null_mut()),
                chunks: AtomicU64::new(0),
                units: AtomicU32::new(0),
                divisor: 2 * threads,
            }),
        }
    }

    /// Opens a job of `chunks` chunks, not 0. Any thread may take part from now on.
    ///
    /// # Safety
    /// The job before is complete, and no other thread opens one. Until [`Job::is_complete`], `task` may be
    /// called with `frame` on any thread.
    pub(super) unsafe fn open(&self, task: TaskFn, frame: *const u8, chunks: u64) {
        let units = chunks.min(MAX_UNITS);
        let Fields { task: task_field, frame: frame_field, chunks: chunks_field, units: units_field, .. } =
            &self.fields.0;
        task_field.store(task as *mut (), Relaxed);
        frame_field.store(frame.cast_mut(), Relaxed);
        chunks_field.store(chunks, Relaxed);
        units_field.store(units as u32, Relaxed);
        self.done.0.store(0, Relaxed);
        let number = (self.claim.0.load(Relaxed) >> UNIT_BITS).wrapping_add(1);
        // Publishes the fields. Sequentially consistent with `has_work`: see `Shared::sleep_until_signal`.
        self.claim.0.store(number << UNIT_BITS | units, SeqCst);
    }

    /// Whether there are units to take.
    pub(super) fn has_work(&self) -> bool {
        self.claim.0.load(SeqCst) & MAX_UNITS != 0
    }

    /// Takes units and runs their chunks until none is left. Returns the word to wake if this thread did the
    /// last of them and the caller sleeps.
    pub(super) fn take_part(&self, worker: u32) -> Option<&AtomicU32> {
        let mut units_done = 0;
        let mut claim = self.claim.0.load(Acquire);
        loop {
            let left = claim & MAX_UNITS;
            if left == 0 {
                break;
            }
            let task = self.fields.0.task.load(Relaxed);
            let frame = self.fields.0.frame.load(Relaxed);
            let chunks = self.fields.0.chunks.load(Relaxed);
            let units = u64::from(self.fields.0.units.load(Relaxed));
            let taken = (left / u64::from(self.fields.0.divisor)).max(1);
            if let Err(now) = self.claim.0.compare_exchange_weak(claim, claim - taken, AcqRel, Acquire) {
                claim = now;
                continue;
            }
            let first = units - left;
            let begin = first_chunk(first, units, chunks);
            let end = first_chunk(first + taken, units, chunks);
            // SAFETY: `task` was stored by `open`, whose caller vouched for it: the swap succeeded, so the
            // fields are those of the job in progress.
            unsafe {
                let task = mem::transmute::<*mut (), TaskFn>(task);
                task(frame, begin, end, worker);
            }
            units_done += taken as u32;
            claim = self.claim.0.load(Acquire);
        }
        if units_done == 0 {
            return None;
        }
        let units = self.fields.0.units.load(Relaxed);
        // Publishes what the tasks wrote. Afterwards the next job may be opened, so the fields are not read.
        let before = self.done.0.fetch_add(units_done, Release);
        (before + units_done == units | CALLER_SLEEPS).then_some(&self.done.0)
    }

    /// Whether every chunk is done. If so, what the tasks wrote is visible to this thread.
    pub(super) fn is_complete(&self) -> bool {
        self.done.0.load(Acquire) & !CALLER_SLEEPS == self.fields.0.units.load(Relaxed)
    }

    /// Declares that the caller is about to sleep until the job is complete. Returns the word to sleep on and
    /// the value to sleep at; `None` if the job is complete already.
    pub(super) fn announce_sleep(&self) -> Option<(&AtomicU32, u32)> {
        let before = self.done.0.fetch_or(CALLER_SLEEPS, Acquire);
        let complete = before & !CALLER_SLEEPS == self.fields.0.units.load(Relaxed);
        (!complete).then_some((&self.done.0, before | CALLER_SLEEPS))
    }
}

/// The first chunk of a unit: units differ by at most one chunk.
fn first_chunk(unit: u64, units: u64, chunks: u64) -> u64 {
    if units == chunks {
        return unit;
    }
    (u128::from(unit) * u128::from(chunks) / u128::from(units)) as u64
}
