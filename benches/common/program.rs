//! From a declared module to a program in this process.

use std::sync::Arc;

use bessemer_compiler::backend::{Source, SourceModule};
use bessemer_compiler::codegen::Target;
use bessemer_compiler::graph::bind::bind;
use bessemer_compiler::graph::{Function, Module};
use bessemer_compiler::initializers::init_function;
use bessemer_compiler::jit::JitProgram;
use bessemer_compiler::memory::choose;
use bessemer_compiler::pipeline::{Options, Report, lower, optimise};
use bessemer_compiler::program::{NamedType, StoredVariable};
use bessemer_compiler::train;

/// A module with its training steps and `init` as functions.
pub fn expand(module: &Module) -> Module {
    let mut expanded = train::expand(module).unwrap_or_else(|e| panic!("{e}"));
    let init = init_function(&expanded).unwrap_or_else(|e| panic!("{e}"));
    expanded.functions.push(init);
    expanded
}

/// Functions of an expanded module as a program, for batch size `n`.
pub fn compile(module: &Module, functions: &[&str], n: usize, options: &Options) -> Arc<JitProgram> {
    let functions = functions.iter().map(|name| {
        let id = module.function(name).unwrap_or_else(|| panic!("there is no function `{name}`"));
        let function = bind(module, &module.functions[id], n).unwrap_or_else(|e| panic!("{}", e.message));
        source(module, &function, options)
    });
    let source = SourceModule {
        name: module.name.clone(),
        variables: module
            .variables
            .values()
            .zip(choose(module))
            .map(|(v, layout)| {
                let variable = NamedType { name: v.name.clone(), ty: v.ty.clone() };
                StoredVariable { variable, layout }
            })
            .collect(),
        functions: functions.collect(),
    };
    let target = Target::host().expect("this machine is supported");
    JitProgram::compile(source, &target).unwrap_or_else(|e| panic!("{e}"))
}

fn source(module: &Module, function: &Function, options: &Options) -> Source {
    let report = &mut Report::default();
    let optimised = optimise(module, function, options, report);
    let typed = |name: &str, value| NamedType { name: name.to_owned(), ty: Clone::clone(function.ty(value)) };
    Source {
        kernels: lower(module, &optimised, options, report),
        params: function.params.iter().map(|&v| typed(&function.value_name(v), v)).collect(),
        results: function.results.iter().map(|r| typed(&r.name, r.value)).collect(),
    }
}
