//! The checks of one function.

use std::collections::{HashMap, HashSet};

use cranelift_entity::SecondaryMap;

use super::{bad_name, check_type, check_word, is_number};
use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::graph::{Function, Module, Node, NodeId, ValueDef, ValueId, Variable};
use crate::ops::InferCx;
use crate::text::is_name;
use crate::types::{Extent, TensorType};

/// Checks a function, which need not be one of the module's: after a pass, for example.
///
/// # Errors
/// All that does not hold of items 3, 4 and 7 to 10 of the [list](super).
pub fn verify_function(module: &Module, function: &Function) -> Result<(), Diagnostics> {
    let mut errors = Vec::new();
    let variables = module.variables.values().map(|v| (v.name.as_str(), v)).collect();
    Checker::new(module, &variables, function, &mut errors).check(false);
    Diagnostics::check(module.source.clone(), errors)
}

/// Gives an error of an op a place, and shows what the operands are and where they come from. Operands are given with
/// the names that they have for the reader.
pub fn locate(
    function: &Function,
    place: &Place,
    operands: impl IntoIterator<Item = (String, ValueId)>,
    error: Diagnostic,
) -> Diagnostic {
    /// More would hide what is wrong.
    const SHOWN: usize = 4;
    let mut seen = HashSet::new();
    let distinct: Vec<_> = operands.into_iter().filter(|&(_, v)| seen.insert(v)).take(SHOWN).collect();
    let facts: Vec<String> =
        distinct.iter().map(|(name, v)| format!("`%{name}` is {}", function.ty(*v))).collect();
    let located = error.at(place.clone(), facts.join(", "));
    distinct.into_iter().fold(located, |error, (name, v)| match &function.values[v].place {
        Place::Unknown => error,
        defined => error.at(defined.clone(), format!("`%{name}` is defined here")),
    })
}

