//! Making a function anew, node by node, so that numbers stay dense and in order.

use std::cell::RefCell;
use std::rc::Rc;

use cranelift_entity::SecondaryMap;

use crate::graph::{Assign, Expr, Function, Graph, Module, Node, Output, ValueId};

/// The function that `step` makes of `old`: it is called for every node in order, and [keeps](Rebuild::keep) the node,
/// [replaces](Rebuild::replace) it, or drops it if nothing that is kept needs it. Parameters, results and assignments
/// stay; places stay, and names do where their values do.
///
/// # Panics
/// If an operand, a result or an assigned value was dropped, or a new node has operands that its op refuses.
pub(super) fn rebuild(
    module: &Rc<RefCell<Module>>,
    old: &Function,
    mut step: impl FnMut(&mut Rebuild<'_>, &Node),
) -> Function {
    let errors = Rc::new(RefCell::new(Vec::new()));
    let mut new = Function { name: old.name.clone(), place: old.place.clone(), ..Function::default() };
    let params: Vec<ValueId> = old
        .params
        .iter()
        .map(|&p| new.add_param(&old.value_name(p), old.ty(p).clone(), old.values[p].place.clone()))
        .collect();
    let graph = Graph::over(module.clone(), new, errors.clone());
    let mut building = Rebuild { old, graph: &graph, values: SecondaryMap::with_capacity(old.values.len()) };
    for (&from, to) in old.params.iter().zip(params) {
        building.values[from] = Some(graph.expr(to));
    }
    for node in old.nodes.values() {
        step(&mut building, node);
    }
    let value = |v: ValueId| building.value(v).id();
    let results = old.results.iter().map(|r| Output { value: value(r.value), ..r.clone() }).collect();
    let assigns = old.assigns.iter().map(|a| Assign { value: value(a.value), ..a.clone() }).collect();
    if let Some(error) = errors.borrow().first() {
        panic!("a law built an invalid node: {}", error.render(None));
    }
    Function { results, assigns, ..graph.into_function() }
}

/// A function that is being made from an old one.
pub(super) struct Rebuild<'g> {
    old: &'g Function,
    graph: &'g Graph,
    /// What every old value has become; `None` for those that were dropped or are still to come.
    values: SecondaryMap<ValueId, Option<Expr<'g>>>,
}

impl<'g> Rebuild<'g> {
    /// The new function.
    pub fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// What an old value has become.
    pub fn value(&self, old: ValueId) -> Expr<'g> {
        self.values[old].unwrap_or_else(|| {
            panic!("`%{}` is needed, but was dropped", self.old.value_name(old));
        })
    }

    /// What the operands of an old node have become.
    pub fn operands(&self, node: &Node) -> Vec<Expr<'g>> {
        node.operands.iter().map(|&v| self.value(v)).collect()
    }

    /// Adds an old node to the new function.
    pub fn keep(&mut self, node: &Node) -> Vec<Expr<'g>> {
        let operands = self.operands(node);
        let results = self.graph.at(&node.place, || self.graph.add_many(node.op.clone(), &operands));
        self.replace(node, &results);
        results
    }

    /// Lets values of the new function stand for the results of an old node. Those without a name take the names of what
    /// they stand for.
    pub fn replace(&mut self, node: &Node, by: &[Expr<'g>]) {
        assert_eq!(by.len(), node.results.len(), "a value for every result of `{}`", node.op.name());
        for (&from, &to) in node.results.iter().zip(by) {
            assert_eq!(
                &to.ty(),
                self.old.ty(from),
                "what replaces a result of `{}` has its type",
                node.op.name()
            );
            if let Some(name) = &self.old.values[from].name {
                self.graph.name_exactly(to.id(), name);
            }
            self.values[from] = Some(to);
        }
    }
}
