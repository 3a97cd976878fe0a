//! What the code generator emits, as text to read.

use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::isa::TargetIsa;
use cranelift_module::{FuncId, Module, ModuleReloc, ModuleResult, default_libcall_names};
use cranelift_object::{ObjectBuilder, ObjectModule};

use crate::backend::{CompileError, Compiled, SourceModule, compile_into};
use crate::codegen::kernel::disassemble;
use crate::codegen::{CodegenError, Target, forward_to_module};

/// An emitted function as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Name of its symbol.
    pub symbol: String,
    /// Cranelift's intermediate form of it, before Cranelift's own passes; empty if it was assembled without Cranelift.
    pub clif: String,
    /// Its instructions, in Cranelift's notation or, of one that was assembled without Cranelift, in Intel's.
    pub assembly: String,
}

/// Compiles functions for `target` and gives all that is emitted, in the order of its emission: the tasks of kernels
/// before the entry point that runs them.
///
/// # Errors
/// As [`compile_into`].
pub fn list(source: SourceModule, target: &Target) -> Result<(Compiled, Vec<Listing>), CompileError> {
    let builder = ObjectBuilder::new(target.isa()?, source.name.as_str(), default_libcall_names())
        .map_err(CodegenError::from)?;
    let mut lister = Lister { module: ObjectModule::new(builder), target, listings: Vec::new() };
    let compiled = compile_into(&mut lister, target, source)?;
    Ok((compiled, lister.listings))
}

/// A module that notes what is defined in it.
struct Lister<'t> {
    module: ObjectModule,
    target: &'t Target,
    listings: Vec<Listing>,
}

impl Lister<'_> {
    fn list(&mut self, func: FuncId, clif: String, assembly: String) {
        let symbol = self.declarations().get_function_decl(func).linkage_name(func).into_owned();
        self.listings.push(Listing { symbol, clif, assembly });
    }
}

impl Module for Lister<'_> {
    fn isa(&self) -> &dyn TargetIsa {
        self.module.isa()
    }

    forward_to_module!();

    fn define_function_with_control_plane(
        &mut self,
        func: FuncId,
        ctx: &mut Context,
        control: &mut ControlPlane,
    ) -> ModuleResult<()> {
        let clif = ctx.func.display().to_string();
        ctx.set_disasm(true);
        self.module.define_function_with_control_plane(func, ctx, control)?;
        let assembly = ctx.compiled_code().and_then(|code| code.vcode.clone()).unwrap_or_default();
        self.list(func, clif, assembly);
        Ok(())
    }

    fn define_function_bytes(
        &mut self,
        func: FuncId,
        alignment: u64,
        bytes: &[u8],
        relocs: &[ModuleReloc],
    ) -> ModuleResult<()> {
        self.module.define_function_bytes(func, alignment, bytes, relocs)?;
        self.list(func, String::new(), disassemble(self.target, bytes));
        Ok(())
    }
}
