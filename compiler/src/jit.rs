//! Code in this process.
//!
//! The only module of the compiler with `unsafe`: it owns the memory of compiled code and calls into it. Pages are
//! written first and executable after, never both.

#![expect(unsafe_code, reason = "compiled code is called, and its memory freed, by pointers")]

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bessemer_runtime::abi::{EntryFn, ProgramLayout};
use bessemer_runtime::instance::{Access, Failure, Instance, Threads};
use cranelift_jit::{ArenaMemoryProvider, JITBuilder, JITModule};

use crate::backend::{CompileError, SourceModule, StepTimes, compile_into};
use crate::codegen::entry::MAX_CONSTANT_BYTES;
use crate::codegen::{CodegenError, Target};
use crate::program::{Entry, NamedType, Program};
use crate::tensor::{Tensor, dispatch};

/// Address space that is reserved for the code and the constants of a program, in bytes: little enough that all of it is
/// reached by 32-bit offsets. Only what is used takes memory.
const RESERVED_BYTES: usize = MAX_CONSTANT_BYTES + (1 << 29);

/// A program whose code is in this process. Its memory is freed when the last reference is gone.
pub struct JitProgram {
    program: Program,
    layout: ProgramLayout,
    times: StepTimes,
    entries: Vec<EntryFn>,
    _code: Code,
}

/// The memory of compiled code.
struct Code(Mutex<Option<JITModule>>);

impl JitProgram {
    /// Compiles functions for `target`, which must be one that this machine can run.
    ///
    /// # Errors
    /// As [`compile_into`]; and [`CodegenError::Target`] if the target is of another architecture or no memory could be
    /// had.
    pub fn compile(source: SourceModule, target: &Target) -> Result<Arc<JitProgram>, CompileError> {
        let refused =
            |why: &dyn fmt::Display| CodegenError::Target(format!("no code in this process: {why}"));
        let host = target_lexicon::Triple::host();
        if target.triple().architecture != host.architecture {
            return Err(
                refused(&format!("it would be for `{}`, this machine is `{host}`", target.triple())).into()
            );
        }
        // Nothing is looked up in the process by name: compiled code has no undefined symbols.
        let names = Box::new(|call| format!("no library function {call}"));
        let mut builder = JITBuilder::with_isa(target.jit_isa()?, names);
        let memory = ArenaMemoryProvider::new_with_size(RESERVED_BYTES).map_err(|e| refused(&e))?;
        builder.memory_provider(Box::new(memory));
        let mut module = JITModule::new(builder);
        let compiled = compile_into(&mut module, target, source)?;
        module.finalize_definitions().map_err(CodegenError::from)?;
        let entries = compiled
            .entries
            .iter()
            .map(|&id| {
                let address = module.get_finalized_function(id);
                // SAFETY: `emit_entry` gave the function this signature.
                unsafe { std::mem::transmute::<*const u8, EntryFn>(address) }
            })
            .collect();
        let code = Code(Mutex::new(Some(module)));
        Ok(Arc::new(JitProgram {
            layout: compiled.program.layout(),
            program: compiled.program,
            times: compiled.times,
            entries,
            _code: code,
        }))
    }

    /// What there is to know of it.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// How much memory a caller has to provide.
    pub fn layout(&self) -> &ProgramLayout {
        &self.layout
    }

    /// How long it took to compile.
    pub fn times(&self) -> &StepTimes {
        &self.times
    }

    /// Memory for variables and calls, with all variables zero.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`](bessemer_runtime::abi::Status::OutOfMemory).
    pub fn instance(&self, threads: Threads) -> Result<Instance, Failure> {
        Ok(Instance::new(self.layout, threads)?)
    }

    /// The entry point with this name.
    pub fn entry(self: &Arc<JitProgram>, name: &str) -> Option<CompiledEntry> {
        let (index, _) = self.program.entry(name)?;
        Some(CompiledEntry { program: Arc::clone(self), index })
    }
}

