//! Object files: a program ahead of time.

use std::sync::{Arc, Mutex, PoisonError};

use cranelift_object::{ObjectBuilder, ObjectModule};

use crate::backend::{CompileError, Compiled, SourceModule, compile_into};
use crate::codegen::{CodegenError, Target};

/// Compiles functions to an object file for `target`.
///
/// The code is position independent and freestanding: the file has no undefined symbols and an unexecutable stack.
/// Entry points are exported as `PROGRAM_FUNCTION`; all other symbols are local. The same source and target give the
/// same bytes.
///
/// # Errors
/// As [`compile_into`]; and [`CodegenError::Target`] if the target has no object files, or lacks instructions for which
/// Cranelift would call a library.
pub fn emit_object(source: SourceModule, target: &Target) -> Result<(Compiled, Vec<u8>), CompileError> {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let called = Arc::clone(&calls);
    let names = Box::new(move |call| {
        let name = format!("{call}");
        called.lock().unwrap_or_else(PoisonError::into_inner).push(name.clone());
        name
    });
    let unavailable = |e: &dyn std::fmt::Display| {
        CodegenError::Target(format!("no object file for `{}`: {e}", target.triple()))
    };
    let builder =
        ObjectBuilder::new(target.isa()?, source.name.as_str(), names).map_err(|e| unavailable(&e))?;
    let mut module = ObjectModule::new(builder);
    let compiled = compile_into(&mut module, target, source)?;
    let object = module.finish();
    let calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(call) = calls.first() {
        return Err(unavailable(&format!("the code would call the library function `{call}`")).into());
    }
    let bytes = object.emit().map_err(|e| unavailable(&e))?;
    Ok((compiled, bytes))
}

#[cfg(test)]
mod tests;
