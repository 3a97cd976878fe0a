//! A training step in two functions: one that gives the gradients, and one that takes gradients and updates.
//!
//! Between the two, whoever calls them may do with the gradients what they like: take the mean of those of several
//! machines, for example. One after the other they are the training step, bit for bit, with one exception: where SGD
//! updates rows that were looked up, the step makes one addition per look-up ([`Sum::descend`]), and the second function
//! one of their sum, which is rounded differently if a row was looked up twice.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Step, loss_of};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::differentiate::Sum;
use crate::graph::{Function, Module, Train};
use crate::types::{DType, TensorType};

/// The module with two more functions for every declared training step `t`:
///
/// - `t_grad` has the parameters and results of the loss, and then as results the gradients of the variables that are
///   trained, before what modifies them;
/// - `t_apply` has these as parameters, then those of the training step; it modifies them and updates the variables.
///
/// A gradient has the name of its variable, with `_` for what a name of a result may not have.
///
/// # Errors
/// As [`expand`](super::expand); E0302 if a function has one of these names already.
pub fn split(module: &Module) -> Result<Module, Diagnostics> {
    let shared = Rc::new(RefCell::new(module.clone()));
    let mut errors = Vec::new();
    for train in &module.trains {
        if let Err(more) = split_step(&shared, train) {
            errors.extend(more.into_iter().map(|e| e.or_at(&train.place)));
        }
    }
    Diagnostics::check(module.source.clone(), errors)?;
    Ok(shared.take())
}

/// A variable that is trained: its name and type, and the name of its gradient.
struct Trained {
    variable: String,
    gradient: String,
    ty: TensorType,
}

fn split_step(module: &Rc<RefCell<Module>>, train: &Train) -> Result<(), Vec<Diagnostic>> {
    for suffix in ["grad", "apply"] {
        let name = format!("{}_{suffix}", train.name);
        let is_taken = module.borrow().function(&name).is_some()
            || module.borrow().trains.iter().any(|train| train.name == name);
        if is_taken {
            return Err(vec![
                Diagnostic::new("E0302", format!("there is a function `@{name}` already"))
                    .note(format!("it is what the part of `@{}` would be called", train.name)),
            ]);
        }
    }
    let loss = super::loss_function(module, train)?;
    let (mut trained, mut dtype) = (Vec::new(), DType::F32);
    super::add(module, Function { name: format!("{}_grad", train.name), ..loss }, train, |graph| {
        let loss = loss_of(graph, train)?;
        dtype = loss.dtype();
        for (variable, gradient) in (Step { graph, train, dtype }).gradients(loss)? {
            let value = gradient.value();
            let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
            let name: String = variable.chars().map(word).collect();
            graph.result(&name, value);
            trained.push(Trained { variable, gradient: name, ty: value.ty() });
        }
        Ok(())
    })?;
    let apply = Function { name: format!("{}_apply", train.name), ..Function::default() };
    super::add(module, apply, train, |graph| {
        let gradients = trained.iter().map(|t| {
            let given = graph.placeholder(&t.gradient, t.ty.dtype, t.ty.shape.clone());
            (t.variable.clone(), Sum::of(given))
        });
        let gradients = gradients.collect();
        super::placeholders(graph, train);
        Step { graph, train, dtype }.apply(gradients)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_becomes_two_functions() {
        let text = "module @m
var @a/w : f32[3] = zeros
var @b : f32[] = zeros {trainable = false}
func @loss(%x: f32[N,3]) -> (loss: f32[]) {
  %0 = read @a/w
  %b = read @b
  %1 = broadcast %0 {shape=[N,3]}
  %2 = mul %1, %x
  %3 = reduce_sum %2 {axes=[0,1]}
  %4 = add %3, %b
  return %4
}
train @t(%lr: f32[]) = minimize @loss with adam(lr = %lr), clip_norm(1)
";
        let module = Module::parse("m.bsm", text).unwrap();
        let module = crate::pipeline::prepare(&split(&module).unwrap()).unwrap();
        let of = |name: &str| {
            let f = &module.functions[module.function(name).unwrap()];
            let params: Vec<String> = f.params.iter().map(|&p| f.value_name(p)).collect();
            let results: Vec<String> = f.results.iter().map(|r| r.name.clone()).collect();
            (params.join(" "), results.join(" "))
        };
        assert_eq!(of("t_grad"), ("x".into(), "loss a_w".into()));
        assert_eq!(of("t_apply"), ("a_w lr".into(), String::new()));
        assert_eq!(of("t"), ("x lr".into(), "loss".into()));
        let taken = text.replace("@loss", "@t_apply");
        let error = split(&Module::parse("m.bsm", &taken).unwrap()).unwrap_err();
        assert_eq!(error.code(), "E0302");
    }
}
