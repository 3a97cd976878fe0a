//! Constants of training that are kept in variables, so that they may be changed.

use super::Handle;
use super::handle;
use super::message::{Reason, Reporter};
use super::program::element_type;
use super::variables::read;
use crate::abi::{Artefact, ElementType, Status, TensorRecord};
use core::ffi::c_char;

/// Makes `value` the value of all constants of this name, or that have it as the last part of theirs.
///
/// # Errors
/// [`Status::NotFound`] if there is none; [`Status::InvalidArgument`] if it is no finite number or something is null;
/// [`Status::Busy`].
///
/// # Safety
/// See the [module](super).
pub unsafe fn set_constant(
    artefact: &Artefact,
    pointer: *mut Handle,
    name: *const c_char,
    value: f64,
) -> i32 {
    Reporter::run(artefact, |reporter| {
        // SAFETY: by the contract of the module.
        let (handle, name) = unsafe { (handle(reporter, pointer)?, reporter.text(name, "name")?) };
        set(reporter, handle, name.to_bytes(), value)
    })
}

/// The value of the first constant of this name, or that has it as the last part of its own.
///
/// # Errors
/// As [`set_constant`].
///
/// # Safety
/// See the [module](super).
pub unsafe fn constant(
    artefact: &Artefact,
    pointer: *const Handle,
    name: *const c_char,
    out: *mut f64,
) -> i32 {
    read(artefact, pointer, out, |reporter, state| {
        // SAFETY: by the contract of the module.
        let name = unsafe { reporter.text(name, "name") }?;
        let found = find(reporter, name.to_bytes()).next();
        let variable = found.ok_or_else(|| none(reporter, name.to_bytes()))?;
        let bytes = state.bytes(variable.offset as usize, variable.bytes as usize)?;
        match (element_type(variable), bytes) {
            (ElementType::F64, &[a, b, c, d, e, f, g, h]) => Ok(f64::from_ne_bytes([a, b, c, d, e, f, g, h])),
            (_, &[a, b, c, d]) => Ok(f64::from(f32::from_ne_bytes([a, b, c, d]))),
            _ => Err(Status::NotFound.into()),
        }
    })
}

const LEARNING_RATE: &core::ffi::CStr = c"learning_rate";

/// [`set_constant`] of the learning rate.
///
/// # Errors
/// As [`set_constant`].
///
/// # Safety
/// See the [module](super).
pub unsafe fn set_learning_rate(artefact: &Artefact, pointer: *mut Handle, rate: f64) -> i32 {
    // SAFETY: by the contract of the module.
    unsafe { set_constant(artefact, pointer, LEARNING_RATE.as_ptr(), rate) }
}

/// [`constant`] of the learning rate.
///
/// # Errors
/// As [`constant`].
///
/// # Safety
/// See the [module](super).
pub unsafe fn learning_rate(artefact: &Artefact, pointer: *const Handle, out: *mut f64) -> i32 {
    // SAFETY: by the contract of the module.
    unsafe { constant(artefact, pointer, LEARNING_RATE.as_ptr(), out) }
}

fn set(reporter: Reporter<'_>, handle: &Handle, name: &[u8], value: f64) -> Result<(), Reason> {
    if find(reporter, name).next().is_none() {
        return Err(none(reporter, name));
    }
    if !value.is_finite() {
        let name = core::str::from_utf8(name).unwrap_or("?");
        return Err(reporter.invalid(format_args!("the value for `{name}` is not a finite number")));
    }
    handle.with(|instance| {
        let mut state = instance.state_mut()?;
        for variable in find(reporter, name) {
            let bytes = state.bytes(variable.offset as usize, variable.bytes as usize)?;
            match element_type(variable) {
                ElementType::F64 => bytes.copy_from_slice(&value.to_ne_bytes()),
                _ => bytes.copy_from_slice(&(value as f32).to_ne_bytes()),
            }
        }
        Ok(())
    })
}

/// The constants whose variables have this name, or have it as the last part of theirs, before any `.`.
fn find<'a>(reporter: Reporter<'a>, name: &'a [u8]) -> impl Iterator<Item = &'a TensorRecord> {
    let program = reporter.program();
    program.variables().iter().filter(move |variable| {
        let full = program.text(variable.name).as_bytes();
        let last = full.rsplit(|&b| b == b'/').next().unwrap_or(full);
        let stem = last.split(|&b| b == b'.').next().unwrap_or(last);
        variable.flags & TensorRecord::CONSTANT != 0 && (full == name || stem == name)
    })
}

fn none(reporter: Reporter<'_>, name: &[u8]) -> Reason {
    let name = core::str::from_utf8(name).unwrap_or("?");
    let text = format_args!(
        "`{}` has no constant `{name}` that may be changed: `--mutable` names those that it is to have",
        reporter.program().name()
    );
    reporter.say(Status::NotFound, text)
}
