//! What calls leave behind, and whether it is the same.

use bessemer_compiler::jit::JitProgram;
use bessemer_compiler::program::VariableLayout;
use bessemer_compiler::tensor::{Scalar, Tensor};
use bessemer_runtime::instance::Instance;

/// The values of an instance's variables, in the order of the module.
pub fn variables(program: &JitProgram, instance: &Instance) -> Vec<Tensor> {
    let read = |layout: &VariableLayout| {
        let mut bytes = vec![0; layout.bytes];
        instance.read(layout.offset, &mut bytes).expect("variables lie in the state");
        let ty = &layout.variable.ty;
        Tensor::from_bytes(ty.dtype, &ty.shape.bound(), &layout.gather(&bytes))
            .expect("the layout has the variable's size")
    };
    program.program().state.variables.iter().map(read).collect()
}

/// Whether two tensors have the same type and bits, all NaNs being equal.
pub fn same(a: &Tensor, b: &Tensor) -> bool {
    a.ty() == b.ty() && a.scalars().zip(b.scalars()).all(|(a, b)| a == b || is_nan(a) && is_nan(b))
}

fn is_nan(scalar: Scalar) -> bool {
    scalar.as_f64().is_nan()
}
