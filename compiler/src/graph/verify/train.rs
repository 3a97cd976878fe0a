//! The checks of one training step.

use std::collections::{HashMap, HashSet};

use super::{check_type, check_word};
use crate::diagnostic::{Diagnostic, MAX_ERRORS, Place};
use crate::graph::suggest::nearest;
use crate::graph::{Argument, Call, Function, Train, Variable};

/// A function that may be minimized.
pub(super) struct Loss<'a> {
    function: &'a Function,
    params: HashSet<&'a str>,
}

impl<'a> Loss<'a> {
    pub(super) fn new(function: &'a Function) -> Loss<'a> {
        let name = |&v| function.values.get(v).and_then(|data| data.name.as_deref());
        Loss { function, params: function.params.iter().filter_map(name).collect() }
    }
}

/// Items 11 to 14 of the [list](super).
pub(super) fn check(
    train: &Train,
    losses: &HashMap<&str, Loss<'_>>,
    variables: &HashMap<&str, &Variable>,
    errors: &mut Vec<Diagnostic>,
) {
    let loss = losses.get(train.loss.as_str());
    match loss {
        Some(loss) => check_loss(train, loss.function, errors),
        None => {
            let error =
                Diagnostic::new("E0501", format!("there is no function `@{}` to minimize", train.loss))
                    .at(train.place.clone(), "");
            errors.push(match nearest(&train.loss, losses.keys().copied()) {
                Some(near) => error.help(format!("did you mean `@{near}`?")),
                None => error,
            });
        }
    }
    let mut params = HashSet::new();
    for (name, ty) in &train.params {
        check_word("parameter", name, &train.place, errors);
        errors.extend(check_type(ty).err().map(|e| e.at(train.place.clone(), "")));
        if !params.insert(name.as_str()) || loss.is_some_and(|l| l.params.contains(name.as_str())) {
            errors.push(
                Diagnostic::new(
                    "E0302",
                    format!("the parameter `%{name}` of `@{}` is defined twice", train.name),
                )
                .at(train.place.clone(), "")
                .note(format!("the parameters are those of `@{}` and then its own", train.loss)),
            );
        }
    }
    let mut checker = References { train, params, variables, errors };
    checker.variables(&train.over, &train.place);
    if train.with.is_empty() {
        let message = format!("the training step `@{}` has no optimizer", train.name);
        checker.errors.push(
            Diagnostic::new("E0505", message)
                .at(train.place.clone(), "")
                .help("add one: `with adam(lr = 0.001)`"),
        );
    }
    for call in &train.with {
        checker.call(call);
    }
}

fn check_loss(train: &Train, loss: &Function, errors: &mut Vec<Diagnostic>) {
    let name = &train.loss;
    let Some(first) = loss.results.first() else {
        errors.push(
            Diagnostic::new("E0504", format!("`@{name}` has no result to minimize"))
                .at(train.place.clone(), "")
                .at(loss.place.clone(), "declared here"),
        );
        return;
    };
    let Some(value) = loss.values.get(first.value) else { return };
    if !value.ty.dtype.is_float() || value.ty.rank() != 0 {
        errors.push(
            Diagnostic::new(
                "E0504",
                format!("`@{name}` cannot be minimized: its first result is {}", value.ty),
            )
            .at(train.place.clone(), "")
            .at(first.place.clone(), "returned here")
            .help("return a float scalar first, such as the mean of the losses over the batch"),
        );
    }
}

/// What the arguments of a training step may refer to.
struct References<'a> {
    train: &'a Train,
    params: HashSet<&'a str>,
    variables: &'a HashMap<&'a str, &'a Variable>,
    errors: &'a mut Vec<Diagnostic>,
}

impl References<'_> {
    fn variables(&mut self, names: &[String], place: &Place) {
        let mut known = HashSet::new();
        for name in names {
            if self.errors.len() >= MAX_ERRORS {
                return;
            }
            let message = match self.variables.contains_key(name.as_str()) {
                false => format!("there is no variable `@{name}`"),
                true if !known.insert(name) => format!("the variable `@{name}` is listed twice"),
                true => continue,
            };
            let error = Diagnostic::new("E0503", message).at(place.clone(), "");
            let near = match self.variables.contains_key(name.as_str()) {
                true => None,
                false => nearest(name, self.variables.keys().copied()),
            };
            self.errors.push(match near {
                Some(near) => error.help(format!("did you mean `@{near}`?")),
                None => error,
            });
        }
    }

    /// Calls nest as deep as whoever built them, so calls within this one wait in a list instead of on the stack.
    fn call(&mut self, call: &Call) {
        let mut waiting = vec![call];
        while let Some(call) = waiting.pop() {
            for (_, argument) in &call.args {
                match argument {
                    Argument::Number(_) | Argument::Bool(_) | Argument::Text(_) => {}
                    Argument::Call(inner) => waiting.push(inner),
                    Argument::Variables(names) => self.variables(names, &call.place),
                    Argument::Param(name) => self.param(name, &call.place),
                }
            }
        }
    }

    fn param(&mut self, name: &str, place: &Place) {
        if self.params.contains(name) {
            return;
        }
        let message = format!("the training step `@{}` has no parameter `%{name}`", self.train.name);
        let error = Diagnostic::new("E0502", message).at(place.clone(), "");
        self.errors.push(match nearest(name, self.params.iter().copied()) {
            Some(near) => error.help(format!("did you mean `%{near}`?")),
            None => error.help(format!("declare it: `train @{}(%{name}: f32[])`", self.train.name)),
        });
    }
}
