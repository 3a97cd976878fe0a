//! Indices out of range in lookups and in scattered additions, compiled: the call ends with a status that names input, position
//! and value, as the evaluator says, and variables stay as they were.

#[path = "support/compare.rs"]
mod compare;
mod support;

use std::sync::Arc;

use bessemer_compiler::codegen::Target;
use bessemer_compiler::graph::eval::{State, coordinates, evaluate};
use bessemer_compiler::graph::{Function, Module};
use bessemer_compiler::jit::{CallError, JitProgram};
use bessemer_compiler::pipeline::{OptLevel, Options, prepare};
use bessemer_compiler::tensor::Tensor;
use bessemer_runtime::abi::Status;
use bessemer_runtime::instance::{Instance, Threads};
use bessemer_runtime::pool::Pool;
use compare::{same, variables};
use support::{call, compile};

/// A lookup that also counts, and an addition to rows. Both assign variables that do not depend on the indices as well.
const MODEL: &str = "
var @table : f32[5,3] = normal(1.0, seed = 2)
var @calls : i32[] = zeros

func @look_up(%tokens: i32[2,4]) -> (rows: f32[2,4,3]) {
  %0 = read @table
  %rows = gather %0, %tokens {axis=0}
  %1 = read @calls
  %2 = constant {dtype=i32, shape=[], value=1}
  %3 = add %1, %2
  assign @calls, %3
  return %rows
}

func @add_rows(%at: i64[7], %rows: f32[7,3]) -> (old: f32[5,3]) {
  %0 = read @table
  %1 = scatter_add %0, %at, %rows {axis=0}
  assign @table, %1
  %2 = read @calls
  %3 = constant {dtype=i32, shape=[], value=1}
  %4 = add %2, %3
  assign @calls, %4
  return %0
}
";

const ROWS: usize = 5;

/// Parameters of both functions with good indices; the indices are the first.
fn good(name: &str) -> Vec<Tensor> {
    match name {
        "look_up" => vec![Tensor::from_vec(&[2, 4], vec![0i32, 4, 2, 2, 1, 3, 0, 4])],
        _ => vec![
            Tensor::from_vec(&[7], vec![4i64, 0, 0, 3, 1, 4, 2]),
            Tensor::from_vec(&[7, 3], (0..21).map(|i| i as f32).collect()),
        ],
    }
}

/// The parameters with other indices at some positions.
fn with_indices(params: &[Tensor], wrong: &[(usize, i64)]) -> Vec<Tensor> {
    let mut indices: Vec<i64> =
        params[0].cast(bessemer_compiler::types::DType::I64).array().iter().copied().collect();
    for &(position, value) in wrong {
        indices[position] = value;
    }
    let indices = Tensor::from_vec(params[0].shape(), indices).cast(params[0].dtype());
    [&[indices], &params[1..]].concat()
}

fn function<'m>(module: &'m Module, name: &str) -> &'m Function {
    &module.functions[module.function(name).expect("the module has it")]
}

/// Calls with wrong indices, of which the first of `wrong` is reported.
fn check(
    module: &Module,
    program: &Arc<JitProgram>,
    instance: &Instance,
    state: &State,
    name: &str,
    wrong: &[(usize, i64)],
) {
    let (function, good) = (function(module, name), good(name));
    let params = with_indices(&good, wrong);
    let (before, steps) = (variables(program, instance), instance.step());
    let failed = call(program, instance, function, &params);
    let Err(CallError::Failed(failure)) = failed else { panic!("{name} {wrong:?}: {failed:?}") };
    assert_eq!(failure.status, Status::IndexOutOfRange);
    let index = failure.index.expect("the failure says which index");
    assert_eq!((index.position, index.value), (wrong[0].0 as u64, wrong[0].1), "{name} {wrong:?}");
    let entry = program.entry(name).expect("the function was compiled");
    let site = &entry.entry().checks[index.site as usize];
    let mut evaluated = state.clone();
    let expected =
        evaluate(module, function, &params, &mut evaluated).expect_err("the evaluator finds it too");
    assert_eq!(site.name, expected.name);
    assert_eq!(coordinates(wrong[0].0, &site.shape), expected.coordinates);
    assert_eq!((index.value, site.bound), (expected.value, expected.bound));
    assert_eq!((evaluated.step, instance.step()), (state.step, steps), "a failed call does not count");
    assert!(
        before.iter().zip(variables(program, instance)).all(|(a, b)| a.same_bits(&b)),
        "{name} {wrong:?}"
    );
}

#[test]
fn an_index_out_of_range_is_named_and_changes_nothing() {
    let module = Module::parse("rows.bsm", MODEL).unwrap_or_else(|e| panic!("{e}"));
    let module = prepare(&module).unwrap_or_else(|e| panic!("{e}"));
    let target = Target::host().expect("this machine is supported");
    let pool = Pool::new(2).expect("two threads can be had");
    for level in [OptLevel::O0, OptLevel::O3] {
        let program = compile(&module, &Options::new(level), &target);
        for threads in [Threads::serial(), Threads::from(pool.clone())] {
            let instance = program.instance(threads).expect("there is memory");
            let mut state = State::default();
            call(&program, &instance, function(&module, "init"), &[]).expect("it checks nothing");
            evaluate(&module, function(&module, "init"), &[], &mut state).expect("it checks nothing");
            for (name, last, extremes) in [
                ("look_up", 7, [i64::from(i32::MIN), i64::from(i32::MAX)]),
                ("add_rows", 6, [i64::MIN, i64::MAX]),
            ] {
                for value in [-1, ROWS as i64, extremes[0], extremes[1]] {
                    for position in [0, 3, last] {
                        check(&module, &program, &instance, &state, name, &[(position, value)]);
                    }
                }
                check(&module, &program, &instance, &state, name, &[(2, 9), (5, -9), (last, 10)]);
                // The instance is as good as before.
                let (f, params) = (function(&module, name), good(name));
                let found = call(&program, &instance, f, &params).expect("indices are in range");
                let expected = evaluate(&module, f, &params, &mut state).expect("indices are in range");
                assert!(
                    found.iter().zip(&expected).all(|(a, b)| same(a, b)),
                    "{name}: {found:?}\n{expected:?}"
                );
            }
        }
    }
}
