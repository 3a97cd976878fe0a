//! What an entry point does between its beginning and its end: calls of kernels, in order.
//!
//! Many calls are cut into *parts*, each a function with the arguments of the entry point, since the time that Cranelift
//! takes for a function grows faster than the function.

use std::ops::Range;

use bessemer_runtime::abi::{Context, Status};
use cranelift_codegen::ir::{
    AbiParam, Block, FuncRef, InstBuilder, MemFlagsData, SigRef, Signature, StackSlotData, StackSlotKind,
    Value, types,
};
use cranelift_frontend::FunctionBuilder;
use cranelift_module::{FuncId, Module};

use super::entry::{Constants, EntryParts, define, load, offset, return_status};
use super::kernel::EmittedKernel;
use super::task::ChunkCount;
use super::{CodegenError, Target, frame};
use crate::kernel::{BufferId, Kernel};
use crate::memory::Location;

/// The most bytes of frames that one function fills; a kernel with more has a function of its own.
const MAX_BYTES: usize = 4096;

/// The arguments of an entry point: see [`EntryFn`](bessemer_runtime::abi::EntryFn).
#[derive(Clone, Copy, Debug)]
pub(super) struct Arguments {
    pub ctx: Value,
    pub state: Value,
    pub scratch: Value,
    pub args: Value,
    /// The batch size, if the function depends on it.
    pub batch: Option<Value>,
}

impl Arguments {
    /// Those of a function of this signature, from its first block.
    pub(super) fn of(builder: &FunctionBuilder<'_>, entry: Block) -> Arguments {
        let [ctx, state, scratch, args, ref batch @ ..] = *builder.block_params(entry) else {
            unreachable!("an entry point has four or five parameters")
        };
        Arguments { ctx, state, scratch, args, batch: batch.first().copied() }
    }

    fn values(&self) -> Vec<Value> {
        [self.ctx, self.state, self.scratch, self.args].into_iter().chain(self.batch).collect()
    }
}

/// Calls in a function in the making.
pub(super) struct Calls<'a, 'b> {
    pub parts: &'b EntryParts<'b>,
    pub constants: &'b Constants,
    pub builder: &'b mut FunctionBuilder<'a>,
    pub arguments: Arguments,
    /// Where to go after an index was found out of range.
    pub bad_index: Block,
}

/// The positions of the kernels that are run by one function, for each such function.
fn cut(kernels: &[EmittedKernel]) -> Vec<Range<usize>> {
    let (mut parts, mut bytes): (Vec<Range<usize>>, usize) = (Vec::new(), 0);
    for (n, kernel) in kernels.iter().enumerate() {
        let frame = frame::size(kernel.buffers.len());
        bytes += frame;
        match parts.last_mut() {
            Some(part) if bytes <= MAX_BYTES => part.end = n + 1,
            _ => {
                parts.push(n..n + 1);
                bytes = frame;
            }
        }
    }
    parts
}

