//! Keeping the record of an index out of range the same for any number of threads.

use crate::abi::{Context, IndexError};
use crate::sys::thread;
use core::hint;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Turns that a thread spins on the lock before it lets another have the CPU.
const TURNS_PER_YIELD: u32 = 64;

/// The runtime's [`IndexErrorFn`](crate::abi::IndexErrorFn): of all reports on a context, the one with the
/// smallest `(site, position)` stays in its [`IndexError`], whatever the order in which they come.
///
/// # Safety
/// `ctx` is valid while this runs, and its [`IndexError`] is written by this function alone.
pub unsafe extern "C" fn report_index_error(ctx: *mut Context, site: u32, position: u64, value: i64) {
    // SAFETY: `ctx` is valid. Only the flag is borrowed: the other fields belong to the thread that locks.
    let (flag, record) = unsafe { (&(*ctx).index_error.flag, &raw mut (*ctx).index_error) };
    let before = lock(flag);
    // SAFETY: the flag is locked, so no other thread is in this block for this record.
    unsafe {
        let is_first = before != IndexError::RECORDED;
        if is_first || (site, position) < ((*record).site, (*record).position) {
            (*record).site = site;
            (*record).position = position;
            (*record).value = value;
        }
    }
    flag.store(IndexError::RECORDED, Release);
}

/// Waits until the flag is not locked, locks it, and returns what it was.
fn lock(flag: &AtomicU32) -> u32 {
    let mut turns = 0u32;
    loop {
        let before = flag.load(Relaxed);
        if before != IndexError::LOCKED
            && flag.compare_exchange_weak(before, IndexError::LOCKED, Acquire, Relaxed).is_ok()
        {
            return before;
        }
        // The holder may have been put off its CPU.
        turns = turns.wrapping_add(1);
        if turns.is_multiple_of(TURNS_PER_YIELD) {
            thread::yield_now();
        } else {
            hint::spin_loop();
        }
    }
}
