//! A kernel as a task.

use cranelift_codegen::Context;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AbiParam, InstBuilder, MemFlagsData, Signature, Value, types};
use cranelift_entity::SecondaryMap;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_module::{FuncId, Linkage, Module, default_libcall_names};
use cranelift_object::{ObjectBuilder, ObjectModule};

use super::access::Bases;
use super::check::check;
use super::cranelift_emitter::CraneliftEmitter;
use super::emitter::VectorEmitter;
use super::layout::Layout;
use super::loops::{Emission, Length, Span};
use super::point::Coord;
use super::stage::StageCode;
use super::{CodegenError, Target, fpmode, frame};
use crate::kernel::{BufferId, InstKind, Kernel, KernelFunction, StageSchedule};
use crate::tensor::Scalar;

/// A kernel that was emitted into a module.
#[derive(Clone, Debug)]
pub struct EmittedKernel {
    /// The task, a [`TaskFn`](bessemer_runtime::abi::TaskFn).
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
    let mut context = module.make_context();
    let emitted = build(module, &mut context, target, function, kernel)?;
    module.define_function(emitted.func, &mut context)?;
    Ok(emitted)
}

/// The code of a kernel for people: as Cranelift's IR before it is optimised, and as assembly.
///
/// # Errors
/// As [`emit_kernel`].
pub fn dump(
    target: &Target,
    function: &KernelFunction,
    kernel: &Kernel,
) -> Result<(String, String), CodegenError> {
    let builder = ObjectBuilder::new(target.isa()?, "dump", default_libcall_names())?;
    let mut module = ObjectModule::new(builder);
    let mut context = module.make_context();
    let emitted = build(&mut module, &mut context, target, function, kernel)?;
    let clif = context.func.display().to_string();
    context.set_disasm(true);
    module.define_function(emitted.func, &mut context)?;
    let assembly = context.compiled_code().and_then(|code| code.vcode.clone()).unwrap_or_default();
    Ok((clif, assembly))
}

/// The signature of a task.
pub fn task_signature(target: &Target) -> Signature {
    let mut signature = Signature::new(target.call_conv());
    signature.params.extend([types::I64, types::I64, types::I64, types::I32].map(AbiParam::new));
    signature
}

/// The number of chunks of a kernel.
fn chunk_count(kernel: &Kernel) -> u64 {
    match kernel.schedule.chunks {
        _ if kernel.axes.contains(&0) => 0,
        Some(chunks) => kernel.axes[chunks.axis].div_ceil(chunks.block) as u64,
        None => 1,
    }
}

/// Declares the task and emits its function into `context`.
fn build(
    module: &mut dyn Module,
    context: &mut Context,
    target: &Target,
    function: &KernelFunction,
    kernel: &Kernel,
) -> Result<EmittedKernel, CodegenError> {
    let refused = |reason| CodegenError::Kernel { kernel: kernel.name.clone(), reason };
    check(kernel, target).map_err(refused)?;
    let layout = Layout::new(function, kernel).map_err(refused)?;
    let chunks = chunk_count(kernel);
    let signature = task_signature(target);
    let name = format!("{}.{}", function.name, kernel.name);
    let func = module.declare_function(&name, Linkage::Local, &signature)?;
    let mode = fpmode::declare(module, target)?;
    context.func.signature = signature;

    let mut parts = FunctionBuilderContext::new();
    let mut builder = FunctionBuilder::new(&mut context.func, &mut parts);
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    if chunks > 0 {
        let saved = mode.enter(module, &mut builder);
        let parameters = Parameters::load(&mut builder, entry, &layout);
        let e = CraneliftEmitter::new(&mut builder, target, parameters.context, &fills(kernel));
        let mut emission = Emission { e, bases: Bases { buffers: parameters.buffers, panel: None } };
        let code = KernelCode { function, kernel, layout: &layout, worker: parameters.worker };
        code.emit(&mut emission, parameters.begin, parameters.end);
        saved.leave(&mut builder);
    }
    builder.ins().return_(&[]);
    builder.seal_all_blocks();
    builder.finalize(module.target_config());
    Ok(EmittedKernel { func, buffers: layout.framed, worker_bytes: layout.worker_bytes, chunks })
}

/// The fill values of a kernel's guarded loads.
fn fills(kernel: &Kernel) -> Vec<Scalar> {
    let bodies = kernel.stages.iter().flat_map(|s| s.fold.iter().map(|f| &f.body).chain([&s.body]));
    bodies
        .flat_map(|body| body.insts.values())
        .filter_map(|inst| match &inst.kind {
            InstKind::Load(access) if !access.guards.is_empty() => Some(access.fill),
            _ => None,
        })
        .collect()
}

