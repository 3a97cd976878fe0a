//! From syntax to a module: names become values, words become ops, and types are inferred.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::syntax::{Body, File, Func, Name, NodeSyntax, Returned};
use crate::diagnostic::{Diagnostic, Diagnostics, MAX_ERRORS, Place, Source};
use crate::graph::print::ONLY_RESULT;
use crate::graph::suggest::nearest;
use crate::graph::verify::{check_type, is_number, locate};
use crate::graph::{Assign, Function, Module, Output, ValueId};
use crate::ops::attributes::{Attribute, Field, unknown_attribute};
use crate::ops::{InferCx, Op};
use crate::types::TensorType;

/// The module that a file says.
///
/// # Errors
/// Every error of names and types within functions, as far as it does not follow from another.
pub fn resolve(file: File<'_>, source: Arc<Source>) -> Result<Module, Diagnostics> {
    let mut module = Module { name: file.name.to_owned(), trains: file.trains, ..Module::default() };
    module.variables.extend(file.variables);
    let mut errors = Vec::new();
    for syntax in file.functions {
        let mut resolver = Resolver::new(&module, &syntax, errors);
        resolver.body(&syntax);
        errors = resolver.errors;
        module.functions.push(resolver.function);
        if errors.len() >= MAX_ERRORS {
            break;
        }
    }
    Diagnostics::check(Some(source.clone()), errors)?;
    module.source = Some(source);
    Ok(module)
}

/// A function that is being resolved.
struct Resolver<'a> {
    module: &'a Module,
    function: Function,
    /// What is defined so far; `None` for what an error left without a value.
    values: HashMap<&'a str, Option<ValueId>>,
    /// Every name that the function defines, with its first definition.
    defined: HashMap<&'a str, &'a Name<'a>>,
    errors: Vec<Diagnostic>,
}

