//! Calls assembled functions, for tests.

use cranelift_codegen::ir::{AbiParam, types};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{Linkage, Module, default_libcall_names};

/// What is assembled here: a function of four words.
type Function = unsafe extern "C" fn(u64, u64, u64, u64);

/// Calls the function that these bytes are.
pub(super) fn call(bytes: &[u8], arguments: [u64; 4]) {
    let builder = JITBuilder::new(default_libcall_names()).expect("a module");
    let mut module = JITModule::new(builder);
    let mut signature = module.make_signature();
    signature.params.extend([types::I64; 4].map(AbiParam::new));
    let id = module.declare_function("f", Linkage::Local, &signature).expect("a declaration");
    module.define_function_bytes(id, 64, bytes, &[]).expect("a definition");
    module.finalize_definitions().expect("finalized code");
    let address = module.get_finalized_function(id);
    // SAFETY: the bytes are a function of this type; its arguments are what it was made for.
    unsafe {
        let function = std::mem::transmute::<*const u8, Function>(address);
        let [a, b, c, d] = arguments;
        function(a, b, c, d);
        module.free_memory();
    }
}
