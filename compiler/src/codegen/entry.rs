//! The entry point of a function: runs its kernels in order.
//!
//! ```text
//! if ctx.abi_version is another: return AbiMismatch
//! set flush-to-zero
//! for each kernel:
//!   fill its frame
//!   if it is worth threads and ctx has a parallel_for: ctx.parallel_for(ctx.pool, task, frame, chunks)
//!   else: task(frame, 0, chunks, 0)
//!   if it checks indices and ctx.index_error.flag is set: restore the mode, return IndexOutOfRange
//! copy the new values of double-buffered variables
//! if variables were assigned: state.step += 1
//! restore the mode, return Ok
//! ```
//!
//! If extents depend on the batch size, it is the fifth argument.
//!
//! The calls of many kernels are functions of their own: see `codegen/calls.rs`.
//!
//! The plan guarantees that no variable is overwritten before the last check.

use bessemer_runtime::abi::{ABI_VERSION, Context, StateHeader, Status};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AbiParam, Block, InstBuilder, MemFlagsData, Signature, Value, types};
use cranelift_entity::SecondaryMap;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_module::{DataDescription, DataId, FuncId, Linkage, Module};

use super::calls::{Arguments, Calls};
use super::fpmode::SavedMode;
use super::kernel::EmittedKernel;
use super::{CodegenError, Target, fpmode};
use crate::kernel::{Buffer, BufferId, BufferKind, KernelFunction};
use crate::memory::{Location, MemoryPlan, VariableCopy};
use crate::types::DType;

/// The largest size of a program's constants together, in bytes: code reaches them by 32-bit offsets.
pub const MAX_CONSTANT_BYTES: usize = 1 << 30;

/// What an entry point is made of.
#[derive(Clone, Copy, Debug)]
pub struct EntryParts<'a> {
    /// Name of its symbol, which is local: whoever exports it does so under a name and with arguments of their own.
    pub symbol: &'a str,
    /// The function, with kernels in order of execution.
    pub function: &'a KernelFunction,
    /// The tasks of the kernels, one each, in order.
    pub kernels: &'a [EmittedKernel],
    /// Where buffers are stored.
    pub plan: &'a MemoryPlan,
    /// Whether it assigns variables.
    pub exclusive: bool,
}

/// Emits an entry point, an [`EntryFn`](bessemer_runtime::abi::EntryFn), and the constants that its kernels read.
///
/// # Errors
/// [`CodegenError::Module`] if Cranelift refuses the code.
pub fn emit_entry(
    module: &mut dyn Module,
    target: &Target,
    parts: &EntryParts<'_>,
) -> Result<FuncId, CodegenError> {
    define(module, target, parts, parts.symbol, |module, builder, arguments| {
        let constants = define_constants(module, parts)?;
        let mode = fpmode::declare(module, target)?;
        return_unless_same_abi(builder, arguments.ctx);
        let mode = mode.enter(module, builder);
        let bad_index = builder.create_block();
        builder.set_cold_block(bad_index);
        Calls { parts, constants: &constants, builder: &mut *builder, arguments, bad_index }
            .run_all(module, target)?;
        let Arguments { state, scratch, .. } = arguments;
        let mut code = EntryCode { parts, builder, state, scratch, mode, bad_index };
        code.copy_variables(target);
        code.finish();
        Ok(())
    })
}

