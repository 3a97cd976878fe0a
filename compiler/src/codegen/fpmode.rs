//! Flush-to-zero: subnormal operands and results of arithmetic are zero while generated code runs.
//!
//! Cranelift has no instruction for the floating-point control register, so two functions are given as bytes. Both
//! take a pointer to a u32 (x86-64) or u64 (aarch64):
//! - `save` stores the register there;
//! - `set` loads the register from there.
//!
//! Code that is entered saves the mode, sets it with the bits that flush added, and sets the saved one before
//! it returns. riscv64 has no such mode; there subnormals are kept, and there are no functions.

use cranelift_codegen::ir::{AbiParam, FuncRef, InstBuilder, MemFlagsData, Signature, StackSlotData, types};
use cranelift_codegen::ir::{StackSlot, StackSlotKind};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::FunctionBuilder;
use cranelift_module::{FuncId, Linkage, Module};
use target_lexicon::Architecture;

use super::{CodegenError, Target};

/// Flush-to-zero and denormals-are-zero of MXCSR.
const X86_FLUSH: i64 = 0x8040;
/// FZ of FPCR, which flushes operands and results.
const AARCH64_FLUSH: i64 = 1 << 24;

/// The functions of a module that save and set the floating-point mode.
#[derive(Clone, Copy, Debug)]
pub struct FpMode {
    helpers: Option<Helpers>,
}

#[derive(Clone, Copy, Debug)]
struct Helpers {
    save: FuncId,
    set: FuncId,
    flush: i64,
    wide: bool,
}

/// The caller's mode, kept on the stack by [`FpMode::enter`].
#[derive(Clone, Copy, Debug)]
pub struct SavedMode(Option<(StackSlot, FuncRef)>);

/// Declares and defines the functions in a module; a module that already has them keeps them.
///
/// # Errors
/// [`CodegenError::Module`] if the module refuses them.
pub fn declare(module: &mut dyn Module, target: &Target) -> Result<FpMode, CodegenError> {
    let (save, set, flush, wide): (&[u8], &[u8], i64, bool) = match target.triple().architecture {
        // stmxcsr [rdi]; ret — ldmxcsr [rdi]; ret
        Architecture::X86_64 => (&[0x0f, 0xae, 0x1f, 0xc3], &[0x0f, 0xae, 0x17, 0xc3], X86_FLUSH, false),
        // mrs x1, fpcr; str x1, [x0]; ret — ldr x1, [x0]; msr fpcr, x1; ret
        Architecture::Aarch64(_) => (
            &[0x01, 0x44, 0x3b, 0xd5, 0x01, 0x00, 0x00, 0xf9, 0xc0, 0x03, 0x5f, 0xd6],
            &[0x01, 0x00, 0x40, 0xf9, 0x01, 0x44, 0x1b, 0xd5, 0xc0, 0x03, 0x5f, 0xd6],
            AARCH64_FLUSH,
            true,
        ),
        _ => return Ok(FpMode { helpers: None }),
    };
    let mut signature = Signature::new(CallConv::SystemV);
    signature.params.push(AbiParam::new(types::I64));
    let mut define = |name: &str, bytes: &[u8]| -> Result<FuncId, CodegenError> {
        let known = module.get_name(name).is_some();
        let id = module.declare_function(name, Linkage::Local, &signature)?;
        if !known {
            module.define_function_bytes(id, 16, bytes, &[])?;
        }
        Ok(id)
    };
    let save = define("bessemer_fp_save", save)?;
    let set = define("bessemer_fp_set", set)?;
    Ok(FpMode { helpers: Some(Helpers { save, set, flush, wide }) })
}

impl FpMode {
    /// Emits code that saves the caller's mode and sets flush-to-zero.
    pub fn enter(self, module: &mut dyn Module, builder: &mut FunctionBuilder<'_>) -> SavedMode {
        let Some(helpers) = self.helpers else { return SavedMode(None) };
        let save = module.declare_func_in_func(helpers.save, builder.func);
        let set = module.declare_func_in_func(helpers.set, builder.func);
        let slot = |builder: &mut FunctionBuilder<'_>| {
            builder.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, 8, 3))
        };
        let (old, new) = (slot(builder), slot(builder));
        let old_address = builder.ins().stack_addr(types::I64, old, 0);
        builder.ins().call(save, &[old_address]);
        let ty = if helpers.wide { types::I64 } else { types::I32 };
        let mode = builder.ins().load(ty, MemFlagsData::trusted(), old_address, 0);
        let mode = builder.ins().bor_imm_s(mode, helpers.flush);
        let new_address = builder.ins().stack_addr(types::I64, new, 0);
        builder.ins().store(MemFlagsData::trusted(), mode, new_address, 0);
        builder.ins().call(set, &[new_address]);
        SavedMode(Some((old, set)))
    }
}

impl SavedMode {
    /// Emits code that sets the caller's mode again; to run before every return.
    pub fn leave(self, builder: &mut FunctionBuilder<'_>) {
        if let Some((old, set)) = self.0 {
            let address = builder.ins().stack_addr(types::I64, old, 0);
            builder.ins().call(set, &[address]);
        }
    }
}
