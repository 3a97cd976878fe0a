//! Random graphs, compiled and compared with the evaluator.
//!
//! Unfused code is compared node by node: a copy of the function returns every value, and each must be what the
//! evaluator makes of the *compiled* operands, to within a few ulp. So no error is carried along, and comparisons, casts and
//! jumps have to agree exactly. Everything else is compared with unfused code bit for bit: levels of optimisation, and
//! numbers of threads.

#[path = "support/compare.rs"]
mod compare;
mod support;

#[path = "random_graphs/draw.rs"]
mod draw;

use std::cell::RefCell;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bessemer_compiler::codegen::Target;
use bessemer_compiler::graph::eval::State;
use bessemer_compiler::graph::verify::verify_function;
use bessemer_compiler::graph::{Function, Module, Output, ValueId};
use bessemer_compiler::jit::JitProgram;
use bessemer_compiler::ops::{EvalCx, Op};
use bessemer_compiler::pipeline::{OptLevel, Options};
use bessemer_compiler::tensor::{Scalar, Tensor};
use bessemer_runtime::instance::{Instance, Threads};
use bessemer_runtime::pool::Pool;
use compare::{same, variables};
use draw::{Drawn, draw};
use libtest_mimic::{Arguments, Failed, Trial};
use support::{call, compile};

const GRAPHS: u64 = 2000;
const BATCH: u64 = 100;

/// The function with every value as a result.
fn exposed(function: &Function) -> Function {
    let place = function.place.clone();
    let output =
        |value: ValueId| Output { name: format!("v{}", value.as_u32()), value, place: place.clone() };
    Function { results: function.values.keys().map(output).collect(), ..function.clone() }
}

/// Graphs with seeds from `first`, in a module; with every value exposed, if `expose`.
fn batch(first: u64, expose: bool) -> (Module, Vec<Drawn>) {
    let module = Rc::new(RefCell::new(draw::module()));
    let mut graphs = Vec::new();
    for seed in first..first + BATCH {
        let mut drawn = draw(&module, seed);
        if expose {
            drawn.function = exposed(&drawn.function);
        }
        if let Err(errors) = verify_function(&module.borrow(), &drawn.function) {
            panic!("seed {seed}: {errors}\n{}", drawn.function);
        }
        module.borrow_mut().functions.push(drawn.function.clone());
        graphs.push(drawn);
    }
    (module.take(), graphs)
}

/// Results and, in the order of the module, variables after a call.
type Outcome = (Vec<Tensor>, Vec<Tensor>);

/// Gives an instance of a program the variables, seed and step of `state`.
fn restore(program: &JitProgram, instance: &Instance, state: &State) {
    instance.set_seed(state.seed).expect("nothing else uses the instance");
    instance.set_step(state.step).expect("nothing else uses the instance");
    for layout in &program.program().state.variables {
        let bytes = layout.scatter(&state.variables[&layout.variable.name].to_bytes());
        instance.write(layout.offset, &bytes).expect("variables lie in the state");
    }
}

/// Results and variables of every function of a batch, each called with the state of its seed.
fn run(
    module: &Module,
    graphs: &[Drawn],
    first: u64,
    options: &Options,
    target: &Target,
    threads: &[Threads],
) -> Vec<Vec<Outcome>> {
    let program = compile(module, options, target);
    let on = |threads: &Threads| {
        let instance = program.instance(threads.clone()).expect("there is memory");
        let one = |(seed, drawn): (u64, &Drawn)| {
            restore(&program, &instance, &draw::state(seed));
            let results = call(&program, &instance, &drawn.function, &drawn.params)
                .unwrap_or_else(|e| panic!("seed {seed}: {e:?}\n{}", drawn.function));
            (results, variables(&program, &instance))
        };
        (first..).zip(graphs).map(one).collect()
    };
    threads.iter().map(on).collect()
}

