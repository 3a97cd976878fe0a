//! `eliminate-common`: nodes that compute the same become one.
//!
//! ```text
//! %0 = read @w : f32[3]                                     %0 = read @w : f32[3]
//! %1 = exp %0 : f32[3]                                      %1 = exp %0 : f32[3]
//! %2 = read @w : f32[3]                                  →  %2 = add %1, %1 : f32[3]
//! %3 = exp %2 : f32[3]
//! %4 = add %1, %3 : f32[3]
//! ```
//!
//! Two nodes compute the same if op, attributes and operands are the same: all reads of a variable see its value at
//! entry, and of two equal checks of indices the first decides. Random ops have keys, and even those of one key stay
//! apart.
//!
//! At entry: operands of commutative ops are in order, by `canonicalize`, or fewer nodes are equal. At exit: no two nodes
//! but random ones are equal.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::rc::Rc;

use super::Laws;
use super::rebuild::rebuild;
use crate::graph::{Function, Module, ValueId};
use crate::ops::Op;
use crate::types::TensorType;

/// The law that the pass applies.
pub const LAW: &str = "two equal nodes = one";

/// Runs the pass.
#[must_use]
pub fn run(module: &Rc<RefCell<Module>>, function: &Function, laws: &mut Laws) -> Function {
    let mut known: HashMap<Key, Vec<(Op, Vec<ValueId>)>> = HashMap::new();
    rebuild(module, function, |new, node| {
        if node.op.traits().random {
            new.keep(node);
            return;
        }
        let operands = new.operands(node).iter().map(|e| e.id()).collect();
        let types = node.results.iter().map(|&v| function.ty(v).clone()).collect();
        let alike = known.entry(Key::new(&node.op, operands, types)).or_default();
        match alike.iter().find(|(op, _)| *op == node.op) {
            Some((_, results)) => {
                laws.count("eliminate-common", LAW);
                let results: Vec<_> = results.iter().map(|&v| new.graph().expr(v)).collect();
                new.replace(node, &results);
            }
            None => {
                let results = new.keep(node).iter().map(|e| e.id()).collect();
                alike.push((node.op.clone(), results));
            }
        }
    })
}

/// What nodes that compute the same have in common.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    op: &'static str,
    operands: Vec<ValueId>,
    types: Vec<TensorType>,
    /// The attributes as text, in which -0.0 is not 0.0.
    attributes: String,
}

impl Key {
    fn new(op: &Op, operands: Vec<ValueId>, types: Vec<TensorType>) -> Key {
        /// Attributes that hold more elements than this are compared, but not written.
        const MAX_ELEMENTS: usize = 4096;
        let elements = |ty: &TensorType| ty.shape.elements().map_or(usize::MAX, |(count, _)| count);
        let is_large = operands.is_empty() && types.iter().any(|ty| elements(ty) > MAX_ELEMENTS);
        let mut attributes = String::new();
        if !is_large {
            for (name, value) in op.attributes() {
                write!(attributes, "{name}={value} ").expect("a string takes any text");
            }
        }
        Key { op: op.name(), operands, types, attributes }
    }
}
