//! Modules around modules.

/// Everything of [`Module`](cranelift_module::Module) but its instruction set and how functions are defined, for a type
/// that passes it on to its field `module`.
macro_rules! forward_to_module {
    () => {
        fn declarations(&self) -> &cranelift_module::ModuleDeclarations {
            self.module.declarations()
        }

        fn declare_function(
            &mut self,
            name: &str,
            linkage: cranelift_module::Linkage,
            signature: &cranelift_codegen::ir::Signature,
        ) -> cranelift_module::ModuleResult<cranelift_module::FuncId> {
            self.module.declare_function(name, linkage, signature)
        }

        fn declare_anonymous_function(
            &mut self,
            signature: &cranelift_codegen::ir::Signature,
        ) -> cranelift_module::ModuleResult<cranelift_module::FuncId> {
            self.module.declare_anonymous_function(signature)
        }

        fn declare_data(
            &mut self,
            name: &str,
            linkage: cranelift_module::Linkage,
            writable: bool,
            tls: bool,
        ) -> cranelift_module::ModuleResult<cranelift_module::DataId> {
            self.module.declare_data(name, linkage, writable, tls)
        }

        fn declare_anonymous_data(
            &mut self,
            writable: bool,
            tls: bool,
        ) -> cranelift_module::ModuleResult<cranelift_module::DataId> {
            self.module.declare_anonymous_data(writable, tls)
        }

        fn define_data(
            &mut self,
            data: cranelift_module::DataId,
            description: &cranelift_module::DataDescription,
        ) -> cranelift_module::ModuleResult<()> {
            self.module.define_data(data, description)
        }
    };
}

pub(crate) use forward_to_module;