/// What is wrong with the values that compiled code gave all the values of a function, node by node.
fn wrong_node(function: &Function, params: &[Tensor], state: &State, found: &[Tensor]) -> Option<String> {
    let at = |v: ValueId| &found[v.as_u32() as usize];
    if let Some(n) = (0..params.len()).find(|&n| !same(&params[n], at(function.params[n]))) {
        return Some(format!("parameter {n} came back changed"));
    }
    let variable = |name: &str| state.variables[name].clone();
    let cx = EvalCx { variable: &variable, seed: state.seed, step: state.step };
    for node in function.nodes.values() {
        let operands: Vec<&Tensor> = node.operands.iter().map(|&v| at(v)).collect();
        let expected = node.op.eval(&cx, &operands).expect("indices are in range");
        let scale = magnitudes(&node.op, &cx, &operands, &expected);
        for ((&value, expected), scale) in node.results.iter().zip(&expected).zip(&scale) {
            let found = at(value);
            let terms = operands.iter().map(|t| t.len()).max().unwrap_or(0) as f64;
            let elements = found.scalars().zip(expected.scalars()).zip(scale.scalars());
            for (n, ((a, b), scale)) in elements.enumerate() {
                if !agree(a, b, scale.as_f64(), terms) {
                    let name = function.value_name(value);
                    return Some(format!("%{name} at {n} is {a}, not {b} ({})", node.op.name()));
                }
            }
        }
    }
    None
}

/// The size of what errors of the results are relative to: for sums, the sum of the magnitudes of their terms; else the
/// results.
fn magnitudes(op: &Op, cx: &EvalCx<'_>, operands: &[&Tensor], results: &[Tensor]) -> Vec<Tensor> {
    if !matches!(op, Op::ReduceSum(_) | Op::Matmul(_) | Op::Cumsum(_) | Op::ScatterAdd(_)) {
        return results.to_vec();
    }
    let magnitude =
        |s: Scalar| if s.dtype().is_float() { Scalar::F64(s.as_f64().abs()).convert(s.dtype()) } else { s };
    let absolute: Vec<Tensor> = (operands.iter())
        .map(|t| Tensor::from_scalars(t.dtype(), t.shape(), t.scalars().map(magnitude)))
        .collect();
    op.eval(cx, &absolute.iter().collect::<Vec<_>>()).expect("indices are in range")
}

/// Whether an element agrees with an evaluated one that is the result of up to `terms` terms or factors, with errors
/// relative to `scale`.
fn agree(found: Scalar, expected: Scalar, scale: f64, terms: f64) -> bool {
    let (a, b) = (found.as_f64(), expected.as_f64());
    let (ulp, least) = match expected {
        Scalar::F32(_) => (f64::from(f32::EPSILON), f64::from(f32::MIN_POSITIVE)),
        Scalar::F64(_) => (f64::EPSILON, f64::MIN_POSITIVE),
        _ => return found == expected,
    };
    // Every term that is subnormal is flushed to zero.
    let tolerance = ulp * (8.0 + terms) * scale.abs() + least * (2.0 + terms);
    // Sums near the largest number may overflow in one order and not in another.
    let overflows = scale.is_nan() || scale.abs() * (1.0 + ulp * terms) >= f64::from(f32::MAX) * (1.0 - ulp);
    a == b
        || a.is_nan() && b.is_nan()
        || (a - b).abs() <= tolerance
        || overflows && !(a.is_finite() && b.is_finite())
}

/// How a level's outcome of a function differs from that of unfused code, which exposes all values.
fn differences(module: &Module, function: &Function, found: &Outcome, unfused: &Outcome) -> Vec<String> {
    let exposed = |value: ValueId| &unfused.0[value.as_u32() as usize];
    let results = function.results.iter().zip(&found.0);
    let results = results.filter(|(output, found)| !same(found, exposed(output.value)));
    let mut differences: Vec<String> =
        results.map(|(output, _)| format!("result {} differs", output.name)).collect();
    for ((variable, found), unfused) in module.variables.values().zip(&found.1).zip(&unfused.1) {
        let assigned = function.assigns.iter().find(|a| a.variable == variable.name);
        if !same(found, unfused) || assigned.is_some_and(|a| !same(found, exposed(a.value))) {
            differences.push(format!("variable @{} differs", variable.name));
        }
    }
    differences
}