impl<'a> Resolver<'a> {
    fn new(module: &'a Module, syntax: &'a Func<'a>, errors: Vec<Diagnostic>) -> Resolver<'a> {
        let function =
            Function { name: syntax.name.text.to_owned(), place: syntax.name.place(), ..Function::default() };
        let params = syntax.params.iter().map(|(name, _)| name);
        let results = syntax.body.nodes.iter().flat_map(|node| &node.results);
        let mut defined = HashMap::new();
        for name in params.chain(results) {
            defined.entry(name.text).or_insert(name);
        }
        Resolver { module, function, values: HashMap::new(), defined, errors }
    }

    fn body(&mut self, syntax: &'a Func<'a>) {
        for (name, ty) in &syntax.params {
            let value = self.function.add_param(name.text, ty.clone(), name.place());
            self.define(name, Some(value));
        }
        let Body { nodes, assigns, returned } = &syntax.body;
        for node in nodes {
            if self.errors.len() >= MAX_ERRORS {
                return;
            }
            let values = self.node(node);
            for (i, name) in node.results.iter().enumerate() {
                self.define(name, values.as_ref().map(|v| v[i]));
            }
        }
        for (variable, value) in assigns {
            if let Some(value) = self.value(value) {
                let (variable, place) = (variable.text.to_owned(), variable.place());
                self.function.assigns.push(Assign { variable, value, place });
            }
        }
        if let Some(returned) = returned {
            self.results(syntax, returned);
        }
    }

    fn report(&mut self, error: Diagnostic) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(error);
        }
    }

    /// Gives a name to a value. Numbers stand for values without a name.
    fn define(&mut self, name: &Name<'a>, value: Option<ValueId>) {
        match self.values.entry(name.text) {
            Entry::Vacant(entry) => {
                entry.insert(value);
            }
            Entry::Occupied(_) => {
                let first = self.defined[name.text].place();
                self.report(
                    Diagnostic::new("E0302", format!("the name `%{}` is defined twice", name.text))
                        .at(name.place(), "defined again here")
                        .at(first, "first defined here"),
                );
            }
        }
        if let Some(value) = value {
            let data = &mut self.function.values[value];
            data.place = name.place();
            if !is_number(name.text) {
                data.name = Some(name.text.to_owned());
            }
        }
    }

    /// The value of a name, if it is defined and no error left it without one.
    fn value(&mut self, name: &Name<'a>) -> Option<ValueId> {
        if let Some(value) = self.values.get(name.text) {
            return *value;
        }
        let error = match self.defined.get(name.text) {
            // Nodes are resolved in order, so what stands before and has no value yet is this node's own result.
            Some(definition) if definition.range.start < name.range.start => {
                Diagnostic::new("E0306", format!("`%{}` is used in its own definition", name.text))
                    .at(name.place(), "used here")
                    .note("a value is computed from values that are defined before it")
            }
            Some(definition) => {
                Diagnostic::new("E0306", format!("`%{}` is used before it is defined", name.text))
                    .at(name.place(), "used here")
                    .at(definition.place(), "defined here")
                    .help("a node's operands are defined before it; move their nodes up")
            }
            None => {
                let error = Diagnostic::new("E0305", format!("there is no value `%{}`", name.text))
                    .at(name.place(), "no parameter or node of this function has this name");
                let known = self.values.keys().copied().filter(|n| !is_number(n));
                match nearest(name.text, known) {
                    Some(near) if !is_number(name.text) => error.help(format!("did you mean `%{near}`?")),
                    _ => error,
                }
            }
        };
        self.report(error);
        None
    }

    /// The values of a node's results, or none if there is an error in it, which is reported.
    fn node(&mut self, node: &NodeSyntax<'a>) -> Option<Vec<ValueId>> {
        // Every operand is looked up, to report all that are missing.
        let operands: Vec<Option<ValueId>> = node.operands.iter().map(|name| self.value(name)).collect();
        let operands: Option<Vec<ValueId>> = operands.into_iter().collect();
        let op = op(node).map_err(|error| self.report(error)).ok()?;
        let operands = operands?;
        let types = self.types(node, &op, &operands).map_err(|error| self.report(error)).ok()?;
        let node = self.function.add_node(op, operands, types, node.op.place());
        Some(self.function.nodes[node].results.clone())
    }

    /// Types of a node's results, which are those that are annotated, if any are.
    fn types(
        &self,
        node: &NodeSyntax<'_>,
        op: &Op,
        operands: &[ValueId],
    ) -> Result<Vec<TensorType>, Diagnostic> {
        let types: Vec<TensorType> = operands.iter().map(|&v| self.function.ty(v).clone()).collect();
        let named = || node.operands.iter().map(|name| name.text.to_owned()).zip(operands.iter().copied());
        let locate = |error| locate(&self.function, &node.op.place(), named(), error);
        let inferred = op.infer(&InferCx { module: self.module }, &types).map_err(locate)?;
        for ty in &inferred {
            check_type(ty).map_err(locate)?;
        }
        if inferred.len() != node.results.len() {
            let (gives, named) = (count(inferred.len(), "result"), node.results.len());
            return Err(Diagnostic::new(
                "E0222",
                format!("`{}` gives {gives}, but {named} are named", op.name()),
            )
            .at(node.op.place(), "")
            .at(node.results[node.results.len() - 1].place(), "the last name is here"));
        }
        if !node.types.is_empty() && node.types.len() != inferred.len() {
            let (gives, annotated) = (count(inferred.len(), "result"), count(node.types.len(), "type"));
            return Err(Diagnostic::new(
                "E0222",
                format!("`{}` gives {gives}, but has {annotated}", op.name()),
            )
            .at(Place::Text(node.types[0].1.clone()), "the types begin here"));
        }
        for ((annotated, range), inferred) in node.types.iter().zip(&inferred) {
            if annotated != inferred {
                let message = format!("`{}` gives {inferred}, but is annotated as {annotated}", op.name());
                return Err(locate(
                    Diagnostic::new("E0220", message)
                        .at(Place::Text(range.clone()), format!("expected {inferred}"))
                        .help("leave the annotation out to have the type inferred"),
                ));
            }
        }
        Ok(inferred)
    }

    fn results(&mut self, syntax: &Func<'a>, returned: &Returned<'a>) {
        let (declared, given) = (syntax.results.len(), returned.values.len());
        if declared != given {
            let (declares, returns) = (count(declared, "result"), count(given, "value"));
            let name = syntax.name.text;
            return self.report(
                Diagnostic::new("E0313", format!("`@{name}` declares {declares}, but returns {returns}"))
                    .at(Place::Text(returned.range.clone()), "")
                    .at(syntax.name.place(), "declared here"),
            );
        }
        for (i, (result, name)) in syntax.results.iter().zip(&returned.values).enumerate() {
            let Some(value) = self.value(name) else { continue };
            let ty = self.function.ty(value);
            if *ty != result.ty {
                let message = format!("`%{}` is {ty}, but {} is returned", name.text, result.ty);
                self.report(
                    Diagnostic::new("E0223", message)
                        .at(name.place(), format!("this is {ty}"))
                        .at(Place::Text(result.range.clone()), "declared here"),
                );
            }
            let result_name = match &result.name {
                Some(name) => name.text.to_owned(),
                None if declared == 1 => ONLY_RESULT.to_owned(),
                None => format!("{ONLY_RESULT}{i}"),
            };
            self.function.results.push(Output { name: result_name, value, place: name.place() });
        }
    }
}

