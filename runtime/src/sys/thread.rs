//! Threads.

use super::c;
use core::ffi::{CStr, c_void};
use core::mem::MaybeUninit;
use core::ptr;

/// What a thread runs; the result is ignored.
pub(crate) type Main = extern "C" fn(*mut c_void) -> *mut c_void;

/// Starts a thread that runs `main(argument)` with all signals blocked, so that the process's handlers run on
/// threads of its own. Returns the thread's id, as [`current_id`] has it there; `None` if the system refuses.
///
/// # Safety
/// `main` may be called with `argument` on another thread.
pub(crate) unsafe fn spawn(main: Main, argument: *mut c_void) -> Option<usize> {
    let mut all = MaybeUninit::<c::SigSet>::uninit();
    let mut before = MaybeUninit::<c::SigSet>::uninit();
    let mut thread = MaybeUninit::<c::Pthread>::uninit();
    // SAFETY: each call initialises the set or thread that it is given before the next reads it; a new thread
    // inherits the mask; `main` and `argument` go together by this function's contract.
    unsafe {
        c::sigfillset(all.as_mut_ptr());
        c::pthread_sigmask(c::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        let result = c::pthread_create(thread.as_mut_ptr(), ptr::null(), main, argument);
        c::pthread_sigmask(c::SIG_SETMASK, before.as_ptr(), ptr::null_mut());
        (result == 0).then(|| thread.assume_init())
    }
}

/// Waits until a thread has returned from its main function.
///
/// # Safety
/// `id` came from [`spawn`], the thread is not the calling one, and it is joined once.
pub(crate) unsafe fn join(id: usize) {
    // SAFETY: by this function's contract the thread is joinable.
    unsafe { c::pthread_join(id as c::Pthread, ptr::null_mut()) };
}

/// A number that no other living thread of this process has; never 0.
pub(crate) fn current_id() -> usize {
    // SAFETY: always callable.
    unsafe { c::pthread_self() as usize }
}

/// Names the calling thread for debuggers and `top`: at most 15 bytes.
pub(crate) fn name_current(name: &CStr) {
    // SAFETY: `name` ends in a NUL; a name that is too long is refused.
    unsafe { c::pthread_setname_np(c::pthread_self(), name.as_ptr()) };
}

/// Lets another thread have this CPU.
pub(crate) fn yield_now() {
    // SAFETY: always callable.
    unsafe { c::sched_yield() };
}
