//! What must be true of every op, at the cases that it draws; `tests/op_laws.rs` checks it.

use std::cell::RefCell;
use std::rc::Rc;

use super::attributes::Attribute;
use super::sample::{Case, GradientCheck, Sampler};
use super::{EvalCx, InferCx, Op};
use crate::diagnostic::{Diagnostic, Place};
use crate::differentiate::differentiate;
use crate::graph::eval::{State, evaluate_values, in_f64};
use crate::graph::{Call, Expr, Function, Graph, Module, Variable};
use crate::kernel;
use crate::lower::lower;
use crate::tensor::Tensor;
use crate::types::{DType, TensorType};

/// A law that failed at a case: which, and how.
pub type Broken = String;

/// The module that cases run in: it has a variable `v`, `f32[2,3]`, for ops that refer to one.
pub fn module() -> Module {
    let mut module = Module::default();
    module.variables.push(Variable {
        name: "v".to_owned(),
        ty: TensorType::new(DType::F32, [2, 3]),
        init: Call::word("zeros"),
        trainable: true,
        place: Place::Unknown,
    });
    module
}

/// The state that cases run with.
pub fn state() -> State {
    let v = Sampler::new(7).floats(&[2, 3], -2.0, 2.0);
    State { variables: [("v".to_owned(), v)].into(), seed: 1, step: 2 }
}

/// The op is what its attributes say.
///
/// # Errors
/// If another op is read back.
pub fn attributes_read_back(case: &Case) -> Result<(), Broken> {
    let attributes: Vec<(String, Attribute)> =
        case.op.attributes().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    match Op::from_attributes(case.op.name(), &attributes) {
        Some(Ok(op)) if op == case.op => Ok(()),
        other => Err(format!("{attributes:?} read back as {other:?}")),
    }
}

/// The inferred types are those of the evaluated results.
///
/// # Errors
/// If they are not, or if the operands are refused.
pub fn inference_agrees_with_evaluation(case: &Case) -> Result<(), Broken> {
    let types: Vec<TensorType> = case.operands.iter().map(Tensor::ty).collect();
    let inferred = case.op.infer(&InferCx { module: &module() }, &types).map_err(|e| e.render(None))?;
    let state = state();
    let variable = |name: &str| state.variables[name].clone();
    let cx = EvalCx { variable: &variable, seed: state.seed, step: state.step };
    let operands: Vec<&Tensor> = case.operands.iter().collect();
    let results = case.op.eval(&cx, &operands).map_err(|fault| format!("{fault:?}"))?;
    let evaluated: Vec<TensorType> = results.iter().map(Tensor::ty).collect();
    match inferred == evaluated {
        true => Ok(()),
        false => Err(format!("inferred {inferred:?}, evaluated {evaluated:?}")),
    }
}

/// The op's kernels pass the verifier of Kernel IR.
///
/// # Errors
/// If they do not.
pub fn lowering_verifies(case: &Case) -> Result<(), Broken> {
    let module = Rc::new(RefCell::new(module()));
    let graph = Graph::over(Rc::clone(&module), Function::default(), Rc::default());
    let params: Vec<Expr<'_>> = (case.operands.iter().enumerate())
        .map(|(n, t)| graph.placeholder(&format!("p{n}"), t.dtype(), t.shape()))
        .collect();
    for (n, result) in graph.add_many(case.op.clone(), &params).into_iter().enumerate() {
        graph.result(&format!("r{n}"), result);
    }
    let lowered = lower(&module.borrow(), &Function { name: "case".to_owned(), ..graph.into_function() });
    kernel::verify(&lowered).map_err(|errors| errors.to_string())
}

/// Gradients, and gradients of gradients, are what central differences along random directions say, in f64. The latter
/// are taken with respect to the cotangents too. Cases that are not smooth, or have no float among their operands or
/// results, pass.
///
/// # Errors
/// If a gradient is missing or wrong.
pub fn gradients_agree_with_differences(case: &Case) -> Result<(), Broken> {
    if case.gradient != GradientCheck::Smooth {
        return Ok(());
    }
    let errors = Rc::default();
    let module = Rc::new(RefCell::new(in_f64(&module())));
    let graph = Graph::over(module, Function::default(), Rc::clone(&errors));
    let mut probe =
        Probe { graph: &graph, params: Vec::new(), state: state().in_f64(), sampler: Sampler::new(11) };
    let operands: Vec<Expr<'_>> = case.operands.iter().map(|t| probe.param(wide(t))).collect();
    let results = graph.add_many(case.op.in_f64(), &operands);
    let (mut wrt, results) = (floats(&operands), floats(&results));
    if wrt.is_empty() || results.is_empty() {
        return Ok(());
    }
    let outputs = probe.weighted(&results);
    let gradients = probe.gradients(&outputs, &wrt)?;
    probe.check("gradient", &outputs, &gradients)?;
    let values: Vec<Expr<'_>> = gradients.into_iter().filter_map(|(_, gradient)| gradient).collect();
    wrt.extend(outputs.iter().map(|(_, cotangent)| *cotangent));
    let outputs = probe.weighted(&values);
    let gradients = probe.gradients(&outputs, &wrt)?;
    probe.check("gradient of the gradient", &outputs, &gradients)?;
    match errors.take().first() {
        None => Ok(()),
        Some(error) => Err(Diagnostic::render(error, None)),
    }
}