/// The op of a node, with its attributes.
fn op(node: &NodeSyntax<'_>) -> Result<Op, Diagnostic> {
    let name = node.op.text;
    let Some(fields) = Op::fields(name) else {
        let error = Diagnostic::new("E0307", format!("there is no op `{name}`")).at(node.op.place(), "");
        return Err(match nearest(name, Op::NAMES.iter().copied()) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error,
        });
    };
    let symbols: Vec<&Field> = fields.iter().filter(|field| field.is_symbol()).collect();
    if symbols.len() != node.symbols.len() {
        let (takes, found) = (count(symbols.len(), "`@name`"), node.symbols.len());
        let error = Diagnostic::new("E0215", format!("`{name}` takes {takes}, found {found}"));
        let help = symbols.iter().map(|field| format!("`{}` is {}", field.name, field.expected));
        return Err(help.fold(error.at(node.op.place(), ""), Diagnostic::help));
    }
    let mut attributes: Vec<(String, Attribute)> = symbols
        .iter()
        .zip(&node.symbols)
        .map(|(field, symbol)| (field.name.to_owned(), Attribute::Symbol(symbol.text.to_owned())))
        .collect();
    for attribute in &node.attributes {
        let (name, place) = (attribute.name.text, attribute.name.place());
        let Some(field) = fields.iter().find(|field| field.name == name) else {
            let error = unknown_attribute(node.op.text, fields, name).at(place, "");
            return Err(match nearest(name, fields.iter().map(|field| field.name)) {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None => error,
            });
        };
        if field.is_symbol() {
            let error =
                Diagnostic::new("E0215", format!("`{name}` of `{}` stands outside of braces", node.op.text));
            return Err(error
                .at(place, "")
                .help(format!("write the name after the op: `{} @name`", node.op.text)));
        }
        attributes.push((name.to_owned(), attribute.value.clone()));
    }
    // An attribute that does not fit is among those in braces; one that is missing is not.
    let first = node.attributes.first().map(|a| a.name.range.start);
    let last = node.attributes.last().map(|a| a.range.end);
    let braces = first.zip(last).map_or(node.op.place(), |(first, last)| Place::Text(first..last));
    Op::from_attributes(name, &attributes).expect("an op that has fields has a reader").map_err(|error| {
        let place = if error.code == "E0212" { braces } else { node.op.place() };
        error.or_at(&place)
    })
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