/// What a task is called with.
struct Parameters {
    context: Value,
    begin: Value,
    end: Value,
    /// Start of the worker's scratch.
    worker: Value,
    /// Addresses of the buffers of the frame.
    buffers: SecondaryMap<BufferId, Option<Value>>,
}

impl Parameters {
    fn load(
        builder: &mut FunctionBuilder<'_>,
        entry: cranelift_codegen::ir::Block,
        layout: &Layout,
    ) -> Parameters {
        let [frame, begin, end, worker] = *builder.block_params(entry) else {
            unreachable!("a task has four parameters")
        };
        let mut field =
            |offset: usize| builder.ins().load(types::I64, MemFlagsData::trusted(), frame, offset as i32);
        let context = field(frame::CONTEXT);
        let mut buffers = SecondaryMap::new();
        for (n, &buffer) in layout.framed.iter().enumerate() {
            buffers[buffer] = Some(field(frame::buffer(n)));
        }
        let (base, stride) = (field(frame::WORKER_BASE), field(frame::WORKER_STRIDE));
        let worker = builder.ins().uextend(types::I64, worker);
        let offset = builder.ins().imul(worker, stride);
        let worker = builder.ins().iadd(base, offset);
        Parameters { context, begin, end, worker, buffers }
    }
}

/// A kernel whose parameters are known.
struct KernelCode<'k> {
    function: &'k KernelFunction,
    kernel: &'k Kernel,
    layout: &'k Layout,
    worker: Value,
}

impl KernelCode<'_> {
    /// Emits the chunks `begin .. end`.
    fn emit(&self, emission: &mut Emission<'_, '_>, begin: Value, end: Value) {
        let panel = self.in_scratch(emission, self.layout.panel_offset);
        emission.bases.panel = Some(panel);
        let builder = &mut emission.e.builder;
        let (run, done) = (builder.create_block(), builder.create_block());
        let some = builder.ins().icmp(IntCC::UnsignedLessThan, begin, end);
        builder.ins().brif(some, run, &[], done, &[]);
        builder.switch_to_block(run);
        if chunk_count(self.kernel) == 1 {
            self.chunk(emission, None);
        } else {
            emission.count(begin, end, 1, &[], &mut |emission, chunk, _| {
                self.chunk(emission, Some(chunk));
                Vec::new()
            });
        }
        emission.e.builder.ins().jump(done, &[]);
        emission.e.builder.switch_to_block(done);
    }

    fn in_scratch(&self, emission: &mut Emission<'_, '_>, offset: usize) -> Value {
        let offset = emission.e.word(offset as i64);
        emission.e.word_add(self.worker, offset)
    }

    /// Emits all stages for a chunk, or for the only one.
    fn chunk(&self, emission: &mut Emission<'_, '_>, chunk: Option<Value>) {
        let kernel = self.kernel;
        let mut spans: Vec<_> = kernel.axes.iter().map(|&extent| Span::whole(extent)).collect();
        let mut start = None;
        if let (Some(chunks), Some(chunk)) = (kernel.schedule.chunks, chunk) {
            let (extent, block) = (kernel.axes[chunks.axis], chunks.block);
            let first = emission.e.word_times(chunk, block as i64);
            start = Some(first);
            let last = extent % block;
            let length = if last == 0 {
                Length::Known(block)
            } else {
                let total = emission.e.word(extent as i64);
                let remaining = emission.e.builder.ins().isub(total, first);
                let full = emission.e.word(block as i64);
                let value = emission.e.builder.ins().smin(remaining, full);
                Length::Chunk { value, full: block, last }
            };
            spans[chunks.axis] = Span { start: Coord::counted(first), length };
        }
        for local in &self.layout.locals {
            let mut base = self.in_scratch(emission, local.offset);
            if let (Some(stride), Some(start)) = (local.chunk_stride, start) {
                // Where coordinate 0 of the whole axis would be.
                let back = emission.e.word_times(start, -stride);
                base = emission.e.word_add(base, back);
            }
            emission.bases.buffers[local.buffer] = Some(base);
        }
        for (n, stage) in kernel.stages.iter().enumerate() {
            let fold_axes = stage.fold.iter().flat_map(|fold| &fold.axes);
            let mut spans = spans.clone();
            spans.extend(stage.axes.iter().map(|&extent| Span::whole(extent)));
            StageCode {
                stage,
                schedule: kernel.schedule.stages.get(n).unwrap_or(&StageSchedule::Scalar),
                spans,
                extents: kernel.axes.iter().chain(&stage.axes).chain(fold_axes).copied().collect(),
                placements: &self.layout.placements,
                checks: &self.function.checks,
            }
            .emit(emission);
        }
    }
}
