//! `canonicalize`: of several ways to write one thing, one is left, so that later passes look for one.
//!
//! ```text
//! %0 = constant {dtype=f32, shape=[], value=2.0} : f32[]    %0 = constant {dtype=f32, shape=[], value=2.0} : f32[]
//! %1 = broadcast %0 {shape=[N]} : f32[N]                    %1 = broadcast %0 {shape=[N]} : f32[N]
//! %2 = mul %1, %x : f32[N]                               →  %2 = mul %x, %1 : f32[N]
//! %3 = transpose %2 {permutation=[0]} : f32[N]
//! %4 = add %3, %3 : f32[N]                                  %3 = add %2, %2 : f32[N]
//! ```
//!
//! At exit: of the operands of a commutative op, constants stand on the right, and among constants as among the others,
//! earlier values on the left; no law of an op that names this pass applies.

use std::cell::RefCell;
use std::rc::Rc;

use super::Laws;
use super::rewrite::{Replacement, rewrite};
use crate::graph::{Expr, Function, Module};
use crate::ops::{Op, RewriteCx};

/// The law that orders operands.
pub const ORDER: &str = "a ∘ b = b ∘ a where ∘ is commutative";

const PASS: &str = "canonicalize";

/// Runs the pass.
#[must_use]
pub fn run(module: &Rc<RefCell<Module>>, function: &Function, laws: &mut Laws) -> Function {
    rewrite(module, function, PASS, laws, |op, cx| op.rewrite(PASS, cx).or_else(|| order(op, cx)))
}

fn order<'g>(op: &Op, cx: &RewriteCx<'g>) -> Option<Replacement<'g>> {
    if !op.traits().commutative {
        return None;
    }
    let (a, b) = (cx.operands[0], cx.operands[1]);
    let rank = |e: Expr<'g>| (e.as_splat().is_some() || e.as_constant().is_some(), e.id());
    (rank(a) > rank(b)).then(|| (ORDER, cx.graph.add_many(op.clone(), &[b, a])))
}