/// A function that is checked.
pub(super) struct Checker<'a> {
    module: &'a Module,
    variables: &'a HashMap<&'a str, &'a Variable>,
    function: &'a Function,
    names: SecondaryMap<ValueId, String>,
    errors: &'a mut Vec<Diagnostic>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(
        module: &'a Module,
        variables: &'a HashMap<&'a str, &'a Variable>,
        function: &'a Function,
        errors: &'a mut Vec<Diagnostic>,
    ) -> Checker<'a> {
        Checker { module, variables, function, names: function.value_names(), errors }
    }

    pub(super) fn check(mut self, is_entry: bool) {
        // What follows reads values by number.
        let before = self.errors.len();
        self.links();
        if self.errors.len() > before {
            return;
        }
        self.names();
        for (id, node) in &self.function.nodes {
            self.node(id, node);
        }
        for &param in &self.function.params {
            let data = &self.function.values[param];
            self.errors.extend(check_type(&data.ty).err().map(|e| e.at(data.place.clone(), "")));
        }
        if is_entry {
            self.batch_axes();
        }
        self.assigns();
    }

    /// Items 7 and 8: everything that is numbered exists, and numbers agree.
    fn links(&mut self) {
        let f = self.function;
        let mut broken = |place: &Place, what: String| {
            let message = format!("the function `@{}` is malformed: {what}", f.name);
            self.errors.push(Diagnostic::new("E0318", message).at(place.clone(), ""));
        };
        let is = |v: ValueId, def: ValueDef| f.values.get(v).is_some_and(|data| data.def == def);
        for (i, &param) in f.params.iter().enumerate() {
            if !is(param, ValueDef::Param(i)) {
                broken(&f.place, format!("parameter {i} is not the value {param}"));
            }
        }
        for (id, node) in &f.nodes {
            if node.results.is_empty() {
                broken(&node.place, format!("{id} has no results"));
            }
            for (i, &result) in node.results.iter().enumerate() {
                if !is(result, ValueDef::Node(id, i)) {
                    broken(&node.place, format!("result {i} of {id} is not the value {result}"));
                }
            }
        }
        for (id, data) in &f.values {
            let defines = match data.def {
                ValueDef::Param(i) => f.params.get(i) == Some(&id),
                ValueDef::Node(node, i) => f.nodes.get(node).is_some_and(|n| n.results.get(i) == Some(&id)),
            };
            if !defines {
                broken(&data.place, format!("nothing defines the value {id}"));
            }
        }
        let operands = f.nodes.values().flat_map(|n| n.operands.iter().map(move |&v| (v, &n.place)));
        let results = f.results.iter().map(|r| (r.value, &r.place));
        let assigns = f.assigns.iter().map(|a| (a.value, &a.place));
        for (v, place) in operands.chain(results).chain(assigns) {
            if f.values.get(v).is_none() {
                broken(place, format!("there is no value {v}"));
            }
        }
    }

    /// Items 1 and 3.
    fn names(&mut self) {
        let f = self.function;
        let mut known: HashMap<&str, &Place> = HashMap::new();
        for data in f.values.values() {
            let Some(name) = &data.name else {
                if let ValueDef::Param(i) = data.def {
                    let message = format!("parameter {i} of `@{}` has no name", f.name);
                    self.errors.push(Diagnostic::new("E0316", message).at(data.place.clone(), "").help(
                        "callers refer to parameters by name, and numbers stand for values without one",
                    ));
                }
                continue;
            };
            match data.def {
                ValueDef::Param(_) => check_word("parameter", name, &data.place, self.errors),
                ValueDef::Node(..) if !is_name(name) || is_number(name) => {
                    self.errors.push(bad_name("value", '%', name, &data.place));
                }
                ValueDef::Node(..) => {}
            }
            if let Some(first) = known.get(name.as_str()) {
                self.errors.push(
                    Diagnostic::new("E0302", format!("the name `%{name}` is defined twice"))
                        .at(data.place.clone(), "defined again here")
                        .at((*first).clone(), "first defined here"),
                );
            } else {
                known.insert(name, &data.place);
            }
        }
        let mut known = HashSet::new();
        for result in &f.results {
            check_word("result", &result.name, &result.place, self.errors);
            if !known.insert(result.name.as_str()) {
                let message = format!("two results of `@{}` are named `{}`", f.name, result.name);
                self.errors.push(Diagnostic::new("E0314", message).at(result.place.clone(), ""));
            }
        }
    }

    /// Items 8 and 9, and 4 for the results.
    fn node(&mut self, id: NodeId, node: &Node) {
        let f = self.function;
        for &operand in &node.operands {
            if let ValueDef::Node(definition, _) = f.values[operand].def
                && definition >= id
            {
                let message = format!("`%{}` is used before it is defined", self.names[operand]);
                self.errors.push(
                    Diagnostic::new("E0306", message)
                        .at(node.place.clone(), "used here")
                        .at(f.values[operand].place.clone(), "defined here"),
                );
                return;
            }
        }
        let types: Vec<TensorType> = node.operands.iter().map(|&v| f.ty(v).clone()).collect();
        let named = || node.operands.iter().map(|&v| (self.names[v].clone(), v));
        let inferred = node.op.infer(&InferCx { module: self.module }, &types);
        let checked = inferred.and_then(|types| types.iter().try_for_each(check_type).map(|()| types));
        let given = node.results.iter().map(|&v| f.ty(v));
        match checked {
            Err(error) => self.errors.push(locate(f, &node.place, named(), error)),
            Ok(types) if types.iter().eq(given.clone()) => {}
            Ok(types) => {
                let list = |types: Vec<&TensorType>| {
                    types.iter().map(|ty| ty.to_string()).collect::<Vec<_>>().join(", ")
                };
                let (gives, noted) = (list(types.iter().collect()), list(given.collect()));
                let message = format!("`{}` gives {gives}, but is noted as {noted}", node.op.name());
                self.errors.push(locate(f, &node.place, named(), Diagnostic::new("E0220", message)));
            }
        }
    }

    /// Item 6.
    fn batch_axes(&mut self) {
        let f = self.function;
        let params = f.params.iter().map(|&v| ("parameter", &self.names[v], f.ty(v), &f.values[v].place));
        let results = f.results.iter().map(|r| ("result", &r.name, f.ty(r.value), &r.place));
        for (kind, name, ty, place) in params.chain(results) {
            if ty.shape.0.iter().skip(1).any(|e| matches!(e, Extent::Batch(_))) {
                let message =
                    format!("{kind} `{name}` of the entry point `@{}` has N on an inner axis", f.name);
                self.errors
                    .push(Diagnostic::new("E0309", message).at(place.clone(), format!("this is {ty}")).help(
                    "only the first axis may depend on N; use `transpose` or `reshape` within the function",
                ));
            }
        }
    }

    /// Item 10.
    fn assigns(&mut self) {
        let f = self.function;
        let mut assigned: HashMap<&str, &Place> = HashMap::new();
        for assign in &f.assigns {
            let (name, place) = (assign.variable.as_str(), &assign.place);
            if let Some(first) = assigned.get(name) {
                self.errors.push(
                    Diagnostic::new(
                        "E0311",
                        format!("the variable `@{name}` is assigned twice in `@{}`", f.name),
                    )
                    .at(place.clone(), "assigned again here")
                    .at((*first).clone(), "first assigned here"),
                );
                continue;
            }
            assigned.insert(name, place);
            let ty = f.ty(assign.value);
            match self.variables.get(name) {
                None => self.errors.push(
                    Diagnostic::new("E0304", format!("there is no variable `@{name}`")).at(place.clone(), ""),
                ),
                Some(variable) if variable.ty != *ty => self.errors.push(
                    Diagnostic::new("E0312", format!("`@{name}` is {}, but is assigned {ty}", variable.ty))
                        .at(place.clone(), format!("`%{}` is {ty}", self.names[assign.value]))
                        .at(variable.place.clone(), format!("declared as {} here", variable.ty)),
                ),
                Some(_) => {}
            }
        }
    }
}