/// Defines a function with the arguments of an entry point: `body` emits what it does, and ends every path with a return.
///
/// # Errors
/// [`CodegenError::Module`] if Cranelift refuses the code; those of `body`.
pub(super) fn define(
    module: &mut dyn Module,
    target: &Target,
    parts: &EntryParts<'_>,
    symbol: &str,
    body: impl FnOnce(&mut dyn Module, &mut FunctionBuilder<'_>, Arguments) -> Result<(), CodegenError>,
) -> Result<FuncId, CodegenError> {
    let signature = signature(target, parts);
    let func = module.declare_function(symbol, Linkage::Local, &signature)?;
    let mut context = module.make_context();
    context.func.signature = signature;
    let mut variables = FunctionBuilderContext::new();
    let mut builder = FunctionBuilder::new(&mut context.func, &mut variables);
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let arguments = Arguments::of(&builder, entry);
    body(&mut *module, &mut builder, arguments)?;
    builder.seal_all_blocks();
    builder.finalize(module.target_config());
    module.define_function(func, &mut context)?;
    Ok(func)
}

/// The signature of an entry point, and of its parts.
fn signature(target: &Target, parts: &EntryParts<'_>) -> Signature {
    let mut signature = Signature::new(target.call_conv());
    let params = 4 + usize::from(parts.function.largest.is_some());
    signature.params.extend(vec![AbiParam::new(types::I64); params]);
    signature.returns.push(AbiParam::new(types::I32));
    signature
}

/// Where the constants are that kernels read.
pub(super) type Constants = SecondaryMap<BufferId, Option<DataId>>;

/// Puts the constants that kernels read into read-only data objects.
fn define_constants(module: &mut dyn Module, parts: &EntryParts<'_>) -> Result<Constants, CodegenError> {
    let f = parts.function;
    let mut constants = Constants::new();
    for &buffer in parts.kernels.iter().flat_map(|k| &k.buffers) {
        let id = f.storage(buffer);
        let BufferKind::Constant(tensor) = &f.buffers[id].kind else { continue };
        if constants[id].is_some() {
            continue;
        }
        let name = format!("{}.{id}", parts.symbol);
        let data = module.declare_data(&name, Linkage::Local, false, false)?;
        let mut bytes = with_pitch(tensor.to_bytes(), &f.buffers[id]);
        // An empty object would share its address with the next one, which some linkers refuse.
        bytes.resize(bytes.len().max(1), 0);
        let mut description = DataDescription::new();
        description.define(bytes.into_boxed_slice());
        description.set_align(bessemer_runtime::abi::ALIGN as u64);
        module.define_data(data, &description)?;
        constants[id] = Some(data);
    }
    Ok(constants)
}

/// Rows as far apart as a buffer has them, where they are dense.
fn with_pitch(dense: Vec<u8>, buffer: &Buffer) -> Vec<u8> {
    let (Some(pitch), Some(row)) = (buffer.pitch, buffer.shape.last()) else { return dense };
    let [row, pitch] = [row.most(), pitch].map(|elements| elements * buffer.dtype.bytes());
    let mut bytes = vec![0; buffer.bytes()];
    for (to, from) in bytes.chunks_mut(pitch.max(1)).zip(dense.chunks(row.max(1))) {
        to[..row].copy_from_slice(from);
    }
    bytes
}

fn return_unless_same_abi(builder: &mut FunctionBuilder<'_>, ctx: Value) {
    let version = load(builder, types::I32, ctx, Context::ABI_VERSION_OFFSET);
    let same = builder.ins().icmp_imm_u(IntCC::Equal, version, i64::from(ABI_VERSION));
    let (go_on, refuse) = (builder.create_block(), builder.create_block());
    builder.set_cold_block(refuse);
    builder.ins().brif(same, go_on, &[], refuse, &[]);
    builder.switch_to_block(refuse);
    return_status(builder, Status::AbiMismatch);
    builder.switch_to_block(go_on);
}

pub(super) fn return_status(builder: &mut FunctionBuilder<'_>, status: Status) {
    let code = builder.ins().iconst(types::I32, i64::from(status.code()));
    builder.ins().return_(&[code]);
}

/// Loads a field at an offset in bytes that is small: of a context or a header.
pub(super) fn load(builder: &mut FunctionBuilder<'_>, ty: types::Type, base: Value, offset: usize) -> Value {
    builder.ins().load(ty, MemFlagsData::trusted(), base, offset as i32)
}

/// An address so many bytes behind another.
pub(super) fn offset(builder: &mut FunctionBuilder<'_>, base: Value, bytes: usize) -> Value {
    if bytes == 0 { base } else { builder.ins().iadd_imm_s(base, bytes as i64) }
}

/// An entry point in the making.
struct EntryCode<'a, 'b> {
    parts: &'b EntryParts<'b>,
    builder: &'b mut FunctionBuilder<'a>,
    state: Value,
    scratch: Value,
    mode: SavedMode,
    /// Where to go after an index was found out of range.
    bad_index: Block,
}

impl EntryCode<'_, '_> {
    fn offset(&mut self, base: Value, bytes: usize) -> Value {
        offset(self.builder, base, bytes)
    }

    /// Copies the new values of double-buffered variables into the state.
    fn copy_variables(&mut self, target: &Target) {
        for copy in &self.parts.plan.copies {
            self.copy(target, copy);
        }
    }

    /// Copies in a loop of 64 bytes at a time and straight-line code for the rest; both ends are aligned to 64.
    fn copy(&mut self, target: &Target, copy: &VariableCopy) {
        let Location::Arena(offset) = self.parts.plan.locations[copy.from] else {
            unreachable!("the new value of a double-buffered variable is in the arena")
        };
        let from = self.offset(self.scratch, offset);
        let to = self.offset(self.state, copy.to);
        let widest = if target.lanes(DType::F32) > 1 { types::I8X16 } else { types::I64 };
        let whole = copy.bytes - copy.bytes % 64;
        if whole > 0 {
            let b = &mut *self.builder;
            let (head, done) = (b.create_block(), b.create_block());
            let position = b.append_block_param(head, types::I64);
            let start = b.ins().iconst(types::I64, 0);
            b.ins().jump(head, &[start.into()]);
            b.switch_to_block(head);
            let (source, sink) = (b.ins().iadd(from, position), b.ins().iadd(to, position));
            self.copy_bytes(source, sink, 64, widest);
            let b = &mut *self.builder;
            let next = b.ins().iadd_imm_s(position, 64);
            let more = b.ins().icmp_imm_u(IntCC::UnsignedLessThan, next, whole as i64);
            b.ins().brif(more, head, &[next.into()], done, &[]);
            b.switch_to_block(done);
        }
        if copy.bytes > whole {
            let (source, sink) = (self.offset(from, whole), self.offset(to, whole));
            self.copy_bytes(source, sink, copy.bytes - whole, widest);
        }
    }

    /// Copies a few bytes with the widest moves that fit.
    fn copy_bytes(&mut self, from: Value, to: Value, bytes: usize, widest: types::Type) {
        let mut position = 0;
        for ty in [widest, types::I64, types::I32, types::I16, types::I8] {
            let width = ty.bytes() as usize;
            while bytes - position >= width {
                let value = load(self.builder, ty, from, position);
                self.builder.ins().store(MemFlagsData::trusted(), value, to, position as i32);
                position += width;
            }
        }
    }

    /// Returns, in both ways.
    fn finish(&mut self) {
        if self.parts.exclusive {
            let step = load(self.builder, types::I64, self.state, StateHeader::STEP_OFFSET);
            let next = self.builder.ins().iadd_imm_s(step, 1);
            let offset = StateHeader::STEP_OFFSET as i32;
            self.builder.ins().store(MemFlagsData::trusted(), next, self.state, offset);
        }
        self.mode.leave(self.builder);
        return_status(self.builder, Status::Ok);
        self.builder.switch_to_block(self.bad_index);
        self.mode.leave(self.builder);
        return_status(self.builder, Status::IndexOutOfRange);
    }
}
