//! `fold-transposes`: an op that can read an operand transposed does so, by the laws of the ops, instead of having it
//! rearranged first.
//!
//! ```text
//! %0 = transpose %a {permutation=[1, 0]} : f32[4,3]
//! %1 = matmul %0, %b : f32[4,5]                          →  %1 = matmul %a, %b {transpose_a=true} : f32[4,5]
//! ```
//!
//! At entry: transposes of transposes are one, by `canonicalize`. At exit: no law of an op that names this pass applies.

use std::cell::RefCell;
use std::rc::Rc;

use super::Laws;
use super::rewrite::rewrite;
use crate::graph::{Function, Module};

const PASS: &str = "fold-transposes";

/// Runs the pass.
#[must_use]
pub fn run(module: &Rc<RefCell<Module>>, function: &Function, laws: &mut Laws) -> Function {
    rewrite(module, function, PASS, laws, |op, cx| op.rewrite(PASS, cx))
}
