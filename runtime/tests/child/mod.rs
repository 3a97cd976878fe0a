//! Running a piece of a test in a forked child.

use std::io;

/// How a child ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// It returned from the piece, which said `true` or `false`.
    Said(bool),
    /// A signal ended it.
    Signal(i32),
}

/// Forks, runs `piece` in the child, and says how that ended. A child that hangs is ended by SIGALRM.
///
/// The child has one thread and inherits locks as they were, so `piece` must not allocate or print.
pub fn run_in_child(piece: impl FnOnce() -> bool) -> End {
    // SAFETY: the child calls only what is safe after a fork: `alarm`, the piece, `_exit`.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork: {}", io::Error::last_os_error());
    if child == 0 {
        // SAFETY: no pointers.
        unsafe { libc::alarm(20) };
        let said = piece();
        // SAFETY: no pointers.
        unsafe { libc::_exit(if said { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: `status` is valid for writes.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(waited, child, "waitpid: {}", io::Error::last_os_error());
    if libc::WIFSIGNALED(status) {
        End::Signal(libc::WTERMSIG(status))
    } else {
        End::Said(libc::WEXITSTATUS(status) == 0)
    }
}