/// Emits a part: a function with the arguments of the entry point that runs these kernels, the `n`-th of its parts. It
/// returns a status, `Ok` or that an index was out of range.
fn emit_part(
    module: &mut dyn Module,
    target: &Target,
    (parts, constants): (&EntryParts<'_>, &Constants),
    (n, kernels): (usize, Range<usize>),
) -> Result<FuncId, CodegenError> {
    let symbol = format!("{}.part{n}", parts.symbol);
    define(module, target, parts, &symbol, |module, builder, arguments| {
        let bad_index = builder.create_block();
        builder.set_cold_block(bad_index);
        Calls { parts, constants, builder: &mut *builder, arguments, bad_index }.run(module, target, kernels);
        return_status(builder, Status::Ok);
        builder.switch_to_block(bad_index);
        return_status(builder, Status::IndexOutOfRange);
        Ok(())
    })
}

impl Calls<'_, '_> {
    /// Runs all kernels, in parts if they are many.
    ///
    /// # Errors
    /// [`CodegenError::Module`] if Cranelift refuses the code of a part.
    pub(super) fn run_all(&mut self, module: &mut dyn Module, target: &Target) -> Result<(), CodegenError> {
        let parts = cut(self.parts.kernels);
        if parts.len() < 2 {
            self.run(module, target, 0..self.parts.kernels.len());
            return Ok(());
        }
        for part in parts.into_iter().enumerate() {
            let func = emit_part(module, target, (self.parts, self.constants), part)?;
            let func = module.declare_func_in_func(func, self.builder.func);
            let call = self.builder.ins().call(func, &self.arguments.values());
            // `Ok` is 0.
            let status = self.builder.inst_results(call)[0];
            let go_on = self.builder.create_block();
            self.builder.ins().brif(status, self.bad_index, &[], go_on, &[]);
            self.builder.switch_to_block(go_on);
        }
        Ok(())
    }

    /// Runs these kernels, by their positions.
    pub(super) fn run(&mut self, module: &mut dyn Module, target: &Target, range: Range<usize>) {
        let kernels = &self.parts.kernels[range.clone()];
        let frame_size = kernels.iter().map(|k| frame::size(k.buffers.len())).max().unwrap_or(0);
        let slot = self.builder.create_sized_stack_slot(StackSlotData::new(
            StackSlotKind::ExplicitSlot,
            frame_size as u32,
            3,
        ));
        let parallel_for = {
            let mut signature = Signature::new(target.call_conv());
            signature.params.extend([AbiParam::new(types::I64); 4]);
            self.builder.import_signature(signature)
        };
        for (kernel, task) in self.parts.function.kernels[range].iter().zip(kernels) {
            if task.chunks.most() == 0 {
                continue;
            }
            let chunks = self.chunk_count(task.chunks);
            let frame = self.builder.ins().stack_addr(types::I64, slot, 0);
            self.fill_frame(module, frame, task);
            let func = module.declare_func_in_func(task.func, self.builder.func);
            if kernel.schedule.threads && task.chunks.most() > 1 {
                self.call_parallel(func, parallel_for, frame, chunks);
            } else {
                self.call_serial(func, frame, chunks);
            }
            self.leave_on_bad_index(kernel);
        }
    }

    /// How many chunks a kernel has for the batch size.
    fn chunk_count(&mut self, chunks: ChunkCount) -> Value {
        let b = &mut *self.builder;
        match (chunks.of.each(), self.arguments.batch) {
            (Some(each), Some(batch)) => {
                let extent = b.ins().imul_imm_s(batch, each as i64);
                let raised = b.ins().iadd_imm_s(extent, chunks.block as i64 - 1);
                b.ins().udiv_imm_u(raised, chunks.block as i64)
            }
            _ => b.ins().iconst(types::I64, chunks.most() as i64),
        }
    }

    /// Writes the frame of a kernel: see [`frame`].
    fn fill_frame(&mut self, module: &mut dyn Module, frame: Value, task: &EmittedKernel) {
        let worker_base = self.offset(self.arguments.scratch, self.parts.plan.arena_bytes);
        let stride = self.builder.ins().iconst(types::I64, task.worker_bytes as i64);
        let mut fields = vec![
            (frame::CONTEXT, self.arguments.ctx),
            (frame::WORKER_BASE, worker_base),
            (frame::WORKER_STRIDE, stride),
        ];
        for (n, &buffer) in task.buffers.iter().enumerate() {
            fields.push((frame::buffer(n), self.address(module, buffer)));
        }
        fields.extend(self.arguments.batch.map(|batch| (frame::batch(task.buffers.len()), batch)));
        for (offset, value) in fields {
            self.builder.ins().store(MemFlagsData::trusted(), value, frame, offset as i32);
        }
    }

    fn address(&mut self, module: &mut dyn Module, buffer: BufferId) -> Value {
        match self.parts.plan.locations[buffer] {
            Location::Argument(n) => load(self.builder, types::I64, self.arguments.args, 8 * n),
            Location::State(offset) => self.offset(self.arguments.state, offset),
            Location::Arena(offset) => self.offset(self.arguments.scratch, offset),
            Location::Constant => {
                let data = self.constants[self.parts.function.storage(buffer)];
                let data = data.expect("constants that kernels read are defined");
                let symbol = module.declare_data_in_func(data, self.builder.func);
                self.builder.ins().symbol_value(types::I64, symbol)
            }
            Location::None => unreachable!("{buffer} is in a frame, so the plan has a place for it"),
        }
    }

    fn offset(&mut self, base: Value, bytes: usize) -> Value {
        offset(self.builder, base, bytes)
    }

    fn call_serial(&mut self, task: FuncRef, frame: Value, chunks: Value) {
        let begin = self.builder.ins().iconst(types::I64, 0);
        let worker = self.builder.ins().iconst(types::I32, 0);
        self.builder.ins().call(task, &[frame, begin, chunks, worker]);
    }

    fn call_parallel(&mut self, task: FuncRef, parallel_for: SigRef, frame: Value, chunks: Value) {
        let b = &mut *self.builder;
        let (hooked, serial, done) = (b.create_block(), b.create_block(), b.create_block());
        let hook = load(b, types::I64, self.arguments.ctx, Context::PARALLEL_FOR_OFFSET);
        b.ins().brif(hook, hooked, &[], serial, &[]);

        b.switch_to_block(hooked);
        let pool = load(b, types::I64, self.arguments.ctx, Context::POOL_OFFSET);
        let address = b.ins().func_addr(types::I64, task);
        b.ins().call_indirect(parallel_for, hook, &[pool, address, frame, chunks]);
        b.ins().jump(done, &[]);

        self.builder.switch_to_block(serial);
        self.call_serial(task, frame, chunks);
        self.builder.ins().jump(done, &[]);
        self.builder.switch_to_block(done);
    }

    fn leave_on_bad_index(&mut self, kernel: &Kernel) {
        if !self.parts.function.uses(kernel).checks {
            return;
        }
        let go_on = self.builder.create_block();
        let flag = load(self.builder, types::I32, self.arguments.ctx, Context::INDEX_ERROR_FLAG_OFFSET);
        self.builder.ins().brif(flag, self.bad_index, &[], go_on, &[]);
        self.builder.switch_to_block(go_on);
    }
}
