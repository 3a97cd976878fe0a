//! Machine code of kernels.
//!
//! The code generator knows Kernel IR and nothing else: no graph, no op, no step function. A kernel becomes one
//! function, a *task*: `extern "C" fn(frame: *const u8, begin: u64, end: u64, worker: u32)`, which runs chunks
//! `begin..end` of the kernel's schedule (see [`kernel`]).
//!
//! What is emitted for a kernel is said once, by `task` and what it calls: stages, folds, tiles, bodies. How it is emitted
//! is behind one trait, `VectorEmitter`, and which vectors there are, [`Vectors`] says.

mod access;
mod body;
mod calls;
mod check;
mod columns;
mod combine;
mod cpu;
mod cranelift;
mod emitter;
pub mod entry;
mod fold;
mod form;
mod forward;
pub mod fpmode;
pub mod frame;
mod kept;
pub mod kernel;
mod layout;
mod locals;
mod loops;
mod panel;
mod plan;
mod point;
mod reduce;
mod rows;
mod scan;
mod stage;
mod store;
mod strip;
mod target;
mod task;
#[cfg(test)]
#[expect(unsafe_code, reason = "tasks are called with memory that ends at a guard page")]
mod testing;
#[cfg(test)]
mod tests;
mod tile;
mod vectors;
mod wide;

pub(crate) use check::{check, largest_of_too_large};
pub(crate) use columns::Columns;
pub use cpu::{CpuLevel, Features};
pub(crate) use fold::accumulators_fit;
pub(crate) use forward::forward_to_module;
pub use locals::local_bytes;
pub(crate) use loops::even_blocks;
pub(crate) use panel::blocks_of_panels;
pub(crate) use plan::{Axes, dependencies, fold_operands, instruction_counts};
pub(crate) use rows::joined;
pub(crate) use strip::KEPT_VECTORS;
pub use target::Target;
pub use vectors::Vectors;

use std::fmt;

use cranelift_module::ModuleError;

/// Why no code was emitted.
#[derive(Debug)]
pub enum CodegenError {
    /// No code can be emitted for a target: what is wrong with it and what to use instead.
    Target(String),
    /// A kernel cannot be emitted with its schedule: its name and why.
    Kernel {
        /// Name of the kernel.
        kernel: String,
        /// What stands in the way.
        reason: String,
    },
    /// Cranelift refused what was emitted; a bug of the code generator.
    Module(Box<ModuleError>),
}

impl From<ModuleError> for CodegenError {
    fn from(error: ModuleError) -> CodegenError {
        CodegenError::Module(Box::new(error))
    }
}

impl fmt::Display for CodegenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodegenError::Target(what) => f.write_str(what),
            CodegenError::Kernel { kernel, reason } => {
                write!(f, "kernel `{kernel}` cannot be emitted: {reason}")
            }
            CodegenError::Module(e) => write!(f, "the code generator emitted a wrong function: {e}"),
        }
    }
}

impl std::error::Error for CodegenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CodegenError::Module(e) => Some(e),
            _ => None,
        }
    }
}
