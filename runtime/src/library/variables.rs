//! Reading and writing variables, and what else a state holds.

use super::message::{Reason, Reporter};
use super::program::element_type;
use super::{Handle, handle};
use crate::abi::{Artefact, Status, TensorRecord};
use crate::instance::{StateMut, StateRef};
use core::ffi::c_char;

/// Copies the elements of the variable with this name, row-major, to `out`, which has room for `count` of them.
///
/// # Errors
/// [`Status::NotFound`]; [`Status::InvalidArgument`] if it has not `count` elements or something is null;
/// [`Status::Busy`] if a call that assigns variables is in progress.
///
/// # Safety
/// See the [module](super).
pub unsafe fn get_variable(
    artefact: &Artefact,
    pointer: *const Handle,
    name: *const c_char,
    out: *mut u8,
    count: usize,
) -> i32 {
    Reporter::run(artefact, |reporter| {
        // SAFETY: by the contract of the module; `out` has room for the variable.
        unsafe {
            let handle = handle(reporter, pointer)?;
            let variable = find(reporter, name, count)?;
            copy_out(reporter, handle, [variable], out)
        }
    })
}

/// Copies `count` elements, row-major, to the variable with this name.
///
/// # Errors
/// As [`get_variable`]; [`Status::Busy`] if any call is in progress.
///
/// # Safety
/// See the [module](super).
pub unsafe fn set_variable(
    artefact: &Artefact,
    pointer: *mut Handle,
    name: *const c_char,
    values: *const u8,
    count: usize,
) -> i32 {
    Reporter::run(artefact, |reporter| {
        // SAFETY: by the contract of the module; `values` are as many as the variable has.
        unsafe {
            let handle = handle(reporter, pointer)?;
            let variable = find(reporter, name, count)?;
            copy_in(reporter, handle, [variable], values)
        }
    })
}

/// Copies all variables that training changes, without slots of optimizers, one after the other, to `out`, which has
/// room for `bytes` bytes.
///
/// # Errors
/// [`Status::InvalidArgument`] if they have not `bytes` bytes together or something is null; [`Status::Busy`].
///
/// # Safety
/// See the [module](super).
pub unsafe fn get_parameters(artefact: &Artefact, pointer: *const Handle, out: *mut u8, bytes: usize) -> i32 {
    Reporter::run(artefact, |reporter| {
        // SAFETY: by the contract of the module; `out` has room for them, as is checked.
        unsafe {
            let handle = handle(reporter, pointer)?;
            check_bytes(reporter, bytes)?;
            copy_out(reporter, handle, trained(reporter), out)
        }
    })
}

/// Copies `bytes` bytes to all variables that training changes: what [`get_parameters`] gives.
///
/// # Errors
/// As [`get_parameters`]; [`Status::Busy`] if any call is in progress.
///
/// # Safety
/// See the [module](super).
pub unsafe fn set_parameters(
    artefact: &Artefact,
    pointer: *mut Handle,
    values: *const u8,
    bytes: usize,
) -> i32 {
    Reporter::run(artefact, |reporter| {
        // SAFETY: by the contract of the module; `values` are as many as there must be, as is checked.
        unsafe {
            let handle = handle(reporter, pointer)?;
            check_bytes(reporter, bytes)?;
            copy_in(reporter, handle, trained(reporter), values)
        }
    })
}

/// The variable with this name and number of elements.
///
/// # Safety
/// See the [module](super).
unsafe fn find<'a>(
    reporter: Reporter<'a>,
    name: *const c_char,
    count: usize,
) -> Result<&'a TensorRecord, Reason> {
    // SAFETY: by the contract of the module.
    let name = unsafe { reporter.text(name, "name") }?;
    let program = reporter.program();
    let found = program.variables().iter().find(|v| program.text(v.name).as_bytes() == name.to_bytes());
    let Some(variable) = found else {
        let shown = name.to_str().unwrap_or("?");
        return Err(
            reporter.say(Status::NotFound, format_args!("`{}` has no variable `{shown}`", program.name()))
        );
    };
    let elements = variable.bytes as usize / element_type(variable).bytes();
    if elements != count {
        return Err(reporter.invalid(format_args!(
            "`{}` is {}: it has {elements} elements, not {count}",
            program.text(variable.name),
            program.type_of(variable)
        )));
    }
    Ok(variable)
}

