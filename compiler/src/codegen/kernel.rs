//! A kernel as a task.

use cranelift_module::{FuncId, Module};

use super::{CodegenError, Target};
use crate::kernel::{BufferId, Kernel, KernelFunction};

/// A kernel that was emitted into a module.
#[derive(Clone, Debug)]
pub struct EmittedKernel {
    /// The task.
    pub func: FuncId,
    /// The buffers whose base pointers its frame holds, in order. Local buffers are not among them.
    pub buffers: Vec<BufferId>,
    /// Bytes of per-worker scratch that it needs for local buffers and panels, a multiple of 64.
    pub worker_bytes: usize,
    /// How many chunks its schedule has: 1 if it is not cut, 0 if an axis of the kernel is empty.
    pub chunks: u64,
}

/// Emits a kernel of `function` into `module`, as its schedule says.
///
/// # Errors
/// [`CodegenError::Kernel`] if its schedule does not fit it or its code would be too large, [`CodegenError::Module`]
/// if Cranelift refuses the code.
pub fn emit_kernel(
    module: &mut dyn Module,
    target: &Target,
    function: &KernelFunction,
    kernel: &Kernel,
) -> Result<EmittedKernel, CodegenError> {
    let _ = (module, target, function);
    Err(CodegenError::Kernel { kernel: kernel.name.clone(), reason: "no stage can be emitted yet".into() })
}