/// A graph under construction with a point at which it is evaluated.
struct Probe<'g> {
    graph: &'g Graph,
    params: Vec<(Expr<'g>, Tensor)>,
    state: State,
    sampler: Sampler,
}

impl<'g> Probe<'g> {
    /// A parameter with this value.
    fn param(&mut self, value: Tensor) -> Expr<'g> {
        let param = self.graph.placeholder(&format!("p{}", self.params.len()), value.dtype(), value.shape());
        self.params.push((param, value));
        param
    }

    /// Each value with a parameter of its type at random: its weight in a sum, and thereby its cotangent.
    fn weighted(&mut self, values: &[Expr<'g>]) -> Vec<(Expr<'g>, Expr<'g>)> {
        values
            .iter()
            .map(|&value| {
                let weight = self.direction(value);
                (value, self.param(weight))
            })
            .collect()
    }

    /// A random tensor of a value's type.
    fn direction(&mut self, value: Expr<'g>) -> Tensor {
        wide(&self.sampler.floats(&value.shape().bound(), -1.0, 1.0))
    }

    /// Each of `wrt` with its gradient, where that is not zero.
    fn gradients(
        &self,
        outputs: &[(Expr<'g>, Expr<'g>)],
        wrt: &[Expr<'g>],
    ) -> Result<Vec<(Expr<'g>, Option<Expr<'g>>)>, Broken> {
        let gradients = differentiate(self.graph, outputs, wrt).map_err(|e| e.render(None))?;
        Ok(wrt.iter().copied().zip(gradients).collect())
    }

    /// Compares what gradients of the weighted sum of outputs say of a small step with what the step does.
    fn check(
        &mut self,
        what: &str,
        outputs: &[(Expr<'g>, Expr<'g>)],
        gradients: &[(Expr<'g>, Option<Expr<'g>>)],
    ) -> Result<(), Broken> {
        const STEP: f64 = 1e-5;
        const TOLERANCE: f64 = 1e-6;
        for _ in 0..2 {
            let directions: Vec<(Expr<'g>, Tensor)> =
                gradients.iter().map(|&(wrt, _)| (wrt, self.direction(wrt))).collect();
            let moved = |step: f64| {
                let values = self.values(&directions, step);
                outputs.iter().map(|(value, weight)| dot(&values(*value), &values(*weight))).sum::<f64>()
            };
            let measured = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            let values = self.values(&[], 0.0);
            let slopes = gradients.iter().zip(&directions);
            let claimed: f64 = slopes
                .filter_map(|((_, gradient), (_, direction))| Some(dot(&values((*gradient)?), direction)))
                .sum();
            let agree = (claimed - measured).abs() <= TOLERANCE * (1.0 + measured.abs());
            if !agree {
                return Err(format!("{what}: the rule says {claimed}, differences say {measured}"));
            }
        }
        Ok(())
    }

    /// All values of the graph at the point, moved by `step` along directions of some parameters.
    fn values(&self, directions: &[(Expr<'g>, Tensor)], step: f64) -> impl Fn(Expr<'g>) -> Tensor {
        let at = |(param, value): &(Expr<'g>, Tensor)| match directions
            .iter()
            .find(|(moved, _)| moved.id() == param.id())
        {
            None => value.clone(),
            Some((_, direction)) => Tensor::from(value.array::<f64>() + &(direction.array::<f64>() * step)),
        };
        let point: Vec<Tensor> = self.params.iter().map(at).collect();
        let values = evaluate_values(&self.graph.module(), &self.graph.borrow(), &point, &self.state)
            .expect("the operands of a case are valid");
        move |e| values[e.id()].clone().expect("every value was computed")
    }
}

fn floats<'g>(values: &[Expr<'g>]) -> Vec<Expr<'g>> {
    values.iter().copied().filter(|e| e.dtype().is_float()).collect()
}

fn dot(a: &Tensor, b: &Tensor) -> f64 {
    a.array::<f64>().iter().zip(b.array::<f64>()).map(|(a, b)| a * b).sum()
}

/// An f32 tensor as f64; any other as it is.
fn wide(tensor: &Tensor) -> Tensor {
    if tensor.dtype() == DType::F32 { tensor.cast(DType::F64) } else { tensor.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_alphabetical_order_without_repetition() {
        assert!(Op::NAMES.is_sorted_by(|a, b| a < b), "{:?}", Op::NAMES);
    }

    #[test]
    fn laws_have_names_of_their_own_and_a_pass() {
        let laws = Op::laws();
        for (i, (name, pass, law)) in laws.iter().enumerate() {
            assert!(crate::passes::PASSES.contains(pass), "`{name}`, {law}: {pass}");
            assert!(!laws[..i].iter().any(|(n, _, l)| n == name && l == law), "`{name}` has {law} twice");
        }
    }

    /// The checks themselves fail: an op whose gradient rule is wrong at these operands is found out.
    #[test]
    fn a_wrong_gradient_is_found() {
        let at_a_jump = Tensor::from_vec(&[1], vec![1f32]);
        let case = Case::smooth(super::super::Floor {}, vec![at_a_jump]);
        let broken = gradients_agree_with_differences(&case).unwrap_err();
        assert!(broken.starts_with("gradient: the rule says"), "{broken}");
    }
}
