//! Functions of a few instructions, emitted through Cranelift.

use bessemer_runtime::abi::Status;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AbiParam, InstBuilder, MemFlagsData, Signature, Type, Value, types};
use cranelift_codegen::ir::{StackSlotData, StackSlotKind};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_module::{DataId, FuncId, Linkage, Module};

use crate::codegen::{CodegenError, Target};

/// A function's type: parameters, and a result where there is one.
pub(super) type FunctionType<'a> = (&'a [Type], Option<Type>);

/// The signature of a C function of this type.
pub(super) fn signature(target: &Target, (params, result): FunctionType<'_>) -> Signature {
    let mut signature = Signature::new(target.call_conv());
    signature.params.extend(params.iter().copied().map(AbiParam::new));
    signature.returns.extend(result.map(AbiParam::new));
    signature
}

/// Defines a function. `body` gets its parameters, and ends every path with a return.
pub(super) fn define(
    module: &mut dyn Module,
    target: &Target,
    (symbol, linkage): (&str, Linkage),
    ty: FunctionType<'_>,
    body: impl FnOnce(&mut Code<'_, '_>, &[Value]),
) -> Result<FuncId, CodegenError> {
    let signature = signature(target, ty);
    let func = module.declare_function(symbol, linkage, &signature)?;
    let mut context = module.make_context();
    context.func.signature = signature;
    let mut variables = FunctionBuilderContext::new();
    let mut b = FunctionBuilder::new(&mut context.func, &mut variables);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    let params = b.block_params(entry).to_vec();
    let mut code = Code { b, module };
    body(&mut code, &params);
    code.b.seal_all_blocks();
    code.b.finalize(code.module.target_config());
    module.define_function(func, &mut context)?;
    Ok(func)
}

/// A function in the making.
pub(super) struct Code<'a, 'm> {
    pub(super) b: FunctionBuilder<'a>,
    pub(super) module: &'m mut dyn Module,
}

impl Code<'_, '_> {
    /// Loads a field at an offset in bytes that is small.
    pub(super) fn load(&mut self, ty: Type, base: Value, offset: usize) -> Value {
        self.b.ins().load(ty, MemFlagsData::trusted(), base, offset as i32)
    }

    /// Stores a field at an offset in bytes that is small.
    pub(super) fn store(&mut self, value: Value, base: Value, offset: usize) {
        self.b.ins().store(MemFlagsData::trusted(), value, base, offset as i32);
    }

    /// A number.
    pub(super) fn number(&mut self, ty: Type, value: u64) -> Value {
        self.b.ins().iconst(ty, value.cast_signed())
    }

    /// The address of some bytes on the stack, aligned to 16.
    pub(super) fn room(&mut self, bytes: usize) -> Value {
        let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, bytes as u32, 4);
        let slot = self.b.create_sized_stack_slot(slot);
        self.b.ins().stack_addr(types::I64, slot, 0)
    }

    /// The address of a data object.
    pub(super) fn data(&mut self, data: DataId) -> Value {
        let symbol = self.module.declare_data_in_func(data, self.b.func);
        self.b.ins().symbol_value(types::I64, symbol)
    }

    /// Calls a function; its result, where it has one.
    pub(super) fn call(&mut self, func: FuncId, args: &[Value]) -> Option<Value> {
        let func = self.module.declare_func_in_func(func, self.b.func);
        let call = self.b.ins().call(func, args);
        self.b.inst_results(call).first().copied()
    }

    /// Whether `left` and a number are in this relation.
    pub(super) fn compare(&mut self, relation: IntCC, left: Value, right: u64) -> Value {
        let ty = self.b.func.dfg.value_type(left);
        let right = self.number(ty, right);
        self.b.ins().icmp(relation, left, right)
    }

    /// Where `condition` holds, does what `then` does, which ends with a return; else goes on.
    pub(super) fn when(&mut self, condition: Value, then: impl FnOnce(&mut Self)) {
        let (taken, go_on) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(condition, taken, &[], go_on, &[]);
        self.b.switch_to_block(taken);
        then(self);
        self.b.switch_to_block(go_on);
    }

    /// Returns a status where `condition` holds.
    pub(super) fn refuse_when(&mut self, condition: Value, status: Status) {
        self.when(condition, |code| code.give(status));
    }

    /// Returns `InvalidArgument` where the address is null or not a multiple of `align`, a power of two.
    pub(super) fn refuse_address(&mut self, address: Value, align: usize) {
        let is_null = self.compare(IntCC::Equal, address, 0);
        self.refuse_when(is_null, Status::InvalidArgument);
        if align > 1 {
            let rest = self.b.ins().band_imm_u(address, align as i64 - 1);
            let is_odd = self.compare(IntCC::NotEqual, rest, 0);
            self.refuse_when(is_odd, Status::InvalidArgument);
        }
    }

    /// Returns a status.
    pub(super) fn give(&mut self, status: Status) {
        let code = self.number(types::I32, status.code() as u64);
        self.b.ins().return_(&[code]);
    }

    /// Returns what a call returned.
    pub(super) fn give_value(&mut self, value: Option<Value>) {
        self.b.ins().return_(value.as_slice());
    }
}
