//! What code compiled by Bessemer needs at run time.
//!
//! Generated code is freestanding: it reaches the outside only through the [`abi::Context`] that its caller
//! passes, and keeps everything it remembers in a state block that its caller owns. This crate is such a
//! caller. It knows no graph and no compiler; it sees entry points, tasks, offsets and bytes.
//!
//! | module | holds |
//! |---|---|
//! | [`abi`] | the layout that generated code and its callers agree on: plain data, no behaviour |
//! | [`instance`] | a program with its state and scratch, and who may call it when |
//! | [`library`] | the functions of a shared library, whatever its program |
//! | [`memory`] | zeroed, aligned blocks of memory, for tests with guard pages |
//! | [`pool`] | the thread pool that runs the chunks of a kernel |
#![no_std]

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!(
    "bessemer-runtime needs 64-bit Linux (futexes, mmap, cgroups); \
     on another system, link the emitted object file and pass it a context of your own"
);

pub mod abi;
pub mod instance;
pub mod library;
pub mod memory;
pub mod pool;

mod cores;
mod index_error;
mod sys;

pub use cores::available_cores;
pub use index_error::report_index_error;
