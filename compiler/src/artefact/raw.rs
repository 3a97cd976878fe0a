//! The functions of a freestanding object file: those that need neither a system nor the runtime.
//!
//! ```text
//! NAME_raw_setup(state)                                  writes the header of a state
//! NAME_raw_init(ctx, state, scratch, seed)               setup, and first values of variables
//! NAME_raw_ENTRY(ctx, state, scratch, [n,] arguments…)   an entry point
//! NAME_raw_get(state, variable, out, bytes)              copies a variable out
//! NAME_raw_set(state, variable, values, bytes)           copies a variable in
//! NAME_raw_call(ctx, state, scratch, entry, n, args)     any entry point: for the runtime
//! NAME_raw_program                                       the description
//! ```
//!
//! All check what they are given as far as that can be done without knowing how large things are, and the header of the
//! state. The context may be null: then kernels run on the calling thread.

use bessemer_runtime::abi::{ABI_VERSION, ALIGN, Context, IndexError, StateHeader, Status};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use cranelift_module::{DataDescription, DataId, FuncId, Linkage, Module};

use super::describe::{Description, size};
use super::emit::{Code, define};
use super::names::{self, ArgumentType};
use super::{ArtefactSource, EntrySource, Variant, levels};
use crate::codegen::{CodegenError, Target};
use crate::program::{NamedType, StateLayout};

/// What the functions are emitted for.
pub(super) struct Raw<'a> {
    pub(super) source: &'a ArtefactSource,
    /// What there is code for, ascending; they differ in CPU level only.
    pub(super) targets: &'a [Target],
    pub(super) state: &'a StateLayout,
    /// The code, one list for each target: all variants of all entry points in order, then `init`.
    pub(super) code: &'a [Vec<FuncId>],
}

