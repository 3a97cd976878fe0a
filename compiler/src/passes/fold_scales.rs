//! `fold-scales`: where weights are constants, what scales and shifts the result of a contraction goes into them.
//!
//! ```text
//! %0 = conv %x, %w : f32[N,28,28,64]                        %0 = conv %x, %w' : f32[N,28,28,64]
//! %1 = sub %0, %mean : f32[N,28,28,64]                      %1 = add %0, %shift' : f32[N,28,28,64]
//! %2 = mul %1, %factor : f32[N,28,28,64]                 →
//! %3 = mul %2, %scale : f32[N,28,28,64]
//! %4 = add %3, %shift : f32[N,28,28,64]
//! ```
//!
//! A value is *known* if it is a constant, or moved elements of constants. What follows from known values is computed by
//! the compiler, of any size, exact or not. A product by a known factor is brought to a contraction that is read by nothing
//! else, by the laws of the ops: here a law is one of the op whose result is multiplied, and is given the operands of that
//! op and then the factor.
//!
//! *Rounding.* This pass regroups sums and products, so other than all the rest it changes bits: by a few times the
//! rounding error that the function has anyway. It runs only where it is asked for, which a library with
//! `--weights fixed` does.
//!
//! At exit: no node has only known operands, unless its result has more elements than these have; no law applies.

use std::cell::RefCell;
use std::rc::Rc;

use super::Laws;
use super::fold_constants::evaluate;
use super::rewrite::{Replacement, rewrite};
use crate::graph::{Expr, Function, Module, broadcast_shapes};
use crate::ops::{Op, RewriteCx};
use crate::tensor::Tensor;

/// The law that computes a node whose operands are known.
pub const KNOWN: &str = "an op of known values = a constant";
/// The law that computes a node for as few elements as there are different ones.
pub const REPEATED: &str = "an elementwise op of known broadcast values = a broadcast value";
/// The law that brings known operands of one op together.
pub const REGROUP: &str = "(x ∘ a) ∘ b = x ∘ (a ∘ b) where ∘ is associative and a, b are known";

const PASS: &str = "fold-scales";

/// Runs the pass.
#[must_use]
pub fn run(module: &Rc<RefCell<Module>>, function: &Function, laws: &mut Laws) -> Function {
    rewrite(module, function, PASS, laws, |op, cx| {
        of_known(op, cx)
            .or_else(|| of_repeated(op, cx))
            .or_else(|| regrouped(op, cx))
            .or_else(|| scaled(op, cx))
    })
}

/// Whether the results follow from the operands alone, and computing them is no work for a compiled program.
fn folds(op: &Op, cx: &RewriteCx<'_>) -> bool {
    let traits = op.traits();
    let depends = traits.random || traits.reads_variable || traits.checks_index || !op.symbols().is_empty();
    !depends && !traits.contraction && !cx.operands.is_empty()
}

fn of_known<'g>(op: &Op, cx: &RewriteCx<'g>) -> Option<Replacement<'g>> {
    // What is alike in all elements is written as a broadcast scalar.
    let is_alike = op.traits().view && cx.operands.iter().all(|e| e.as_splat().is_some());
    if is_alike || !folds(op, cx) {
        return None;
    }
    let sizes: Vec<usize> = cx.operands.iter().map(|e| stored(*e)).collect::<Option<_>>()?;
    let given = sizes.into_iter().fold(0, usize::saturating_add);
    for ty in &cx.results {
        let count = ty.shape.as_fixed()?.into_iter().try_fold(1usize, usize::checked_mul)?;
        if count > given {
            return None;
        }
    }
    let operands: Vec<Tensor> = cx.operands.iter().map(|e| known(*e)).collect::<Option<_>>()?;
    let values = evaluate(op, operands.iter());
    Some((KNOWN, values.into_iter().map(|v| cx.graph.constant(v)).collect()))
}

fn of_repeated<'g>(op: &Op, cx: &RewriteCx<'g>) -> Option<Replacement<'g>> {
    if !op.traits().elementwise || !cx.operands.iter().all(|e| e.is_known()) {
        return None;
    }
    let repeated: Vec<Expr<'g>> = cx.operands.iter().map(|e| e.unrepeated()).collect();
    let shapes = repeated.iter().map(|e| e.shape());
    let common = shapes.map(Some).reduce(|a, b| broadcast_shapes(&a?, &b?)).flatten()?;
    let result = &cx.results[0].shape;
    if common == *result {
        return None;
    }
    let value = repeated.first()?.elementwise(op.clone(), &repeated[1..]);
    Some((REPEATED, vec![value.broadcast_to(result.clone())]))
}

/// The operand that is not known and the one that is, of an op with two that may be swapped.
fn sides<'g>(op: &Op, operands: &[Expr<'g>]) -> Option<(usize, Expr<'g>)> {
    let is_known = |n: usize| operands[n].is_known();
    match (op.traits().commutative, operands.len()) {
        (true, 2) if is_known(0) != is_known(1) => {
            let other = usize::from(is_known(0));
            Some((other, operands[1 - other]))
        }
        _ => None,
    }
}

fn regrouped<'g>(op: &Op, cx: &RewriteCx<'g>) -> Option<Replacement<'g>> {
    if !op.traits().associative {
        return None;
    }
    let (at, outer) = sides(op, &cx.operands)?;
    let (inner_op, operands) = cx.operands[at].def()?;
    let (x, inner) = sides(&inner_op, &operands)?;
    if inner_op != *op || !cx.read_once[at] {
        return None;
    }
    let together = cx.graph.add(op.clone(), &[inner, outer]);
    Some((REGROUP, vec![cx.graph.add(op.clone(), &[operands[x], together])]))
}

fn scaled<'g>(op: &Op, cx: &RewriteCx<'g>) -> Option<Replacement<'g>> {
    if !op.traits().product {
        return None;
    }
    let (at, factor) = sides(op, &cx.operands)?;
    let (scaled, mut operands) = cx.operands[at].def()?;
    if !cx.read_once[at] {
        return None;
    }
    operands.push(factor);
    scaled.rewrite(
        PASS,
        &RewriteCx { operands, results: cx.results.clone(), read_once: Vec::new(), graph: cx.graph },
    )
}

/// How many elements of constants a known value is made of; `None` if it is not known.
fn stored(value: Expr<'_>) -> Option<usize> {
    let (op, operands) = value.def()?;
    if let Some(constant) = value.as_constant() {
        return Some(constant.len());
    }
    if !op.traits().view || operands.is_empty() {
        return None;
    }
    operands.into_iter().try_fold(0usize, |sum, operand| Some(sum.saturating_add(stored(operand)?)))
}

/// The elements of a known value whose extents are numbers.
fn known(value: Expr<'_>) -> Option<Tensor> {
    value.shape().as_fixed()?;
    if let Some(constant) = value.as_constant() {
        return Some(constant.as_ref().clone());
    }
    let (op, operands) = value.def()?;
    let operands: Vec<Tensor> = operands.into_iter().map(known).collect::<Option<_>>()?;
    evaluate(&op, operands.iter()).pop()
}
