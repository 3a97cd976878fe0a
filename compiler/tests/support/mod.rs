//! From modules of bound functions to programs that can be called.

use std::sync::Arc;

use bessemer_compiler::backend::{Source, SourceModule};
use bessemer_compiler::codegen::Target;
use bessemer_compiler::graph::{Function, Module};
use bessemer_compiler::jit::{CallError, JitProgram};
use bessemer_compiler::pipeline::{Options, Report, lower, optimise};
use bessemer_compiler::program::NamedType;
use bessemer_compiler::tensor::{Scalar, Tensor};
use bessemer_runtime::instance::Instance;

/// All functions of a module as one program.
pub fn compile(module: &Module, options: &Options, target: &Target) -> Arc<JitProgram> {
    let named = |name: String, ty: &_| NamedType { name, ty: Clone::clone(ty) };
    let functions = module.functions.values().map(|f| {
        let optimised = optimise(module, f, options, &mut Report::default());
        Source {
            kernels: lower(module, &optimised, options, &mut Report::default()),
            params: f.params.iter().map(|&v| named(f.value_name(v), f.ty(v))).collect(),
            results: f.results.iter().map(|r| named(r.name.clone(), f.ty(r.value))).collect(),
        }
    });
    let source = SourceModule {
        name: module.name.clone(),
        variables: module.variables.values().map(|v| named(v.name.clone(), &v.ty)).collect(),
        functions: functions.collect(),
    };
    JitProgram::compile(source, target).unwrap_or_else(|e| panic!("{e}"))
}

/// The values of an instance's variables, in the order of the module.
pub fn variables(program: &JitProgram, instance: &Instance) -> Vec<Tensor> {
    let read = |layout: &bessemer_compiler::program::VariableLayout| {
        let mut bytes = vec![0; layout.bytes];
        instance.read(layout.offset, &mut bytes).expect("variables lie in the state");
        let ty = &layout.variable.ty;
        Tensor::from_bytes(ty.dtype, &ty.shape.bound(), &layout.gather(&bytes))
            .expect("the layout has the variable's size")
    };
    program.program().state.variables.iter().map(read).collect()
}

/// The results of a call.
pub fn call(
    program: &Arc<JitProgram>,
    instance: &Instance,
    function: &Function,
    params: &[Tensor],
) -> Result<Vec<Tensor>, CallError> {
    let zeros = |value| Tensor::zeros(function.ty(value).dtype, &function.ty(value).shape.bound());
    let mut results: Vec<Tensor> = function.results.iter().map(|r| zeros(r.value)).collect();
    let entry = program.entry(&function.name).expect("the function was compiled");
    entry.call(instance, &params.iter().collect::<Vec<_>>(), &mut results)?;
    Ok(results)
}

/// Whether two tensors have the same type and bits, all NaNs being equal.
pub fn same(a: &Tensor, b: &Tensor) -> bool {
    a.ty() == b.ty() && a.scalars().zip(b.scalars()).all(|(a, b)| a == b || is_nan(a) && is_nan(b))
}

fn is_nan(scalar: Scalar) -> bool {
    scalar.as_f64().is_nan()
}
