//! From modules of bound functions to programs that can be called.

use std::sync::Arc;

use bessemer_compiler::backend::{Source, SourceModule};
use bessemer_compiler::codegen::Target;
use bessemer_compiler::graph::{Function, Module};
use bessemer_compiler::jit::{CallError, JitProgram};
use bessemer_compiler::pipeline::{Options, Report, lower, optimise};
use bessemer_compiler::program::{NamedType, StoredVariable};
use bessemer_compiler::tensor::Tensor;
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
        variables: module
            .variables
            .values()
            .map(|v| StoredVariable::by_rows(named(v.name.clone(), &v.ty)))
            .collect(),
        functions: functions.collect(),
    };
    JitProgram::compile(source, target).unwrap_or_else(|e| panic!("{e}"))
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
