//! `eliminate-dead`: what neither a result nor an assignment needs is not computed.
//!
//! ```text
//! %0 = exp %x : f32[3]                                   →  %0 = neg %x : f32[3]
//! %1 = neg %x : f32[3]                                      return %0
//! return %1
//! ```
//!
//! A node that checks indices can end the call, and so is needed even if nothing reads its results.
//!
//! At exit: every node is needed.

use std::cell::RefCell;
use std::rc::Rc;

use cranelift_entity::EntitySet;

use super::Laws;
use super::rebuild::rebuild;
use crate::graph::{Function, Module, ValueId};

/// The law that the pass applies.
pub const LAW: &str = "what nothing needs = nothing";

/// Runs the pass.
#[must_use]
pub fn run(module: &Rc<RefCell<Module>>, function: &Function, laws: &mut Laws) -> Function {
    let needed = needed(function);
    rebuild(module, function, |new, node| {
        if node.results.iter().any(|&v| needed.contains(v)) {
            new.keep(node);
        } else {
            laws.count("eliminate-dead", LAW);
        }
    })
}

/// The values of the nodes that are needed, and what these read.
pub(super) fn needed(function: &Function) -> EntitySet<ValueId> {
    let mut needed = EntitySet::with_capacity(function.values.len());
    let results = function.results.iter().map(|r| r.value);
    for value in results.chain(function.assigns.iter().map(|a| a.value)) {
        needed.insert(value);
    }
    // Operands are defined before what reads them.
    for node in function.nodes.values().rev() {
        if node.op.traits().checks_index {
            needed.insert(node.results[0]);
        }
        if node.results.iter().any(|&v| needed.contains(v)) {
            for &operand in &node.operands {
                needed.insert(operand);
            }
        }
    }
    needed
}
