//! `fold-constants`: what follows from constants is computed by the compiler.
//!
//! ```text
//! %0 = constant {dtype=f32, shape=[], value=0.9} : f32[]
//! %1 = constant {dtype=f32, shape=[], value=1.0} : f32[]
//! %2 = sub %1, %0 : f32[]                                →  %2 = constant {dtype=f32, shape=[], value=0.100000024} : f32[]
//! ```
//!
//! Only [exact](crate::ops::OpTraits::exact) ops are folded. The evaluator's `exp` is nearer to the true value than
//! compiled code's, within the error that the latter may have: folding it would make a program's bits depend on whether
//! an operand is known, and so on `--disable-pass`. A broadcast of a constant is left as it is, since a kernel reads
//! through it without holding it: no fold has more elements than its operands together, nor more than
//! [`MAX_ELEMENTS`]. An elementwise op of operands whose elements are all alike is computed for one element, whatever the
//! shape, even if that depends on N.
//!
//! At exit: no node that fits the above has constants only for operands. The constants that were read may be dead.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::Laws;
use super::rewrite::{Replacement, rewrite};
use crate::graph::eval::flush;
use crate::graph::{Function, Module};
use crate::ops::{EvalCx, Op, RewriteCx};
use crate::tensor::Tensor;

/// The law that computes a node whose operands are constants.
pub const CONSTANTS: &str = "an exact op of constants = a constant";
/// The law that computes a node whose operands are alike in all elements.
pub const SPLATS: &str = "an exact elementwise op of broadcast scalars = a broadcast scalar";

/// The most elements of a result that is computed: more would take longer to load than they take to compute.
pub const MAX_ELEMENTS: usize = 4096;

const PASS: &str = "fold-constants";

/// Runs the pass.
#[must_use]
pub fn run(module: &Rc<RefCell<Module>>, function: &Function, laws: &mut Laws) -> Function {
    rewrite(module, function, PASS, laws, |op, cx| match folds(op, cx) {
        true => of_splats(op, cx).or_else(|| of_constants(op, cx)),
        false => None,
    })
}

/// Whether the results follow from the operands alone, in every bit.
fn folds(op: &Op, cx: &RewriteCx<'_>) -> bool {
    let traits = op.traits();
    let depends = traits.random || traits.reads_variable || traits.checks_index || !op.symbols().is_empty();
    traits.exact && !depends && !cx.operands.is_empty()
}

fn of_splats<'g>(op: &Op, cx: &RewriteCx<'g>) -> Option<Replacement<'g>> {
    if !op.traits().elementwise {
        return None;
    }
    let splats: Vec<Tensor> =
        cx.operands.iter().map(|e| e.as_splat().map(Tensor::scalar)).collect::<Option<_>>()?;
    let values = evaluate(op, splats.iter()).into_iter().zip(&cx.results);
    Some((SPLATS, values.map(|(v, ty)| cx.graph.constant(v).broadcast_to(ty.shape.clone())).collect()))
}

fn of_constants<'g>(op: &Op, cx: &RewriteCx<'g>) -> Option<Replacement<'g>> {
    let constants: Vec<Arc<Tensor>> = cx.operands.iter().map(|e| e.as_constant()).collect::<Option<_>>()?;
    let given: usize = constants.iter().map(|t| t.len()).sum();
    for ty in &cx.results {
        let count = ty.shape.as_fixed()?.into_iter().try_fold(1usize, usize::checked_mul)?;
        if count > given.min(MAX_ELEMENTS) {
            return None;
        }
    }
    let values = evaluate(op, constants.iter().map(AsRef::as_ref));
    Some((CONSTANTS, values.into_iter().map(|v| cx.graph.constant(v)).collect()))
}

/// The results of an op, with subnormal numbers flushed before and after, as the evaluator of functions does.
pub(super) fn evaluate<'t>(op: &Op, operands: impl Iterator<Item = &'t Tensor>) -> Vec<Tensor> {
    let operands: Vec<Tensor> = operands.map(|t| flush(t.clone())).collect();
    let variable = |name: &str| -> Tensor { unreachable!("an op that reads `@{name}` is not folded") };
    let cx = EvalCx { variable: &variable, seed: 0, step: 0 };
    let results = op.eval(&cx, &operands.iter().collect::<Vec<_>>());
    results.expect("an op that checks indices is not folded").into_iter().map(flush).collect()
}
