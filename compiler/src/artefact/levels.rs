//! Several versions of code in one object file, for CPUs of different levels.

use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::isa::{OwnedTargetIsa, TargetIsa};
use cranelift_module::{FuncId, Module, ModuleReloc, ModuleResult};
use cranelift_object::ObjectModule;

use crate::codegen::{CpuLevel, forward_to_module};

/// The N of `x86-64-vN`; 0 where every CPU of the architecture has the level.
pub(super) fn number(level: CpuLevel) -> u32 {
    match level {
        CpuLevel::X86_64V2 => 2,
        CpuLevel::X86_64V3 => 3,
        CpuLevel::X86_64V4 => 4,
        CpuLevel::Generic | CpuLevel::Native => 0,
    }
}

/// A module whose functions may use the instructions of another level than the module that it puts them into.
pub(super) struct Leveled<'a> {
    module: &'a mut ObjectModule,
    isa: OwnedTargetIsa,
}

impl<'a> Leveled<'a> {
    pub(super) fn new(module: &'a mut ObjectModule, isa: OwnedTargetIsa) -> Leveled<'a> {
        Leveled { module, isa }
    }
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
        self.module.define_function_bytes(func, alignment, &bytes, &relocs)
    }

    fn define_function_bytes(
        &mut self,
        func: FuncId,
        alignment: u64,
        bytes: &[u8],
        relocs: &[ModuleReloc],
    ) -> ModuleResult<()> {
        self.module.define_function_bytes(func, alignment, bytes, relocs)
    }
}

/// A function without parameters that gives the level of the CPU it runs on, as a `u32`: 0 for less than x86-64-v2. It keeps
/// to the conventions of System V and of Windows alike.
///
/// Reference: the levels of the x86-64 psABI, version 1.0, table 3.1; Intel SDM, volume 2A, CPUID.
#[rustfmt::skip]
pub(super) const X86_LEVEL: &[u8] = &[
    0x53,                                        // push rbx
    0x31, 0xc0,                                  // xor eax, eax
    0x0f, 0xa2,                                  // cpuid: the highest leaf
    0x41, 0x89, 0xc1,                            // mov r9d, eax
    0xb8, 0x01, 0x00, 0x00, 0x00,                // mov eax, 1
    0x0f, 0xa2,                                  // cpuid
    0x41, 0x89, 0xca,                            // mov r10d, ecx
    0x45, 0x31, 0xc0,                            // xor r8d, r8d: the result
    0x81, 0xe1, 0x01, 0x22, 0x98, 0x00,          // and ecx, SSE3 | SSSE3 | CMPXCHG16B | SSE4.1 | SSE4.2 | POPCNT
    0x81, 0xf9, 0x01, 0x22, 0x98, 0x00,          // cmp ecx, the same
    0x75, 0x7e,                                  // jne done
    0xb8, 0x01, 0x00, 0x00, 0x80,                // mov eax, 0x80000001
    0x0f, 0xa2,                                  // cpuid
    0xf6, 0xc1, 0x01,                            // test cl, LAHF
    0x74, 0x72,                                  // je done
    0x41, 0xb8, 0x02, 0x00, 0x00, 0x00,          // mov r8d, 2
    0xf6, 0xc1, 0x20,                            // test cl, LZCNT
    0x74, 0x67,                                  // je done
    0x41, 0x81, 0xe2, 0x00, 0x10, 0x40, 0x38,    // and r10d, FMA | MOVBE | OSXSAVE | AVX | F16C
    0x41, 0x81, 0xfa, 0x00, 0x10, 0x40, 0x38,    // cmp r10d, the same
    0x75, 0x57,                                  // jne done
    0x41, 0x83, 0xf9, 0x07,                      // cmp r9d, 7
    0x72, 0x51,                                  // jb done
    0xb8, 0x07, 0x00, 0x00, 0x00,                // mov eax, 7
    0x31, 0xc9,                                  // xor ecx, ecx
    0x0f, 0xa2,                                  // cpuid
    0x41, 0x89, 0xda,                            // mov r10d, ebx
    0x81, 0xe3, 0x28, 0x01, 0x00, 0x00,          // and ebx, BMI1 | AVX2 | BMI2
    0x81, 0xfb, 0x28, 0x01, 0x00, 0x00,          // cmp ebx, the same
    0x75, 0x37,                                  // jne done
    0x31, 0xc9,                                  // xor ecx, ecx
    0x0f, 0x01, 0xd0,                            // xgetbv: what the system saves of the registers
    0x89, 0xc1,                                  // mov ecx, eax
    0x83, 0xe1, 0x06,                            // and ecx, XMM | YMM
    0x83, 0xf9, 0x06,                            // cmp ecx, the same
    0x75, 0x28,                                  // jne done
    0x41, 0xb8, 0x03, 0x00, 0x00, 0x00,          // mov r8d, 3
    0x41, 0x81, 0xe2, 0x00, 0x00, 0x03, 0xd0,    // and r10d, AVX512 F | DQ | CD | BW | VL
    0x41, 0x81, 0xfa, 0x00, 0x00, 0x03, 0xd0,    // cmp r10d, the same
    0x75, 0x12,                                  // jne done
    0x25, 0xe6, 0x00, 0x00, 0x00,                // and eax, XMM | YMM | opmask | upper ZMM | further ZMM
    0x3d, 0xe6, 0x00, 0x00, 0x00,                // cmp eax, the same
    0x75, 0x06,                                  // jne done
    0x41, 0xb8, 0x04, 0x00, 0x00, 0x00,          // mov r8d, 4
    0x44, 0x89, 0xc0,                            // done: mov eax, r8d
    0x5b,                                        // pop rbx
    0xc3,                                        // ret
];
