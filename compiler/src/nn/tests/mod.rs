//! What the functions compute, against loops, and their gradients against differences.

mod activations;
mod convolution;
mod normalization;
mod pooling;
mod resize;

use std::cell::RefCell;
use std::rc::Rc;

use crate::diagnostic::Diagnostics;
use crate::differentiate::differentiate;
use crate::graph::eval::{State, evaluate, evaluate_values, in_f64};
use crate::graph::{Builder, Expr, Graph, Module};
use crate::initializers::init_function;
use crate::ops::sample::Sampler;
use crate::tensor::Tensor;
use crate::types::DType;

/// The module with a function `f` that gives what `build` makes of a parameter like `x`.
fn network(build: impl for<'g> Fn(Expr<'g>) -> Expr<'g>, x: &Tensor) -> Result<Module, Diagnostics> {
    let builder = Builder::new("m");
    builder.function("f", |f| {
        f.result("y", build(f.placeholder("x", x.dtype(), x.shape())));
    });
    builder.finish()
}

/// First values of the variables, but for some noise, so that none of them is 0 or 1.
fn first_values(module: &Module) -> State {
    let mut state = State::default();
    let init = init_function(module).unwrap_or_else(|e| panic!("{e}"));
    evaluate(module, &init, &[], &mut state).unwrap();
    let mut sampler = Sampler::new(5);
    let mut names: Vec<String> = state.variables.keys().cloned().collect();
    names.sort_unstable();
    for name in names {
        let tensor = state.variables.get_mut(&name).unwrap();
        let noise = sampler.floats(tensor.shape(), 0.05, 0.5);
        *tensor = Tensor::from(tensor.array::<f32>() + noise.array::<f32>());
    }
    state
}

/// What `build` makes of `x`, computed in f64, with the variables behind it.
fn run(build: impl for<'g> Fn(Expr<'g>) -> Expr<'g>, x: &Tensor) -> (Vec<f64>, State) {
    let module = network(build, x).unwrap_or_else(|e| panic!("{e}"));
    let mut state = first_values(&module).in_f64();
    let module = in_f64(&module);
    let function = &module.functions[module.function("f").unwrap()];
    let results = evaluate(&module, function, &[wide(x)], &mut state).unwrap();
    (elements(&results[0]), state)
}

/// The code of the error that `build` makes for a parameter like `x`.
fn error(build: impl for<'g> Fn(Expr<'g>) -> Expr<'g>, x: &Tensor) -> &'static str {
    network(build, x).expect_err("it was refused").errors.first().expect("there is an error").code
}

/// Checks the gradients of what `build` makes, with respect to `x` and variables, against differences in f64.
fn check_gradients(build: impl for<'g> Fn(Expr<'g>) -> Expr<'g>, x: &Tensor) {
    let module = network(build, x).unwrap_or_else(|e| panic!("{e}"));
    let state = first_values(&module).in_f64();
    let module = Rc::new(RefCell::new(in_f64(&module)));
    let function = module.borrow().functions.values().next().unwrap().clone();
    let graph = Graph::over(module.clone(), function, Rc::default());
    let mut sampler = Sampler::new(9);
    let mut direction = |shape: &[usize]| wide(&sampler.floats(shape, -1.0, 1.0));
    // Every input: a value, where it is found, what it is, and how it moves.
    let mut inputs = Vec::new();
    inputs.push((graph.expr(graph.borrow().params[0]), None, wide(x), direction(x.shape())));
    let reads: Vec<_> = (graph.borrow().nodes.values())
        .filter(|node| node.op.traits().reads_variable)
        .map(|node| (node.results[0], node.op.symbols()[0].clone()))
        .collect();
    for (value, name) in reads {
        let tensor = state.variables[&name].clone();
        let moves = direction(tensor.shape());
        inputs.push((graph.expr(value), Some(name), tensor, moves));
    }
    let y = graph.expr(graph.borrow().results[0].value);
    let loss = (y * graph.constant(direction(&y.shape().bound()))).sum();
    let wrt: Vec<Expr<'_>> = inputs.iter().map(|input| input.0).collect();
    let gradients = differentiate(&graph, &[(loss, loss.constant_like(1.0))], &wrt)
        .unwrap_or_else(|e| panic!("{}", e.render(None)));
    let values = |step: f64| {
        let (mut params, mut state) = (Vec::new(), state.clone());
        for (_, name, tensor, direction) in &inputs {
            let moved = Tensor::from(tensor.array::<f64>() + &(direction.array::<f64>() * step));
            match name {
                None => params.push(moved),
                Some(name) => _ = state.variables.insert(name.clone(), moved),
            }
        }
        evaluate_values(&module.borrow(), &graph.borrow(), &params, &state).unwrap()
    };
    let loss_at = |step: f64| values(step)[loss.id()].as_ref().unwrap().at(0).as_f64();
    let measured = (loss_at(1e-5) - loss_at(-1e-5)) / 2e-5;
    let values = values(0.0);
    let slope = |(gradient, input): (&Option<Expr<'_>>, &(Expr<'_>, Option<String>, Tensor, Tensor))| {
        let gradient = elements(values[gradient.as_ref()?.id()].as_ref().unwrap());
        Some(gradient.iter().zip(elements(&input.3)).map(|(a, b)| a * b).sum::<f64>())
    };
    let claimed: f64 = gradients.iter().zip(&inputs).filter_map(slope).sum();
    assert!(
        measured != 0.0 && (claimed - measured).abs() < 1e-6 * (1.0 + measured.abs()),
        "{claimed}, {measured}"
    );
}

fn wide(tensor: &Tensor) -> Tensor {
    if tensor.dtype() == DType::F32 { tensor.cast(DType::F64) } else { tensor.clone() }
}

fn elements(tensor: &Tensor) -> Vec<f64> {
    tensor.scalars().map(|s| s.as_f64()).collect()
}

/// Checks that numbers are the same, but for the rounding of constants to f32.
#[track_caller]
fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (n, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(a == b || (a - b).abs() < 1e-6 * (1.0 + b.abs()), "element {n}: {a} instead of {b}");
    }
}
