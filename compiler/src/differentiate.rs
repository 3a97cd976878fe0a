//! Reverse-mode differentiation: extends a function by the cotangents of some of its values.
//!
//! One walk over the nodes in reverse. A cotangent flows into a node where some value that is differentiated with
//! respect to reaches it; what it does there is the op's gradient rule. Where several cotangents flow into a value they
//! are added: those that are whole tensors in order of the walk, then those that only add to some elements, likewise
//! ([`Sum`]). The walk knows no op, and what it builds is ordinary graph: the passes optimise it, and it can be
//! differentiated again.
//!
//! Reference: Griewank and Walther, "Evaluating Derivatives", 2nd edition, 2008, chapter 3.

use cranelift_entity::{EntitySet, SecondaryMap};

use crate::diagnostic::Diagnostic;
use crate::graph::{Expr, Function, Graph, NodeId, ValueDef, ValueId};
use crate::ops::{Gradient, VjpCx};

mod sum;

pub use sum::Sum;

/// Cotangents of the values `wrt`, given those of `outputs`: for a scalar loss with cotangent 1, the gradient.
/// `None` stands for zero: no output depends on that value, or only in jumps.
///
/// # Errors
/// E0401 where a cotangent reaches an op that has no gradient rule for an operand that depends on `wrt`; the error
/// names the op and the path to the output.
///
/// # Panics
/// If a gradient rule gives a cotangent of the wrong type, which is a bug of the op.
pub fn differentiate<'g>(
    graph: &'g Graph,
    outputs: &[(Expr<'g>, Expr<'g>)],
    wrt: &[Expr<'g>],
) -> Result<Vec<Option<Expr<'g>>>, Diagnostic> {
    let sums = cotangents(graph, outputs, wrt)?;
    Ok(sums.iter().map(|sum| sum.as_ref().map(Sum::value)).collect())
}

/// As [`differentiate`], with the cotangents as sums whose additions are still to be made, so that the caller may make
/// them elsewhere than in a tensor of zeros.
///
/// # Errors
/// As [`differentiate`].
///
/// # Panics
/// As [`differentiate`].
pub fn cotangents<'g>(
    graph: &'g Graph,
    outputs: &[(Expr<'g>, Expr<'g>)],
    wrt: &[Expr<'g>],
) -> Result<Vec<Option<Sum<'g>>>, Diagnostic> {
    let nodes: Vec<NodeId> = graph.borrow().nodes.keys().collect();
    let reached = reached(&graph.borrow(), &nodes, wrt);
    let mut sums: SecondaryMap<ValueId, Option<Sum<'g>>> = SecondaryMap::new();
    let accumulate = |sums: &mut SecondaryMap<ValueId, Option<Sum<'g>>>, to: Expr<'g>, more: Gradient<'g>| {
        let sum = sums[to.id()].get_or_insert_with(|| Sum::zero(to));
        match more {
            Gradient::Value(value) => sum.add(value),
            Gradient::Addition(addition) => sum.add_to_some(addition),
            Gradient::Zero | Gradient::Missing(_) => {}
        }
    };
    for &(output, cotangent) in outputs {
        accumulate(&mut sums, output, Gradient::Value(cotangent));
    }
    for &id in nodes.iter().rev() {
        let node = graph.borrow().nodes[id].clone();
        let wanted = |v: &ValueId| reached.contains(*v);
        if node.results.iter().all(|&v| sums[v].is_none()) || !node.operands.iter().any(wanted) {
            continue;
        }
        let exprs = |values: &[ValueId]| values.iter().map(|&v| graph.expr(v)).collect::<Vec<_>>();
        let gradients = graph.at(&node.place, || {
            let incoming = node.results.iter().map(|&v| sums[v].as_ref().map(Sum::value)).collect();
            node.op.vjp(&VjpCx::new(graph, exprs(&node.operands), exprs(&node.results), incoming))
        });
        assert_eq!(gradients.len(), node.operands.len(), "one gradient per operand of `{}`", node.op.name());
        for (&operand, gradient) in node.operands.iter().zip(gradients).filter(|(v, _)| wanted(v)) {
            match gradient {
                Gradient::Zero => {}
                Gradient::Missing(reason) => {
                    let function = graph.borrow();
                    return Err(missing(&function, &reached, outputs, id, operand, reason));
                }
                more => graph.at(&node.place, || accumulate(&mut sums, graph.expr(operand), more)),
            }
        }
    }
    Ok(wrt.iter().map(|e| sums[e.id()].clone()).collect())
}

