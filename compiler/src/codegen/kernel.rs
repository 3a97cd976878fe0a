//! Emits kernels into a module.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use cranelift_codegen::Context;
use cranelift_module::{FuncId, Linkage, Module, default_libcall_names};
use cranelift_object::{ObjectBuilder, ObjectModule};
use target_lexicon::Architecture;

use super::form::Form;
use super::task::{ChunkCount, Task, task_signature};
use super::{CodegenError, Target, Vectors, cranelift, wide};
use crate::kernel::{BufferId, Kernel, KernelFunction};

/// A kernel that was emitted into a module.
#[derive(Clone, Debug)]
pub struct EmittedKernel {
    /// The task, a [`TaskFn`](bessemer_runtime::abi::TaskFn).
    pub func: FuncId,
    /// The buffers whose base pointers its frame holds, in order. Local buffers are not among them.
    pub buffers: Vec<BufferId>,
    /// Bytes of per-worker scratch that it needs for local buffers and panels, a multiple of 64.
    pub worker_bytes: usize,
    /// How many chunks it has.
    pub chunks: ChunkCount,
}

/// The code of the kernels of a module, so that what is the same is emitted once.
#[derive(Debug, Default)]
pub struct KnownCode(HashMap<Form, FuncId>);

/// Emits a kernel of `function` into `module`, as its schedule says; not again if `known` of the module has its code.
///
/// # Errors
/// [`CodegenError::Kernel`] if its schedule does not fit it or its code would be too large, [`CodegenError::Module`]
/// if Cranelift refuses the code.
pub fn emit_kernel(
    module: &mut dyn Module,
    target: &Target,
    function: &KernelFunction,
    kernel: &Kernel,
    known: &mut KnownCode,
) -> Result<EmittedKernel, CodegenError> {
    let task = task(target, function, kernel)?;
    let func = match known.0.entry(Form::of(&task)) {
        Entry::Occupied(same) => *same.get(),
        Entry::Vacant(new) => {
            let func = declare(module, target, function, kernel)?;
            match target.vectors() {
                // The module takes the bytes as they are.
                Vectors::Wide(level) => {
                    let bytes = wide::assemble_task(level, &task);
                    module.define_function_bytes(func, wide::ALIGNMENT, &bytes, &[])?;
                }
                Vectors::None | Vectors::Cranelift { .. } => {
                    let mut context = cranelift::build_task(module, target, &task)?;
                    module.define_function(func, &mut context)?;
                }
            }
            *new.insert(func)
        }
    };
    Ok(EmittedKernel {
        func,
        worker_bytes: task.layout.worker_bytes,
        chunks: task.chunks,
        buffers: task.layout.framed,
    })
}

/// The code of a kernel for people: as Cranelift's IR before it is optimised, empty where there is none, and as assembly.
///
/// # Errors
/// As [`emit_kernel`].
pub fn dump(
    target: &Target,
    function: &KernelFunction,
    kernel: &Kernel,
) -> Result<(String, String), CodegenError> {
    let task = task(target, function, kernel)?;
    if let Vectors::Wide(level) = target.vectors() {
        return Ok((String::new(), disassemble(target, &wide::assemble_task(level, &task))));
    }
    let builder = ObjectBuilder::new(target.isa()?, "dump", default_libcall_names())?;
    let mut module = ObjectModule::new(builder);
    let func = declare(&mut module, target, function, kernel)?;
    let mut context: Context = cranelift::build_task(&mut module, target, &task)?;
    let clif = context.func.display().to_string();
    context.set_disasm(true);
    module.define_function(func, &mut context)?;
    let assembly = context.compiled_code().and_then(|code| code.vcode.clone()).unwrap_or_default();
    Ok((clif, assembly))
}

/// The instructions of a function that is given as bytes; nothing on architectures whose instructions are not known here.
pub(crate) fn disassemble(target: &Target, bytes: &[u8]) -> String {
    match target.triple().architecture {
        Architecture::X86_64 => wide::disassemble(bytes),
        _ => String::new(),
    }
}

fn task<'k>(
    target: &Target,
    function: &'k KernelFunction,
    kernel: &'k Kernel,
) -> Result<Task<'k>, CodegenError> {
    Task::new(target, function, kernel)
        .map_err(|reason| CodegenError::Kernel { kernel: kernel.name.clone(), reason })
}

fn declare(
    module: &mut dyn Module,
    target: &Target,
    function: &KernelFunction,
    kernel: &Kernel,
) -> Result<FuncId, CodegenError> {
    let name = format!("{}.{}", function.name, kernel.name);
    Ok(module.declare_function(&name, Linkage::Local, &task_signature(target))?)
}
