//! `algebra`: what is computed is replaced by an equal that is cheaper, by the laws of the ops.
//!
//! ```text
//! %0 = constant {dtype=f32, shape=[], value=1.0} : f32[]
//! %1 = mul %x, %0 : f32[]                                →  %0 = constant {dtype=f32, shape=[], value=1.0} : f32[]
//! %2 = neg %1 : f32[]                                       %1 = neg %x : f32[]
//! ```
//!
//! Equal means every bit: `x * 1 = x` is a law of floats, `x * 0 = 0` is one of integers only.
//!
//! At entry: constants stand on the right of commutative ops, or fewer laws apply. At exit: no law of an op that names
//! this pass applies.

use std::cell::RefCell;
use std::rc::Rc;

use super::Laws;
use super::rewrite::rewrite;
use crate::graph::{Function, Module};

const PASS: &str = "algebra";

/// Runs the pass.
#[must_use]
pub fn run(module: &Rc<RefCell<Module>>, function: &Function, laws: &mut Laws) -> Function {
    rewrite(module, function, PASS, laws, |op, cx| op.rewrite(PASS, cx))
}
