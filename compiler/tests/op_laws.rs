//! The laws of every op, at every case that it draws: text reads back, and compiled code agrees with the evaluator, fused and
//! unfused, on one thread and on two. (Inference, gradients and lowering are checked beside the ops, in `ops::laws`.)

use std::cell::RefCell;
use std::rc::Rc;

use bessemer_compiler::backend::{Source, SourceModule};
use bessemer_compiler::codegen::Target;
use bessemer_compiler::graph::eval::evaluate;
use bessemer_compiler::graph::{Expr, Function, Graph, Module};
use bessemer_compiler::jit::JitProgram;
use bessemer_compiler::ops::sample::{Case, Sampler};
use bessemer_compiler::ops::{Op, laws};
use bessemer_compiler::pipeline::{OptLevel, Options, Report, lower, optimise};
use bessemer_compiler::program::NamedType;
use bessemer_compiler::tensor::{Scalar, Tensor};
use bessemer_runtime::instance::Threads;
use bessemer_runtime::pool::Pool;

/// The function `caseN` that applies a case's op to parameters `p0`, `p1`, … and returns `r0`, `r1`, ….
fn function(module: &Rc<RefCell<Module>>, n: usize, case: &Case) -> Function {
    let graph = Graph::over(module.clone(), Function::default(), Rc::default());
    let params: Vec<Expr<'_>> = case
        .operands
        .iter()
        .enumerate()
        .map(|(i, t)| graph.placeholder(&format!("p{i}"), t.dtype(), t.shape()))
        .collect();
    for (i, result) in graph.add_many(case.op.clone(), &params).into_iter().enumerate() {
        graph.result(&format!("r{i}"), result);
    }
    Function { name: format!("case{n}"), ..graph.into_function() }
}

/// All cases of an op as one program.
fn compile(module: &Module, options: &Options) -> std::sync::Arc<JitProgram> {
    let named = |name: String, ty: &_| NamedType { name, ty: Clone::clone(ty) };
    let functions = module.functions.values().map(|f| {
        let optimised = optimise(module, f, options, &mut Report::default());
        let value = |v| named(f.value_name(v), f.ty(v));
        Source {
            kernels: lower(module, &optimised, options, &mut Report::default()),
            params: f.params.iter().map(|&v| value(v)).collect(),
            results: f.results.iter().map(|r| named(r.name.clone(), f.ty(r.value))).collect(),
        }
    });
    let source = SourceModule {
        name: "laws".to_owned(),
        variables: module.variables.values().map(|v| named(v.name.clone(), &v.ty)).collect(),
        functions: functions.collect(),
    };
    let target = Target::host().expect("this machine is supported");
    JitProgram::compile(source, &target).unwrap_or_else(|e| panic!("{e}"))
}

/// Whether a compiled element agrees with the evaluated one, which is within half an ulp: functions have errors of a few ulp,
/// sums as many as they have terms.
fn agree(compiled: Scalar, evaluated: Scalar) -> bool {
    let (a, b) = (compiled.as_f64(), evaluated.as_f64());
    let ulp = match evaluated {
        Scalar::F32(_) => f64::from(f32::EPSILON),
        Scalar::F64(_) => f64::EPSILON,
        _ => return compiled == evaluated,
    };
    a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= ulp * (8.0 * b.abs() + 16.0)
}

#[test]
fn compiled_agrees_with_evaluated() {
    let levels = [OptLevel::O0, OptLevel::O3].map(|level| Options::new(level).verify_each(true));
    let pool = Pool::new(2).expect("two threads can be had");
    let mut count = 0;
    let mut broken = Vec::new();
    for name in Op::NAMES {
        let cases = Op::samples(name, &mut Sampler::new(5));
        let module = Rc::new(RefCell::new(laws::module()));
        for (n, case) in cases.iter().enumerate() {
            let f = function(&module, n, case);
            module.borrow_mut().functions.push(f);
        }
        let module = module.take();
        let text = module.to_string();
        let read = Module::parse("laws.bsm", &text).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(read.is_alike(&module), "{name}: the text reads back as another module\n{text}\n{read}");
        for options in &levels {
            let program = compile(&module, options);
            for threads in [Threads::serial(), Threads::from(pool.clone())] {
                let instance = program.instance(threads).expect("there is memory");
                let mut state = laws::state();
                instance.set_seed(state.seed).unwrap();
                instance.set_step(state.step).unwrap();
                instance
                    .write(program.program().state.variables[0].offset, &state.variables["v"].to_bytes())
                    .unwrap();
                for (n, (case, f)) in cases.iter().zip(module.functions.values()).enumerate() {
                    count += 1;
                    let expected =
                        evaluate(&module, f, &case.operands, &mut state).expect("indices are in range");
                    let mut found: Vec<Tensor> =
                        expected.iter().map(|t| Tensor::zeros(t.dtype(), t.shape())).collect();
                    let params: Vec<&Tensor> = case.operands.iter().collect();
                    let entry = program.entry(&f.name).expect("the function was compiled");
                    entry
                        .call(&instance, &params, &mut found)
                        .unwrap_or_else(|e| panic!("{name} {n}: {e:?}"));
                    for (found, expected) in found.iter().zip(&expected) {
                        let wrong = found
                            .scalars()
                            .zip(expected.scalars())
                            .enumerate()
                            .find(|(_, (a, b))| !agree(*a, *b));
                        if let Some((at, (a, b))) = wrong {
                            broken.push(format!("{name} case {n} {:?} at {at}: {a}, not {b}\n{f}", case.op));
                        }
                    }
                }
            }
        }
    }
    println!("op laws: {count} compiled cases of {} ops", Op::NAMES.len());
    assert!(broken.is_empty(), "{} broken:\n{}", broken.len(), broken.join("\n"));
}