impl Raw<'_> {
    pub(super) fn target(&self) -> &Target {
        &self.targets[0]
    }

    pub(super) fn symbol(&self, name: &str) -> String {
        format!("{}_raw_{name}", self.source.name)
    }

    /// Emits all.
    pub(super) fn emit(
        &self,
        module: &mut dyn Module,
        description: &Description,
    ) -> Result<(), CodegenError> {
        let program = define_bytes(module, &self.symbol("program"), Linkage::Export, &description.bytes)?;
        let setup = self.setup(module)?;
        let copy = self.copy(module)?;
        let mut first = 0;
        let mut dispatchers = Vec::new();
        for entry in &self.source.entries {
            let dispatcher = self.dispatcher(module, entry, first)?;
            first += entry.variants.len();
            self.entry(module, entry, dispatcher)?;
            dispatchers.push(dispatcher);
        }
        self.init(module, setup, copy, first)?;
        self.any_entry(module, &dispatchers)?;
        for is_get in [true, false] {
            self.access(module, (program, description.variables), copy, is_get)?;
        }
        Ok(())
    }

    /// `setup(state)`.
    fn setup(&self, module: &mut dyn Module) -> Result<FuncId, CodegenError> {
        let detect = levels::declare_words(module, self.target(), &self.source.name)?;
        let symbol = self.symbol("setup");
        let ty = (&[types::I64][..], Some(types::I32));
        define(module, self.target(), (&symbol, Linkage::Export), ty, |code, params| {
            let state = params[0];
            code.refuse_address(state, ALIGN);
            let version = levels::choose(code, detect, self.targets);
            for at in (0..StateHeader::SIZE).step_by(8) {
                let field = match at {
                    StateHeader::MAGIC_OFFSET => StateHeader::MAGIC,
                    StateHeader::FINGERPRINT_OFFSET => self.state.fingerprint(),
                    _ => 0,
                };
                let field = code.number(types::I64, field);
                code.store(field, state, at);
            }
            let abi_version = code.number(types::I32, u64::from(ABI_VERSION));
            code.store(abi_version, state, StateHeader::ABI_VERSION_OFFSET);
            code.store(version, state, StateHeader::VERSION_OFFSET);
            code.give(Status::Ok);
        })
    }

    /// Goes on where the state is one of this program and scratch may be some.
    pub(super) fn check_memory(&self, code: &mut Code<'_, '_>, state: Value, scratch: Option<Value>) {
        code.refuse_address(state, ALIGN);
        if let Some(scratch) = scratch {
            code.refuse_address(scratch, ALIGN);
        }
        for (ty, offset, expected, status) in [
            (types::I64, StateHeader::MAGIC_OFFSET, StateHeader::MAGIC, Status::InvalidArgument),
            (types::I32, StateHeader::ABI_VERSION_OFFSET, u64::from(ABI_VERSION), Status::AbiMismatch),
            (types::I64, StateHeader::FINGERPRINT_OFFSET, self.state.fingerprint(), Status::ProgramMismatch),
        ] {
            let found = code.load(ty, state, offset);
            let is_other = code.compare(IntCC::NotEqual, found, expected);
            code.refuse_when(is_other, status);
        }
    }

    /// The caller's context with a clear record of index errors, or one on the stack without hooks.
    fn context(code: &mut Code<'_, '_>, given: Value) -> Value {
        let own = code.room(Context::SIZE);
        let zero = code.number(types::I64, 0);
        for at in (0..Context::SIZE).step_by(8) {
            code.store(zero, own, at);
        }
        let version = code.number(types::I32, u64::from(ABI_VERSION));
        code.store(version, own, Context::ABI_VERSION_OFFSET);
        let one = code.number(types::I32, 1);
        code.store(one, own, Context::WORKERS_OFFSET);
        let is_null = code.compare(IntCC::Equal, given, 0);
        let ctx = code.b.ins().select(is_null, own, given);
        let clear = code.number(types::I32, u64::from(IndexError::CLEAR));
        code.store(clear, ctx, Context::INDEX_ERROR_FLAG_OFFSET);
        ctx
    }

    /// Calls the code with this position, in the version that the state names, and returns what it returns.
    fn call_version(&self, code: &mut Code<'_, '_>, at: usize, args: &[Value]) {
        let state = args[1];
        let call = |code: &mut Code<'_, '_>, version: usize| {
            let status = code.call(self.code[version][at], args);
            code.give_value(status);
        };
        if let [_] = self.targets {
            return call(code, 0);
        }
        let chosen = code.load(types::I32, state, StateHeader::VERSION_OFFSET);
        for version in 0..self.targets.len() {
            let is_it = code.compare(IntCC::Equal, chosen, version as u64);
            code.when(is_it, |code| call(code, version));
        }
        code.give(Status::UnsupportedCpu);
    }

    /// `(ctx, state, scratch, n, args)` of an entry point: checks, and calls the code for `n`.
    fn dispatcher(
        &self,
        module: &mut dyn Module,
        entry: &EntrySource,
        first: usize,
    ) -> Result<FuncId, CodegenError> {
        let symbol = format!("{}.{}", self.source.name, entry.name);
        let ty = (&[types::I64; 5][..], Some(types::I32));
        define(module, self.target(), (&symbol, Linkage::Local), ty, |code, params| {
            let &[ctx, state, scratch, n, args] = params else { unreachable!("there are five parameters") };
            self.check_memory(code, state, Some(scratch));
            for (at, argument) in entry.arguments().enumerate() {
                if size(&argument.ty).is_some_and(|(bytes, _)| bytes > 0) {
                    let address = code.load(types::I64, args, 8 * at);
                    code.refuse_address(address, argument.ty.dtype.bytes());
                }
            }
            let ctx = Raw::context(code, ctx);
            let mut variants: Vec<(usize, &Variant)> = entry.variants.iter().enumerate().collect();
            variants.sort_by_key(|(_, variant)| variant.last - variant.first);
            for (at, variant) in variants {
                let takes_n = variant.source.kernels.largest.is_some();
                let args = [ctx, state, scratch, args, n];
                let args = if takes_n { &args[..] } else { &args[..4] };
                let call = |code: &mut Code<'_, '_>| self.call_version(code, first + at, args);
                if !entry.is_symbolic {
                    return call(code);
                }
                let above = code.b.ins().iadd_imm_s(n, -(variant.first as i64));
                let span = (variant.last - variant.first) as u64;
                let is_one = code.compare(IntCC::UnsignedLessThanOrEqual, above, span);
                code.when(is_one, call);
            }
            code.give(Status::BatchSize);
        })
    }

    /// `NAME_raw_ENTRY`: puts its arguments into an array.
    fn entry(
        &self,
        module: &mut dyn Module,
        entry: &EntrySource,
        dispatcher: FuncId,
    ) -> Result<(), CodegenError> {
        let mut params = vec![types::I64; 3];
        params.extend(argument_types(entry));
        let symbol = self.symbol(&names::identifier(&entry.name));
        let ty = (&params[..], Some(types::I32));
        define(module, self.target(), (&symbol, Linkage::Export), ty, |code, params| {
            let (memory, arguments) = params.split_at(3);
            let (n, args) = pack(code, entry, arguments);
            let status = code.call(dispatcher, &[memory, &[n, args]].concat());
            code.give_value(status);
        })?;
        Ok(())
    }

    /// `init(ctx, state, scratch, seed)`.
    fn init(
        &self,
        module: &mut dyn Module,
        setup: FuncId,
        copy: FuncId,
        at: usize,
    ) -> Result<(), CodegenError> {
        let values: Vec<(DataId, usize, usize)> = self
            .source
            .embedded
            .iter()
            .map(|(variable, tensor)| {
                let layout = &self.state.variables[*variable];
                let name = format!("{}.value{variable}", self.source.name);
                let mut bytes = layout.scatter(&tensor.to_bytes());
                bytes.resize(bytes.len().max(1), 0);
                Ok((define_bytes(module, &name, Linkage::Local, &bytes)?, layout.offset, layout.bytes))
            })
            .collect::<Result<_, CodegenError>>()?;
        // The code of `init` with the signature of a dispatcher, so that its status can be looked at.
        let name = format!("{}.init", self.source.name);
        let four = (&[types::I64; 4][..], Some(types::I32));
        let assign = define(module, self.target(), (&name, Linkage::Local), four, |code, params| {
            let &[ctx, state, scratch, args] = params else { unreachable!("there are four parameters") };
            self.call_version(code, at, &[ctx, state, scratch, args]);
        })?;
        define(module, self.target(), (&self.symbol("init"), Linkage::Export), four, |code, params| {
            let &[ctx, state, scratch, seed] = params else { unreachable!("there are four parameters") };
            code.refuse_address(scratch, ALIGN);
            let status = code.call(setup, &[state]).expect("it has a result");
            let failed = code.compare(IntCC::NotEqual, status, 0);
            code.when(failed, |code| code.give_value(Some(status)));
            code.store(seed, state, StateHeader::SEED_OFFSET);
            let ctx = Raw::context(code, ctx);
            // It has no arguments.
            let status = code.call(assign, &[ctx, state, scratch, state]).expect("it has a result");
            let failed = code.compare(IntCC::NotEqual, status, 0);
            code.when(failed, |code| code.give_value(Some(status)));
            for &(data, offset, bytes) in &values {
                let (from, to) = (code.data(data), code.b.ins().iadd_imm_s(state, offset as i64));
                let bytes = code.number(types::I64, bytes as u64);
                code.call(copy, &[to, from, bytes]);
            }
            let zero = code.number(types::I64, 0);
            code.store(zero, state, StateHeader::STEP_OFFSET);
            code.give(Status::Ok);
        })?;
        Ok(())
    }

    /// `NAME_raw_call`.
    fn any_entry(&self, module: &mut dyn Module, dispatchers: &[FuncId]) -> Result<(), CodegenError> {
        let params = [types::I64, types::I64, types::I64, types::I32, types::I64, types::I64];
        let ty = (&params[..], Some(types::I32));
        define(module, self.target(), (&self.symbol("call"), Linkage::Export), ty, |code, params| {
            let &[ctx, state, scratch, entry, n, args] = params else {
                unreachable!("there are six parameters")
            };
            for (at, &dispatcher) in dispatchers.iter().enumerate() {
                let is_it = code.compare(IntCC::Equal, entry, at as u64);
                code.when(is_it, |code| {
                    let status = code.call(dispatcher, &[ctx, state, scratch, n, args]);
                    code.give_value(status);
                });
            }
            code.give(Status::NotFound);
        })?;
        Ok(())
    }
}

