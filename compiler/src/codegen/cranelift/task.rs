//! The function around the code of a task: its parameters, and the floating-point mode.

use cranelift_codegen::Context;
use cranelift_codegen::ir::{Block, InstBuilder, MemFlagsData, Value, types};
use cranelift_entity::SecondaryMap;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_module::Module;

use super::emitter::CraneliftEmitter;
use crate::codegen::access::Bases;
use crate::codegen::loops::Emission;
use crate::codegen::task::{Parameters, Task, task_signature};
use crate::codegen::{CodegenError, Target, fpmode, frame};

/// Builds the function of a task.
///
/// # Errors
/// [`CodegenError::Module`] if the module refuses the functions that set the floating-point mode.
pub(in crate::codegen) fn build_task(
    module: &mut dyn Module,
    target: &Target,
    task: &Task<'_>,
) -> Result<Context, CodegenError> {
    let mode = fpmode::declare(module, target)?;
    let mut context = module.make_context();
    context.func.signature = task_signature(target);
    let mut parts = FunctionBuilderContext::new();
    let mut builder = FunctionBuilder::new(&mut context.func, &mut parts);
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    if task.chunks.most() > 0 {
        let saved = mode.enter(module, &mut builder);
        let (context, bases, parameters) = load_parameters(&mut builder, entry, task);
        let e = CraneliftEmitter::new(&mut builder, target, context, &task.fills());
        task.emit(&mut Emission { e, bases }, &parameters);
        saved.leave(&mut builder);
    }
    builder.ins().return_(&[]);
    builder.seal_all_blocks();
    builder.finalize(module.target_config());
    Ok(context)
}

/// Loads the pointer to the context, the addresses of the buffers of the frame, and what the task is called with.
fn load_parameters(
    builder: &mut FunctionBuilder<'_>,
    entry: Block,
    task: &Task<'_>,
) -> (Value, Bases<Value>, Parameters<Value>) {
    let [frame, begin, end, worker] = *builder.block_params(entry) else {
        unreachable!("a task has four parameters")
    };
    let mut field =
        |offset: usize| builder.ins().load(types::I64, MemFlagsData::trusted(), frame, offset as i32);
    let context = field(frame::CONTEXT);
    let mut buffers = SecondaryMap::new();
    for (n, &buffer) in task.layout.framed.iter().enumerate() {
        buffers[buffer] = Some(field(frame::buffer(n)));
    }
    let batch = task.depends_on_batch().then(|| field(frame::batch(task.layout.framed.len())));
    let (base, stride) = (field(frame::WORKER_BASE), field(frame::WORKER_STRIDE));
    let worker = builder.ins().uextend(types::I64, worker);
    let offset = builder.ins().imul(worker, stride);
    let worker = builder.ins().iadd(base, offset);
    (context, Bases { buffers, panels: [None; 2], batch }, Parameters { begin, end, worker })
}
