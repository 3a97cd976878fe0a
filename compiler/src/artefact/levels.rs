//! Several versions of code in one object file, for CPUs of different levels, and which of them a CPU can run.

use bessemer_runtime::abi::Status;
use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa, TargetIsa};
use cranelift_module::{FuncId, Linkage, Module, ModuleReloc, ModuleResult};
use cranelift_object::ObjectModule;
use target_lexicon::Architecture;

use super::coff::{Withheld, withhold};
use super::emit::{Code, signature};
use crate::codegen::{CodegenError, Features, Target, forward_to_module};

/// What the names of functions for one of several levels end with.
pub(super) fn suffix(target: &Target, targets: &[Target]) -> String {
    let level = target.level().to_string();
    if targets.len() > 1 { format!(".{}", level.trim_start_matches("x86-64-")) } else { String::new() }
}

/// Defines the function that asks the CPU what it has, on architectures where code can do that by itself.
pub(super) fn declare_words(
    module: &mut dyn Module,
    target: &Target,
    name: &str,
) -> Result<Option<FuncId>, CodegenError> {
    if target.triple().architecture != Architecture::X86_64 {
        return Ok(None);
    }
    let signature = signature(target, (&[types::I64], None));
    let func = module.declare_function(&format!("{name}.cpu"), Linkage::Local, &signature)?;
    module.define_function_bytes(func, 16, &x86_words(target), &[])?;
    Ok(Some(func))
}

/// The position of the last of some targets that the CPU can run code for; returns `UnsupportedCpu` where there is none.
/// Each has all features of the one before.
pub(super) fn choose(code: &mut Code<'_, '_>, words: Option<FuncId>, targets: &[Target]) -> Value {
    let mut chosen = code.number(types::I32, 0);
    if let Some(words) = words {
        let found = code.room(4 * Features::WORDS);
        code.call(words, &[found]);
        for (number, target) in (0..).zip(targets) {
            let lacks = lacks(code, found, target.features());
            if number == 0 {
                code.refuse_when(lacks, Status::UnsupportedCpu);
            } else {
                let number = code.number(types::I32, number);
                chosen = code.b.ins().select(lacks, chosen, number);
            }
        }
    }
    chosen
}

/// Whether a CPU that says these words of itself lacks a feature.
fn lacks(code: &mut Code<'_, '_>, found: Value, features: Features) -> Value {
    let mut missing = code.number(types::I32, 0);
    for (at, needed) in features.words().into_iter().enumerate() {
        let word = code.load(types::I32, found, 4 * at);
        let needed = code.number(types::I32, u64::from(needed));
        let absent = code.b.ins().band_not(needed, word);
        missing = code.b.ins().bor(missing, absent);
    }
    code.compare(IntCC::NotEqual, missing, 0)
}

/// A module whose functions may use the instructions of another level than the module that it puts them into.
pub(super) struct Leveled<'a> {
    pub(super) module: &'a mut ObjectModule,
    /// Relocations that are put into the object file at the end.
    pub(super) withheld: &'a mut Vec<Withheld>,
    pub(super) isa: OwnedTargetIsa,
}

impl Module for Leveled<'_> {
    fn isa(&self) -> &dyn TargetIsa {
        &*self.isa
    }

    forward_to_module!();

    fn define_function_with_control_plane(
        &mut self,
        func: FuncId,
        ctx: &mut Context,
        control: &mut ControlPlane,
    ) -> ModuleResult<()> {
        let code = ctx.compile(&*self.isa, control)?;
        let (alignment, bytes) = (u64::from(code.buffer.alignment), code.buffer.data().to_vec());
        let relocs = code.buffer.relocs().to_vec();
        let relocs: Vec<ModuleReloc> =
            relocs.iter().map(|reloc| ModuleReloc::from_mach_reloc(reloc, &ctx.func, func)).collect();
        self.define_function_bytes(func, alignment, &bytes, &relocs)
    }

    fn define_function_bytes(
        &mut self,
        func: FuncId,
        alignment: u64,
        bytes: &[u8],
        relocs: &[ModuleReloc],
    ) -> ModuleResult<()> {
        let mut code = bytes.to_vec();
        let relocs = withhold(self.isa.triple(), (func, &mut code), relocs, self.withheld);
        self.module.define_function_bytes(func, alignment, &code, &relocs)
    }
}

/// A function that writes what the CPU says of itself, and the system of its registers, to an array of
/// [`Features::WORDS`](crate::codegen::Features::WORDS) words; 0 where they say nothing. Its parameter is in `r11`: see
/// [`x86_words`].
///
/// Reference: Intel SDM, volume 2A, CPUID and XGETBV.
#[rustfmt::skip]
const X86_WORDS: &[u8] = &[
    0x53,                                        // push rbx
    0x31, 0xc0,                                  // xor eax, eax
    0x41, 0x89, 0x43, 0x04,                      // mov [r11 + 4], eax
    0x41, 0x89, 0x43, 0x08,                      // mov [r11 + 8], eax
    0x41, 0x89, 0x43, 0x0c,                      // mov [r11 + 12], eax
    0x41, 0x89, 0x43, 0x10,                      // mov [r11 + 16], eax
    0x0f, 0xa2,                                  // cpuid: the highest leaf
    0x41, 0x89, 0xc1,                            // mov r9d, eax
    0xb8, 0x01, 0x00, 0x00, 0x00,                // mov eax, 1
    0x0f, 0xa2,                                  // cpuid
    0x41, 0x89, 0x0b,                            // mov [r11], ecx
    0x41, 0x89, 0xca,                            // mov r10d, ecx
    0x41, 0x83, 0xf9, 0x07,                      // cmp r9d, 7
    0x72, 0x11,                                  // jb extended
    0xb8, 0x07, 0x00, 0x00, 0x00,                // mov eax, 7
    0x31, 0xc9,                                  // xor ecx, ecx
    0x0f, 0xa2,                                  // cpuid
    0x41, 0x89, 0x5b, 0x04,                      // mov [r11 + 4], ebx
    0x41, 0x89, 0x4b, 0x08,                      // mov [r11 + 8], ecx
    0xb8, 0x00, 0x00, 0x00, 0x80,                // extended: mov eax, 0x80000000
    0x0f, 0xa2,                                  // cpuid: the highest extended leaf
    0x3d, 0x01, 0x00, 0x00, 0x80,                // cmp eax, 0x80000001
    0x72, 0x0b,                                  // jb saved
    0xb8, 0x01, 0x00, 0x00, 0x80,                // mov eax, 0x80000001
    0x0f, 0xa2,                                  // cpuid
    0x41, 0x89, 0x4b, 0x0c,                      // mov [r11 + 12], ecx
    0x41, 0x0f, 0xba, 0xe2, 0x1b,                // saved: bt r10d, 27: OSXSAVE
    0x73, 0x09,                                  // jnc done
    0x31, 0xc9,                                  // xor ecx, ecx
    0x0f, 0x01, 0xd0,                            // xgetbv: what the system saves of the registers
    0x41, 0x89, 0x43, 0x10,                      // mov [r11 + 16], eax
    0x5b,                                        // done: pop rbx
    0xc3,                                        // ret
];

/// The code of that function for a target's convention.
fn x86_words(target: &Target) -> Vec<u8> {
    let first: [u8; 3] = match target.call_conv() {
        CallConv::WindowsFastcall => [0x49, 0x89, 0xcb], // mov r11, rcx
        _ => [0x49, 0x89, 0xfb],                         // mov r11, rdi
    };
    [&first, X86_WORDS].concat()
}
