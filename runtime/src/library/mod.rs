//! The functions of a shared library, whatever its program.
//!
//! The C functions that a header declares are a few instructions each, emitted by the compiler: they put their
//! arguments into an array and call the function of this module that has their name, with the [`Artefact`] first. So
//! what is hard is written once, here: checks, memory, messages, files.
//!
//! Each of them gives the code of a [`Status`]. One that is not `Ok` has changed nothing, and its reason is the text
//! that [`last_error`] gives on the same thread.
//!
//! - `program` reads the description of a program;
//! - `message` keeps the text of the last error;
//! - `call` runs entry points;
//! - `variables` reads and writes variables;
//! - `constants` changes constants of training;
//! - `checkpoint` saves and loads them;
//! - `info` tells what there is.
//!
//! # Safety
//!
//! All functions that take a handle demand that it is null or came from [`create`] of the same artefact and was not
//! destroyed; and that pointers are null, or good for what the header says. Null is always refused.

mod call;
mod checkpoint;
mod constants;
mod info;
mod message;
mod program;
mod variables;

pub use call::{call, init};
pub use checkpoint::{load, save};
pub use constants::{constant, learning_rate, set_constant, set_learning_rate};
pub use info::{
    EntryInfo, TensorInfo, argument, batch_size, check_header, entry, entry_count, parameter_count,
    scratch_bytes, state_bytes, variable, variable_count,
};
pub use message::{last_error, status_text};
pub use program::Program;
pub use variables::{get_parameters, get_variable, seed, set_parameters, set_step, set_variable, step};

use crate::abi::{Artefact, ProgramRecord, Status};
use crate::cores::available_cores;
use crate::instance::{Access, Gate, Instance, Threads};
use crate::memory::Owned;
use crate::pool::Pool;
use core::cell::UnsafeCell;
use core::ptr::{self, NonNull};
use message::{Reason, Reporter};

/// An instance as C sees it: opaque.
#[repr(C)]
pub struct Handle {
    /// Whose it is.
    artefact: *const Artefact,
    /// Passed by every call: exclusively by those that replace the threads, shared by all others.
    gate: Gate,
    instance: UnsafeCell<Instance>,
}

impl Handle {
    /// Does something with the instance.
    ///
    /// # Errors
    /// [`Status::Busy`] if its threads are just being replaced; what `body` says.
    fn with<T, E: From<Status>>(&self, body: impl FnOnce(&Instance) -> Result<T, E>) -> Result<T, E> {
        let _pass = self.gate.pass(Access::Shared)?;
        // SAFETY: the instance is borrowed mutably only by those who passed the gate exclusively.
        body(unsafe { &*self.instance.get() })
    }

    /// Runs kernels on so many threads from now on; 0 means as many as there are cores for this process.
    fn set_threads(&self, count: u32) -> Result<(), Status> {
        let _pass = self.gate.pass(Access::Exclusive)?;
        let threads = threads(count)?;
        // SAFETY: the gate was passed exclusively, so nobody else borrows the instance.
        unsafe { (*self.instance.get()).set_threads(threads) }
    }
}

fn threads(count: u32) -> Result<Threads, Status> {
    let count = if count == 0 { available_cores().min(Pool::MAX_THREADS) } else { count };
    if count == 1 { Ok(Threads::serial()) } else { Pool::new(count).map(Threads::from) }
}

/// The handle behind a pointer, where there is one of this artefact.
///
/// # Safety
/// See the [module](self).
unsafe fn handle<'a>(reporter: Reporter<'_>, pointer: *const Handle) -> Result<&'a Handle, Reason> {
    // SAFETY: by the contract of the module.
    let Some(handle) = (unsafe { pointer.as_ref() }) else {
        return Err(reporter.null("instance"));
    };
    if !ptr::eq(handle.artefact, reporter.artefact) {
        return Err(reporter.invalid(format_args!("this is no instance of `{}`", reporter.program().name())));
    }
    Ok(handle)
}

/// Makes an instance, with all variables zero, on as many threads as there are cores for this process; [`init`] or
/// [`load`] does the rest.
///
/// # Errors
/// [`Status::UnsupportedCpu`], [`Status::OutOfMemory`], [`Status::NoThreads`], [`Status::AbiMismatch`];
/// [`Status::InvalidArgument`] if `out` is null.
///
/// # Safety
/// See the [module](self).
pub unsafe fn create(artefact: &Artefact, out: *mut *mut Handle) -> i32 {
    Reporter::run(artefact, |reporter| {
        if out.is_null() {
            return Err(reporter.null("out"));
        }
        let record = reporter.program().record();
        let instance = Instance::new(record.layout, threads(u32::from(is_serial(record)))?)?;
        // SAFETY: the state is as large as the program says.
        let setup = instance.run_with(Access::Exclusive, |_, state, _| unsafe { (artefact.setup)(state) });
        setup.map_err(|failure| {
            let (status, cpu) = (failure.status, reporter.program().text(record.cpu));
            reporter.say(status, format_args!("{status}: it needs {cpu}"))
        })?;
        let handle = Owned::new(Handle { artefact, gate: Gate::new(), instance: UnsafeCell::new(instance) })?;
        // SAFETY: `out` is good for a write, by the contract of the module.
        unsafe { out.write(Owned::into_raw(handle).as_ptr()) };
        Ok(())
    })
}

/// Ends an instance and frees its memory; null is ignored. No call on it may be in progress.
///
/// # Safety
/// See the [module](self).
pub unsafe fn destroy(artefact: &Artefact, pointer: *mut Handle) {
    if pointer.is_null() {
        return;
    }
    Reporter::run(artefact, |reporter| {
        // SAFETY: by the contract of the module. The handle came from `create` and is not used after this.
        unsafe {
            let handle = handle(reporter, pointer)?;
            drop(Owned::from_raw(NonNull::from(handle)));
        }
        Ok(())
    });
}

fn is_serial(record: &ProgramRecord) -> bool {
    record.flags & ProgramRecord::THREADS == 0
}

/// Runs kernels on so many threads from now on, the calling one included; 0 means as many as there are cores.
///
/// # Errors
/// [`Status::InvalidArgument`] for more than [`Pool::MAX_THREADS`], or more than one where the artefact was compiled
/// without threads; [`Status::Busy`], [`Status::OutOfMemory`], [`Status::NoThreads`].
///
/// # Safety
/// See the [module](self).
pub unsafe fn set_threads(artefact: &Artefact, pointer: *mut Handle, count: u32) -> i32 {
    Reporter::run(artefact, |reporter| {
        // SAFETY: by the contract of the module.
        let handle = unsafe { handle(reporter, pointer) }?;
        let is_serial = is_serial(reporter.program().record());
        let most = if is_serial { 1 } else { Pool::MAX_THREADS };
        if count > most {
            return Err(
                reporter.invalid(format_args!("it cannot run on {count} threads: the most is {most}"))
            );
        }
        Ok(handle.set_threads(if is_serial { 1 } else { count })?)
    })
}

/// Number of threads that kernels run on; 0 for null.
///
/// # Safety
/// See the [module](self).
pub unsafe fn thread_count(artefact: &Artefact, pointer: *const Handle) -> u32 {
    let mut count = 0;
    Reporter::run(artefact, |reporter| {
        // SAFETY: by the contract of the module.
        let handle = unsafe { handle(reporter, pointer) }?;
        count = handle.with(|instance| Ok::<_, Reason>(instance.threads().workers()))?;
        Ok(())
    });
    count
}
