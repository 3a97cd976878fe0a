//! Constants of training that whoever uses a library may change.

use std::collections::BTreeSet;

use bessemer_compiler::diagnostic::{Diagnostic, Place};
use bessemer_compiler::graph::{Argument, Call, Function, Module, Variable};
use bessemer_compiler::initializers::constant;
use bessemer_compiler::ops::attributes::Symbol;
use bessemer_compiler::ops::{Op, Read};
use bessemer_compiler::tensor::Scalar;
use bessemer_compiler::types::{DType, TensorType};

use crate::error::{Error, names};

/// The name of the constant of training steps that every library may change without being asked, where there is one.
pub const LEARNING_RATE: &str = "learning_rate";

/// The module with constants of these names in variables, so that a library has them in its state, and saves them.
///
/// A number that is written in a training step `t` becomes the variable `t/NAME`. Its name is that of the argument; but the
/// optimizer's `lr` is `learning_rate`, its `decay` and the rate of `weight_decay` are `weight_decay`, and the limit of a
/// clipping is named like the clipping. A constant without axes in a function `f` that is named there, such as the
/// `dropout_rate` of `nn::dropout`, becomes the variable `f/NAME`.
///
/// # Errors
/// E0730 if there is no constant of a name, but for `learning_rate`.
pub fn with_constants_in_variables(module: &Module, wanted: &[String]) -> Result<Module, Error> {
    let mut moved = Moved { module: module.clone(), wanted, found: BTreeSet::new(), known: BTreeSet::new() };
    moved.trains();
    moved.functions();
    let Moved { module: changed, found, known, .. } = moved;
    match wanted.iter().find(|name| !found.contains(*name) && *name != LEARNING_RATE) {
        None => Ok(changed),
        Some(name) => {
            let error = Diagnostic::new("E0730", format!("there is no constant `{name}` to be changed"));
            let error = match known.is_empty() {
                true => error.note(format!("`{}` has none", module.name)),
                false => error.note(format!(
                    "those of `{}` are: {}",
                    module.name,
                    names(known.iter().map(String::as_str))
                )),
            };
            Err(error.help("write the number in the training step, such as `adam(lr = 0.001, beta1 = 0.9)`, or name a constant in a function").into())
        }
    }
}

/// A module in the change.
struct Moved<'a> {
    module: Module,
    wanted: &'a [String],
    /// Those of the wanted names that something has.
    found: BTreeSet<String>,
    /// All names that may be wanted.
    known: BTreeSet<String>,
}

impl Moved<'_> {
    /// Numbers that are written in training steps.
    fn trains(&mut self) {
        let mut trains = std::mem::take(&mut self.module.trains);
        for train in &mut trains {
            let loss = self.module.function(&train.loss).map(|id| &self.module.functions[id]);
            let dtype = loss.and_then(|f| Some(f.ty(f.results.first()?.value).dtype)).unwrap_or(DType::F32);
            for call in &mut train.with {
                for at in 0..call.args.len() {
                    let (Some(name), &Argument::Number(number)) = (name(call, at), &call.args[at].1) else {
                        continue;
                    };
                    if let Some(variable) = self.declare(&train.name, name, number, dtype) {
                        call.args[at].1 = Argument::Variables(vec![variable]);
                    }
                }
            }
        }
        self.module.trains = trains;
    }

    /// Constants with names in functions.
    fn functions(&mut self) {
        let ids: Vec<_> = self.module.functions.keys().collect();
        for id in ids {
            let nodes: Vec<_> = self.module.functions[id].nodes.keys().collect();
            for node in nodes {
                let function = &self.module.functions[id];
                let Some((name, number)) =
                    named_scalar(function, &function.nodes[node].op, function.nodes[node].results[0])
                else {
                    continue;
                };
                let (owner, dtype) = (function.name.clone(), number.dtype());
                if let Some(variable) = self.declare(&owner, &name, number.as_f64(), dtype) {
                    self.module.functions[id].nodes[node].op = Read { variable: Symbol(variable) }.into();
                }
            }
        }
    }

    /// Declares the variable for a constant of this name in a training step or function, if it is wanted.
    fn declare(&mut self, owner: &str, name: &str, number: f64, dtype: DType) -> Option<String> {
        self.known.insert(name.to_owned());
        if !self.wanted.iter().any(|wanted| wanted == name) {
            return None;
        }
        self.found.insert(name.to_owned());
        let first = format!("{owner}/{name}");
        let taken = |name: &String| self.module.variable(name).is_some();
        let unique = (1..).map(|n| format!("{first}.{n}")).find(|name| !taken(name));
        let variable = if taken(&first) { unique? } else { first };
        self.module.variables.push(Variable {
            name: variable.clone(),
            ty: TensorType::scalar(dtype),
            init: constant(number),
            trainable: false,
            place: Place::default(),
        });
        Some(variable)
    }
}

