//! The driver of laws: replaces nodes by what a law says is equal, until no law applies.

use std::cell::RefCell;
use std::rc::Rc;

use cranelift_entity::SecondaryMap;

use super::Laws;
use super::eliminate_dead::needed;
use super::rebuild::rebuild;
use crate::graph::{Expr, Function, Module, ValueId};
use crate::ops::{Op, RewriteCx};

/// A law of a pass may enable another in a node before it. Few rounds do in practice; two laws that undo one another
/// end here.
const MAX_ROUNDS: usize = 16;

/// A law, and what replaces the results of a node by it.
pub(super) type Replacement<'g> = (&'static str, Vec<Expr<'g>>);

/// Rewrites a function: `find` gives what replaces a node, whose operands are rewritten already. The nodes that were
/// replaced are gone; what only they read stays, for `eliminate-dead`.
///
/// # Panics
/// If what `find` gives does not have the types of the node's results.
pub(super) fn rewrite(
    module: &Rc<RefCell<Module>>,
    function: &Function,
    pass: &'static str,
    laws: &mut Laws,
    find: impl for<'g> Fn(&Op, &RewriteCx<'g>) -> Option<Replacement<'g>>,
) -> Function {
    let mut current = function.clone();
    for _ in 0..MAX_ROUNDS {
        let before = laws.total();
        let reads = reads(&current);
        let next = rebuild(module, &current, |new, node| {
            let graph = new.graph();
            let results = node.results.iter().map(|&v| current.ty(v).clone()).collect();
            let read_once = node.operands.iter().map(|&v| reads[v] == 1).collect();
            let cx = RewriteCx { graph, operands: new.operands(node), results, read_once };
            match graph.at(&node.place, || find(&node.op, &cx)) {
                None => {
                    new.keep(node);
                }
                Some((law, values)) => {
                    laws.count(pass, law);
                    new.replace(node, &values);
                }
            }
        });
        current = next;
        if laws.total() == before {
            break;
        }
    }
    current
}

/// How often results, assignments and the nodes that these need read each value.
fn reads(function: &Function) -> SecondaryMap<ValueId, u32> {
    let (needed, mut reads) = (needed(function), SecondaryMap::new());
    let nodes = function.nodes.values().filter(|node| node.results.iter().any(|&v| needed.contains(v)));
    let results = function.results.iter().map(|r| r.value);
    let values = nodes.flat_map(|node| node.operands.iter().copied()).chain(results);
    for value in values.chain(function.assigns.iter().map(|a| a.value)) {
        reads[value] += 1;
    }
    reads
}