/// The float values that depend on `wrt`.
fn reached(function: &Function, nodes: &[NodeId], wrt: &[Expr<'_>]) -> EntitySet<ValueId> {
    let mut reached = EntitySet::new();
    for e in wrt {
        reached.insert(e.id());
    }
    for &id in nodes {
        let node = &function.nodes[id];
        if node.operands.iter().any(|&v| reached.contains(v)) {
            for &v in node.results.iter().filter(|&&v| function.ty(v).dtype.is_float()) {
                reached.insert(v);
            }
        }
    }
    reached
}

fn missing(
    function: &Function,
    reached: &EntitySet<ValueId>,
    outputs: &[(Expr<'_>, Expr<'_>)],
    node: NodeId,
    operand: ValueId,
    reason: &str,
) -> Diagnostic {
    let name = |v: ValueId| format!("`%{}`", function.value_name(v));
    let op = &function.nodes[node].op;
    let mut path = vec![name(operand)];
    let mut at = function.nodes[node].results[0];
    loop {
        path.push(name(at));
        if outputs.iter().any(|(o, _)| o.id() == at) {
            break;
        }
        // The next user on some way to an output; a value with a cotangent has one.
        let user = function.nodes.values().find(|n| {
            n.operands.contains(&at)
                && n.results.iter().any(|&r| reached.contains(r) && leads(function, r, outputs))
        });
        match user {
            Some(user) => at = user.results[0],
            None => break,
        }
    }
    Diagnostic::new("E0401", format!("`{}` has no gradient for its operand {}", op.name(), name(operand)))
        .or_at(&function.nodes[node].place)
        .note(reason)
        .note(format!("the path to what is differentiated is {}", path.join(" → ")))
        .help("use `stop_gradient` on the operand if no gradient should flow through it")
}

/// Whether some output depends on a value.
fn leads(function: &Function, value: ValueId, outputs: &[(Expr<'_>, Expr<'_>)]) -> bool {
    let mut todo: Vec<ValueId> = outputs.iter().map(|(o, _)| o.id()).collect();
    let mut seen = EntitySet::new();
    while let Some(v) = todo.pop() {
        if v == value {
            return true;
        }
        if seen.insert(v)
            && let ValueDef::Node(node, _) = function.values[v].def
        {
            todo.extend(&function.nodes[node].operands);
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;
    use crate::graph::eval::{State, evaluate};
    use crate::graph::{Module, Output};
    use crate::ops::sample::Sampler;
    use crate::tensor::Tensor;
    use crate::types::DType;

    /// `Σ (x·w + b)·(x·w + b)ᵀ`, differentiated with respect to w and b, against central differences.
    #[test]
    fn agrees_with_finite_differences() {
        let module = Rc::new(RefCell::new(Module::default()));
        let graph = Graph::over(module.clone(), Function::default(), Rc::default());
        let x = graph.placeholder("x", DType::F64, [3, 4]);
        let w = graph.placeholder("w", DType::F64, [4, 2]);
        let b = graph.placeholder("b", DType::F64, [2]);
        let z = x.matmul(w) + b;
        let loss = z.matmul(z.transpose(&[1, 0])).reduce_sum(&[0, 1], false);
        let gradients = differentiate(&graph, &[(loss, loss.constant_like(1.0))], &[w, b]).unwrap();
        for (name, value) in [("loss", loss), ("dw", gradients[0].unwrap()), ("db", gradients[1].unwrap())] {
            graph.result(name, value);
        }
        let function = graph.into_function();
        assert!(function.results.iter().map(|r: &Output| &r.name).eq(["loss", "dw", "db"]));
        let mut s = Sampler::new(1);
        let mut params: Vec<Tensor> = [&[3usize, 4][..], &[4, 2], &[2]]
            .iter()
            .map(|sh| s.floats(sh, -1.0, 1.0).cast(DType::F64))
            .collect();
        let run =
            |params: &[Tensor]| evaluate(&module.borrow(), &function, params, &mut State::default()).unwrap();
        let results = run(&params);
        for p in [1, 2] {
            for i in 0..params[p].len() {
                let mut at = |h: f64| {
                    let before = params[p].at(i).as_f64();
                    let Tensor::F64(a) = &mut params[p] else { unreachable!() };
                    a.as_slice_mut().unwrap()[i] = before + h;
                    let loss = run(&params)[0].at(0).as_f64();
                    let Tensor::F64(a) = &mut params[p] else { unreachable!() };
                    a.as_slice_mut().unwrap()[i] = before;
                    loss
                };
                let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
                let gradient = results[p].at(i).as_f64();
                assert!(
                    (difference - gradient).abs() < 1e-6,
                    "parameter {p}[{i}]: {difference} ≠ {gradient}"
                );
            }
        }
    }

    /// Three lookups of one table, of which two give the same row.
    #[test]
    fn all_additions_to_a_table_count() {
        let module = Rc::new(RefCell::new(Module::default()));
        let graph = Graph::over(module.clone(), Function::default(), Rc::default());
        let table = graph.placeholder("table", DType::F64, [4]);
        let rows = |rows: [i32; 2]| table.gather(graph.constant(Tensor::from(ndarray::arr1(&rows))), 0);
        let parts = [(rows([0, 1]), 1.0), (rows([1, 2]), 10.0), (rows([2, 2]), 100.0)];
        let loss = parts
            .map(|(part, factor)| (part * factor).reduce_sum(&[0], false))
            .into_iter()
            .reduce(|a, b| a + b)
            .unwrap();
        let gradient =
            differentiate(&graph, &[(loss, loss.constant_like(1.0))], &[table]).unwrap()[0].unwrap();
        graph.result("gradient", gradient);
        let function = graph.into_function();
        let params = [Tensor::zeros(DType::F64, &[4])];
        let results = evaluate(&module.borrow(), &function, &params, &mut State::default()).unwrap();
        assert_eq!(results[0], Tensor::from(ndarray::arr1(&[1.0, 11.0, 210.0, 0.0])));
    }
}
