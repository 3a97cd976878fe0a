//! The driver of laws: replaces nodes by what a law says is equal, until no law applies.

use std::cell::RefCell;
use std::rc::Rc;

use super::Laws;
use super::rebuild::rebuild;
use crate::graph::{Expr, Function, Module};
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
        let next = rebuild(module, &current, |new, node| {
            let graph = new.graph();
            let results = node.results.iter().map(|&v| current.ty(v).clone()).collect();
            let cx = RewriteCx { graph, operands: new.operands(node), results };
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
