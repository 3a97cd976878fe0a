//! The system calls that this crate makes, each behind a function of a few lines.
//!
//! Every use of `libc` is in this folder. Functions are safe where no argument can break memory safety.

pub(crate) mod clock;
pub(crate) mod cpu;
pub(crate) mod file;
pub(crate) mod fork;
pub(crate) mod futex;
pub(crate) mod pages;
pub(crate) mod thread;
