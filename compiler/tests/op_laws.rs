//! The laws of every op, at every case that it draws, one test an op: attributes and text read back, inferred types are those of
//! evaluated results, kernels keep the rules of Kernel IR, gradients and gradients of gradients agree with differences,
//! and compiled code agrees with the evaluator, fused and unfused, on one thread and on two.

mod support;

use std::cell::RefCell;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bessemer_compiler::codegen::Target;
use bessemer_compiler::graph::eval::evaluate;
use bessemer_compiler::graph::{Expr, Function, Graph, Module};
use bessemer_compiler::ops::sample::{Case, Sampler};
use bessemer_compiler::ops::{Op, laws};
use bessemer_compiler::pipeline::{OptLevel, Options};
use bessemer_compiler::tensor::Scalar;
use bessemer_compiler::types::DType;
use bessemer_runtime::instance::Threads;
use bessemer_runtime::pool::Pool;
use libtest_mimic::{Arguments, Failed, Trial};
use support::{call, compile};

/// How many cases kept all laws.
static CASES: AtomicUsize = AtomicUsize::new(0);

fn main() -> ExitCode {
    let trials = Op::NAMES.iter().map(|name| {
        let cases = draw(name).len();
        Trial::test(*name, || check(name)).with_kind(format!("{cases:3} cases"))
    });
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials.collect());
    if conclusion.num_passed > 0 {
        println!("op laws: {} cases of {} ops\n", CASES.load(Ordering::Relaxed), conclusion.num_passed);
    }
    conclusion.exit_code()
}

fn draw(name: &str) -> Vec<Case> {
    Op::samples(name, &mut Sampler::new(3))
}

fn check(name: &str) -> Result<(), Failed> {
    let cases = draw(name);
    let mut broken = if cases.is_empty() { vec!["it draws no cases".to_owned()] } else { vec![] };
    for (n, case) in cases.iter().enumerate() {
        for law in [
            laws::attributes_read_back,
            laws::inference_agrees_with_evaluation,
            laws::lowering_verifies,
            laws::gradients_agree_with_differences,
        ] {
            if let Err(how) = law(case) {
                let types: Vec<String> = case.operands.iter().map(|t| t.ty().to_string()).collect();
                broken.push(format!("case {n}, {:?} of {}: {how}", case.op, types.join(", ")));
            }
        }
    }
    if broken.is_empty() {
        broken = compiled(&cases);
    }
    match broken.is_empty() {
        true => {
            CASES.fetch_add(cases.len(), Ordering::Relaxed);
            Ok(())
        }
        false => Err(format!("{} broken:\n{}", broken.len(), broken.join("\n")).into()),
    }
}

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

/// What differs from the evaluator when all cases of an op are compiled as one program, which also is read back from text.
fn compiled(cases: &[Case]) -> Vec<String> {
    let module = Rc::new(RefCell::new(Module { name: "laws".to_owned(), ..laws::module() }));
    for (n, case) in cases.iter().enumerate() {
        let f = function(&module, n, case);
        module.borrow_mut().functions.push(f);
    }
    let module = module.take();
    let text = module.to_string();
    let read = Module::parse("laws.bsm", &text).unwrap_or_else(|e| panic!("{e}"));
    assert!(read.is_alike(&module), "the text reads back as another module\n{text}\n{read}");
    let pool = Pool::new(2).expect("two threads can be had");
    let mut broken = Vec::new();
    let host = Target::host().expect("this machine is supported");
    let all = targets(&host);
    let levels = all.iter().flat_map(|target| [OptLevel::O0, OptLevel::O3].map(|level| (target, level)));
    for (target, level) in levels {
        let program = compile(&module, &Options::new(level).verify_each(true), target);
        for threads in [Threads::serial(), Threads::from(pool.clone())] {
            let workers = threads.workers();
            let instance = program.instance(threads).expect("there is memory");
            let mut state = laws::state();
            instance.set_seed(state.seed).unwrap();
            instance.set_step(state.step).unwrap();
            let v = &program.program().state.variables[0];
            instance.write(v.offset, &v.scatter(&state.variables["v"].to_bytes())).unwrap();
            for (n, (case, f)) in cases.iter().zip(module.functions.values()).enumerate() {
                let expected =
                    evaluate(&module, f, &case.operands, &mut state).expect("indices are in range");
                let found = call(&program, &instance, f, &case.operands)
                    .unwrap_or_else(|e| panic!("case {n}: {e:?}\n{f}"));
                for (found, expected) in found.iter().zip(&expected) {
                    let elements = found.scalars().zip(expected.scalars()).enumerate();
                    for (at, (a, b)) in elements.filter(|(_, (a, b))| !agree(*a, *b)).take(1) {
                        broken.push(format!(
                            "case {n} for {target} at {level:?}, threads {workers}, element {at}: {a}, not {b}\n{f}"
                        ));
                    }
                }
            }
        }
    }
    broken
}

/// This machine with all it has, and the lesser levels that it can run.
fn targets(host: &Target) -> Vec<Target> {
    let lesser = ["x86-64-v3", "x86-64-v2"].map(|cpu| Target::parse(&host.triple().to_string(), cpu));
    let lesser = lesser.into_iter().flatten().filter(|t| t.lanes(DType::F32) < host.lanes(DType::F32));
    [host.clone()].into_iter().chain(lesser).collect()
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