/// How many graphs agreed, how many nodes they had, and how many of them were differentiated.
static AGREED: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];

fn main() -> ExitCode {
    let batches = (0..GRAPHS).step_by(BATCH as usize).map(|first| {
        let name = format!("seeds_from_{first}");
        Trial::test(name, move || compiled_graphs_agree(first)).with_kind(format!("{BATCH} graphs"))
    });
    let mut trials: Vec<Trial> = batches.collect();
    if cfg!(target_arch = "x86_64") {
        trials.push(Trial::test("lesser_instruction_sets", lesser_instruction_sets_agree));
    }
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    let [graphs, nodes, differentiated] = AGREED.each_ref().map(|count| count.load(Ordering::Relaxed));
    if graphs > 0 {
        println!("random graphs: {graphs} of {nodes} nodes; {differentiated} of them differentiated\n");
    }
    conclusion.exit_code()
}

/// Compares a batch of graphs, unfused with the evaluator, and fused with unfused.
fn compiled_graphs_agree(first: u64) -> Result<(), Failed> {
    let threads = [Threads::serial(), Threads::from(Pool::new(2).expect("two threads can be had"))];
    let host = Target::host().expect("this machine is supported");
    let mut broken = Vec::new();
    let (module, graphs) = batch(first, true);
    let options = Options::new(OptLevel::O0).verify_each(false);
    let unfused = run(&module, &graphs, first, &options, &host, &threads[..1]).remove(0);
    for ((seed, drawn), (found, _)) in (first..).zip(&graphs).zip(&unfused) {
        if let Some(wrong) = wrong_node(&drawn.function, &drawn.params, &draw::state(seed), found) {
            broken.push(format!("seed {seed}: {wrong}\n{}", drawn.function));
        }
    }
    let nodes = graphs.iter().map(|drawn| drawn.function.nodes.len()).sum();
    let differentiated = graphs.iter().filter(|drawn| drawn.differentiated).count();
    let (module, graphs) = batch(first, false);
    for level in [OptLevel::O2, OptLevel::O3] {
        let by_threads = run(&module, &graphs, first, &Options::new(level), &host, &threads);
        for (n, outcomes) in by_threads.iter().enumerate() {
            for (((seed, drawn), found), unfused) in (first..).zip(&graphs).zip(outcomes).zip(&unfused) {
                for difference in differences(&module, &drawn.function, found, unfused) {
                    let threads = n + 1;
                    broken.push(format!(
                        "seed {seed}: {difference} from O0 at {level:?} with threads {threads}\n{}",
                        drawn.function
                    ));
                }
            }
        }
    }
    if !broken.is_empty() {
        return Err(format!("{} broken:\n{}", broken.len(), broken.join("\n")).into());
    }
    for (count, more) in AGREED.iter().zip([graphs.len(), nodes, differentiated]) {
        count.fetch_add(more, Ordering::Relaxed);
    }
    Ok(())
}

/// Code for less than this machine has means the same.
fn lesser_instruction_sets_agree() -> Result<(), Failed> {
    let first = GRAPHS;
    let (module, graphs) = batch(first, true);
    for cpu in ["x86-64-v2", "x86-64-v3"].into_iter().take(if has_v3() { 2 } else { 1 }) {
        let target = Target::parse("x86_64-unknown-linux-gnu", cpu).expect("the level exists");
        let options = Options::new(OptLevel::O0).verify_each(false);
        let found = run(&module, &graphs, first, &options, &target, &[Threads::serial()]).remove(0);
        for ((seed, drawn), (found, _)) in (first..).zip(&graphs).zip(&found) {
            if let Some(wrong) = wrong_node(&drawn.function, &drawn.params, &draw::state(seed), found) {
                return Err(format!("seed {seed} for {cpu}: {wrong}\n{}", drawn.function).into());
            }
        }
    }
    Ok(())
}

/// Whether this machine runs code for x86-64-v3.
fn has_v3() -> bool {
    Target::host().is_ok_and(|host| host.has_fma())
}
