//! Sleeping until a word in memory changes.

use super::c;
use core::ptr;
use core::sync::atomic::AtomicU32;

/// Sleeps until [`wake`] is called for `word`, unless `word` is no longer `expected`.
///
/// May return early for no reason: the caller looks again at what it waits for.
pub(crate) fn wait(word: &AtomicU32, expected: u32) {
    let forever = ptr::null::<c::Timespec>();
    // SAFETY: `word` is aligned and readable; a null timeout is allowed.
    unsafe {
        c::syscall(c::SYS_FUTEX, word.as_ptr(), c::FUTEX_WAIT | c::FUTEX_PRIVATE_FLAG, expected, forever);
    }
}

/// Wakes up to `count` threads that sleep in [`wait`] on `word`.
pub(crate) fn wake(word: &AtomicU32, count: u32) {
    let count = count.min(i32::MAX as u32);
    // SAFETY: the kernel only uses the address of `word` as a key.
    unsafe {
        c::syscall(c::SYS_FUTEX, word.as_ptr(), c::FUTEX_WAKE | c::FUTEX_PRIVATE_FLAG, count);
    }
}
