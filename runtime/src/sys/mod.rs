//! The system calls that this crate makes, each behind a function of a few lines.
//!
//! Every use of the C library is in this folder. Functions are safe where no argument can break memory safety.

mod c;
pub(crate) mod clock;
pub(crate) mod cpu;
pub(crate) mod file;
pub(crate) mod fork;
pub(crate) mod futex;
pub(crate) mod pages;
pub(crate) mod thread;