/// The name of the constant that is the argument of a call at a position: an optimizer or what modifies gradients. The first
/// argument of an optimizer may stand without a name; those of modifiers are what they are named for.
fn name(call: &Call, at: usize) -> Option<&str> {
    let is_modifier = bessemer_compiler::train::MODIFIERS.contains(&call.name.as_str());
    match (call.name.as_str(), call.args[at].0.as_deref()) {
        // They shape the code.
        ("accumulate", _) | (_, Some("initial")) => None,
        (modifier, None | Some("rate" | "limit")) if is_modifier && at == 0 => Some(modifier),
        (_, _) if is_modifier => None,
        (_, Some("lr")) => Some(LEARNING_RATE),
        (_, None) if at == 0 => Some(LEARNING_RATE),
        (_, Some("decay")) => Some("weight_decay"),
        (_, named) => named,
    }
}

/// Name and number of a constant without axes that has a name: the last part of it, before any `.`.
fn named_scalar(
    function: &Function,
    op: &Op,
    value: bessemer_compiler::graph::ValueId,
) -> Option<(String, Scalar)> {
    let Op::Constant(constant) = op else { return None };
    let name = function.values[value].name.as_deref()?;
    let number =
        constant.splat().filter(|number| number.dtype().is_float() && function.ty(value).rank() == 0)?;
    let stem = name.rsplit('/').next()?.split('.').next()?;
    Some((stem.to_owned(), number))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "module @m
var @w : f32[3] = zeros
func @loss(%x: f32[3]) -> f32[] {
  %0 = read @w
  %noise/scale = constant {dtype=f32, shape=[], value=0.5}
  %1 = broadcast %noise/scale {shape=[3]}
  %2 = mul %0, %1
  %3 = sub %2, %x
  %4 = mul %3, %3
  %5 = reduce_sum %4 {axes=[0]}
  return %5
}
train @step() = minimize @loss with momentum(lr = 0.5, momentum = 0.25), weight_decay(0.1), weight_decay(rate = 0.2), clip_norm(limit = 2)
";

    fn changed(wanted: &[&str]) -> Result<Module, Error> {
        let wanted: Vec<String> = wanted.iter().map(|&name| name.to_owned()).collect();
        let changed = with_constants_in_variables(&Module::parse("m.bsm", TEXT).unwrap(), &wanted)?;
        bessemer_compiler::pipeline::prepare(&changed).unwrap();
        Ok(changed)
    }

    #[test]
    fn what_is_named_becomes_a_variable() {
        for (name, variables) in [
            ("learning_rate", &["step/learning_rate"][..]),
            ("momentum", &["step/momentum"]),
            ("weight_decay", &["step/weight_decay", "step/weight_decay.1"]),
            ("clip_norm", &["step/clip_norm"]),
            ("scale", &["loss/scale"]),
        ] {
            let module = changed(&[name]).unwrap();
            let declared: Vec<&str> = module.variables.values().map(|v| &*v.name).collect();
            assert_eq!(declared[1..], *variables);
        }
        assert_eq!(changed(&[]).unwrap().variables.len(), 1);
        assert!(changed(&["scale"]).unwrap().to_string().contains("%noise/scale = read @loss/scale"));
    }

    #[test]
    fn what_there_is_not_is_said() {
        let error = changed(&["beta1"]).unwrap_err().to_string();
        for part in ["E0730", "no constant `beta1`", "`clip_norm`, `learning_rate`, `momentum`, `scale`"] {
            assert!(error.contains(part), "{error}");
        }
        let module = Module::parse("m.bsm", "module @m\nvar @w : f32[] = zeros\n").unwrap();
        assert!(with_constants_in_variables(&module, &[LEARNING_RATE.to_owned()]).is_ok());
    }
}