/// The variables that training changes, in order.
fn trained<'a>(reporter: Reporter<'a>) -> impl Iterator<Item = &'a TensorRecord> {
    reporter.program().variables().iter().filter(|v| v.flags & TensorRecord::TRAINED != 0)
}

fn check_bytes(reporter: Reporter<'_>, bytes: usize) -> Result<(), Reason> {
    let expected: u64 = trained(reporter).map(|v| v.bytes).sum();
    match expected == bytes as u64 {
        true => Ok(()),
        false => Err(reporter.invalid(format_args!("the parameters have {expected} bytes, not {bytes}"))),
    }
}

/// Copies variables to `out`, one after the other.
///
/// # Safety
/// `out` is null or has room for them.
unsafe fn copy_out<'a>(
    reporter: Reporter<'_>,
    handle: &Handle,
    variables: impl IntoIterator<Item = &'a TensorRecord>,
    mut out: *mut u8,
) -> Result<(), Reason> {
    handle.with(|instance| {
        let state = instance.state()?;
        for variable in variables {
            for (offset, len) in reporter.program().runs(variable) {
                let bytes = state.bytes(offset, len)?;
                if out.is_null() {
                    return Err(reporter.null("out"));
                }
                // SAFETY: by this function's contract; the state is this library's own memory.
                unsafe {
                    out.copy_from_nonoverlapping(bytes.as_ptr(), len);
                    out = out.add(len);
                }
            }
        }
        Ok(())
    })
}

/// Copies `values` to variables, one after the other.
///
/// # Safety
/// `values` is null or leads to as many bytes as they have.
unsafe fn copy_in<'a>(
    reporter: Reporter<'_>,
    handle: &Handle,
    variables: impl IntoIterator<Item = &'a TensorRecord>,
    mut values: *const u8,
) -> Result<(), Reason> {
    handle.with(|instance| {
        let mut state = instance.state_mut()?;
        for variable in variables {
            for (offset, len) in reporter.program().runs(variable) {
                let bytes = state.bytes(offset, len)?;
                // It is null for the first of them, or for none.
                if values.is_null() {
                    return Err(reporter.null("values"));
                }
                // SAFETY: by this function's contract; the state is this library's own memory.
                unsafe {
                    bytes.as_mut_ptr().copy_from_nonoverlapping(values, len);
                    values = values.add(len);
                }
            }
        }
        Ok(())
    })
}

/// How many calls that assign variables were completed since `init`: what random operations depend on, and what is saved.
///
/// # Errors
/// [`Status::InvalidArgument`] if something is null; [`Status::Busy`].
///
/// # Safety
/// See the [module](super).
pub unsafe fn step(artefact: &Artefact, pointer: *const Handle, out: *mut u64) -> i32 {
    read(artefact, pointer, out, |_, state| Ok(state.header().step))
}

/// The seed that `init` was given.
///
/// # Errors
/// As [`step`].
///
/// # Safety
/// See the [module](super).
pub unsafe fn seed(artefact: &Artefact, pointer: *const Handle, out: *mut u64) -> i32 {
    read(artefact, pointer, out, |_, state| Ok(state.header().seed))
}

/// Writes what is read from the state to `out`.
pub(super) fn read<T>(
    artefact: &Artefact,
    pointer: *const Handle,
    out: *mut T,
    read: impl FnOnce(Reporter<'_>, &StateRef<'_>) -> Result<T, Reason>,
) -> i32 {
    Reporter::run(artefact, |reporter| {
        // SAFETY: by the contract of the module, which this function's callers have.
        let handle = unsafe { handle(reporter, pointer) }?;
        if out.is_null() {
            return Err(reporter.null("out"));
        }
        let value = handle.with(|instance| read(reporter, &instance.state()?))?;
        // SAFETY: as above.
        unsafe { out.write(value) };
        Ok(())
    })
}

/// Sets what [`step`] gives.
///
/// # Errors
/// [`Status::InvalidArgument`] if the instance is null; [`Status::Busy`].
///
/// # Safety
/// See the [module](super).
pub unsafe fn set_step(artefact: &Artefact, pointer: *mut Handle, step: u64) -> i32 {
    Reporter::run(artefact, |reporter| {
        // SAFETY: by the contract of the module.
        let handle = unsafe { handle(reporter, pointer) }?;
        handle.with(|instance| {
            let mut state: StateMut<'_> = instance.state_mut()?;
            state.set_step(step);
            Ok(())
        })
    })
}