/// An entry point that can be called. It keeps its program's code alive.
#[derive(Clone)]
pub struct CompiledEntry {
    program: Arc<JitProgram>,
    index: usize,
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The instance has other variables than this program, or [no room](Instance::reserve) for its calls.
    OtherProgram,
    /// The number of arguments is wrong: how many are expected and how many there are, the parameters first.
    ArgumentCount {
        /// Expected parameters and results.
        expected: (usize, usize),
        /// Found parameters and results.
        found: (usize, usize),
    },
    /// An argument has the wrong type, or its elements are not in row-major order.
    ArgumentType {
        /// What is expected.
        expected: Box<NamedType>,
        /// What there is.
        found: String,
    },
    /// The call ended with an error, or the instance was busy.
    Failed(Failure),
}

impl CompiledEntry {
    /// What there is to know of it.
    pub fn entry(&self) -> &Entry {
        &self.program.program.entries[self.index]
    }

    /// Calls it on an instance of its program, or of one with the same variables that has room: reads `params` and overwrites `results`.
    ///
    /// # Errors
    /// See [`CallError`]. After [`CallError::Failed`] the results hold anything; variables are as they were.
    pub fn call(
        &self,
        instance: &Instance,
        params: &[&Tensor],
        results: &mut [Tensor],
    ) -> Result<(), CallError> {
        let entry = self.entry();
        if !instance.layout().has_room_for(self.program.layout()) {
            return Err(CallError::OtherProgram);
        }
        let expected = (entry.params.len(), entry.results.len());
        let found = (params.len(), results.len());
        if expected != found {
            return Err(CallError::ArgumentCount { expected, found });
        }
        let mut args = Vec::with_capacity(params.len() + results.len());
        for (expected, tensor) in entry.params.iter().zip(params) {
            check(expected, tensor)?;
            // Entry points only read through it.
            args.push(dispatch!(tensor, a => a.as_ptr().cast::<u8>().cast_mut()));
        }
        for (expected, tensor) in entry.results.iter().zip(results) {
            check(expected, tensor)?;
            args.push(dispatch!(tensor, a => a.as_mut_ptr().cast::<u8>()));
        }
        let access = if entry.exclusive { Access::Exclusive } else { Access::Shared };
        let function = self.program.entries[self.index];
        // SAFETY: the instance has at least the memory that the layout of this program demands, and its state is headed by
        // the program's fingerprint. `access` says whether variables are assigned. Every argument was checked to be a dense
        // array of the type that the entry point expects; results are borrowed mutably, so they overlap nothing.
        // The code is alive, for `self` holds its program.
        unsafe { instance.run(function, &args, access) }.map_err(CallError::Failed)
    }

    /// The address of the entry point, for callers with contexts of their own.
    ///
    /// It must not be called after the last reference to the program is gone.
    pub fn address(&self) -> EntryFn {
        self.program.entries[self.index]
    }
}

fn check(expected: &NamedType, tensor: &Tensor) -> Result<(), CallError> {
    let refuse = |found: String| CallError::ArgumentType { expected: Box::new(expected.clone()), found };
    if tensor.dtype() != expected.ty.dtype || !expected.ty.shape.is(tensor.shape()) {
        return Err(refuse(tensor.ty().to_string()));
    }
    match dispatch!(tensor, a => a.is_standard_layout()) {
        true => Ok(()),
        false => Err(refuse(format!("{} that is not in row-major order", tensor.ty()))),
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        let module = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = module.take() {
            // SAFETY: function pointers are only reached through a `JitProgram`, which owns this and is gone.
            unsafe { module.free_memory() };
        }
    }
}

impl fmt::Debug for JitProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JitProgram").field("program", &self.program).finish_non_exhaustive()
    }
}

impl fmt::Debug for CompiledEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CompiledEntry").field(&self.entry().name).finish()
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::OtherProgram => f.write_str("the instance has other variables than this program, or no room for it: call `Instance::reserve`"),
            CallError::ArgumentCount { expected, found } => write!(
                f,
                "expected {} parameters and {} results, found {} and {}",
                expected.0, expected.1, found.0, found.1
            ),
            CallError::ArgumentType { expected, found } => {
                write!(f, "`{}` is {}, found {found}", expected.name, expected.ty)
            }
            CallError::Failed(failure) => failure.fmt(f),
        }
    }
}

impl std::error::Error for CallError {}

#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