/// Defines a read-only data object, aligned to [`ALIGN`].
fn define_bytes(
    module: &mut dyn Module,
    symbol: &str,
    linkage: Linkage,
    bytes: &[u8],
) -> Result<DataId, CodegenError> {
    let data = module.declare_data(symbol, linkage, false, false)?;
    let mut description = DataDescription::new();
    description.define(bytes.into());
    description.set_align(ALIGN as u64);
    module.define_data(data, &description)?;
    Ok(data)
}

/// The machine types of an entry point's arguments in C, after the first ones: the batch size, where it takes one, and
/// then scalars that it reads by value, and addresses.
pub(super) fn argument_types(entry: &EntrySource) -> Vec<types::Type> {
    let n = entry.is_symbolic.then_some(types::I64);
    n.into_iter().chain(entry.c_arguments().map(|(argument, ty)| machine_type(argument, ty))).collect()
}

fn machine_type(argument: &NamedType, ty: ArgumentType) -> types::Type {
    use crate::types::DType;
    match (ty, argument.ty.dtype) {
        (ArgumentType::Address, _) => types::I64,
        (ArgumentType::Value, DType::F32) => types::F32,
        (ArgumentType::Value, DType::F64) => types::F64,
        (ArgumentType::Value, DType::I32) => types::I32,
        (ArgumentType::Value, DType::I64) => types::I64,
        (ArgumentType::Value, DType::F16 | DType::BF16) => types::I16,
        (ArgumentType::Value, DType::U8 | DType::Bool) => types::I8,
    }
}

/// The batch size, and the address of an array with the addresses of all arguments.
pub(super) fn pack(code: &mut Code<'_, '_>, entry: &EntrySource, arguments: &[Value]) -> (Value, Value) {
    let (n, arguments) = match arguments.split_first() {
        Some((&n, rest)) if entry.is_symbolic => (n, rest),
        _ => (code.number(types::I64, 1), arguments),
    };
    let array = code.room(8 * arguments.len().max(1));
    for (at, (&value, (_, ty))) in arguments.iter().zip(entry.c_arguments()).enumerate() {
        let address = match ty {
            ArgumentType::Address => value,
            ArgumentType::Value => {
                let place = code.room(8);
                code.store(value, place, 0);
                place
            }
        };
        code.store(address, array, 8 * at);
    }
    (n, array)
}
